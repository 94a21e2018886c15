"""Streams: the joint positions, the bones between them, and how both change in time."""

import numpy as np
from jaxtyping import Float32

from c2vl_serve.skeleton.arrays import Joints
from c2vl_serve.skeleton.layout import SkeletonLayout


def bones(joints: Joints, layout: SkeletonLayout) -> Joints:
    """Each joint minus its parent, ``T M V C``; the root's bone is its own position.

    The sum of bones from the root to a joint gives the joint back
    (2s-AGCN, Shi et al., CVPR 2019, sec. 3.3).
    """
    bone = joints - joints.take(layout.parents, axis=2, mode="clip")
    bone[:, :, layout.root] = joints[:, :, layout.root]
    return bone


def joints_from_bones(bone: Joints, layout: SkeletonLayout) -> Joints:
    """The inverse of :func:`bones`."""
    joints = np.array(bone)
    for joint in layout.outward[1:]:
        joints[:, :, joint] += joints[:, :, layout.parents[joint]]
    return joints


def motion(positions: Float32[np.ndarray, "T M *S"]) -> Float32[np.ndarray, "T M *S"]:
    """Change since the frame before, in units a frame; zero in the first frame."""
    change = np.zeros_like(positions)
    np.subtract(positions[1:], positions[:-1], out=change[1:])
    return change
