"""Training learns, resumes to the same result, and a whole recipe leaves a usable checkpoint."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_serve.skeleton.preprocessing import PreprocessingConfig  # noqa: E402
from c2vl_training import supervised  # noqa: E402
from c2vl_training.checkpoint import read_checkpoint  # noqa: E402
from c2vl_training.config import Member, TrainConfig  # noqa: E402
from c2vl_training.data.augment import CameraModel  # noqa: E402
from c2vl_training.data.batches import Sampling  # noqa: E402
from c2vl_training.data.pool import Pool, load_pool  # noqa: E402
from c2vl_training.evaluate.calibration import (  # noqa: E402
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
    judge_threshold,
)
from c2vl_training.evaluate.clips import (  # noqa: E402
    accuracy_per_set,
    clip_logits,
    sequences_of,
)
from c2vl_training.fit import fit  # noqa: E402
from c2vl_training.model.classifier import Classifier, ClassifierConfig  # noqa: E402
from c2vl_training.model.graph import GraphConfig  # noqa: E402
from c2vl_training.model.rounding import LARGE, in_steps  # noqa: E402
from c2vl_training.model.temporal import TemporalConfig  # noqa: E402
from c2vl_training.recipes import RECIPES  # noqa: E402
from tests.training.made_sets import CONFIG, UTD_LABELS, write_made_utd  # noqa: E402

TINY = TrainConfig(
    name="tiny",
    version="0.0.1",
    description="Made-up movements.",
    labels=UTD_LABELS,
    hold_still=True,
    preprocessing=CONFIG,
    members=(
        Member(
            encoder=TemporalConfig(channels=32, depth=2, dropout=0.0, drop_path=0.0),
            num_steps=80,
            batch_size=32,
            learning_rate=1e-2,
        ),
        Member(
            encoder=GraphConfig(channels=8, blocks_per_stage=1, stem_stride=2, dropout=0.0),
            num_steps=20,
            batch_size=16,
        ),
    ),
    sampling=Sampling(
        camera=CameraModel(probability=0.0),
        mirror=0.0,
        speed=(1.0, 1.0),
        gesture_speed=(1.0, 1.0),
        exercise_speed=(1.0, 1.0),
        amplitude=(1.0, 1.0),
        cut=0.0,
        repeat=0.0,
        other_limbs=0.0,
    ),
)
FIRST = TINY.members[0]

# The process dies (kill -9) at step 25; its state is written every ten steps.
DYING = """
import os, signal, sys
from pathlib import Path
from c2vl_training import supervised
from c2vl_training.data.pool import load_pool
from tests.training.made_sets import CONFIG, UTD_LABELS
from tests.training.test_supervised import FIRST, TINY

def die(progress):
    if progress.step == 25:
        os.kill(os.getpid(), signal.SIGKILL)

supervised.SAVE_EVERY = 10
pool = load_pool(Path(sys.argv[1]), UTD_LABELS, CONFIG, hold_still=True)
pool = pool.where(~pool.test)
supervised.train(TINY, FIRST, pool, state_file=Path(sys.argv[2]), on_step=die)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_made_utd(folder)
    return folder


@pytest.fixture(scope="module")
def pool(data: Path) -> Pool:
    return load_pool(data, UTD_LABELS, CONFIG, hold_still=True)


def test_training_lowers_the_loss_and_beats_chance(pool: Pool) -> None:
    model, history = supervised.train(TINY, FIRST, pool.where(~pool.test))
    assert history.loss[-1] < history.loss[0] - 0.1
    test = pool.where(pool.test)
    assert history.accuracy[-1] > history.accuracy[0]
    clips = clip_logits(model, sequences_of(test), CONFIG)
    accuracy = accuracy_per_set(clips.scores(1.0, None), test)
    assert accuracy["utd_mhad"]["top1"] > 2 * 100 / len(pool.label_names)


