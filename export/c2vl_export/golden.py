"""The golden sample: a made-up movement, so that no recorded clip ever travels with a bundle."""

import numpy as np

from c2vl_serve.skeleton.layout import KINECT20
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_serve.skeleton.sequence import SkeletonSequence

FPS = 30.0
# A standing adult, metres, facing -z with y up, in kinect20's order.
STANDING = (
    (0.0, 0.0), (0.0, 0.07), (0.0, 0.42), (0.0, 0.62),
    (-0.18, 0.36), (-0.23, 0.10), (-0.25, -0.13), (-0.25, -0.20),
    (0.18, 0.36), (0.23, 0.10), (0.25, -0.13), (0.25, -0.20),
    (-0.09, -0.07), (-0.10, -0.49), (-0.10, -0.85), (-0.10, -0.88),
    (0.09, -0.07), (0.10, -0.49), (0.10, -0.85), (0.10, -0.88),
)  # fmt: skip


def golden_sequence(config: PreprocessingConfig) -> SkeletonSequence:
    """One model window of somebody waving a raised right arm while swaying, one ankle hidden."""
    T = int(config.window_seconds * FPS)
    time = np.arange(T, dtype=np.float32) / FPS
    joints = np.zeros((T, 1, KINECT20.num_joints, 3), np.float32)
    joints[:, 0, :, :2] = STANDING
    joints[:, 0, :, 2] = 2.5 + 0.02 * np.sin(3 * time)[:, None]
    joints[:, 0, KINECT20.index("l_foot"), 2] -= 0.1
    joints[:, 0, KINECT20.index("r_foot"), 2] -= 0.1
    swing = np.sin(2 * np.pi * 1.2 * time)
    for reach, name in enumerate(("r_elbow", "r_wrist", "r_hand"), start=1):
        index = KINECT20.index(name)
        joints[:, 0, index, 0] = 0.25 + 0.09 * reach * swing
        joints[:, 0, index, 1] = 0.36 + 0.18 * reach
        joints[:, 0, index, 2] -= 0.05 * reach
    visibility = np.ones(joints.shape[:-1], np.float32)
    visibility[T // 2 :, 0, KINECT20.index("l_ankle")] = 0
    return SkeletonSequence(joints=joints, visibility=visibility, fps=FPS, layout=KINECT20)
