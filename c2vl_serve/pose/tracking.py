"""Poses of single frames in, persons who keep their place over a clip out.

MediaPipe names nobody: the order of its poses changes, one body may be found twice, and shadows
and posters are found for a moment. Poses are linked by how far their joints moved in the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from c2vl_serve.pose.estimator import FramePoses
from c2vl_serve.pose.smoothing import IMAGE_FILTER, WORLD_FILTER
from c2vl_serve.pose.views import is_other_view
from c2vl_serve.skeleton.layout import MEDIAPIPE33

# Distances between poses are the mean over joints, in parts of the pose's diagonal.
_SAME_BODY = 0.12  # two poses in one frame nearer than this are one body found twice
# How far a pose may be from its last place, and how much more for each second since. One person
# in 34 real clips moved at most 0.23 in 1/15 s; two who stand side by side are about 0.35 apart.
_REACH = 0.15
_REACH_PER_SECOND = 1.5
_FARTHEST_REACH = 1.0
_LINK_SECONDS = 0.5  # a person unseen for longer starts a new piece
_REJOIN_SECONDS = 2.0  # pieces of one person are at most this far apart
_FEWEST_FRAMES = 3  # less is a ghost


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PersonTracks:
    """M persons over T frames, the clearest first; a person not seen is 0 with visibility 0.

    Attributes:
        world: metres, see :class:`FramePoses`, as are the others.
        image: parts of the picture's width and height.
        visibility: 0 to 1.
        num_dropped: further persons who were seen and left out.
    """

    world: Float32[np.ndarray, "T M 33 3"]
    image: Float32[np.ndarray, "T M 33 2"]
    visibility: Float32[np.ndarray, "T M 33"]
    num_dropped: int = 0


class _Sighting(NamedTuple):
    frame: int
    pose: int


@dataclass(slots=True)
class _Piece:
    """An unbroken stretch of one person."""

    sightings: list[_Sighting] = field(default_factory=list)
    clearness: float = 0.0

    @property
    def first(self) -> int:
        return self.sightings[0].frame

    @property
    def last(self) -> int:
        return self.sightings[-1].frame


def track_persons(
    frames: Sequence[FramePoses],
    times: Float64[np.ndarray, " T"],
    *,
    max_persons: int,
    aspect: float = 1.0,
    views: Float32[np.ndarray, "T 9 16"] | None = None,
    smooth: bool = True,
) -> PersonTracks:
    """Link the poses of T frames into at most ``max_persons`` persons.

    Args:
        frames: the poses found in each frame.
        times: of the frames, seconds, increasing.
        max_persons: how many to keep; clearest is who is seen longest, largest and best.
        aspect: width of the picture over its height, to compare distances along both.
        views: each frame from :func:`c2vl_serve.pose.views.view_of`, to keep a person through a
            camera cut; without them only someone who is found again at the same place is kept.
        smooth: filter each person's joints over time (:mod:`c2vl_serve.pose.smoothing`).
    """
    frames = [_without_doubles(poses, aspect) for poses in frames]
    pieces = _link(frames, times, aspect)
    fewest = min(_FEWEST_FRAMES, len(frames))
    pieces = [piece for piece in pieces if len(piece.sightings) >= fewest]
    longest_gap = float("inf") if max_persons == 1 else _REJOIN_SECONDS
    persons = _rejoin(pieces, frames, times, aspect, views, longest_gap)
    persons.sort(key=lambda person: sum(piece.clearness for piece in person), reverse=True)
    kept = persons[:max_persons]
    tracks = _empty(len(frames), len(kept), num_dropped=len(persons) - len(kept))
    for index, person in enumerate(kept):
        for piece in person:
            _write(tracks, index, piece, frames, times, aspect, smooth=smooth)
    return tracks


def _in_heights(image: Float32[np.ndarray, "*P 33 2"], aspect: float) -> np.ndarray:
    """Joints in parts of the picture's height, so that both axes are alike."""
    return image * np.array([aspect, 1.0], np.float32)


def _diagonal(joints: Float32[np.ndarray, "33 2"]) -> float:
    return max(float(np.linalg.norm(np.ptp(joints, axis=0))), 1e-6)


def _distance(one: Float32[np.ndarray, "33 2"], other: Float32[np.ndarray, "33 2"]) -> float:
    """Mean distance of the joints, in parts of the larger diagonal."""
    gap = float(np.linalg.norm(one - other, axis=-1).mean())
    return gap / max(_diagonal(one), _diagonal(other))


def _reach(seconds: float) -> float:
    return min(_REACH + _REACH_PER_SECOND * seconds, _FARTHEST_REACH)


def _without_doubles(poses: FramePoses, aspect: float) -> FramePoses:
    """Keep the more visible of two poses on one body."""
    joints = _in_heights(poses.image, aspect)
    kept: list[int] = []
    for index in np.argsort(-poses.visibility.mean(axis=-1), kind="stable"):
        if all(_distance(joints[index], joints[other]) > _SAME_BODY for other in kept):
            kept.append(int(index))
    return poses if len(kept) == poses.num_poses else poses.select(sorted(kept))


