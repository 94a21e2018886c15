"""Segments from hand-made score tracks, and against all ways to label a short one."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from c2vl_serve.recognition.answers import SegmentAnswer
from c2vl_serve.recognition.judging import Verdict
from c2vl_serve.recognition.preparation import prepare
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.recognition.runtime import Outputs
from c2vl_serve.recognition.segment_answers import segment_answers, windows_of
from c2vl_serve.recognition.segments import Segment, segments
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from tests.conftest import waving


def every(stride: float, length: float, count: int) -> np.ndarray:
    starts = stride * np.arange(count)
    return np.stack([starts, starts + length], axis=1)


def test_a_moments_scores_are_the_mean_of_the_windows_over_it() -> None:
    found = segments(
        np.array([(0.0, 2.0), (1.0, 3.0)]), np.array([(0.9, 0.1), (0.6, 0.4)]), change_cost=0.0
    )
    # 0.9 for a second, then (0.9 + 0.6) / 2, then 0.6: the same label, so one segment.
    assert found == [Segment(0.0, 3.0, 0, pytest.approx((0.9 + 0.75 + 0.6) / 3))]


def test_an_action_changes_where_the_means_cross() -> None:
    scores = np.array([(0.8, 0.2)] * 3 + [(0.1, 0.9)] * 3)
    found = segments(every(1.0, 2.0, 6), scores, change_cost=0.1)
    # From 3 to 4 the mean of both is (0.45, 0.55).
    assert found == [
        Segment(0.0, 3.0, 0, pytest.approx(0.8)),
        Segment(3.0, 7.0, 1, pytest.approx((0.55 + 3 * 0.9) / 4)),
    ]


def test_a_flicker_costs_more_than_it_brings() -> None:
    times = every(1.0, 1.0, 5)
    scores = np.array([(0.9, 0.1)] * 2 + [(0.4, 0.6)] + [(0.9, 0.1)] * 2)
    assert [s.label for s in segments(times, scores, change_cost=0.0)] == [0, 1, 0]
    (whole,) = segments(times, scores)
    assert whole == Segment(0.0, 5.0, 0, pytest.approx((4 * 0.9 + 0.4) / 5))


def test_a_gap_keeps_two_segments_of_one_action_apart() -> None:
    times = np.array([(0.0, 1.0), (3.0, 4.0)])
    found = segments(times, np.array([(0.7, 0.3), (0.6, 0.4)]))
    assert found == [Segment(0.0, 1.0, 0, 0.7), Segment(3.0, 4.0, 0, 0.6)]


def test_one_window_is_one_segment() -> None:
    assert segments(np.array([(0.0, 4.0)]), np.array([(0.2, 0.8)])) == [Segment(0.0, 4.0, 1, 0.8)]


@st.composite
def tracks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    count = draw(st.integers(1, 7))
    steps = draw(st.lists(st.integers(1, 6), min_size=count, max_size=count))
    starts = np.cumsum(steps).astype(float) / 2
    length = draw(st.integers(1, 8)) / 2
    raw = draw(arrays(np.float64, (count, 3), elements=st.floats(0.01, 1)))
    return np.stack([starts, starts + length], axis=1), raw / raw.sum(axis=1, keepdims=True)


@settings(deadline=None, max_examples=40)
@given(tracks())
def test_segments_are_in_order_apart_and_within_the_windows(
    track: tuple[np.ndarray, np.ndarray],
) -> None:
    times, scores = track
    found = segments(times, scores)
    assert found[0].start == times[0, 0]
    assert found[-1].end == times[-1, 1]
    for one, other in zip(found, found[1:], strict=False):
        assert one.start < one.end <= other.start
        assert one.end < other.start or one.label != other.label
    covered = sum(segment.end - segment.start for segment in found)
    gaps = np.maximum(times[1:, 0] - times[:-1, 1], 0).sum()
    assert covered == pytest.approx(times[-1, 1] - times[0, 0] - gaps)


@settings(deadline=None, max_examples=40)
@given(tracks(), st.floats(0, 3))
def test_a_constant_action_is_one_segment(
    track: tuple[np.ndarray, np.ndarray], cost: float
) -> None:
    times, scores = track
    times = np.stack([times[:, 0], times[:, 0] + 3.0], axis=1)  # no gaps
    (segment,) = segments(times, np.repeat(scores[:1], len(scores), axis=0), change_cost=cost)
    assert segment.score == pytest.approx(scores[0].max())
    assert scores[0, segment.label] == scores[0].max()


@settings(deadline=None, max_examples=40)
@given(arrays(np.float64, (6, 2), elements=st.floats(0.05, 0.95)), st.floats(0, 2))
def test_no_other_labelling_is_worth_more(scores: np.ndarray, cost: float) -> None:
    """Against every one of the 2 ** 6 labellings of six windows side by side."""
    scores = scores / scores.sum(axis=1, keepdims=True)

    def worth(labels: tuple[int, ...]) -> float:
        changes = sum(a != b for a, b in zip(labels, labels[1:], strict=False))
        return float(np.log(scores[np.arange(6), list(labels)]).sum()) - cost * changes

    found = segments(every(1.0, 1.0, 6), scores, change_cost=cost)
    labels = tuple(s.label for s in found for _ in range(round(s.end - s.start)))
    assert worth(labels) == pytest.approx(max(map(worth, product((0, 1), repeat=6))))


@dataclass(frozen=True, kw_only=True)
class TwoNames:
    """A judge whose logits are its scores: the second name stands for standing still."""

    names: tuple[str, ...] = ("wave", "stand")
    idle: int | None = 1
    threshold: float = 0.6

    def scores(self, outputs: Outputs) -> np.ndarray:
        return outputs.logits.astype(np.float64)

    def verdict(self, summed: np.ndarray) -> Verdict:
        is_known = bool(summed.max() >= self.threshold)
        return Verdict(names=self.names, scores=summed, recognised=is_known)


def answers(*, seconds: float, at: Callable[[float, float], float]) -> tuple[SegmentAnswer, ...]:
    """Segments of someone whose windows from ``start`` to ``end`` have this score of waving."""
    config = PreprocessingConfig()
    (person,) = prepare(waving(num_frames=round(30 * seconds)), config).persons
    wave = {row: at(a / config.fps, b / config.fps) for (a, b), row in person.rows.items()}
    scores = np.array([(wave[row], 1 - wave[row]) for row in range(len(wave))])
    return segment_answers(person, scores, TwoNames(), config.fps)


def test_a_clip_of_one_segment_is_judged_by_its_own_windows() -> None:
    """Short windows only just find the action; the model's own are sure of it."""
    (segment,) = answers(seconds=10, at=lambda start, end: 0.9 if end - start > 3 else 0.55)
    assert (segment.start, segment.label) == (0.0, "wave")
    assert (segment.score, segment.recognised) == (pytest.approx(1.0), True)  # without standing


