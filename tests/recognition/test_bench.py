"""The bench: figures that follow from the times, and runtimes that take turns."""

import json
import sys

import numpy as np
import pytest

from c2vl_serve import cli
from c2vl_serve.bundle import ModelBundle, load_bundle
from c2vl_serve.errors import RuntimeUnavailable, SequenceError
from c2vl_serve.recognition import bench as module
from c2vl_serve.recognition.bench import bench, call_times, golden_windows, matrix_peak
from c2vl_serve.recognition.onnx_runtime import OnnxRuntime
from c2vl_serve.recognition.runtime import Representation
from c2vl_serve.skeleton.arrays import Logits, ModelInput


@pytest.fixture(scope="module")
def everyday() -> ModelBundle:
    return load_bundle("everyday")


class Slow:
    """A runtime on a clock of its own: each call takes so many seconds."""

    def __init__(self, name: str, seconds: float, clock: list[float], calls: list[str]) -> None:
        self._name, self._seconds, self._clock, self._calls = name, seconds, clock, calls

    @property
    def name(self) -> str:
        return self._name

    def run(self, x: ModelInput) -> tuple[Logits, Representation]:
        self._clock[0] += self._seconds
        self._calls.append(self._name)
        return np.zeros((len(x), 2), np.float32), np.zeros((len(x), 3), np.float32)


def test_figures_follow_from_the_times(
    everyday: ModelBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, calls = [0.0], []
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    runtimes = [
        Slow("onnxruntime/CPUExecutionProvider", 0.002, clock, calls),
        Slow("tensorrt/fp16", 0.001, clock, calls),
    ]
    first, second = bench([(everyday, each) for each in runtimes], batch=4, seconds=0.1, peak=200.0)
    assert first.median_ms == pytest.approx(2.0)
    assert first.p99_ms == pytest.approx(2.0)
    assert first.windows_per_second == pytest.approx(2000)
    assert first.gflop_per_second == pytest.approx(2000 * everyday.card.gflop)
    assert first.share_of_peak == pytest.approx(2000 * everyday.card.gflop / 200)
    assert second.windows_per_second == pytest.approx(4000)
    assert second.share_of_peak is None  # a GPU is not measured by this machine's processor
    turns = "".join("c" if call.startswith("onnx") else "t" for call in calls[2 * 5 :])
    assert turns.startswith("c" * 11 + "t" * 11 + "c" * 11)


def test_few_calls_are_never_too_few(everyday: ModelBundle) -> None:
    (times,) = call_times([(OnnxRuntime(everyday), golden_windows(everyday, 1))], 0.0)
    assert len(times) >= 20
    assert min(times) > 0


def test_windows_are_the_golden_one(everyday: ModelBundle) -> None:
    windows = golden_windows(everyday, 3)
    assert len(windows) == 3
    assert (windows == windows[0]).all()
    with pytest.raises(SequenceError, match="a batch has 0 windows"):
        golden_windows(everyday, 0)


def test_the_peak_is_what_the_product_really_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MEASURE_PEAK", module._MEASURE_PEAK.replace("+ 1.0,", "+ 0.01,"))
    assert 0.1 < matrix_peak() < 1e5
    monkeypatch.setattr(module, "_MEASURE_PEAK", "raise SystemExit(3)")
    with pytest.raises(RuntimeUnavailable, match="could not be measured"):
        matrix_peak()


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "matrix_peak", lambda threads: 100.0 * threads)

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["c2vl-serve", "bench", "everyday", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert not end.value.code
        return capsys.readouterr().out

    few = ("--seconds", "0", "--batch", "1", "--batch", "3")
    found = json.loads(run("--json", *few))
    assert found["matrix_gflop_per_second"] == 100
    assert [speed["batch"] for speed in found["speeds"]] == [1, 3]
    assert all(speed["median_ms"] > 0 for speed in found["speeds"])
    text = run("--against", "everyday", *few)
    assert "matrix product: 100 GFLOP/s on 1 thread(s)" in text
    assert text.count("everyday") >= 4
    assert sum("x │" in line for line in text.splitlines()) == 2
