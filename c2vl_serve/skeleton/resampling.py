"""The same movement at another frame rate: tempo is kept, frames are found between frames."""

import math

import numpy as np
from jaxtyping import Float64, Int

from c2vl_serve.skeleton.sequence import SkeletonSequence


def resample(sequence: SkeletonSequence, fps: float) -> SkeletonSequence:
    """The same movement at another frame rate, linear between frames; tempo is kept.

    A resampled joint is as visible as the nearest original frame says, and is interpolated only
    between two frames that both show it.
    """
    if sequence.fps == fps:
        return sequence
    every = sequence.fps / fps
    ticks = np.arange(num_ticks(sequence.num_frames, sequence.fps, fps))
    if every == int(every):  # each is a frame: nothing lies between two
        return _frames_at(sequence, ticks * int(every), fps)
    return at_positions(sequence, ticks * every, fps)


def _frames_at(
    sequence: SkeletonSequence, frames: Int[np.ndarray, " N"], fps: float
) -> SkeletonSequence:
    return sequence.derived(
        joints=sequence.joints.take(frames, axis=0),
        visibility=sequence.visibility.take(frames, axis=0),
        fps=fps,
    )


def num_ticks(num_frames: int, source_fps: float, fps: float) -> int:
    """How many frames at ``fps`` are known once ``num_frames`` at ``source_fps`` are."""
    return math.floor((num_frames - 1) / source_fps * fps + 1e-6) + 1


def at_positions(
    sequence: SkeletonSequence, at: Float64[np.ndarray, " N"], fps: float
) -> SkeletonSequence:
    """The N postures at positions in frames, which may lie between two, as a sequence at ``fps``.

    See :func:`resample`, which chooses the positions.
    """
    T = sequence.num_frames
    before = np.minimum(at.astype(int), T - 1)
    after = np.minimum(before + 1, T - 1)
    share = (at - before).astype(np.float32)[:, None, None]
    seen_before, seen_after = sequence.visibility[before], sequence.visibility[after]
    visibility = np.where(share < 0.5, seen_before, seen_after)
    both = (seen_before > 0) & (seen_after > 0)
    share = np.where(both, share, np.round(share))[..., None].astype(np.float32)
    joints = sequence.joints[before] * (1 - share) + sequence.joints[after] * share
    return sequence.derived(joints=joints, visibility=visibility, fps=fps)
