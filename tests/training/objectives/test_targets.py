"""Targets are their formulas, their rows are distributions, and no gradient passes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_training.objectives.features import Features  # noqa: E402
from c2vl_training.objectives.targets import (  # noqa: E402
    TargetRule,
    blend,
    cross_consistency,
    self_similarity,
)
from tests.training.objectives.made_features import eye, made_features, softmax_rows  # noqa: E402

TAU = 0.07


def slow_pair(
    samples: Features, keys: Features, concept: str, rule: TargetRule, a: float
) -> list[list[list[float]]]:
    """Both targets of one concept, from the formulas with a loop; every clip occurs once."""
    s, c = samples.skeleton, samples.concepts[concept]
    all_s, all_c = keys.skeleton, keys.concepts[concept]
    of_c = softmax_rows(c, all_c, rule.self_similarity_temperature)
    of_s = softmax_rows(s, all_s, rule.self_similarity_temperature)
    guides = (of_c, of_s) if rule.guide == "key" else (of_s, of_c)
    swapped = softmax_rows(c, all_s, TAU), softmax_rows(s, all_c, TAU)
    w, hard = rule.self_similarity_share, eye(len(all_s))
    return [
        [
            [
                (1 - a) * hard[i][j] + a * (w * guide[i][j] + (1 - w) * other[i][j])
                for j in range(len(all_s))
            ]
            for i in range(len(s))
        ]
        for guide, other in zip(guides, swapped, strict=True)
    ]


@pytest.mark.parametrize("guide", ["key", "query"])
@pytest.mark.parametrize("queued", [False, True])
def test_both_directions_are_the_formula(guide: str, queued: bool) -> None:
    rule = TargetRule(self_similarity_share=0.3, guide=guide)  # type: ignore[arg-type]
    samples = made_features(5, seed=1)
    keys = samples.followed_by(made_features(4, seed=2, first_id=100) if queued else None)
    found = rule.pair(samples, keys, "language", TAU, 0.6)
    for one, expected in zip(found, slow_pair(samples, keys, "language", rule, 0.6), strict=True):
        torch.testing.assert_close(one, torch.tensor(expected))


def test_the_guiding_side_matters() -> None:
    samples = made_features(6, seed=3)
    alike = TargetRule(self_similarity_share=1.0)
    other = TargetRule(self_similarity_share=1.0, guide="query")
    forth, back = alike.pair(samples, samples, "vision", TAU, 0.8)
    forth_q, back_q = other.pair(samples, samples, "vision", TAU, 0.8)
    assert not torch.allclose(forth, back)
    torch.testing.assert_close(forth, back_q)
    torch.testing.assert_close(back, forth_q)


@given(
    st.integers(1, 12), st.integers(0, 6), st.floats(0, 1), st.floats(0, 1), st.integers(0, 9999)
)
def test_rows_are_distributions(
    num: int, num_queued: int, softness: float, share: float, seed: int
) -> None:
    samples = made_features(num, seed=seed)
    queued = made_features(num_queued, seed=seed + 1, first_id=3) if num_queued else None
    keys = samples.followed_by(queued)  # ids from 3 on may occur twice
    rule = TargetRule(self_similarity_share=share)
    for target in rule.pair(samples, keys, "union", TAU, softness):
        assert target.shape == (num, num + num_queued)
        assert (target >= 0).all()
        torch.testing.assert_close(target.sum(dim=1), torch.ones(num))


def test_identical_texts_share_the_weight_of_self_similarity() -> None:
    features = made_features(4, seed=5).skeleton.clone()
    features[2] = features[0]
    similar = self_similarity(features, features, 0.1)
    torch.testing.assert_close(similar[0, 0], similar[0, 2])
    assert similar[0, 0] > similar[0, 1]


def test_the_blend_at_its_ends() -> None:
    samples = made_features(5, seed=6)
    hard = torch.eye(5)
    similar = self_similarity(samples.skeleton, samples.skeleton, 0.1)
    consistent = cross_consistency(samples.concepts["vision"], samples.skeleton, TAU)
    assert torch.equal(blend(hard, similar, consistent, 0.0, 0.5), hard)
    assert torch.equal(blend(hard, similar, consistent, 1.0, 1.0), similar)
    assert torch.equal(blend(hard, similar, consistent, 1.0, 0.0), consistent)


def test_nothing_flows_through_a_target() -> None:
    made = made_features(5, seed=7)
    samples = Features(
        skeleton=made.skeleton.requires_grad_(),
        concepts={name: c.requires_grad_() for name, c in made.concepts.items()},
        ids=made.ids,
    )
    tau = torch.tensor(TAU, requires_grad=True)
    for target in TargetRule().pair(samples, samples, "language", tau, 0.5):
        assert not target.requires_grad
