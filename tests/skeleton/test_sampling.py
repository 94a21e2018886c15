"""Windows: they cover the sequence, and their answers add up to one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_serve.skeleton.sampling import (
    MAX_WINDOWS,
    at_model_rate,
    cut_windows,
    probabilities,
    summed_up,
    window_inputs,
    window_starts,
)
from tests.conftest import waving

CONFIG = PreprocessingConfig()


def test_a_single_window_is_as_it_is_among_others() -> None:
    sequence = at_model_rate(waving(num_frames=300), CONFIG)
    stretches = [(0, 64), (30, 94), (7, 20)]
    together = window_inputs(sequence, stretches, CONFIG)
    for row, stretch in enumerate(stretches):
        np.testing.assert_array_equal(
            window_inputs(sequence, [stretch], CONFIG)[0], together[row], strict=True
        )


@given(st.integers(1, 500), st.integers(1, 60), st.integers(1, 80))
def test_windows_cover_everything(num_frames: int, length: int, stride: int) -> None:
    starts = window_starts(num_frames, length, stride)
    assert starts[0] == 0
    assert starts[-1] == max(num_frames - length, 0)
    assert len(set(starts)) == len(starts)
    if stride <= length:
        assert all(b - a <= length for a, b in zip(starts, starts[1:], strict=False))


def test_windows_without_the_person_are_left_out() -> None:
    sequence = at_model_rate(waving(num_frames=600), CONFIG)
    visibility = sequence.visibility
    visibility[100:] = 0
    windows = cut_windows(sequence, CONFIG)
    assert max(windows.starts) < 100
    assert windows.inputs.shape[0] == len(windows.starts) == len(windows.seen_frames)


def test_a_glimpse_still_gives_one_window() -> None:
    windows = cut_windows(at_model_rate(waving(num_frames=2), CONFIG), CONFIG)
    assert len(windows.starts) == 1


def test_long_sequences_get_a_bounded_number_of_windows() -> None:
    windows = cut_windows(at_model_rate(waving(num_frames=9000), CONFIG), CONFIG)
    assert len(windows.starts) <= MAX_WINDOWS + 1


def test_probabilities_by_hand() -> None:
    logits = np.log(np.array([[1, 3]], np.float32))
    np.testing.assert_allclose(probabilities(logits, 1.0), [[0.25, 0.75]], rtol=1e-6)
    np.testing.assert_allclose(probabilities(logits, 0.5), [[0.1, 0.9]], rtol=1e-6)


def test_idle_windows_hardly_count() -> None:
    scores = np.array([[0.06, 0.9, 0.04], [0.06, 0.9, 0.04], [0.8, 0.0, 0.2]])
    frames = np.array([30, 30, 30], np.float32)
    assert summed_up(scores, frames, idle=None).argmax() == 1
    whole = summed_up(scores, frames, idle=1)
    assert whole.argmax() == 0
    assert whole[1] == 0
    assert whole.sum() == pytest.approx(1)


def test_only_idle_windows_are_idle() -> None:
    scores = np.array([[0.1, 0.9], [0.0, 1.0]])
    assert summed_up(scores, np.array([30, 30], np.float32), idle=1).argmax() == 1


def test_the_surer_and_fuller_window_counts_more() -> None:
    scores = np.array([[0.9, 0.1], [0.3, 0.7]])
    assert summed_up(scores, np.array([30, 30], np.float32), None)[0] > 0.6
    assert summed_up(scores, np.array([3, 30], np.float32), None)[0] < 0.5
