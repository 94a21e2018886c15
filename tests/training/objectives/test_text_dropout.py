"""Text dropout takes 1..k sentences of a clip, never padding, and all of them at evaluation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_serve.errors import C2VLError  # noqa: E402
from c2vl_training.objectives.text_dropout import (  # noqa: E402
    dropped_embeddings,
    mean_embeddings,
)


def test_evaluation_takes_the_mean_of_what_was_given() -> None:
    embeddings = torch.tensor([[[2.0], [4.0], [99.0]], [[5.0], [99.0], [99.0]]])
    given_ones = torch.tensor([[True, True, False], [True, False, False]])
    assert mean_embeddings(embeddings, given_ones).tolist() == [[3.0], [5.0]]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.integers(0, 9999))
def test_training_takes_a_mean_of_some_given_ones(lengths: list[int], seed: int) -> None:
    """Sentence k is the k-th unit vector: what was taken can be read off the mean."""
    embeddings = torch.eye(6).expand(len(lengths), 6, 6)
    given_ones = torch.arange(6) < torch.tensor(lengths)[:, None]
    found = dropped_embeddings(embeddings, given_ones, torch.Generator().manual_seed(seed))
    for row, length in zip(found, lengths, strict=True):
        num_taken = int((row > 0).sum())
        assert 1 <= num_taken <= length
        assert (row[length:] == 0).all()
        torch.testing.assert_close(row[row > 0], torch.full((num_taken,), 1 / num_taken))


def test_each_number_is_equally_likely_and_so_is_each_sentence() -> None:
    num, k = 6000, 3
    given_ones = torch.ones(num, k, dtype=torch.bool)
    found = dropped_embeddings(
        torch.eye(k).expand(num, k, k), given_ones, torch.Generator().manual_seed(0)
    )
    numbers = torch.bincount((found > 0).sum(dim=1), minlength=k + 1) / num
    torch.testing.assert_close(numbers[1:], torch.full((k,), 1 / 3), atol=0.03, rtol=0)
    torch.testing.assert_close(found.mean(dim=0), torch.full((k,), 1 / k), atol=0.03, rtol=0)


def test_the_same_generator_gives_the_same_sentences() -> None:
    embeddings, given_ones = torch.randn(9, 5, 4), torch.ones(9, 5, dtype=torch.bool)
    one, again, other = (
        dropped_embeddings(embeddings, given_ones, torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_clip_without_a_sentence_is_refused() -> None:
    given_ones = torch.tensor([[True, False], [False, False]])
    for pool in (mean_embeddings, dropped_embeddings):
        with pytest.raises(C2VLError, match=r"1 of 2 samples have no sentence \(first: sample 1"):
            pool(torch.zeros(2, 2, 3), given_ones)
