"""Fine-tuning, distillation, late fusion: what starts where, what is kept, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_serve.errors import C2VLError  # noqa: E402
from c2vl_training import supervised  # noqa: E402
from c2vl_training.checkpoint import read_checkpoint  # noqa: E402
from c2vl_training.cli import app  # noqa: E402
from c2vl_training.config import Member  # noqa: E402
from c2vl_training.data.pool import Pool, load_pool  # noqa: E402
from c2vl_training.distill import Teacher, distill  # noqa: E402
from c2vl_training.evaluate.clips import sequences_of  # noqa: E402
from c2vl_training.model.classifier import Classifier, ClassifierConfig  # noqa: E402
from c2vl_training.model.temporal import TemporalConfig, TemporalEncoder  # noqa: E402
from c2vl_training.objectives.distillation import DistillationConfig, feature_distance  # noqa: E402
from c2vl_training.pretrained import read_pretrained  # noqa: E402
from c2vl_training.recipes import everyday  # noqa: E402
from tests.training.made_sets import CONFIG, UTD_LABELS, write_made_utd  # noqa: E402
from tests.training.test_supervised import TINY  # noqa: E402

ENCODER = TemporalConfig(channels=32, depth=2, dropout=0.0, drop_path=0.0)
MEMBER = Member(encoder=ENCODER, num_steps=30, batch_size=24, learning_rate=1e-2)
SMALL = replace(MEMBER, encoder=replace(ENCODER, channels=16, depth=1))
ONLY = DistillationConfig(label_weight=0.0)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    folder = tmp_path_factory.mktemp("data")
    write_made_utd(folder)
    return load_pool(folder, UTD_LABELS, CONFIG, hold_still=False)


@pytest.fixture(scope="module")
def teacher(pool: Pool) -> Teacher:
    network, _ = supervised.train(TINY, replace(MEMBER, num_steps=60), pool)
    return Teacher(network=network, labels=pool.label_names)


def test_fine_tuning_starts_from_the_encoder(pool: Pool) -> None:
    torch.manual_seed(5)
    start = TemporalEncoder(CONFIG.num_channels, CONFIG.num_joints, ENCODER)
    frozen = replace(MEMBER, num_steps=1, learning_rate=1e-9)
    model, _ = supervised.train(TINY, frozen, pool, start=start)
    torch.testing.assert_close(model.encoder.input.weight, start.input.weight)
    scratch, _ = supervised.train(TINY, frozen, pool)
    assert not torch.allclose(scratch.encoder.input.weight, start.input.weight)
    with pytest.raises(C2VLError, match="has other sizes than the network to fine-tune"):
        supervised.train(TINY, SMALL, pool, start=start)


def test_a_student_learns_what_its_teacher_says_without_a_label(
    pool: Pool, teacher: Teacher
) -> None:
    student, history = distill(TINY, SMALL, pool, teacher=teacher, weights=ONLY)
    assert history.loss[-1] < history.loss[0] - 0.1
    wrong = replace(pool, labels=pool.labels[::-1].copy())
    same, _ = distill(TINY, SMALL, wrong, teacher=teacher, weights=ONLY)
    drawn = [model.head.weight for model in (student, same)]
    torch.testing.assert_close(*drawn)  # balanced alike, so that the windows are the same


def test_features_alone_make_an_encoder(pool: Pool) -> None:
    torch.manual_seed(0)
    encoder = TemporalEncoder(CONFIG.num_channels, CONFIG.num_joints, ENCODER)
    student, history = distill(TINY, SMALL, pool, teacher=Teacher(network=encoder), weights=ONLY)
    assert history.loss[-1] < history.loss[0]
    assert student.encoder.num_features == 32
    untouched = feature_distance(torch.eye(3), torch.eye(3))
    assert untouched == pytest.approx(0, abs=1e-6)


def test_a_killed_distillation_goes_on_to_the_same_result(
    pool: Pool, teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "SAVE_EVERY", 10)
    short, state = replace(SMALL, num_steps=15), tmp_path / "state.pt"
    whole, _ = distill(TINY, short, pool, teacher=teacher, weights=ONLY)

    def kill(progress: supervised.Progress) -> None:
        if progress.step == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distill(
            TINY, short, pool, teacher=teacher, weights=ONLY, state_file=state, on_step=kill
        )  # fmt: skip
    steps: list[int] = []
    resumed, _ = distill(
        TINY, short, pool, teacher=teacher, weights=ONLY, state_file=state,
        on_step=lambda p: steps.append(p.step),
    )  # fmt: skip
    assert steps[0] == 11
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_teacher_of_other_labels_is_refused(pool: Pool, teacher: Teacher) -> None:
    other = replace(teacher, labels=("sit", "stand"))
    with pytest.raises(C2VLError, match="teacher knows 2 labels, the clips have 6 others"):
        distill(TINY, SMALL, pool, teacher=other, weights=ONLY)


def test_a_late_stream_looks_at_nothing_else() -> None:
    config = ClassifierConfig(
        num_channels=10, num_joints=CONFIG.num_joints, num_labels=3, encoder=ENCODER, stream="bone"
    )
    torch.manual_seed(0)
    model = Classifier(config).eval()
    x = torch.randn(2, 10, CONFIG.num_frames, CONFIG.num_joints, 1)
    x[:, -1] = 1
    changed = x.clone()
    changed[:, [0, 1, 2, 6, 7, 8]] += 1
    with torch.no_grad():
        torch.testing.assert_close(model(x)[0], model(changed)[0])
        changed[:, 4] += 1
        assert not torch.allclose(model(x)[0], model(changed)[0])
    streams = [member.stream for member in TINY.fused_late().members]
    assert streams == 2 * ["joint", "bone", "motion"]
    with pytest.raises(C2VLError, match="from an input of 4 channels; expected 10"):
        Classifier(replace(config, num_channels=4))


@pytest.mark.slow
def test_commands_from_encoder_to_student(tmp_path: Path) -> None:
    """Pretrain without knowledge, fine-tune, distil, report: every command on made-up clips."""
    write_made_utd(tmp_path)
    runner, data, encoder = CliRunner(), str(tmp_path), str(tmp_path / "encoder.safetensors")

    def run(*words: str) -> str:
        done = runner.invoke(app, list(words), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())

    of_set = ("--set", "utd_mhad", "--data", data)
    log = tmp_path / "log"
    run("pretrain", "skeleton_only", *of_set, "--out", encoder, "--steps", "2", "--log", str(log))
    assert (log / "log.csv").exists()
    report = tmp_path / "report"
    run("report", encoder, *of_set, "--out", str(report))
    numbers = json.loads((report / "numbers.json").read_text())
    assert {"linear", "knn", "semi10"} <= set(numbers["top1"])
    assert numbers["command"]
    for picture in ("confusion.png", "map.png"):
        assert (report / picture).stat().st_size > 1000
    student = tmp_path / "student"
    told = run(
        "distill", encoder, "utd_mhad", "--data", data, "--out", str(student), "--steps", "3"
    )
    assert "3 steps, no label read" in told
    assert "top-1" in run("knn", str(student / "encoder.safetensors"), *of_set)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("c2vl_training.fit.unknown_clips", lambda _, pool: sequences_of(pool)[:4])
        tuned = tmp_path / "tuned"
        told = run(
            "finetune", encoder, "utd_mhad", "--data", data, "--out", str(tuned), "--steps", "3"
        )
    assert "utd_mhad, 6 test clips: top-1" in told
    checkpoint = read_checkpoint(tuned / "utd_mhad.safetensors")
    assert checkpoint.card["training"]["recipe"] == "utd_mhad"
    measured = run("knn", str(tuned / "utd_mhad.safetensors"), *of_set)
    assert measured.startswith("utd_mhad, seed 0: knn on the test part of utd_mhad (6 clips)")
    assert json.loads((tuned / "report.json").read_text())["command"].startswith("c2vl-train")
    assert (tuned / "log" / "final-run-1-of-1" / "log.csv").exists()
    again = tmp_path / "again"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("c2vl_training.fit.unknown_clips", lambda _, pool: sequences_of(pool)[:4])
        run(
            "finetune", str(tuned / "utd_mhad.safetensors"), "utd_mhad", "--data", data,
            "--out", str(again), "--steps", "1", "--rate", "1e-12", "--batch", "8",
        )  # fmt: skip
    further = read_checkpoint(again / "utd_mhad.safetensors")
    for before, after in zip(checkpoint.model.encoders, further.model.encoders, strict=True):
        torch.testing.assert_close(after.input.weight, before.input.weight)
    recipe = json.loads((again / "report.json").read_text())["recipe"]
    assert [member["batch_size"] for member in recipe["members"]] == [8]
    refused = runner.invoke(app, ["zeroshot", encoder, *of_set])
    assert isinstance(refused.exception, C2VLError)
    assert "has no language head" in str(refused.exception)


def test_a_recipe_leaves_sets_out() -> None:
    config = everyday().without("utd_mhad", "nw_ucla")
    assert config.name == "everyday-without-utd_mhad-without-nw_ucla"
    assert set(config.labels) == set(everyday().labels) - {"utd_mhad", "nw_ucla"}
    assert everyday().without() == everyday()
    for wrong in (("ntu60",), tuple(everyday().labels)):
        with pytest.raises(C2VLError, match="recipe 'everyday' cannot leave out .*; it has utd_mh"):
            everyday().without(*wrong)


def test_transfer_measures_what_it_did_not_learn_from(tmp_path: Path) -> None:
    write_made_utd(tmp_path)
    with np.load(tmp_path / "utd_mhad" / "utd_mhad.npz") as arrays:
        (tmp_path / "nw_ucla").mkdir()
        views = np.where(arrays["subjects"] == 2, 3, 1)
        np.savez(tmp_path / "nw_ucla" / "nw_ucla.npz", views=views, **arrays)
    out, report = tmp_path / "encoder.safetensors", tmp_path / "numbers.json"
    words = ["transfer", "skeleton_only", "--set", "nw_ucla", "--data", str(tmp_path)]
    words += ["--out", str(out), "--steps", "2", "--report", str(report)]
    done = CliRunner().invoke(app, [*words, "--from", "utd_mhad"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    rows = json.loads(report.read_text())
    assert [(row["protocol"], row["set"]) for row in rows] == [
        ("linear", "nw_ucla"), ("knn", "nw_ucla"),
    ]  # fmt: skip
    assert read_pretrained(out).run["noted"]["sets"] == ["utd_mhad"]
    refused = CliRunner().invoke(app, [*words, "--from", "nw_ucla"])
    assert "cannot be learned from" in str(refused.exception)
