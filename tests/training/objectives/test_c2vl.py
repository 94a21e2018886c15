"""C2VL is its formula; hard targets make it InfoNCE; soft ones leave identical texts together."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from torch.nn.functional import normalize  # noqa: E402

from c2vl_serve.errors import C2VLError  # noqa: E402
from c2vl_training.objectives.c2vl import C2VL, C2VLConfig  # noqa: E402
from c2vl_training.objectives.features import Features  # noqa: E402
from c2vl_training.objectives.infonce import InfoNCE  # noqa: E402
from c2vl_training.objectives.schedules import Softening  # noqa: E402
from c2vl_training.objectives.targets import TargetRule  # noqa: E402
from tests.training.objectives.made_features import (  # noqa: E402
    CONCEPTS,
    made_features,
    slow_cross_entropy,
    softmax_rows,
)
from tests.training.objectives.test_targets import TAU, slow_pair  # noqa: E402

WEIGHTS = {"vision": 1.0, "language": 0.5, "union": 2.0}
SOFT = C2VLConfig(weights=WEIGHTS, temperature=TAU)
HARD = replace(SOFT, softening=Softening(a_max=0.0))


def slow_c2vl(
    online: Features, average: Features, queued: Features | None, config: C2VLConfig, a: float
) -> float:
    """The whole loss with loops."""
    keys, target_keys, total = online.followed_by(queued), average.followed_by(queued), 0.0
    for name in CONCEPTS:
        targets = slow_pair(average, target_keys, name, config.targets, a)
        forth = softmax_rows(online.skeleton, keys.concepts[name], TAU)
        back = softmax_rows(online.concepts[name], keys.skeleton, TAU)
        both = slow_cross_entropy(targets[0], forth) + slow_cross_entropy(targets[1], back)
        total += config.weights[name] * both / 2
    return total


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("queued", [None, made_features(3, seed=3, first_id=50)])
def test_the_loss_is_the_slow_one(progress: float, queued: Features | None) -> None:
    online, average = made_features(6, seed=1), made_features(6, seed=2)
    found = C2VL(SOFT)(online, progress, average=average, queued=queued).total
    expected = slow_c2vl(online, average, queued, SOFT, 0.8 * progress)
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_without_averaged_weights_the_batch_guides_itself() -> None:
    online = made_features(6, seed=4)
    found = C2VL(SOFT)(online, 0.7).total
    assert found.item() == pytest.approx(slow_c2vl(online, online, None, SOFT, 0.56), rel=1e-4)


@pytest.mark.parametrize("queued", [None, made_features(5, seed=3, first_id=4)])
def test_hard_targets_are_symmetric_infonce_exactly(queued: Features | None) -> None:
    """Bit for bit, in value and gradient, also where the queue holds some of the batch's clips."""
    gradients, totals = [], []
    for objective in (C2VL(HARD), InfoNCE(WEIGHTS, TAU)):
        made = made_features(8, seed=5)
        online = replace(made, skeleton=made.skeleton.requires_grad_())
        loss = objective(online, 0.9, average=made_features(8, seed=6), queued=queued).total
        loss.backward()
        totals.append(loss.detach())
        gradients.append((online.skeleton.grad, objective.temperature.logarithm.grad))
    assert torch.equal(*totals)
    assert torch.equal(gradients[0][0], gradients[1][0])
    assert torch.equal(gradients[0][1], gradients[1][1])


def test_identical_texts_are_pushed_apart_less_as_self_similarity_gains_weight() -> None:
    """Skeleton 0 lies where its own text and the equal text of sample 1 both are."""
    made = made_features(6, seed=8, concepts=("language",))
    language = made.concepts["language"].clone()
    language[1] = language[0]
    skeleton = made.skeleton.clone()
    skeleton[:2] = language[0]
    samples = Features(skeleton=skeleton, concepts={"language": language}, ids=made.ids)
    predicted = (skeleton @ language.T / TAU).softmax(dim=1)
    rule, pushes = TargetRule(self_similarity_share=1.0), []
    for softness in (0.0, 0.4, 0.8):
        target = rule.pair(samples, samples, "language", TAU, softness)[0]
        # The gradient of the loss by the logit: positive pushes apart.
        pushes.append((predicted - target)[0, 1].item())
    assert pushes[0] > 0.4
    assert pushes[0] > pushes[1] > pushes[2]


def test_skeletons_of_nearly_identical_texts_stay_nearer_with_soft_targets() -> None:
    """Two clips whose texts differ by a word: hard targets tell them apart all the same."""
    together = []
    for a_max in (0.0, 0.8):
        made = made_features(6, seed=9, concepts=("language",))
        language = made.concepts["language"].clone()
        language[1] = normalize(language[0] + 0.3 * language[1], dim=0)
        free = made.skeleton.clone().requires_grad_()
        objective = C2VL(
            C2VLConfig(
                weights={"language": 1.0},
                softening=Softening(a_max=a_max),
                targets=TargetRule(self_similarity_share=1.0),
            )
        )
        optimiser = torch.optim.SGD([free], lr=0.3)
        for _ in range(60):
            skeleton = normalize(free, dim=1)
            online = Features(skeleton=skeleton, concepts={"language": language}, ids=made.ids)
            optimiser.zero_grad()
            objective(online, 1.0).total.backward()
            optimiser.step()
        unit = normalize(free.detach(), dim=1)
        together.append((unit[0] @ unit[1]).item())
    assert together[1] > together[0] + 0.1


def test_gradient_reaches_predictions_and_not_targets() -> None:
    online, made = made_features(5, seed=10), made_features(5, seed=11)
    online = replace(online, skeleton=online.skeleton.requires_grad_())
    average = replace(made, skeleton=made.skeleton.requires_grad_())
    objective = C2VL(SOFT)
    objective(online, 1.0, average=average).total.backward()
    assert online.skeleton.grad is not None
    assert average.skeleton.grad is None
    assert objective.temperature.logarithm.grad is not None


def test_what_is_measured() -> None:
    online = made_features(16, seed=12)
    start, end = (C2VL(SOFT)(online, progress).measures for progress in (0.0, 1.0))
    assert start["entropy/language"] == 0
    assert 0 < end["entropy/language"] <= torch.log(torch.tensor(16.0))
    assert end["softness"].item() == pytest.approx(0.8)
    assert end["temperature"].item() == pytest.approx(TAU)
    assert not any(value.requires_grad for value in end.values())


def test_concepts_that_have_no_weight_are_refused() -> None:
    objective = C2VL(C2VLConfig(weights={"language": 1.0}))
    with pytest.raises(C2VLError, match=r"expected one or more of \['language'\]"):
        objective(made_features(3, seed=0), 0.0)
    with pytest.raises(C2VLError, match=r"given the concepts \[\]"):
        objective(made_features(3, seed=0, concepts=()), 0.0)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "first_epoch"])
def test_twenty_steps_lower_the_loss(schedule: str) -> None:
    """Against targets of one softness: soft ones raise the least loss that can be reached."""
    torch.manual_seed(0)
    layer, made = torch.nn.Linear(8, 8), made_features(12, seed=13)
    objective = C2VL(replace(SOFT, softening=Softening(schedule=schedule, ramp=0.05)))
    optimiser = torch.optim.Adam([*layer.parameters(), *objective.parameters()], lr=0.02)
    losses = []
    for _ in range(20):
        skeleton = normalize(layer(made.skeleton), dim=1)
        loss = objective(replace(made, skeleton=skeleton), 0.5).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.3
