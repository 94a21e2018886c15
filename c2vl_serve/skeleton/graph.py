"""The graph of a layout: who is whose neighbour, as the matrices a graph convolution gathers by."""

import numpy as np
from jaxtyping import Float32

from c2vl_serve.skeleton.layout import SkeletonLayout

SUBSETS = ("self", "inward", "outward")  # the order of :func:`adjacency`


def adjacency(layout: SkeletonLayout) -> Float32[np.ndarray, "3 V V"]:
    """What each joint gathers from, ``[subset, to, from]``, in the order of :data:`SUBSETS`.

    ``self`` is the identity; ``inward`` takes the mean of a joint's children, so that movement
    of the hands reaches the trunk; ``outward`` takes the parent. Each row sums to 1, or to 0
    where a joint has no such neighbour (leaves inward, the root outward). This is the spatial
    configuration partitioning of ST-GCN (Yan et al., AAAI 2018, sec. 3.3 and eq. 10), divided
    by edge direction as in 2s-AGCN (Shi et al., CVPR 2019).
    """
    V = layout.num_joints
    towards_root = np.zeros((V, V), np.float32)
    for joint, parent in enumerate(layout.parents):
        if parent >= 0:
            towards_root[parent, joint] = 1
    return np.stack(
        [np.eye(V, dtype=np.float32), _rows_to_one(towards_root), _rows_to_one(towards_root.T)]
    )


def _rows_to_one(edges: Float32[np.ndarray, "V V"]) -> Float32[np.ndarray, "V V"]:
    """Divide each row by its sum; a row without edges stays zero."""
    return edges / np.maximum(edges.sum(axis=1, keepdims=True), 1)
