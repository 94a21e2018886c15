"""What `joints=true` adds to an answer: each person's joints, short enough to be drawn from."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from c2vl_serve.pose import PoseExtraction
from c2vl_serve.recognition.answers import PersonAnswer
from c2vl_serve.service.schemas import Pose
from c2vl_serve.skeleton.layout import SkeletonLayout
from c2vl_serve.skeleton.sequence import SkeletonSequence

MAX_FPS = 30.0  # frames per second; more is not seen
MAX_FRAMES = 3600  # of one person: two minutes at 30, four at 15
_DECIMALS = 4  # of a picture 4096 pixels wide: half a pixel; of a room: a tenth of a millimetre

PoseOf = Callable[[int], Pose]


def with_poses(persons: tuple[PersonAnswer, ...], pose_of: PoseOf | None) -> Sequence[Any]:
    """The persons of an answer, each with the pose that belongs to its id, where asked for."""
    if pose_of is None:
        return persons
    return [{**asdict(person), "pose": pose_of(person.id)} for person in persons]


def in_room(sequence: SkeletonSequence) -> PoseOf:
    """Joints in 3-D as they were sent, by person id."""
    times = np.arange(sequence.num_frames) / sequence.fps

    def pose_of(person_id: int) -> Pose:
        m = sequence.person_ids.index(person_id)
        return _pose(sequence, sequence.joints[:, m], sequence.visibility[:, m], times)

    return pose_of


def in_picture(found: PoseExtraction) -> PoseOf | None:
    """Joints in the video's picture, by person id; None where nobody was found."""
    sequence = found.sequence
    if sequence is None:
        return None

    def pose_of(person_id: int) -> Pose:
        m = sequence.person_ids.index(person_id)
        joints, visibility = found.image_joints[:, m], sequence.visibility[:, m]
        return _pose(sequence, joints, visibility, found.timestamps, aspect=found.aspect)

    return pose_of


def _pose(
    sequence: SkeletonSequence,
    joints: Float32[np.ndarray, "T V C"],
    visibility: Float32[np.ndarray, "T V"],
    times: Float64[np.ndarray, " T"],
    aspect: float | None = None,
) -> Pose:
    """One person's pose, thinned evenly to what a screen can show."""
    every = _every(len(joints), sequence.fps)
    rows = np.concatenate([joints, visibility[..., None]], axis=-1)[::every]
    seen = visibility[::every].max(axis=-1) > 0
    layout = sequence.layout
    return Pose(
        space="room" if aspect is None else "picture",
        layout=layout.name,
        up=layout.up,
        joints=list(layout.joints),
        edges=_edges(layout),
        aspect=aspect,
        fps=sequence.fps / every,
        times=_rounded(times[::every]),
        frames=[_rounded(row.ravel()) if s else [] for row, s in zip(rows, seen, strict=True)],
    )


def _edges(layout: SkeletonLayout) -> list[tuple[int, int]]:
    """Parent and joint of each line.

    A tree that hangs from the nose has no neck: girdles between left and right look like a body,
    lines from the nose to the shoulders do not.
    """
    edges = [(parent, v) for v, parent in enumerate(layout.parents) if parent >= 0]
    if layout.joints[layout.root] != "nose":
        return edges
    shoulders, hips = (
        (layout.index(f"l_{joint}"), layout.index(f"r_{joint}")) for joint in ("shoulder", "hip")
    )
    return [edge for edge in edges if edge[1] not in shoulders] + [shoulders, hips]


def _every(num_frames: int, fps: float) -> int:
    return max(1, math.ceil(fps / MAX_FPS - 1e-3), math.ceil(num_frames / MAX_FRAMES))


def _rounded(values: np.ndarray) -> list[float]:
    """As Python numbers; float64 first, or 0.1 would be written with its sixteen digits."""
    numbers: list[float] = np.round(values.astype(np.float64), _DECIMALS).tolist()
    return numbers
