"""Bring tracked persons to a constant frame rate, which a SkeletonSequence promises."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from c2vl_serve.pose.tracking import PersonTracks

_UNEVEN = 0.1  # frames off their beat by less than this part of a period are on it
_LONGEST_BRIDGE = 0.5  # seconds without a frame that are filled in; nobody is made up beyond


class Timeline(NamedTuple):
    """Persons at a constant rate; ``times`` in seconds, ``fps`` frames per second."""

    tracks: PersonTracks
    times: Float64[np.ndarray, " T"]
    fps: float


def at_constant_rate(
    tracks: PersonTracks, times: Float64[np.ndarray, " T"], *, fps: float
) -> Timeline:
    """Leave evenly spaced frames as they are, interpolate others onto an even beat.

    Joints are interpolated between two frames that both show the person. Otherwise the nearer
    frame counts, up to half a period away.

    Args:
        tracks: persons at the frames' own times.
        times: seconds, strictly increasing.
        fps: the highest rate of the result, and the rate stated for a single frame.
    """
    if len(times) == 1:
        return Timeline(tracks, times, fps)
    steps = np.diff(times)
    mean = float(steps.mean())
    beat = times[0] + mean * np.arange(len(times))
    if np.abs(times - beat).max() <= _UNEVEN * mean:
        return Timeline(tracks, times, 1 / mean)
    usual = steps[steps <= _LONGEST_BRIDGE]
    period = max(float(usual.mean()) if len(usual) else mean, 1 / fps)
    num_frames = int((times[-1] - times[0]) / period + 1e-6) + 1
    beat = times[0] + period * np.arange(num_frames)
    return Timeline(_interpolate(tracks, times, beat, period), beat, 1 / period)


def _interpolate(
    tracks: PersonTracks,
    times: Float64[np.ndarray, " T"],
    beat: Float64[np.ndarray, " B"],
    period: float,
) -> PersonTracks:
    after = np.clip(np.searchsorted(times, beat), 1, len(times) - 1)
    before = after - 1
    step = times[after] - times[before]
    weight = np.clip((beat - times[before]) / step, 0.0, 1.0).astype(np.float32)
    nearer = np.where(weight < 0.5, before, after)
    seen = tracks.visibility.max(axis=-1) > 0  # T M
    between = seen[before] & seen[after] & (step <= max(_LONGEST_BRIDGE, 1.5 * period))[:, None]
    close = (np.abs(beat - times[nearer]) <= 0.5 * period + 1e-6)[:, None] & seen[nearer]

    def mix(values: np.ndarray) -> np.ndarray:
        shape = (-1,) + (1,) * (values.ndim - 1)
        w = weight.reshape(shape)
        blend = (1 - w) * values[before] + w * values[after]
        person = (slice(None), slice(None)) + (None,) * (values.ndim - 2)
        alone = np.where(close[person], values[nearer], np.float32(0))
        return np.where(between[person], blend, alone)

    return PersonTracks(
        world=mix(tracks.world),
        image=mix(tracks.image),
        visibility=mix(tracks.visibility),
        num_dropped=tracks.num_dropped,
    )
