"""Entropy and effective rank of what they are known for."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_training.objectives.diagnostics import effective_rank, entropy  # noqa: E402


def test_entropy_from_hard_to_flat() -> None:
    assert entropy(torch.eye(4)) == 0
    assert entropy(torch.full((3, 8), 1 / 8)).item() == pytest.approx(math.log(8))
    assert entropy(torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0]])).item() == pytest.approx(
        math.log(2) / 2
    )


@given(st.integers(1, 9), st.floats(0.1, 100))
def test_equal_singular_values_count_fully(rank: int, scale: float) -> None:
    matrix = torch.zeros(12, 10)
    matrix[:rank, :rank] = scale * torch.eye(rank)
    assert effective_rank(matrix).item() == pytest.approx(rank, rel=1e-3)


def test_a_collapse_has_rank_one_and_nothing_has_none() -> None:
    assert effective_rank(torch.ones(50, 8)).item() == pytest.approx(1, abs=1e-3)
    assert effective_rank(torch.zeros(5, 3)) == 0


def test_unequal_singular_values_by_hand() -> None:
    expected = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert effective_rank(torch.diag(torch.tensor([3.0, 1.0]))).item() == pytest.approx(expected)


def test_rotation_changes_nothing() -> None:
    torch.manual_seed(0)
    matrix, rotation = torch.randn(20, 6), torch.linalg.qr(torch.randn(6, 6)).Q
    torch.testing.assert_close(effective_rank(matrix), effective_rank(matrix @ rotation))
