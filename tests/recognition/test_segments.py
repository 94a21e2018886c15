"""Segments from hand-made score tracks, and against all ways to label a short one."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.recognition.segments import Segment, segments
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


def test_ten_seconds_of_waving_are_one_recognised_segment() -> None:
    recognizer = ActionRecognizer.load("everyday")
    (person,) = recognizer.recognise(waving(num_frames=300)).persons
    (segment,) = person.segments
    assert (segment.start, segment.end, segment.label) == (0.0, pytest.approx(10, abs=0.1), "wave")
    assert segment.recognised == (segment.score >= recognizer.bundle.card.calibration.threshold)
    assert recognizer.recognise(waving(num_frames=60)).persons[0].segments == ()
    asked = recognizer.recognise(waving(300), window=2.0, stride=0.5).persons[0]
    assert asked.segments[0].end == asked.windows[-1].end
