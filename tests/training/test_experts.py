"""Experts move logits where the gate says so; they are trained, kept and read with the rest."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_training.checkpoint import read_checkpoint  # noqa: E402
from c2vl_training.config import Member  # noqa: E402
from c2vl_training.data.augment import CameraModel  # noqa: E402
from c2vl_training.data.batches import WindowSampler  # noqa: E402
from c2vl_training.data.gate_batches import GateSampler  # noqa: E402
from c2vl_training.data.pool import Pool, load_pool  # noqa: E402
from c2vl_training.evaluate.clips import sequences_of  # noqa: E402
from c2vl_training.fit import fit  # noqa: E402
from c2vl_training.fit_experts import DOUBT, train_experts  # noqa: E402
from c2vl_training.model.classifier import ClassifierConfig  # noqa: E402
from c2vl_training.model.experts import ExpertConfig, Experts, ExpertsConfig  # noqa: E402
from c2vl_training.model.temporal import TemporalConfig  # noqa: E402
from c2vl_training.recipes import everyday  # noqa: E402
from tests.training.made_sets import CONFIG, UTD_LABELS, write_made_utd  # noqa: E402
from tests.training.test_supervised import TINY  # noqa: E402

SMALL = TemporalConfig(channels=16, depth=1)
GATE = Member(encoder=SMALL, num_steps=6, batch_size=8)
WITH_EXPERT = replace(
    TINY,
    members=(replace(TINY.members[0], num_steps=20),),
    experts=(replace(TINY, name="utd_mhad", hold_still=False, members=(GATE, GATE)),),
    gate=GATE,
)
NUM_LABELS, OWN, IDLE = 5, (3, 1), 0
SURE = 50.0


def made_experts(gate_logits: list[float]) -> Experts:
    """One expert for two of five labels, of two networks, and a gate of fixed logits."""

    def network(num_labels: int) -> ClassifierConfig:
        return ClassifierConfig(
            num_channels=10, num_joints=15, num_labels=num_labels, encoder=SMALL
        )

    torch.manual_seed(0)
    expert = ExpertConfig(set_name="x", labels=OWN, networks=(network(2), network(2)))
    config = ExpertsConfig(
        gate=network(2),
        experts=(expert,),
        num_labels=NUM_LABELS,
        travel_channel=6,
        root=0,
        idle=IDLE,
        weight=0.5,
        penalty=2.0,
    )
    experts = Experts(config).eval()
    torch.nn.init.zeros_(experts.gate.head.weight)
    experts.gate.head.bias.data = torch.tensor(gate_logits)
    return experts


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(4, 10, 16, 15, 1, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(4, NUM_LABELS, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_a_window_that_is_none_of_theirs_keeps_its_logits(
    x: torch.Tensor, logits: torch.Tensor
) -> None:
    torch.testing.assert_close(made_experts([-SURE, SURE])(x, logits), logits)


@torch.no_grad()
def test_a_window_of_the_experts_set_gets_its_opinion(
    x: torch.Tensor, logits: torch.Tensor
) -> None:
    """Halfway between both among its own labels, idle as it was, all others two lower."""
    experts = made_experts([SURE, -SURE])
    moved = experts(x, logits)
    opinion = sum(network(x)[0] for network in experts.experts[0].networks) / 2
    own = logits[:, OWN]
    total = own.exp().sum(dim=1, keepdim=True)
    expected = logits - 2
    expected[:, IDLE] = logits[:, IDLE]
    expected[:, OWN] = (own + (opinion.softmax(dim=1) * total).log()) / 2
    torch.testing.assert_close(moved, expected)


@torch.no_grad()
def test_video_which_never_travels_keeps_its_logits(x: torch.Tensor, logits: torch.Tensor) -> None:
    """However much it looks like a recording: the root's motion is all that is asked."""
    experts = made_experts([SURE, -SURE])
    x[1:3, 6:9, :, 0] = 5e-4 * torch.randn(2, 3, 16, 1).clamp(-1, 1)
    moved = experts(x, logits)
    torch.testing.assert_close(moved[1:3], logits[1:3])
    assert not torch.isclose(moved[[0, 3]], logits[[0, 3]]).all(dim=1).any()


@torch.no_grad()
def test_half_a_share_moves_half_as_far(x: torch.Tensor, logits: torch.Tensor) -> None:
    whole = made_experts([SURE, -SURE])(x, logits) - logits
    half = made_experts([0.0, 0.0])(x, logits) - logits
    torch.testing.assert_close(half, whole / 2)


