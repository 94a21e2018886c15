"""NT-Xent is its formula, leaves a clip's own samples out, and learns."""

import math

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from torch.nn.functional import normalize  # noqa: E402

from c2vl_training.objectives.features import Features  # noqa: E402
from c2vl_training.objectives.skeleton_contrastive import SkeletonContrastive  # noqa: E402
from tests.training.objectives.made_features import made_features  # noqa: E402

TAU = 0.2


def slow_nt_xent(
    views: list[list[float]], ids: list[int], queued: list[list[float]], queued_ids: list[int]
) -> float:
    """SimCLR's equation 1 with loops; keys of the query's own clip are left out."""
    num, keys, key_ids = len(views), views + queued, ids + queued_ids
    total = 0.0
    for i, query in enumerate(views):
        partner = (i + num // 2) % num
        scores = [
            math.exp(sum(a * b for a, b in zip(query, key, strict=True)) / TAU) for key in keys
        ]
        allowed = sum(
            score
            for k, score in enumerate(scores)
            if k == partner or (k != i and key_ids[k] != ids[i])
        )
        total -= math.log(scores[partner] / allowed)
    return total / num


@pytest.mark.parametrize("with_queue", [False, True])
@pytest.mark.parametrize("ids", [[0, 1, 2, 3], [0, 1, 0, 3]])
def test_the_loss_is_the_slow_one(ids: list[int], with_queue: bool) -> None:
    first, second = (made_features(4, seed=seed).skeleton for seed in (1, 2))
    queued = made_features(5, seed=3, concepts=(), first_id=2) if with_queue else None
    found = SkeletonContrastive(TAU)(first, second, torch.tensor(ids), queued=queued).total
    expected = slow_nt_xent(
        torch.cat([first, second]).tolist(),
        ids + ids,
        queued.skeleton.tolist() if queued else [],
        queued.ids.tolist() if queued else [],
    )
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_the_views_may_be_exchanged() -> None:
    first, second = (made_features(6, seed=seed).skeleton for seed in (4, 5))
    objective, ids = SkeletonContrastive(TAU), torch.arange(6)
    torch.testing.assert_close(
        objective(first, second, ids).total, objective(second, first, ids).total
    )


def test_equal_views_of_different_clips_are_found() -> None:
    axes = torch.eye(8)
    loss = SkeletonContrastive(0.05)(axes, axes, torch.arange(8))
    assert loss.total < 1e-4
    assert loss.measures["found/views"] == 1


def test_a_clips_own_copy_in_the_queue_changes_nothing() -> None:
    first, second = (made_features(4, seed=seed).skeleton for seed in (6, 7))
    ids, objective = torch.zeros(4, dtype=torch.int64), SkeletonContrastive(TAU)
    own = Features(skeleton=first, ids=ids)
    alone, beside = (objective(first, second, ids, queued=q).total for q in (None, own))
    assert torch.equal(alone, beside)


def test_twenty_steps_lower_the_loss() -> None:
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(8, 8), made_features(12, seed=8).skeleton
    objective, optimiser = SkeletonContrastive(TAU), torch.optim.Adam(layer.parameters(), lr=0.02)
    losses = []
    for step in range(20):
        noise = 0.1 * torch.randn(2, 12, 8, generator=torch.Generator().manual_seed(step))
        first, second = (normalize(layer(x + n), dim=1) for n in noise)
        loss = objective(first, second, torch.arange(12)).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