def test_a_killed_run_goes_on_to_the_same_result(data: Path, pool: Pool, tmp_path: Path) -> None:
    train_pool, state = pool.where(~pool.test), tmp_path / "state.pt"
    whole, whole_history = supervised.train(TINY, FIRST, train_pool)
    ended = subprocess.run(
        [sys.executable, "-c", DYING, str(data), str(state)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    steps = []
    resumed, history = supervised.train(
        TINY, FIRST, train_pool, state_file=state, on_step=lambda p: steps.append(p.step)
    )
    assert steps[0] == 21
    assert history.loss == whole_history.loss
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_frames_without_a_person_do_not_count() -> None:
    """Zeros behind the last frame are not movement: more of them change nothing."""
    config = ClassifierConfig(
        num_channels=10, num_joints=15, num_labels=3,
        encoder=TemporalConfig(channels=16, depth=2, kernel=3),
    )  # fmt: skip
    torch.manual_seed(0)
    encoder = Classifier(config).eval().encoder
    short = torch.randn(2, 10, 16, 15, 1)
    short[:, -1] = 1
    short[:, :, 8:] = 0
    longer = torch.cat([short, torch.zeros(2, 10, 16, 15, 1)], dim=2)
    with torch.no_grad():
        assert torch.allclose(encoder(short), encoder(longer), atol=1e-4)


def test_whole_recipe_leaves_checkpoint_report_and_pictures(data: Path, tmp_path: Path) -> None:
    stages: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("c2vl_training.fit.unknown_clips", lambda data, pool: sequences_of(pool)[:4])
        result = fit(
            TINY,
            data,
            checkpoint=tmp_path / "tiny.safetensors",
            report=tmp_path / "report",
            state=tmp_path / "state",
            on_step=lambda stage, progress: stages.update({stage: progress.step}),
        )
    assert stages == {
        "validation run 1/2": 16,
        "validation run 2/2": 4,
        "final run 1/2": 80,
        "final run 2/2": 20,
    }
    written = json.loads((tmp_path / "report" / "report.json").read_text())
    assert written == json.loads(json.dumps(result))
    for name in ("curves.png", "confusion.png"):
        assert (tmp_path / "report" / name).read_bytes()[:4] == b"\x89PNG"
    assert not list((tmp_path / "state").iterdir())
    checkpoint = read_checkpoint(tmp_path / "tiny.safetensors")
    assert checkpoint.preprocessing == CONFIG
    assert checkpoint.card["accuracy"]["utd_mhad"]["clips"] == 6
    assert checkpoint.card["label_sources"]["run"] == ["utd_mhad:jogging in place"]
    large = [p for p in checkpoint.model.parameters() if p.ndim > 1 and p.numel() >= LARGE]
    assert large
    assert all(in_steps(weight) is not None for weight in large)


def test_calibration_error_by_hand() -> None:
    scores = np.array([[0.95, 0.05], [0.95, 0.05], [0.45, 0.55], [0.45, 0.55]])
    # Sure ones: 1 of 2 right, gap 0.45; unsure ones: 2 of 2 right, gap 0.45.
    assert expected_calibration_error(scores, np.array([0, 1, 1, 1])) == pytest.approx(0.45)
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0


def test_temperature_softens_what_is_too_sure(pool: Pool) -> None:
    """Logits ten times too large are divided by more than those that are right."""
    model, _ = supervised.train(TINY, FIRST, pool.where(~pool.test))
    clips = clip_logits(model, sequences_of(pool), CONFIG)
    louder = type(clips)(clips.windows, tuple(10 * logits for logits in clips.logits))
    assert fit_temperature(louder, pool.labels, None) > fit_temperature(clips, pool.labels, None)


def test_threshold_by_hand() -> None:
    known, unknown = np.array([0.9, 0.8, 0.7, 0.2]), np.array([0.3, 0.4, 0.5, 0.6])
    threshold = choose_threshold(unknown)
    assert threshold == pytest.approx(0.57)  # nine tenths of the way through the unknown
    chosen = judge_threshold(threshold, known, unknown)
    assert (chosen.known_accepted, chosen.unknown_rejected) == (0.75, 0.75)
    assert chosen.auroc == pytest.approx(0.75)
    assert judge_threshold(0.35, known, unknown).unknown_rejected == 0.25


def test_a_tenth_of_the_unknown_clips_passes() -> None:
    unknown = np.linspace(0, 0.999, 1000)
    assert np.mean(unknown < choose_threshold(unknown)) == pytest.approx(0.9)


def test_recipes_name_themselves_and_fit_their_network() -> None:
    for name, recipe in RECIPES.items():
        config = recipe()
        assert config.name == name
        assert PreprocessingConfig.from_dict(config.to_dict()["preprocessing"])
        assert config.preprocessing.num_frames % 2 == 0  # the encoder halves time