def test_windows_that_reach_beyond_a_short_segment_do_not_count() -> None:
    """Three seconds of waving before nobody knows what: too short for one of the model's."""

    def at(start: float, end: float) -> float:
        return 0.9 if end <= 3.01 else 0.4 if start >= 2.9 else 0.51

    first, *_ = answers(seconds=12, at=at)
    assert (first.label, first.recognised) == ("wave", True)
    assert 2.5 <= first.end <= 4.0


def test_unsure_windows_leave_a_segment_not_recognised() -> None:
    """Neither name is likely enough anywhere; standing still is judged without its own rule."""
    found = answers(seconds=10, at=lambda start, end: 0.45)
    assert [(segment.label, segment.recognised) for segment in found] == [("stand", False)]
    assert found[0].score == pytest.approx(0.55)


def test_a_segment_shorter_than_any_window_is_judged_by_those_that_show_most_of_it() -> None:
    person_windows = {(0, 30): 30.0, (15, 45): 30.0, (60, 90): 20.0}
    segment = Segment(1.5, 2.5, 0, 0.5)
    assert windows_of(segment, {}, person_windows, 15.0) == {(15, 45): 30.0}
    inside = Segment(0.0, 3.0, 0, 0.5)
    assert windows_of(inside, {(0, 64): 64.0}, person_windows, 15.0) == {
        (0, 30): 30.0,
        (15, 45): 30.0,
    }
    longer = Segment(0.0, 5.0, 0, 0.5)
    assert windows_of(longer, {(0, 64): 64.0}, person_windows, 15.0) == {(0, 64): 64.0}


def test_ten_seconds_of_waving_are_one_recognised_segment() -> None:
    recognizer = ActionRecognizer.load("everyday")
    recognition = recognizer.recognise(waving(num_frames=300))
    (person,) = recognition.persons
    (segment,) = person.segments
    assert (segment.start, segment.end, segment.label) == (0.0, pytest.approx(10, abs=0.1), "wave")
    assert segment.recognised == recognition.recognised
    assert segment.score == pytest.approx(recognition.actions[0].score)
    assert recognizer.recognise(waving(num_frames=60)).persons[0].segments == ()
    asked = recognizer.recognise(waving(300), window=2.0, stride=0.5).persons[0]
    assert asked.segments[0].end == asked.windows[-1].end
