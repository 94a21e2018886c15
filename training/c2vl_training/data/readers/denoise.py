"""Which of the bodies in a Kinect recording are persons: at most two, without the ghosts.

The sensor takes furniture for people, and gives somebody who was lost a new number. The rules are
the field's for NTU RGB+D: the preparation of VA-LSTM that CTR-GCN (Chen et al., ICCV 2021) and its
followers use (``get_raw_denoised_data.py``), written anew, with two differences. There a body that
was lost and found moves forward in time to close the gap, and the second person counts as present
from the first frame on; here both stay where they were seen.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int64

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.sequence import SkeletonSequence


@dataclass(frozen=True, kw_only=True, slots=True)
class Denoising:
    """The rules' numbers; those of the field where not given.

    Attributes:
        min_frames: a body seen in fewer frames is a ghost.
        max_spread: a frame in which a body is wider than this times its height is noise.
        max_noisy_share: a body with at least this share of noisy frames is a ghost.
        num_persons: how many persons are kept.
        drop_empty_frames: take out frames that show nobody, as the field does. Tempo then jumps
            there; keep them to bridge or mask them later.
    """

    min_frames: int = 12
    max_spread: float = 0.8
    max_noisy_share: float = 0.69754
    num_persons: int = 2
    drop_empty_frames: bool = True


FIELD_RULES = Denoising()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Body:
    """A body that the sensor numbered: its place on the person axis, its frames, its motion."""

    person: int
    frames: Int64[np.ndarray, " F"]
    joints: Float32[np.ndarray, "F V 3"]
    motion: float

    @property
    def interval(self) -> tuple[int, int]:
        return int(self.frames[0]), int(self.frames[-1])


def denoised(sequence: SkeletonSequence, rules: Denoising) -> SkeletonSequence:
    """The persons of a recording, the one that moves most first.

    Only among several bodies is anything dropped: short ones, then wide ones while another is
    left. The rest is laid out by motion: a body that overlaps no earlier one in time goes on
    where that one ended, as the same person under a new number.

    Args:
        sequence: all bodies of a recording in metres, y up, each in the frames that show it.
        rules: the numbers.

    Raises:
        SequenceError: when no frame shows anybody.
    """
    bodies = _bodies(sequence)
    if not bodies:
        raise SequenceError(f"nobody is seen in the {sequence.num_frames} frames")
    if len(bodies) > 1:
        bodies = _lasting(bodies, rules)
        bodies = _upright(bodies, rules)
    bodies.sort(key=lambda body: -body.motion)
    kept = _laid_out(sequence, _tracks(bodies, rules.num_persons))
    return _without_empty_frames(kept) if rules.drop_empty_frames else kept


def motion_energy(joints: Float32[np.ndarray, "F V 3"]) -> float:
    """How much a body moves and reaches: the variances of x, y and z, summed, in square metres."""
    return float(joints.reshape(-1, 3).var(axis=0).sum())


def noisy_frames(joints: Float32[np.ndarray, "F V 3"], max_spread: float) -> Bool[np.ndarray, " F"]:
    """True where a body is wider than ``max_spread`` times its height: people stand or sit."""
    extent = joints.max(axis=1) - joints.min(axis=1)
    return extent[:, 0] > max_spread * extent[:, 1]


def _shown(sequence: SkeletonSequence) -> Bool[np.ndarray, "T M"]:
    """True where a frame shows a person; an absent one is all zeros."""
    return np.abs(sequence.joints).any(axis=(2, 3))


def _bodies(sequence: SkeletonSequence) -> list[_Body]:
    shown = _shown(sequence)
    bodies = []
    for person in np.flatnonzero(shown.any(axis=0)):
        frames = np.flatnonzero(shown[:, person])
        joints = sequence.joints[frames, person]
        bodies.append(
            _Body(person=int(person), frames=frames, joints=joints, motion=motion_energy(joints))
        )
    return bodies


def _lasting(bodies: list[_Body], rules: Denoising) -> list[_Body]:
    """The bodies that are seen long enough; the longest, where none is."""
    lasting = [body for body in bodies if len(body.frames) >= rules.min_frames]
    return lasting or [max(bodies, key=lambda body: len(body.frames))]


def _upright(bodies: list[_Body], rules: Denoising) -> list[_Body]:
    """The bodies less the wide ones; the motion of the rest is that of their good frames."""
    kept: list[_Body] = []
    for index, body in enumerate(bodies):
        noisy = noisy_frames(body.joints, rules.max_spread)
        is_last_one = not kept and index == len(bodies) - 1
        if is_last_one or not noisy.any():
            kept.append(body)
        elif noisy.mean() < rules.max_noisy_share:
            good = motion_energy(body.joints[~noisy])
            kept.append(replace(body, motion=min(body.motion, good)))
    return kept


def _tracks(bodies: list[_Body], num_persons: int) -> list[list[_Body]]:
    """Bodies that are one person after another; what overlaps all persons is left out."""
    tracks: list[list[_Body]] = []
    for body in bodies:
        track = next((track for track in tracks if not _overlap(track, body)), None)
        if track is not None:
            track.append(body)
        elif len(tracks) < num_persons:
            tracks.append([body])
    return tracks


def _overlap(track: list[_Body], body: _Body) -> bool:
    """Whether the body is there while the track is; one frame in common is a change of number."""
    start = min(other.interval[0] for other in track)
    stop = max(other.interval[1] for other in track)
    return min(stop, body.interval[1]) - max(start, body.interval[0]) > 0


def _laid_out(sequence: SkeletonSequence, tracks: list[list[_Body]]) -> SkeletonSequence:
    """Each track as a person."""
    T, _, V, C = sequence.joints.shape
    joints = np.zeros((T, len(tracks), V, C), np.float32)
    visibility = np.zeros((T, len(tracks), V), np.float32)
    for person, track in enumerate(tracks):
        for body in track:
            joints[body.frames, person] = body.joints
            visibility[body.frames, person] = sequence.visibility[body.frames, body.person]
    ids = tuple(sequence.person_ids[track[0].person] for track in tracks)
    return replace(sequence, joints=joints, visibility=visibility, person_ids=ids)


def _without_empty_frames(sequence: SkeletonSequence) -> SkeletonSequence:
    shown = _shown(sequence).any(axis=1)
    return replace(sequence, joints=sequence.joints[shown], visibility=sequence.visibility[shown])