@torch.no_grad()
def test_constants_that_mean_nothing_change_nothing(x: torch.Tensor, logits: torch.Tensor) -> None:
    """Softmax does not see a constant added to all logits; neither do the experts."""
    experts = made_experts([1.0, 0.0])
    moved = experts(x, logits)
    torch.testing.assert_close(experts(x, logits + 7), moved + 7, atol=1e-4, rtol=1e-4)
    for network in experts.experts[0].networks:
        network.head.bias += 5
    torch.testing.assert_close(experts(x, logits), moved, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_made_utd(folder)
    return folder


@pytest.fixture(scope="module")
def pool(data: Path) -> Pool:
    loaded = load_pool(data, UTD_LABELS, CONFIG, hold_still=True)
    return loaded.where(~loaded.test)


def test_what_a_camera_sees_is_from_elsewhere(pool: Pool) -> None:
    """Whatever share of windows the recipe itself would give to the camera."""
    sampling = replace(TINY.sampling, camera=CameraModel(probability=0.0))
    sampler = GateSampler(pool, sampling, ("utd_mhad",), seed=3)
    windows, labels = sampler.draw(16, step=5)
    assert labels.tolist() == [0] * 8 + [1] * 8
    again, _ = sampler.draw(16, step=5)
    assert np.array_equal(windows, again)
    # As recorded: the only chance left is the tempo, by a twentieth. Seen by a camera: anything.
    plain = WindowSampler(pool, sampling, {}, seed=3)
    place = np.array([0, 1, 2, 3])
    recorded = plain.windows(place, np.random.default_rng(0), np.zeros(4, bool))[0]
    seen = plain.windows(place, np.random.default_rng(0), np.ones(4, bool))[0]
    assert not np.allclose(recorded, seen, atol=1e-2)


def test_other_sets_are_elsewhere_even_as_recorded(pool: Pool) -> None:
    sampler = GateSampler(pool, TINY.sampling, ("nw_ucla",), seed=0)
    assert set(sampler.draw(8, step=0)[1].tolist()) == {1}


def test_a_set_has_only_its_own_labels(pool: Pool) -> None:
    own = pool.of_set("utd_mhad", ("wave", "push"))
    assert own.label_names == ("wave", "push")
    assert {own.classes[k].split(":")[1] for k in range(len(own))} == {
        "right hand wave",
        "two hand push",
    }
    assert not any("(held)" in name for name in own.ids)
    waves = own.classes == "utd_mhad:right hand wave"
    assert set(own.labels[waves]) == {0}


def test_the_gate_doubts_that_it_knows_a_recording(pool: Pool, tmp_path: Path) -> None:
    """Once, however often a finished run is gone on with."""
    training = pool.where(pool.labels >= 0)
    for _ in range(2):
        experts, _ = train_experts(
            WITH_EXPERT, training, "final", state=tmp_path, on_step=lambda stage, progress: None
        )
    assert experts is not None
    learned = torch.load(tmp_path / "final-gate.pt", weights_only=True)["average"]
    doubt = experts.gate.head.bias.detach() - learned["head.bias"]
    torch.testing.assert_close(doubt, torch.tensor([0.0, DOUBT]))


def test_a_recipe_with_an_expert_leaves_a_checkpoint_with_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: list[str] = []
    monkeypatch.setattr("c2vl_training.fit.unknown_clips", lambda _, pool: sequences_of(pool)[:4])
    report = fit(
        WITH_EXPERT,
        data,
        checkpoint=tmp_path / "tiny.safetensors",
        report=tmp_path,
        state=tmp_path,
        on_step=lambda stage, progress: stages.append(stage),
    )
    counts = {stage: stages.count(stage) for stage in stages if "run" not in stage}
    assert counts == {
        "validation utd_mhad 1/2": 3,
        "validation utd_mhad 2/2": 3,
        "validation gate": 6,
        "final utd_mhad 1/2": 6,
        "final utd_mhad 2/2": 6,
        "final gate": 6,
    }
    assert set(report["test"]["accuracy_without_experts"]) == {"utd_mhad"}
    json.dumps(report)
    checkpoint = read_checkpoint(tmp_path / "tiny.safetensors")
    assert checkpoint.experts is not None
    assert checkpoint.experts.idle == checkpoint.labels.index("stand still")
    assert checkpoint.card["training"]["experts"] == ["utd_mhad"]
    window = torch.randn(3, CONFIG.num_channels, CONFIG.num_frames, CONFIG.num_joints, 1)
    with torch.no_grad():
        moved, representation = checkpoint.model(window)
        alone, same = checkpoint.model.without_experts()(window)
    assert not torch.allclose(moved, alone)
    assert torch.equal(representation, same)
    of_all, *of_expert = (encoder for _, encoder in checkpoint.encoders_for("utd_mhad"))
    assert of_all is checkpoint.model.encoders[0]
    assert of_expert == checkpoint.model.experts.encoders[0]
    assert [encoder for _, encoder in checkpoint.encoders_for("nw_ucla")] == [of_all]


def test_a_recipe_without_a_set_has_no_expert_of_it() -> None:
    experts = everyday().without("nw_ucla").experts
    assert [expert.name for expert in experts] == ["utd_mhad", "msr_action3d"]
    shorter = everyday().shortened(0.5)
    assert shorter.experts[0].members[0].num_steps == everyday().experts[0].members[0].num_steps / 2
    assert shorter.gate.num_steps == everyday().gate.num_steps / 2
