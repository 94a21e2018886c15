"""Which stretches of a sequence the model sees, and how their answers become one.

Windows last a fixed number of seconds. A clip is never stretched to fit: stretched, running
is walking. Training draws its windows at random (``c2vl_training.data.batches``); serving and
evaluation take these.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Float64

from c2vl_serve.skeleton.arrays import ModelInput
from c2vl_serve.skeleton.convert import convert
from c2vl_serve.skeleton.layout import LAYOUTS
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig, preprocess
from c2vl_serve.skeleton.resampling import resample
from c2vl_serve.skeleton.sequence import SkeletonSequence

STRIDE_SECONDS = 0.5
MAX_WINDOWS = 240  # longer sequences get a wider stride, so that work stays bounded
MIN_SEEN_FRAMES = 6  # frames of a window with the person in it; fewer say nothing
IDLE_SHARE = 0.8  # of the time, from which on a person is said to stand still
_PREPROCESSED_AT_ONCE = 64  # windows: bounds memory, and more at once are no faster

Stretch: TypeAlias = tuple[int, int]  # first frame, and the one after the last


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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WindowChoice:
    """Which windows of one person are looked at, before they are preprocessed.

    Attributes:
        stretches: of each window, in frames of the person's sequence at the model's rate.
        seen_frames: frames of each window in which any joint was seen.
    """

    stretches: tuple[Stretch, ...]
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


def presence(sequence: SkeletonSequence, config: PreprocessingConfig) -> Bool[np.ndarray, " T"]:
    """In which frames of a one-person sequence any joint is seen."""
    return np.logical_or.reduce(sequence.visibility[:, 0] >= config.min_visibility, axis=-1)


def choose_windows(
    present: Bool[np.ndarray, " T"], config: PreprocessingConfig, *, offset: int = 0
) -> WindowChoice:
    """Which windows of a stretch of one person's sequence are looked at.

    Windows in which the person is hardly seen are left out, unless there is no other.

    Args:
        present: :func:`presence` of the stretch.
        config: of the model.
        offset: first frame of the stretch within the sequence.
    """
    if len(present) <= config.num_frames:
        return WindowChoice(
            stretches=((offset, offset + len(present)),),
            seen_frames=np.array([np.count_nonzero(present)], np.float32),
        )
    stride = max(round(STRIDE_SECONDS * config.fps), -(-len(present) // MAX_WINDOWS))
    starts = np.array(window_starts(len(present), config.num_frames, stride))
    stops = np.minimum(starts + config.num_frames, len(present))
    total = np.concatenate([[0], np.cumsum(present)])
    seen = total[stops] - total[starts]
    chosen = np.flatnonzero(seen >= MIN_SEEN_FRAMES)
    if len(chosen) == 0:
        chosen = np.array([seen.argmax()])
    return WindowChoice(
        stretches=tuple((offset + int(starts[k]), offset + int(stops[k])) for k in chosen),
        seen_frames=seen[chosen].astype(np.float32),
    )


def window_inputs(
    sequence: SkeletonSequence, stretches: Sequence[Stretch], config: PreprocessingConfig
) -> ModelInput:
    """The model's input for stretches of a one-person sequence at the model's rate, in order.

    Stretches of one length are preprocessed in one call, as persons side by side.
    """
    if len(stretches) == 1:
        return preprocess(sequence.frames(*stretches[0]), config)
    inputs = np.zeros(
        (len(stretches), config.num_channels, config.num_frames, config.num_joints, 1), np.float32
    )
    by_length: dict[int, list[int]] = defaultdict(list)
    for row, (start, stop) in enumerate(stretches):
        by_length[stop - start].append(row)
    for length, rows in by_length.items():
        for at in range(0, len(rows), _PREPROCESSED_AT_ONCE):
            some = rows[at : at + _PREPROCESSED_AT_ONCE]
            frames = np.array([stretches[row][0] for row in some]) + np.arange(length)[:, None]
            beside = sequence.derived(
                joints=sequence.joints[frames, 0],
                visibility=sequence.visibility[frames, 0],
                person_ids=tuple(range(len(some))),
            )
            inputs[some] = preprocess(beside, config)
    return inputs


def cut_windows(sequence: SkeletonSequence, config: PreprocessingConfig) -> Windows:
    """All windows of a one-person sequence that is already at the model's rate.

    Windows in which the person is hardly seen are left out, unless there is no other.
    """
    choice = choose_windows(presence(sequence, config), config)
    return Windows(
        inputs=window_inputs(sequence, choice.stretches, config),
        starts=tuple(start for start, _ in choice.stretches),
        seen_frames=choice.seen_frames,
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
