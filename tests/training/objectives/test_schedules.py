"""Schedules have the values of their formulas, rise, and refuse what is out of range."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_serve.errors import C2VLError
from c2vl_training.objectives.schedules import (
    SCHEDULES,
    Softening,
    cosine,
    first_epoch,
    linear,
)


def test_values_by_hand() -> None:
    assert [linear(p) for p in (0.0, 0.25, 1.0)] == [0.0, 0.25, 1.0]
    assert [cosine(p) for p in (0.0, 1 / 3, 0.5, 1.0)] == pytest.approx([0.0, 0.25, 0.5, 1.0])
    assert [first_epoch(p, 0.1) for p in (0.0, 0.05, 0.1, 0.7)] == pytest.approx([0, 0.5, 1, 1])


def test_softness_is_the_schedule_times_its_maximum() -> None:
    assert Softening(a_max=0.8, schedule="linear").at(0.5) == pytest.approx(0.4)
    assert Softening(a_max=0.6, schedule="cosine").at(1.0) == pytest.approx(0.6)
    assert Softening(a_max=0.4, schedule="first_epoch", ramp=0.2).at(0.1) == pytest.approx(0.2)


@given(
    st.sampled_from(sorted(SCHEDULES)),
    st.floats(0, 0.8),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0.01, 1),
)
def test_softness_starts_hard_never_falls_and_ends_at_its_maximum(
    schedule: str, a_max: float, one: float, other: float, ramp: float
) -> None:
    softening = Softening(a_max=a_max, schedule=schedule, ramp=ramp)
    assert softening.at(0.0) == 0
    assert softening.at(min(one, other)) <= softening.at(max(one, other))
    assert softening.at(1.0) == pytest.approx(a_max)


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(C2VLError, match=r"a_max is 0.9; expected 0 \(hard targets\) to 0.8"):
        Softening(a_max=0.9)
    with pytest.raises(C2VLError, match="unknown schedule 'step'; known are linear, cosine"):
        Softening(schedule="step")
    with pytest.raises(C2VLError, match="ramp is 0.0; expected a share"):
        Softening(ramp=0.0)
    with pytest.raises(C2VLError, match="progress is 1.5; expected the share of the run"):
        Softening().at(1.5)
