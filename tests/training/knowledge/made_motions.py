"""Movements made by hand: somebody in front of a depth camera, joint by joint."""

from collections.abc import Callable

import numpy as np

from c2vl_serve.skeleton.layout import KINECT20
from c2vl_serve.skeleton.sequence import SkeletonSequence
from tests.conftest import STANDING

FPS = 30.0
ARM = {"elbow": 0.27, "wrist": 0.51, "hand": 0.58}  # metres from the shoulder
LEFT, FRONT = -1.0, -1.0  # signs: the person faces the camera, which looks along +z

Edit = Callable[[np.ndarray, np.ndarray], None]


def motion(*edits: Edit, seconds: float = 3.0) -> SkeletonSequence:
    """Somebody standing, changed by edits of ``T 20 3`` joints; their clock runs from 0 to 1."""
    T = round(seconds * FPS)
    joints = np.zeros((T, 20, 3), np.float32)
    joints[:, :, :2] = STANDING
    joints[:, :, 2] = 2.5
    for edit in edits:
        edit(joints, np.linspace(0, 1, T))
    return SkeletonSequence(joints=joints[:, None], fps=FPS, layout=KINECT20)


def _arm(side: str, place: Callable[[np.ndarray], np.ndarray]) -> Edit:
    """A stretched arm whose direction from the shoulder is (outward, up, forward)."""

    def edit(joints: np.ndarray, clock: np.ndarray) -> None:
        sign = LEFT if side == "left" else -LEFT
        way = place(clock) * (sign, 1, FRONT)
        way /= np.linalg.norm(way, axis=-1, keepdims=True)
        shoulder = joints[:, KINECT20.index(f"{side[0]}_shoulder")]
        for name, length in ARM.items():
            joints[:, KINECT20.index(f"{side[0]}_{name}")] = shoulder + length * way

    return edit


def there_and_back(clock: np.ndarray) -> np.ndarray:
    """From 0 to 1 and back to 0, smoothly."""
    return (1 - np.cos(2 * np.pi * clock)) / 2


def raising(side: str) -> Edit:
    """Out to the side and up above the head, where the arm stays."""

    def place(clock: np.ndarray) -> np.ndarray:
        angle = 0.06 + 2.8 * np.minimum(1, 1.5 * clock)
        return np.stack([np.sin(angle), -np.cos(angle), 0 * angle], axis=-1)

    return _arm(side, place)


def pushing(side: str, count: int) -> Edit:
    """Forward and back ``count`` times."""

    def place(clock: np.ndarray) -> np.ndarray:
        angle = 0.05 + 1.5 * (1 - np.cos(2 * np.pi * count * clock)) / 2
        return np.stack([0.05 + 0 * angle, -np.cos(angle), np.sin(angle)], axis=-1)

    return _arm(side, place)


def clapping(count: int) -> tuple[Edit, Edit]:
    """Both arms in front, hands together ``count`` times."""

    def place(clock: np.ndarray) -> np.ndarray:
        out = 0.45 * (1 + np.cos(2 * np.pi * count * clock)) / 2 - 0.33
        return np.stack([out, 0 * out - 0.1, 0 * out + 1], axis=-1)

    return _arm("left", place), _arm("right", place)


def circling(side: str, sense: int) -> Edit:
    """One circle in front of the body; +1 goes from outward over up to inward."""

    def place(clock: np.ndarray) -> np.ndarray:
        angle = 2 * np.pi * clock * sense
        out, up = 0.1 + 0.5 * np.cos(angle), 0.2 + 0.5 * np.sin(angle)
        return np.stack([out, up, 0 * angle + 0.9], axis=-1)

    return _arm(side, place)


def squatting(count: int = 1, depth: float = 0.45) -> Edit:
    """Hips down and up ``count`` times, knees to the front."""

    def edit(joints: np.ndarray, clock: np.ndarray) -> None:
        down = depth * (1 - np.cos(2 * np.pi * count * clock)) / 2
        _lower(joints, down, back=0.0)

    return edit


def sitting_down() -> Edit:
    """Down onto a seat behind, and stays there."""

    def edit(joints: np.ndarray, clock: np.ndarray) -> None:
        down = 0.4 * np.clip(2.5 * clock - 0.5, 0, 1)
        _lower(joints, down, back=1.0)

    return edit


def _lower(joints: np.ndarray, down: np.ndarray, back: float) -> None:
    """Lower everything above the knees, by ``down`` metres and ``back`` as much to the rear."""
    for name in KINECT20.joints:
        part = name[2:]
        if part in ("ankle", "foot"):
            continue
        share = 0.45 if part == "knee" else 1.0
        joints[:, KINECT20.index(name), 1] -= down * share
        joints[:, KINECT20.index(name), 2] += (
            FRONT * 0.6 * down if part == "knee" and not back else -FRONT * back * down
        ) * (share if back else 1)


def bowing() -> Edit:
    """The trunk tips forward from the hips and comes up again."""

    def edit(joints: np.ndarray, clock: np.ndarray) -> None:
        angle = 1.2 * there_and_back(clock)
        hips = joints[:, [KINECT20.index("hip_center")]].copy()
        for name in KINECT20.joints:
            if name[2:] in ("hip", "knee", "ankle", "foot") or name == "hip_center":
                continue
            way = joints[:, KINECT20.index(name)] - hips[:, 0]
            joints[:, KINECT20.index(name)] = hips[:, 0] + np.stack(
                [way[:, 0], way[:, 1] * np.cos(angle), FRONT * way[:, 1] * np.sin(angle)], axis=-1
            )

    return edit


def kicking(side: str) -> Edit:
    """One foot to the front and up, and back."""

    def edit(joints: np.ndarray, clock: np.ndarray) -> None:
        reach = there_and_back(clock)
        for part, far in (("knee", 0.35), ("ankle", 0.7), ("foot", 0.7)):
            joints[:, KINECT20.index(f"{side[0]}_{part}"), 2] += FRONT * far * reach
            joints[:, KINECT20.index(f"{side[0]}_{part}"), 1] += 0.55 * far * reach

    return edit


def stepping(per_second: float, speed: float = 0.0) -> Edit:
    """Feet and knees to the front in turn; ``speed`` metres a second towards the camera."""

    def edit(joints: np.ndarray, clock: np.ndarray) -> None:
        seconds = clock * len(clock) / FPS
        swing = np.sin(np.pi * per_second * seconds)
        for side, sign in (("l", 1), ("r", -1)):
            for part, far in (("knee", 0.12), ("ankle", 0.22), ("foot", 0.22)):
                joints[:, KINECT20.index(f"{side}_{part}"), 2] += FRONT * sign * far * swing
        joints[:, :, 2] += (FRONT * speed * seconds)[:, None]

    return edit


def turning(degrees: float) -> Edit:
    """Turns on the spot to the person's own left."""

    def edit(joints: np.ndarray, clock: np.ndarray) -> None:
        # Facing -z, the left is at -x: to turn left is to go from -z towards -x.
        angle = np.deg2rad(degrees) * clock[:, None]
        x, z = joints[:, :, 0].copy(), joints[:, :, 2] - 2.5
        joints[:, :, 0] = np.cos(angle) * x + np.sin(angle) * z
        joints[:, :, 2] = 2.5 - np.sin(angle) * x + np.cos(angle) * z

    return edit
