"""A narrowed checkpoint gives the whole one's answers for the labels that stay, and no others."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_serve.errors import BundleError  # noqa: E402
from c2vl_serve.skeleton.sequence import SkeletonSequence  # noqa: E402
from c2vl_training.checkpoint import Checkpoint, read_checkpoint  # noqa: E402
from c2vl_training.cli import app  # noqa: E402
from c2vl_training.data.pool import Pool  # noqa: E402
from c2vl_training.evaluate.clips import sequences_of  # noqa: E402
from c2vl_training.fit import fit  # noqa: E402
from c2vl_training.narrow import narrowed  # noqa: E402
from tests.training.made_sets import CONFIG, write_made_utd  # noqa: E402
from tests.training.test_experts import WITH_EXPERT  # noqa: E402


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_made_utd(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def some_unknown_clips() -> Iterator[None]:
    """The made-up set has no actions that nothing was trained on: any clips stand for them."""

    def some(_: Path, pool: Pool) -> list[SkeletonSequence]:
        return sequences_of(pool)[:4]

    with pytest.MonkeyPatch.context() as patch:
        for module in ("fit", "narrow"):
            patch.setattr(f"c2vl_training.{module}.unknown_clips", some)
        yield


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of UTD-MHAD and of standing still, with an expert."""
    folder = tmp_path_factory.mktemp("run")
    fit(
        WITH_EXPERT,
        data,
        checkpoint=folder / "whole.safetensors",
        report=folder,
        state=folder,
        on_step=lambda stage, progress: None,
    )
    return folder / "whole.safetensors"


def logits(checkpoint: Checkpoint) -> torch.Tensor:
    torch.manual_seed(0)
    x = torch.randn(5, CONFIG.num_channels, CONFIG.num_frames, CONFIG.num_joints, 1)
    with torch.no_grad():
        found: torch.Tensor = checkpoint.model(x)[0]
    return found


def test_its_logits_are_those_of_the_whole(whole: Path, data: Path) -> None:
    checkpoint = read_checkpoint(whole)
    kept, _ = narrowed(checkpoint, "utd_mhad", data)
    assert set(checkpoint.labels) - set(kept.labels) == {"stand still"}
    assert kept.experts is not None
    rows = [checkpoint.labels.index(label) for label in kept.labels]
    torch.testing.assert_close(logits(kept), logits(checkpoint)[:, rows])


def test_a_checkpoint_without_experts_can_be_narrowed_too(whole: Path, data: Path) -> None:
    checkpoint = read_checkpoint(whole)
    alone = Checkpoint(
        model=checkpoint.model.without_experts(),
        model_configs=checkpoint.model_configs,
        preprocessing=checkpoint.preprocessing,
        labels=checkpoint.labels,
        card=checkpoint.card,
    )
    kept, _ = narrowed(alone, "utd_mhad", data)
    assert kept.experts is None
    rows = [checkpoint.labels.index(label) for label in kept.labels]
    torch.testing.assert_close(logits(kept), logits(alone)[:, rows])


def test_another_set_is_refused(whole: Path, data: Path) -> None:
    with pytest.raises(BundleError, match="did not learn from set 'nw_ucla'.*to utd_mhad"):
        narrowed(read_checkpoint(whole), "nw_ucla", data)


def test_the_command_leaves_a_checkpoint_that_says_what_it_is(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    typed = ["narrow", str(whole), "utd_mhad", "--data", str(data), "--out", str(tmp_path)]
    result = CliRunner().invoke(app, typed)
    assert result.exit_code == 0, result.output
    assert "top-1" in result.output
    kept = read_checkpoint(tmp_path / f"{WITH_EXPERT.name}-utd_mhad.safetensors")
    assert kept.card["training"]["narrowed_to"] == "utd_mhad"
    assert kept.card["training"]["experts"] == ["utd_mhad"]
    assert kept.card["idle_label"] is None
    assert set(kept.card["label_sources"]) == set(kept.labels)
    assert not any("held" in source for s in kept.card["label_sources"].values() for source in s)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["test"]["accuracy"]["utd_mhad"]["clips"] == 6
    assert (
        kept.card["accuracy"]["utd_mhad"]["top1"] == report["test"]["accuracy"]["utd_mhad"]["top1"]
    )