def _link(
    frames: Sequence[FramePoses], times: Float64[np.ndarray, " T"], aspect: float
) -> list[_Piece]:
    """Extend the pieces frame by frame, the nearest pairs first; what is left begins new ones."""
    pieces: list[_Piece] = []
    for frame, poses in enumerate(frames):
        free = set(range(poses.num_poses))
        joints = _in_heights(poses.image, aspect)
        open_pieces = [p for p in pieces if times[frame] - times[p.last] <= _LINK_SECONDS]
        for piece, pose in _nearest_pairs(open_pieces, joints, frames, times, frame, aspect):
            piece.sightings.append(_Sighting(frame, pose))
            free.discard(pose)
        for pose in sorted(free):
            pieces.append(_Piece([_Sighting(frame, pose)]))
    for piece in pieces:
        piece.clearness = sum(_clearness(frames[s.frame], s.pose, aspect) for s in piece.sightings)
    return pieces


def _nearest_pairs(
    pieces: list[_Piece],
    joints: np.ndarray,
    frames: Sequence[FramePoses],
    times: Float64[np.ndarray, " T"],
    frame: int,
    aspect: float,
) -> list[tuple[_Piece, int]]:
    candidates = []
    for order, piece in enumerate(pieces):
        last = piece.sightings[-1]
        before = _in_heights(frames[last.frame].image[last.pose], aspect)
        reach = _reach(float(times[frame] - times[last.frame]))
        for pose in range(len(joints)):
            distance = _distance(before, joints[pose])
            if distance <= reach:
                candidates.append((distance, order, pose))
    chosen: dict[int, int] = {}
    for _, order, pose in sorted(candidates):
        if order not in chosen and pose not in chosen.values():
            chosen[order] = pose
    return [(pieces[order], pose) for order, pose in chosen.items()]


def _clearness(poses: FramePoses, pose: int, aspect: float) -> float:
    size = _diagonal(_in_heights(poses.image[pose], aspect))
    return min(size, 1.5) * float(poses.visibility[pose].mean())


def _rejoin(
    pieces: list[_Piece],
    frames: Sequence[FramePoses],
    times: Float64[np.ndarray, " T"],
    aspect: float,
    views: Float32[np.ndarray, "T 9 16"] | None,
    longest_gap: float,
) -> list[list[_Piece]]:
    """Give a piece that begins soon after another one's end to the same person.

    In the same view it must begin near the other's last place: MediaPipe may just have turned to
    somebody else. After a camera cut places say nothing, and who ended last is continued.
    """

    def continues(person: list[_Piece], piece: _Piece) -> bool:
        before, after = person[-1].sightings[-1], piece.sightings[0]
        gap = float(times[after.frame] - times[before.frame])
        if not 0 < gap <= longest_gap:
            return False
        if views is not None and is_other_view(views[before.frame], views[after.frame]):
            return True
        last = _in_heights(frames[before.frame].image[before.pose], aspect)
        first = _in_heights(frames[after.frame].image[after.pose], aspect)
        return _distance(last, first) <= _reach(gap)

    persons: list[list[_Piece]] = []
    for piece in sorted(pieces, key=lambda piece: piece.first):
        ended = [person for person in persons if continues(person, piece)]
        if ended:
            max(ended, key=lambda person: person[-1].last).append(piece)
        else:
            persons.append([piece])
    return persons


def _empty(num_frames: int, num_persons: int, *, num_dropped: int) -> PersonTracks:
    shape = (num_frames, num_persons, MEDIAPIPE33.num_joints)
    return PersonTracks(
        world=np.zeros((*shape, 3), np.float32),
        image=np.zeros((*shape, 2), np.float32),
        visibility=np.zeros(shape, np.float32),
        num_dropped=num_dropped,
    )


def _write(
    tracks: PersonTracks,
    person: int,
    piece: _Piece,
    frames: Sequence[FramePoses],
    times: Float64[np.ndarray, " T"],
    aspect: float,
    *,
    smooth: bool,
) -> None:
    rows = [sighting.frame for sighting in piece.sightings]
    world = np.stack([frames[s.frame].world[s.pose] for s in piece.sightings])
    image = np.stack([frames[s.frame].image[s.pose] for s in piece.sightings])
    if smooth:
        heights = np.median([_diagonal(_in_heights(joints, aspect)) for joints in image])
        scale = np.array([aspect, 1.0], np.float32) / np.float32(heights)
        world = WORLD_FILTER.smooth(world, times[rows])
        image = IMAGE_FILTER.smooth(image * scale, times[rows]) / scale
    tracks.world[rows, person] = world
    tracks.image[rows, person] = image
    tracks.visibility[rows, person] = [frames[s.frame].visibility[s.pose] for s in piece.sightings]
