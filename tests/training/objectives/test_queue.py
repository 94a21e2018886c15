"""The queue is first in, first out, remembers clips, and survives a restart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_serve.errors import C2VLError  # noqa: E402
from c2vl_training.objectives.queue import FeatureQueue  # noqa: E402
from tests.training.objectives.made_features import made_features  # noqa: E402


def test_an_empty_queue_has_no_entries() -> None:
    assert FeatureQueue(4, 8).entries() is None


@given(st.integers(4, 9), st.lists(st.integers(1, 4), min_size=1, max_size=8))
def test_it_holds_the_last_samples_with_their_concepts_together(
    size: int, batches: list[int]
) -> None:
    queue, pushed = FeatureQueue(size, 8, ("language",)), []
    for index, num in enumerate(batches):
        batch = made_features(num, seed=index, concepts=("language",), first_id=100 * index)
        queue.push(batch)
        pushed += zip(batch.ids, batch.skeleton, batch.concepts["language"], strict=True)
    entries = queue.entries()
    expected = {int(ident): (s, c) for ident, s, c in pushed[-size:]}
    assert sorted(entries.ids.tolist()) == sorted(expected)
    for ident, s, c in zip(
        entries.ids.tolist(), entries.skeleton, entries.concepts["language"], strict=True
    ):
        assert torch.equal(s, expected[ident][0])
        assert torch.equal(c, expected[ident][1])


def test_entries_are_a_copy_without_gradient() -> None:
    queue = FeatureQueue(4, 8)
    batch = made_features(2, seed=0, concepts=())
    batch.skeleton.requires_grad_()
    queue.push(batch)
    entries = queue.entries()
    queue.push(made_features(4, seed=1, concepts=()))
    assert not entries.skeleton.requires_grad
    assert torch.equal(entries.skeleton, batch.skeleton)


def test_a_restored_queue_goes_on_where_it_was() -> None:
    one, other = (FeatureQueue(5, 8, ("vision",)) for _ in range(2))
    one.push(made_features(4, seed=1, concepts=("vision",)))
    other.load_state_dict(one.state_dict())
    for queue in (one, other):
        queue.push(made_features(3, seed=2, concepts=("vision",), first_id=10))
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_what_does_not_fit_is_refused() -> None:
    queue = FeatureQueue(2, 8, ("language",))
    with pytest.raises(C2VLError, match="queue of 2 places .* was given 3 samples"):
        queue.push(made_features(3, seed=0, concepts=("language",)))
    with pytest.raises(C2VLError, match=r"with \['vision'\]; make it"):
        queue.push(made_features(1, seed=0, concepts=("vision",)))
