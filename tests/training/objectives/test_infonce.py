"""InfoNCE is its formula, counts clips rather than places, and learns its temperature in range."""

import math

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_training.objectives.features import Features  # noqa: E402
from c2vl_training.objectives.infonce import (  # noqa: E402
    InfoNCE,
    cross_entropy,
    identity,
    similarities,
)
from c2vl_training.objectives.temperature import Temperature  # noqa: E402
from tests.training.objectives.made_features import (  # noqa: E402
    eye,
    made_features,
    slow_cross_entropy,
    softmax_rows,
)


def test_the_loss_is_the_slow_one_and_torchs_own() -> None:
    online = made_features(7, seed=1, concepts=("language",))
    found = InfoNCE({"language": 1.0}, 0.2)(online).total
    s, c = online.skeleton, online.concepts["language"]
    slow = sum(slow_cross_entropy(eye(7), softmax_rows(*pair, 0.2)) for pair in ((s, c), (c, s)))
    assert found.item() == pytest.approx(slow / 2, rel=1e-5)
    cross = torch.nn.functional.cross_entropy
    places = torch.arange(7)
    torch.testing.assert_close(
        found, (cross(s @ c.T / 0.2, places) + cross(c @ s.T / 0.2, places)) / 2
    )


def test_perfect_pairs_cost_next_to_nothing() -> None:
    axes = torch.eye(8)
    online = Features(skeleton=axes, concepts={"vision": axes}, ids=torch.arange(8))
    assert InfoNCE({"vision": 1.0}, 0.05)(online).total < 1e-4


def test_identity_shares_the_weight_between_places_of_one_clip() -> None:
    hard = identity(torch.tensor([4, 9]), torch.tensor([4, 9, 4, 7]))
    assert hard.tolist() == [[0.5, 0, 0.5, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize(("queued_id", "pulled"), [(0, True), (77, False)])
def test_an_older_copy_of_a_clip_is_no_negative(queued_id: int, pulled: bool) -> None:
    """A step on the queued key would bring it nearer to its own clip, and a stranger farther."""
    axes = torch.eye(8)
    online = Features(
        skeleton=axes[:1], concepts={"language": axes[:1]}, ids=torch.zeros(1, dtype=torch.int64)
    )
    key = torch.nn.functional.normalize(axes[:1] + axes[1:2], dim=1).requires_grad_()
    queued = Features(skeleton=axes[1:2], concepts={"language": key}, ids=torch.tensor([queued_id]))
    InfoNCE({"language": 1.0}, 0.1)(online, queued=queued).total.backward()
    assert (-key.grad[0, 0] > 0) == pulled


def test_more_keys_are_harder() -> None:
    online = made_features(4, seed=3)
    objective = InfoNCE(dict.fromkeys(online.concepts, 1.0))
    queued = made_features(20, seed=4, first_id=100)
    assert objective(online, queued=queued).total > objective(online).total


def test_bfloat16_features_are_compared_in_float32() -> None:
    s = made_features(3, seed=5).skeleton.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert similarities(s, s, 0.1).dtype == torch.float32


def test_cross_entropy_of_a_distribution_with_itself_is_its_entropy() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
    assert cross_entropy(logits.exp(), logits).item() == pytest.approx(1.5 * math.log(2))


def test_temperature_stays_in_range_and_comes_off_a_bound() -> None:
    temperature = Temperature(0.07)
    assert temperature().item() == pytest.approx(0.07)
    with torch.no_grad():
        temperature.logarithm.fill_(5.0)
    assert temperature().item() == pytest.approx(0.5)
    temperature().backward()
    assert temperature.logarithm.grad.item() == pytest.approx(0.5)  # d exp(x) / dx = exp(x)
    with torch.no_grad():
        temperature.logarithm.fill_(-50.0)
    assert temperature().item() == pytest.approx(0.01)
