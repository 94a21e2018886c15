"""Pretraining learns without labels, resumes to the same result, and says what it lacks."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_serve.errors import BundleError, C2VLError  # noqa: E402
from c2vl_training import pretrain as module  # noqa: E402
from c2vl_training.cli import app  # noqa: E402
from c2vl_training.data.augment import CameraModel  # noqa: E402
from c2vl_training.data.batches import Sampling  # noqa: E402
from c2vl_training.data.pool import Pool, load_pool  # noqa: E402
from c2vl_training.evaluate.frozen import (  # noqa: E402
    Split,
    few_shot,
    linear,
    nearest,
    semi,
    zero_shot,
)
from c2vl_training.evaluate.representation import ClipWindows  # noqa: E402
from c2vl_training.knowledge.towers import MINILM_PACKAGE  # noqa: E402
from c2vl_training.model.temporal import TemporalConfig  # noqa: E402
from c2vl_training.pretrain import pretrain  # noqa: E402
from c2vl_training.pretrain_config import Knowledge, PretrainConfig  # noqa: E402
from c2vl_training.pretrain_recipes import PRETRAIN_RECIPES  # noqa: E402
from c2vl_training.pretrained import read_pretrained, write_pretrained  # noqa: E402
from tests.training.made_sets import CONFIG, UTD_LABELS, write_made_utd  # noqa: E402

MINILM_INSTALLED = importlib.util.find_spec(MINILM_PACKAGE) is not None

TINY = PretrainConfig(
    name="tiny",
    preprocessing=CONFIG,
    encoder=TemporalConfig(channels=16, depth=1, dropout=0.0, drop_path=0.0),
    sampling=Sampling(
        mirror=0.0, tilt_degrees=0.0, cut_recorded=0.0, camera=CameraModel(probability=0.0)
    ),
    num_projected=16,
    queue=64,
    num_steps=40,
    batch_size=12,
    learning_rate=1e-2,
)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    folder = tmp_path_factory.mktemp("data")
    write_made_utd(folder)
    return load_pool(folder, UTD_LABELS, CONFIG, hold_still=False)


def made_knowledge(pool: Pool) -> Knowledge:
    """Two noisy sentences a clip that say, in their own space, what moves."""
    rng = np.random.default_rng(0)
    meaning = rng.standard_normal((len(pool.label_names), 8))[pool.labels][:, None]
    noisy = meaning + 0.3 * rng.standard_normal((len(pool), 2, 8))
    return Knowledge(
        embeddings={"language": torch.from_numpy(noisy.astype(np.float32))},
        given={"language": torch.ones(len(pool), 2, dtype=torch.bool)},
    )


@pytest.fixture(scope="module")
def knowledge(pool: Pool) -> Knowledge:
    return made_knowledge(pool)


def test_knowledge_lowers_the_loss_and_separates_what_it_names(
    pool: Pool, knowledge: Knowledge
) -> None:
    result = pretrain(replace(TINY, num_steps=80), pool, knowledge)
    assert result.measures["loss"][-1] < result.measures["loss"][0] - 0.1
    assert {"rank", "entropy/language", "temperature", "softness"} <= set(result.measures)
    windows = ClipWindows(pool, CONFIG)
    values = windows.representations(result.encoder)
    split = Split(
        train=values[~pool.test],
        train_labels=pool.labels[~pool.test],
        test=values[pool.test],
        test_labels=pool.labels[pool.test],
    )
    assert linear(split) > 2 * 100 / len(pool.label_names)


def test_skeletons_alone_lower_the_loss(pool: Pool) -> None:
    config = replace(TINY, objective="skeleton", num_steps=60)
    one_subject = pool.where(np.arange(len(pool)) < len(pool.label_names))  # the others do alike
    result = pretrain(config, one_subject)
    assert result.heads is None
    # Not the first: the queue was still empty then, and there was less to be told apart from.
    assert result.measures["loss"][-1] < result.measures["loss"][1]


def test_knowledge_and_skeletons_teach_together(pool: Pool) -> None:
    pool = pool.where(np.arange(len(pool)) < len(pool.label_names))  # clips that all differ
    knowledge = made_knowledge(pool)
    both = pretrain(replace(TINY, skeleton_weight=1.0, num_steps=60), pool, knowledge).measures
    # Not the first: the queue was still empty then, and there was less to be told apart from.
    for name in ("loss", "loss/views", "loss/language"):
        assert both[name][-1] < both[name][1], name
    one = pretrain(replace(TINY, num_steps=10), pool, knowledge).measures
    assert "loss/views" not in one


def test_labels_are_never_read(pool: Pool, knowledge: Knowledge) -> None:
    short = replace(TINY, num_steps=3)
    shuffled = replace(pool, labels=pool.labels[::-1].copy())
    first = pretrain(short, pool, knowledge).encoder.state_dict()
    second = pretrain(short, shuffled, knowledge).encoder.state_dict()
    for name, value in first.items():
        assert torch.equal(second[name], value), name


@pytest.mark.parametrize("objective", ["c2vl", "skeleton"])
def test_a_killed_run_goes_on_to_the_same_result(
    objective: str,
    pool: Pool,
    knowledge: Knowledge,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SAVE_EVERY", 5)
    config = replace(TINY, objective=objective, num_steps=12)
    known = knowledge if objective == "c2vl" else None
    whole = pretrain(config, pool, known)

    class Killed(Exception):
        pass

    def kill(progress: module.PretrainProgress) -> None:
        if progress.step == 8:
            raise Killed

    state = tmp_path / "state.pt"
    with pytest.raises(Killed):
        pretrain(config, pool, known, state_file=state, on_step=kill)
    steps: list[int] = []
    resumed = pretrain(
        config, pool, known, state_file=state, on_step=lambda p: steps.append(p.step)
    )
    assert steps[0] == 6
    for name, value in whole.encoder.state_dict().items():
        assert torch.equal(resumed.encoder.state_dict()[name], value), name


def test_missing_knowledge_is_said(pool: Pool, knowledge: Knowledge) -> None:
    with pytest.raises(C2VLError, match="objective 'c2vl' has no knowledge"):
        pretrain(TINY, pool)
    with pytest.raises(C2VLError, match="was given knowledge"):
        pretrain(replace(TINY, objective="skeleton"), pool, knowledge)
    some = pool.where(np.arange(len(pool)) < 5)
    with pytest.raises(C2VLError, match="embeddings are of 18 clips, the pool has 5"):
        pretrain(TINY, some, knowledge)


def _two_blobs(spread: float) -> Split:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(2), 20)
    centres = np.array([[3.0, 1.0], [1.0, 3.0]])
    draw = [centres[labels] + spread * rng.standard_normal((40, 2)) for _ in range(2)]
    return Split(train=draw[0], train_labels=labels, test=draw[1], test_labels=labels)


def test_protocols_on_what_can_be_told_apart_and_on_what_cannot() -> None:
    apart, mixed = _two_blobs(0.1), _two_blobs(50.0)
    assert linear(apart) == nearest(apart) == 100
    assert semi(apart, 0.1, seed=0) == few_shot(apart, 2, seed=0) == 100
    assert 25 < linear(mixed) < 75
    assert 25 < few_shot(mixed, 5, seed=0) < 75


def test_zero_shot_by_hand() -> None:
    texts = np.array([[1.0, 0.0], [0.0, 1.0]])
    skeletons = np.array([[2.0, 0.1], [0.1, 5.0], [1.0, 0.2]])
    assert zero_shot(skeletons, np.array([0, 1, 1]), texts) == pytest.approx(100 * 2 / 3)


def test_protocols_say_what_was_asked_wrongly() -> None:
    split = _two_blobs(0.1)
    with pytest.raises(C2VLError, match="ask for 1 to 20"):
        few_shot(split, 21, seed=0)
    with pytest.raises(C2VLError, match="share of labels is 0"):
        semi(split, 0.0, seed=0)
    with pytest.raises(C2VLError, match="0 training and 40 test clips"):
        Split(
            train=split.train[:0],
            train_labels=split.train_labels[:0],
            test=split.test,
            test_labels=split.test_labels,
        )


def test_what_was_pretrained_comes_back_whole(
    pool: Pool, knowledge: Knowledge, tmp_path: Path
) -> None:
    config = replace(TINY, num_steps=2)
    result = pretrain(config, pool, knowledge)
    path = tmp_path / "tiny.safetensors"
    write_pretrained(path, result, config, {"set": "made"})
    back = read_pretrained(path)
    assert back.preprocessing == CONFIG
    assert back.run["noted"] == {"set": "made"}
    assert back.heads is not None
    x = torch.randn(2, CONFIG.num_channels, CONFIG.num_frames, 15, 1)
    with torch.no_grad():
        ours, theirs = result.encoder(x), back.encoder(x)
        assert torch.allclose(ours, theirs, atol=1e-4)
        assert torch.allclose(result.projector(ours), back.projector(theirs), atol=1e-4)
    path.write_bytes(b"nothing")
    with pytest.raises(BundleError, match="cannot be read"):
        read_pretrained(path)


def test_commands_from_clips_to_a_number(tmp_path: Path) -> None:
    """Describe, embed, pretrain, measure: the whole way, on made-up clips and a real tower."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    if not MINILM_INSTALLED:
        pytest.skip("the sentence encoder's package is not installed")
    write_made_utd(tmp_path)
    runner = CliRunner()

    def run(*words: str) -> str:
        done = runner.invoke(app, list(words), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    data, texts = str(tmp_path), str(tmp_path / "texts.jsonl")
    vectors, encoder = str(tmp_path / "texts.safetensors"), str(tmp_path / "encoder.safetensors")
    run("knowledge", "describe", "utd_mhad", "--data", data, "--out", texts)
    run("knowledge", "embed", texts, "--out", vectors)
    of_set = ("--set", "utd_mhad", "--data", data)
    run("pretrain", "c2vl", *of_set, "--knowledge", vectors, "--out", encoder, "--steps", "2")
    report = tmp_path / "report.json"
    told = run("knn", encoder, *of_set, "--report", str(report))
    assert "knn on the test part of utd_mhad (6 clips)" in " ".join(told.split())
    (row,) = json.loads(report.read_text())
    assert (row["recipe"], row["steps"], row["protocol"]) == ("c2vl", 2, "knn")


def test_recipes_name_themselves() -> None:
    for name, recipe in PRETRAIN_RECIPES.items():
        assert recipe().name == name
    assert PRETRAIN_RECIPES["c2vl"]().sampling.mirror == 0  # texts name sides
