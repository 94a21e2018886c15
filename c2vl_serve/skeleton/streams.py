"""Streams: the joint positions, the bones between them, and how both change in time."""

import numpy as np

from c2vl_serve.skeleton.arrays import Joints
from c2vl_serve.skeleton.layout import SkeletonLayout


def bones(joints: Joints, layout: SkeletonLayout) -> Joints:
    """Each joint minus its parent, ``T M V C``; the root's bone is its own position.

    The sum of bones from the root to a joint gives the joint back
    (2s-AGCN, Shi et al., CVPR 2019, sec. 3.3).
    """
    parents = np.array(layout.parents)
    origin = joints[:, :, np.maximum(parents, 0)] * (parents >= 0)[:, None]
    return (joints - origin).astype(np.float32)


def joints_from_bones(bone: Joints, layout: SkeletonLayout) -> Joints:
    """The inverse of :func:`bones`."""
    joints = np.array(bone)
    for joint in layout.outward[1:]:
        joints[:, :, joint] += joints[:, :, layout.parents[joint]]
    return joints


def motion(joints: Joints) -> Joints:
    """Change since the frame before, ``T M V C`` in units a frame; zero in the first frame."""
    return np.diff(joints, axis=0, prepend=joints[:1])
