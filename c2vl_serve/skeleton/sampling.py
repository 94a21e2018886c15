"""Which stretches of a sequence the model sees, and how their answers become one.

Windows last a fixed number of seconds. A clip is never stretched to fit: stretched, running
is walking. Training draws its windows at random (``c2vl_training.data.batches``); serving and
evaluation take these.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from c2vl_serve.skeleton.arrays import ModelInput
from c2vl_serve.skeleton.convert import convert
from c2vl_serve.skeleton.layout import LAYOUTS
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig, preprocess, resample
from c2vl_serve.skeleton.sequence import SkeletonSequence

STRIDE_SECONDS = 0.5
MAX_WINDOWS = 240  # longer sequences get a wider stride, so that work stays bounded
MIN_SEEN_FRAMES = 6  # frames of a window with the person in it; fewer say nothing
IDLE_SHARE = 0.8  # of the time, from which on a person is said to stand still


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Windows:
    """The windows of one person.

    Attributes:
        inputs: ``N C T V 1``.
        starts: first frame of each at the model's frame rate.
        seen_frames: frames of each window in which any joint was seen.
    """

    inputs: ModelInput
    starts: tuple[int, ...]
    seen_frames: Float32[np.ndarray, " N"]


def at_model_rate(sequence: SkeletonSequence, config: PreprocessingConfig) -> SkeletonSequence:
    """The sequence in the model's layout at the model's frame rate."""
    return resample(convert(sequence, LAYOUTS[config.layout])[0], config.fps)


def window_starts(num_frames: int, length: int, stride: int) -> tuple[int, ...]:
    """First frames of the windows of ``length`` frames that cover ``num_frames``.

    Windows follow each other every ``stride`` frames; the last one ends with the sequence. A
    sequence shorter than a window gets one.
    """
    last = max(num_frames - length, 0)
    return (*range(0, last, max(stride, 1)), last)


def cut_windows(sequence: SkeletonSequence, config: PreprocessingConfig) -> Windows:
    """All windows of a one-person sequence that is already at the model's rate.

    Windows in which the person is hardly seen are left out, unless there is no other.
    """
    stride = max(round(STRIDE_SECONDS * config.fps), -(-sequence.num_frames // MAX_WINDOWS))
    starts = window_starts(sequence.num_frames, config.num_frames, stride)
    present = np.any(sequence.visibility[:, 0] >= config.min_visibility, axis=-1)
    seen = np.array([present[start : start + config.num_frames].sum() for start in starts])
    chosen = np.flatnonzero(seen >= MIN_SEEN_FRAMES)
    if len(chosen) == 0:
        chosen = np.array([seen.argmax()])
    parts = [sequence.frames(starts[k], starts[k] + config.num_frames) for k in chosen]
    return Windows(
        inputs=np.concatenate([preprocess(part, config) for part in parts]),
        starts=tuple(starts[k] for k in chosen),
        seen_frames=seen[chosen].astype(np.float32),
    )


def probabilities(
    logits: Float32[np.ndarray, "N K"], temperature: float
) -> Float64[np.ndarray, "N K"]:
    """Softmax of ``logits / temperature`` (temperature scaling, Guo et al., ICML 2017, eq. 9)."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    exponentials = np.exp(scaled)
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def summed_up(
    window_scores: Float64[np.ndarray, "N K"],
    seen_frames: Float32[np.ndarray, " N"],
    idle: int | None,
) -> Float64[np.ndarray, " K"]:
    """One distribution for all windows of a person.

    The mean, weighted by how much of the person a window shows and how sure it is of anything.
    Standing still is what people do between actions: unless it fills :data:`IDLE_SHARE` of the
    time, windows count by how sure they are that it is something else, and it is not an answer.

    Args:
        window_scores: probabilities of each window.
        seen_frames: frames with the person, of each window.
        idle: index of the label for standing still, if there is one.
    """
    seen = seen_frames.astype(np.float64) + 1e-6
    weight = seen * window_scores.max(axis=1)
    if idle is not None:
        idle_time = seen[window_scores.argmax(axis=1) == idle].sum() / seen.sum()
        if idle_time < IDLE_SHARE:
            active = window_scores.copy()
            active[:, idle] = 0
            weight = seen * active.max(axis=1)
            window_scores = active / active.sum(axis=1, keepdims=True)
    return (window_scores * weight[:, None]).sum(axis=0) / weight.sum()
