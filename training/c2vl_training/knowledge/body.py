"""Body: one person's movement in its own directions and its own size; `facts` measures it.

Camera, body size and frame rate end here. What is left is the pose around the pelvis with x to
the person's left, y up and z to the front, and the way of the pelvis through the room.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.convert import convert
from c2vl_serve.skeleton.layout import BODY15
from c2vl_serve.skeleton.preprocessing import TORSO, facing_front
from c2vl_serve.skeleton.resampling import resample
from c2vl_serve.skeleton.sequence import SkeletonSequence

FPS = 15.0  # frames per second at which movement is measured
SMOOTHING = (0.25, 0.5, 0.25)  # weights of three frames: takes off the jitter of depth cameras
MIN_VISIBILITY = 0.3  # as in preprocessing: a joint seen less is a guess
MIN_SEEN_SHARE = 0.5  # of the frames; a joint seen in fewer is not described
MIN_TRUNK_SHARE = 0.15  # of the frames; without a trunk there is no front and no size
TURNED = np.deg2rad(50)  # of the heading; from here on the front is the front of the moment
HEADING_SECONDS = 0.8  # the heading of a moment is the mean over this long
TRUNK = ("pelvis", "chest", "l_shoulder", "r_shoulder", "l_hip", "r_hip")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Body:
    """One person's movement, free of camera, body size and frame rate.

    Attributes:
        joints: ``T 15 3`` around the pelvis; x left, y up, z front; metres of a body whose
            torso is :data:`~c2vl_serve.skeleton.preprocessing.TORSO`.
        seen: for each joint of `body15` whether it was seen often enough to be described.
        travel: ``T 3`` way of the pelvis since the first frame, in the same directions and unit.
        heading: for each frame how far the person is turned to its left of the average, radians.
    """

    joints: Float64[np.ndarray, "T 15 3"]
    seen: Bool[np.ndarray, " 15"]
    travel: Float64[np.ndarray, "T 3"]
    heading: Float64[np.ndarray, " T"]

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.joints) / FPS

    def joint(self, name: str) -> Float64[np.ndarray, "T 3"]:
        """The path of one joint around the pelvis."""
        return self.joints[:, BODY15.index(name)]

    def shows(self, *names: str) -> bool:
        """Whether all these joints were seen often enough."""
        return bool(self.seen[[BODY15.index(name) for name in names]].all())


def body_of(sequence: SkeletonSequence) -> Body:
    """The movement of a one-person sequence of any layout with 3-D joints.

    Raises:
        SequenceError: for several persons, 2-D joints, or a trunk that is hardly ever seen.
    """
    if sequence.num_persons != 1 or sequence.joints.shape[-1] != 3:
        raise SequenceError(
            f"sequence has {sequence.num_persons} persons in {sequence.joints.shape[-1]} "
            "coordinates; a description needs one person in 3; choose one with persons()"
        )
    joints, seen = _steady(facing_front(resample(convert(sequence, BODY15)[0], FPS)))
    pelvis, chest = joints[:, BODY15.index("pelvis")], joints[:, BODY15.index("chest")]
    size = float(np.median(np.linalg.norm(chest - pelvis, axis=-1)))
    if size == 0:
        raise SequenceError("hips and shoulders are in one place; expected a person; send another")
    joints, pelvis = joints * (TORSO / size), pelvis * (TORSO / size)
    heading = _heading(joints)
    turn = heading if np.ptp(heading) > TURNED else np.zeros_like(heading)
    steps = np.diff(pelvis, axis=0, prepend=pelvis[:1])
    return Body(
        joints=_turned(joints - pelvis[:, None], turn),
        seen=seen,
        travel=np.cumsum(_turned(steps[:, None], turn)[:, 0], axis=0),
        heading=heading,
    )


def _steady(
    sequence: SkeletonSequence,
) -> tuple[Float64[np.ndarray, "T 15 3"], Bool[np.ndarray, " 15"]]:
    """Joints without gaps and jitter, from the first to the last frame that shows the trunk."""
    seen = sequence.visibility[:, 0] >= MIN_VISIBILITY
    trunk = np.logical_and.reduce(seen[:, [BODY15.index(n) for n in TRUNK]], axis=-1)
    if trunk.mean() < MIN_TRUNK_SHARE:
        raise SequenceError(
            f"shoulders and hips are seen in {trunk.mean():.0%} of the frames; a description "
            f"needs them in {MIN_TRUNK_SHARE:.0%}; leave this sequence out"
        )
    shown = slice(int(trunk.argmax()), len(trunk) - int(trunk[::-1].argmax()))
    joints, seen = sequence.joints[shown, 0].astype(np.float64), seen[shown]
    frames = np.arange(len(joints))
    for joint in np.flatnonzero(seen.any(axis=0) & ~seen.all(axis=0)):
        there = seen[:, joint]
        for axis in range(3):
            joints[:, joint, axis] = np.interp(frames, frames[there], joints[there, joint, axis])
    return _smoothed(joints), seen.mean(axis=0) >= MIN_SEEN_SHARE


def _smoothed(values: Float64[np.ndarray, "T V 3"]) -> Float64[np.ndarray, "T V 3"]:
    """A weighted mean over three frames, the first and last being held."""
    padded = np.concatenate([values[:1], values, values[-1:]])
    before, here, after = SMOOTHING
    return before * padded[:-2] + here * padded[1:-1] + after * padded[2:]


def _heading(joints: Float64[np.ndarray, "T 15 3"]) -> Float64[np.ndarray, " T"]:
    """Where the hips and shoulders face, radians to the left of +z, without jumps of a turn."""
    across = sum(
        joints[:, BODY15.index(f"l_{part}")] - joints[:, BODY15.index(f"r_{part}")]
        for part in ("hip", "shoulder")
    )
    width = max(1, round(HEADING_SECONDS * FPS)) | 1  # odd
    padded = np.pad(across, ((width // 2, width // 2), (0, 0)), mode="edge")
    mean = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0).mean(axis=-1)
    return np.unwrap(np.arctan2(-mean[:, 2], mean[:, 0]))


def _turned(
    joints: Float64[np.ndarray, "T V 3"], angle: Float64[np.ndarray, " T"]
) -> Float64[np.ndarray, "T V 3"]:
    """Each frame turned back about the vertical by its heading."""
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = np.moveaxis(joints, -1, 0)
    return np.stack([cos * x - sin * z, y, sin * x + cos * z], axis=-1)
