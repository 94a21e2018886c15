"""Write wave.json: somebody who stands and waves with the right arm, made by formula.

    python examples/make_wave.py

No recording is behind it. Axes are the Kinect's: metres, x to the right of the picture, y up, z
away from the camera; the person looks at the camera, 2.5 m away.
"""

import json
from pathlib import Path

import numpy as np

from c2vl_serve.skeleton.layout import KINECT20
from c2vl_serve.skeleton.sequence import SkeletonSequence

FPS = 15.0
SECONDS = 2.0
WAVES = 1.5  # a second
UPPER_ARM, FOREARM, HAND = 0.28, 0.25, 0.09  # metres

# x and y of a standing adult in kinect20's order, metres from the hips' centre.
STANDING = [
    (0.00, 0.00), (0.00, 0.08), (0.00, 0.44), (0.00, 0.64),
    (-0.18, 0.38), (-0.22, 0.11), (-0.24, -0.13), (-0.24, -0.21),
    (0.18, 0.38), (0.22, 0.11), (0.24, -0.13), (0.24, -0.21),
    (-0.09, -0.06), (-0.10, -0.48), (-0.10, -0.86), (-0.10, -0.89),
    (0.09, -0.06), (0.10, -0.48), (0.10, -0.86), (0.10, -0.89),
]  # fmt: skip


def waving(seconds: float = SECONDS, fps: float = FPS) -> SkeletonSequence:
    """The right upper arm is held to the side; the forearm points up and swings."""
    time = np.arange(round(seconds * fps)) / fps
    joints = np.zeros((len(time), 1, KINECT20.num_joints, 3))
    joints[..., :2] = STANDING
    joints[..., 2] = 2.5
    swing = np.sin(2 * np.pi * WAVES * time)
    upper = np.radians(-10 + 6 * swing)  # from the horizontal
    lower = np.radians(80 - 32 * swing)
    at = joints[:, 0, KINECT20.index("r_shoulder")]
    for joint, length, angle in (
        ("r_elbow", UPPER_ARM, upper),
        ("r_wrist", FOREARM, lower),
        ("r_hand", HAND, lower),
    ):
        at = at + length * np.stack([np.cos(angle), np.sin(angle), np.full(len(time), -0.15)], -1)
        joints[:, 0, KINECT20.index(joint)] = at
    return SkeletonSequence(joints=joints.astype(np.float32), fps=fps, layout=KINECT20)


def main() -> None:
    """Write it beside this script, to the millimetre."""
    wave = waving()
    content = {
        "layout": wave.layout.name,
        "fps": wave.fps,
        "joints": [[[round(float(n), 3) for n in joint] for joint in t] for t in wave.joints[:, 0]],
    }
    path = Path(__file__).with_name("wave.json")
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
