"""Weights in whole steps: near what they were, and the same again from their integers."""

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402

from c2vl_training.model.rounding import LARGE, MOST, from_steps, in_steps, rounded  # noqa: E402


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), exponent=st.integers(-30, 30))
def test_rounded_weights_are_their_integers_times_their_steps(seed: int, exponent: int) -> None:
    weight = torch.randn(32, 40, 1, 1, generator=torch.Generator().manual_seed(seed))
    weight *= 2.0**exponent
    weight[3] = 0
    layer = nn.Conv2d(40, 32, 1)
    layer.weight.data.copy_(weight)
    rounded(layer)
    found = in_steps(layer.weight)
    assert found is not None
    steps, step = found
    assert torch.equal(from_steps(steps, step), layer.weight)
    assert steps.abs().flatten(1).amax(1).tolist() == [MOST if row != 3 else 0 for row in range(32)]
    assert ((layer.weight - weight).abs().flatten(1) <= 0.501 * step[:, None]).all()


def test_twice_is_once_in_any_memory_layout() -> None:
    layer = nn.Conv2d(16, 32, 3).to(memory_format=torch.channels_last)
    once = rounded(layer).weight.detach().clone()
    assert torch.equal(rounded(layer).weight, once)
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)


def test_small_weights_and_offsets_stay_as_they_are() -> None:
    small, large = nn.Linear(LARGE - 1, 1), nn.Linear(LARGE, LARGE)
    before = [p.detach().clone() for p in (*small.parameters(), large.bias)]
    rounded(nn.Sequential(small, large))
    after = [*small.parameters(), large.bias]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_what_is_not_in_whole_steps_is_not_taken_for_it() -> None:
    weight = torch.randn(32, 64, generator=torch.Generator().manual_seed(0))
    assert in_steps(weight) is None
    assert in_steps(rounded(nn.Linear(4, 4)).weight) is None  # too small to be asked
    assert in_steps(torch.zeros(64, 64, dtype=torch.int64)) is None
