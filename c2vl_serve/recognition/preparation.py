"""A sequence made ready for the network: each window that any answer needs, once.

Windows of many sequences can then be run together, and their outputs go back by row. A timeline
asks for stretches that the whole sequence's answer needs as well; they are run only once.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from c2vl_serve.recognition.segments import (
    MAX_SEGMENT_WINDOWS,
    SEGMENT_STRIDE,
    SEGMENT_WINDOW,
)
from c2vl_serve.recognition.timeline import Span, spans
from c2vl_serve.skeleton.arrays import ModelInput
from c2vl_serve.skeleton.convert import convert
from c2vl_serve.skeleton.layout import LAYOUTS
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_serve.skeleton.resampling import resample
from c2vl_serve.skeleton.sampling import (
    MIN_SEEN_FRAMES,
    Stretch,
    WindowChoice,
    choose_windows,
    presence,
    window_inputs,
)
from c2vl_serve.skeleton.sequence import SkeletonSequence


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PreparedPerson:
    """What is asked about one person, and where the answers will stand.

    Attributes:
        id: of the person in the sequence.
        whole: the windows that the answer for the whole sequence is made of.
        timeline: entries, each with windows of its own.
        fine_timeline: what segments are made of; the timeline itself where one was asked for.
        rows: the row of :attr:`Prepared.inputs` that holds a stretch of this person.
    """

    id: int
    whole: WindowChoice
    timeline: tuple[Span, ...]
    fine_timeline: tuple[Span, ...]
    rows: Mapping[Stretch, int]

    def rows_of(self, windows: WindowChoice) -> list[int]:
        """Rows of these windows in the inputs, and thus in the outputs."""
        return [self.rows[stretch] for stretch in windows.stretches]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prepared:
    """A sequence that only waits for the network.

    Attributes:
        inputs: ``N C T V 1``, the distinct windows of all persons; N is 0 where nobody is seen.
        persons: clearest first.
        notes: sentences for whoever reads the answer.
        milliseconds: that preparing took.
    """

    inputs: ModelInput
    persons: tuple[PreparedPerson, ...]
    notes: tuple[str, ...]
    milliseconds: float


def prepare(
    sequence: SkeletonSequence,
    config: PreprocessingConfig,
    *,
    window: float | None = None,
    stride: float | None = None,
    max_persons: int = 2,
) -> Prepared:
    """Windows of the clearest persons, as the model takes them.

    Args:
        sequence: 3-D, in any layout that can be converted to the model's.
        config: of the model.
        window: seconds of a timeline entry; the model's own window unless given.
        stride: seconds between entries; half a window unless given.
        max_persons: how many persons, clearest first.

    Raises:
        SequenceError: for an impossible timeline.
    """
    started = time.perf_counter()
    converted, notes = convert(sequence, LAYOUTS[config.layout])
    ready = resample(converted, config.fps)
    people: list[PreparedPerson] = []
    inputs = [_no_windows(config)]
    for index in _clearest(ready, config)[:max_persons]:
        person = ready.persons(index)
        people.append(_person(person, config, window, stride, first_row=sum(map(len, inputs))))
        inputs.append(window_inputs(person, tuple(people[-1].rows), config))
    return Prepared(
        inputs=inputs[1] if len(inputs) == 2 else np.concatenate(inputs),
        persons=tuple(people),
        notes=(*notes, *_shortcomings(people)),
        milliseconds=(time.perf_counter() - started) * 1e3,
    )


def nobody(config: PreprocessingConfig) -> Prepared:
    """What is left to answer where an input shows no person at all."""
    return Prepared(inputs=_no_windows(config), persons=(), notes=(), milliseconds=0.0)


def _person(
    person: SkeletonSequence,
    config: PreprocessingConfig,
    window: float | None,
    stride: float | None,
    *,
    first_row: int,
) -> PreparedPerson:
    present = presence(person, config)
    whole = choose_windows(present, config)
    timeline = spans(present, config, window, stride)
    asked = window is not None or stride is not None
    fine_timeline = timeline if asked or not timeline else _fine_timeline(present, config)
    choices = (whole, *(span.windows for span in (*timeline, *fine_timeline)))
    distinct = dict.fromkeys(stretch for choice in choices for stretch in choice.stretches)
    return PreparedPerson(
        id=person.person_ids[0],
        whole=whole,
        timeline=timeline,
        fine_timeline=fine_timeline,
        rows={stretch: first_row + k for k, stretch in enumerate(distinct)},
    )


def _fine_timeline(
    present: Bool[np.ndarray, " T"], config: PreprocessingConfig
) -> tuple[Span, ...]:
    stride = max(SEGMENT_STRIDE, len(present) / config.fps / MAX_SEGMENT_WINDOWS)
    return spans(present, config, SEGMENT_WINDOW, stride)


def _clearest(sequence: SkeletonSequence, config: PreprocessingConfig) -> list[int]:
    """Persons that are seen at all, most visible first; equally visible ones keep their order.

    None where nobody has a joint that is seen well enough.
    """
    if not (sequence.visibility >= config.min_visibility).any():
        return []
    total = sequence.visibility.sum(axis=(0, 2))
    return [int(k) for k in np.argsort(-total, kind="stable") if total[k] > 0]


def _no_windows(config: PreprocessingConfig) -> ModelInput:
    return np.empty((0, config.num_channels, config.num_frames, config.num_joints, 1), np.float32)


def _shortcomings(people: list[PreparedPerson]) -> tuple[str, ...]:
    """What is missing from the clearest person, if anything."""
    if not people:
        return ("no person was seen clearly enough to recognise an action",)
    frames = int(people[0].whole.seen_frames.max())
    if frames >= MIN_SEEN_FRAMES:
        return ()
    return (f"the person is seen in {frames} frame(s) only: too short to recognise an action",)
