"""The log of a run: what is in it, and what a resumed run takes out."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_training.log import RunLog, read_log


def test_steps_and_measures_come_back(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "run")
    log.note(1, {"loss": 2.5, "rank": 3.0})
    log.note(2, {"loss": 2.25, "rank": 3.5})
    log.close()
    assert read_log(tmp_path / "run" / "log.csv") == [
        (1, "loss", 2.5), (1, "rank", 3.0), (2, "loss", 2.25), (2, "rank", 3.5),
    ]  # fmt: skip


def test_a_resumed_run_forgets_what_it_does_again(tmp_path: Path) -> None:
    killed = RunLog(tmp_path)
    for step in (1, 2, 3, 4):
        killed.note(step, {"loss": float(step)})
    killed.close()
    resumed = RunLog(tmp_path)
    resumed.note(3, {"loss": 30.0})
    resumed.close()
    assert read_log(tmp_path / "log.csv") == [(1, "loss", 1.0), (2, "loss", 2.0), (3, "loss", 30.0)]


def test_tensorboard_finds_the_same_numbers(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed",
    )
    log = RunLog(tmp_path)
    log.note(1, {"loss": 2.5})
    log.close()
    read = event_accumulator.EventAccumulator(str(tmp_path))
    read.Reload()
    assert [(event.step, event.value) for event in read.Scalars("loss")] == [(1, 2.5)]
