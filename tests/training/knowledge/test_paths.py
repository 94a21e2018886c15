"""Paths by hand: strokes, to and fro, circles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2vl_training.knowledge.paths import (
    busiest_axis,
    circling,
    corners,
    cycles,
    direction,
    extent,
    strokes,
    turns,
)


def polyline(*points: tuple[float, float, float], steps: int = 10) -> np.ndarray:
    pieces = [np.linspace(a, b, steps) for a, b in zip(points[:-1], points[1:], strict=True)]
    return np.concatenate(pieces)


def test_an_l_has_one_corner_and_two_strokes() -> None:
    path = polyline((0, 0, 0), (0, 0.6, 0), (0.5, 0.6, 0))
    assert [tuple(path[frame]) for frame in corners(path)] == [
        (0, 0, 0),
        (0, 0.6, 0),
        (0.5, 0.6, 0),
    ]
    assert strokes(path) == (("up",), ("outward",))


def test_small_strokes_are_left_out_and_straight_ones_joined() -> None:
    assert strokes(polyline((0, 0, 0), (0, 0.1, 0), (0.05, 0.1, 0))) == ()
    assert strokes(polyline((0, 0, 0), (0, 0, 0.3), (0, 0.01, 0.6))) == (("forward",),)


def test_directions_name_what_they_go_along() -> None:
    assert direction(np.array([0.0, -1.0, 0.1])) == ("down",)
    assert direction(np.array([-0.6, 0.8, 0.0])) == ("up", "inward")
    assert direction(np.array([0.0, 0.0, 0.0])) == ("outward",)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_cycles_count_excursions(count: int) -> None:
    clock = np.linspace(0, 1, 40 * count)
    assert cycles((1 - np.cos(2 * np.pi * count * clock)) / 2) == count
    assert cycles(np.sin(2 * np.pi * count * clock)) == count


def test_one_way_and_noise_are_no_cycles() -> None:
    assert cycles(np.linspace(0, 1, 30)) == 0
    assert cycles(0.01 * np.random.default_rng(0).normal(size=200)) == 0


def slow_turns(values: list[float], swing: float) -> int:
    """Turning points by looking, from each extreme, for the first value that is far enough back."""
    count, start, sense = 0, 0, 0
    while True:
        found = None
        for stop in range(start, len(values)):
            part = values[start : stop + 1]
            if sense >= 0 and max(part) - values[stop] >= swing:
                found = (-1, stop)
            elif sense <= 0 and values[stop] - min(part) >= swing:
                found = (1, stop)
            if found:
                break
        if not found:
            return count
        count += sense != 0
        sense, start = found[0], found[1]


@settings(deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=30), st.integers(1, 10))
def test_turns_are_those_of_a_slow_search(values: list[int], swing: int) -> None:
    assert turns(np.array(values, np.float64), float(swing)) == slow_turns(
        [float(v) for v in values], float(swing)
    )


def test_the_busiest_axis_is_the_one_that_goes_to_and_fro() -> None:
    clock = np.linspace(0, 1, 90)
    path = np.stack([0.2 * np.sin(6 * np.pi * clock), clock, 0 * clock], axis=-1)
    assert busiest_axis(path) == (0, 3)


def test_circles_have_a_sense_and_lines_have_none() -> None:
    clock = 2 * np.pi * np.linspace(0, 1, 60)
    circle = np.stack([0.3 * np.cos(clock), 0.3 * np.sin(clock), 0 * clock], axis=-1)
    raised = np.concatenate([polyline((0.3, -1, 0), (0.3, 0, 0)), circle])
    assert circling(raised) == 1
    assert circling(raised * (1, 1, 1) * (-1, 1, 1)) == -1
    assert circling(polyline((0, 0, 0), (0, 1, 0), (0, 0, 0))) == 0
    assert circling(polyline((0, 0, 0), (0.4, 0.5, 0), (-0.4, 0.5, 0), (0.4, 0.5, 0))) == 0


def test_extent_is_the_diagonal() -> None:
    assert extent(np.array([[0.0, 0, 0], [1, 2, 2], [0.5, 0, 0]])) == pytest.approx(3)
