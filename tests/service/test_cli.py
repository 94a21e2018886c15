"""The command line on real files and a tiny bundle; it stands here for that bundle's sake."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from fastapi import FastAPI

from c2vl_serve import cli
from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.service.settings import ServiceSettings

from .test_predict import JOINTS, SKELETON

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs ``c2vl-serve ARGUMENTS``; exit status, standard output and error."""
    monkeypatch.setenv("C2VL_BUNDLE", str(tiny_bundle))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["c2vl-serve", *map(str, arguments)])
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.json"
    path.write_text(json.dumps(SKELETON))
    return path


def test_predict_shows_a_table(run: Run, clip: Path) -> None:
    status, out, err = run("predict", clip, "--top-k", 2, "--window", 0.4)
    assert (status, err) == (0, "")
    assert "clip.json" in out
    assert "tiny@1.0.0 · 24 frames, 0.8 s" in out
    assert sum("│ all" in line for line in out.splitlines()) == 1
    assert "0.0-0.4 s" in out


def test_predict_json_is_the_services_answer(run: Run, clip: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", JOINTS)
    status, out, _ = run(
        "predict", clip, tmp_path / "clip.npy", "--json", "--layout", "kinect20", "--fps", "30"
    )
    assert status == 0
    first, second = (json.loads(line) for line in out.splitlines())
    assert first["file"] == str(clip)
    assert first["bundle"] == "tiny@1.0.0"
    assert first["actions"] == second["actions"]
    assert len(first["actions"]) == 3


def test_predict_goes_on_after_a_file_that_cannot_be_used(
    run: Run, clip: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "clip.npy", JOINTS)
    (tmp_path / "empty.csv").write_text("frame,person\n")
    status, out, err = run(
        "predict", tmp_path / "absent.npy", tmp_path / "clip.npy", tmp_path / "empty.csv", clip
    )
    assert status == 1
    assert "clip.json" in out
    lines = err.splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("absent.npy: cannot be read: No such file or directory")
    assert "clip.npy: the input does not say which layout" in lines[1]
    assert "empty.csv: the input does not say which layout" in lines[2]
    assert all(line.startswith("error: ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--top-k", 0], "error: top_k: Input should be greater than or equal to 1, got 0"),
        (["--layout", "ntu"], "error: layout: unknown layout 'ntu'; known are"),
        (["--fps", "nan"], "error: fps: Input should be"),
        (["--bundle", "nightly"], "error: no bundle 'nightly'"),
        (["--provider", "gpu"], "error: C2VL_PROVIDER: Input should be 'cpu'"),
        (["--provider", "cuda"], "error: provider 'cuda'"),
    ],
)
def test_what_is_wrong_with_the_options_is_one_sentence(
    run: Run, clip: Path, arguments: list[object], sentence: str
) -> None:
    status, out, err = run("predict", clip, *arguments)
    assert (status, out) == (1, "")
    assert err.startswith(sentence)
    assert len(err.splitlines()) == 1


def test_a_missing_extra_is_an_install_line(
    run: Run, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    status, _, err = run("predict", clip)
    assert status == 1
    assert "pip install 'c2vl-serve[cpu]'" in err


def test_so_is_a_module_that_is_missing_deeper_down(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise ModuleNotFoundError("No module named 'PIL.Image'", name="PIL.Image")

    monkeypatch.setattr(cli, "load_bundle", fail)
    status, _, err = run("inspect")
    assert (status, err) == (
        1,
        "error: PIL.Image is not installed; install it with: pip install 'c2vl-serve[pose]'\n",
    )


def test_a_video_without_a_pose_model_names_the_next_step(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2VL_POSE_MODEL", str(tmp_path / "absent.task"))
    (tmp_path / "clip.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42")
    status, _, err = run("predict", tmp_path / "clip.mp4")
    assert status == 1
    assert "run: c2vl-serve fetch-pose-model" in err


def test_inspect_shows_the_card(run: Run, tiny_bundle: Path) -> None:
    status, out, _ = run("inspect")
    assert status == 0
    assert "bundle tiny@1.0.0" in out
    assert "sit down, stand up, wave" in out
    assert "made_up: free" in out
    status, out, _ = run("inspect", tiny_bundle, "--json")
    assert json.loads(out) == json.loads((tiny_bundle / "bundle.json").read_text())
    status, _, err = run("inspect", tiny_bundle / "absent")
    assert status == 1
    assert err.startswith("error: no bundle ")


def test_fetch_pose_model_reports_each_step(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path | None] = []

    def fetch(path: Path | None, *, report: Callable[[str], None]) -> Path:
        asked.append(path)
        report("downloading [it]")
        if path is None:
            raise RuntimeUnavailable("the pose model cannot be fetched: no network")
        return path

    monkeypatch.setattr(cli, "fetch_pose_model", fetch)
    assert run("fetch-pose-model", "--path", tmp_path / "a.task")[:2] == (0, "downloading [it]\n")
    status, _, err = run("fetch-pose-model")
    assert (status, err) == (1, "error: the pose model cannot be fetched: no network\n")
    assert asked == [tmp_path / "a.task", None]


def test_run_serves_what_the_options_and_the_environment_say(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[tuple[Any, ServiceSettings]] = []
    monkeypatch.setattr(cli, "serve", lambda app, settings: served.append((app, settings)))
    monkeypatch.setenv("C2VL_PORT", "9000")
    monkeypatch.setenv("C2VL_MAX_FRAMES", "100")
    assert run("run", "--host", "0.0.0.0")[0] == 0
    ((app, settings),) = served
    assert isinstance(app, FastAPI)
    assert (settings.host, settings.port, settings.max_frames) == ("0.0.0.0", 9000, 100)
    status, _, err = run("run", "--bundle", "nightly")
    assert (status, len(served)) == (1, 1)
    assert err.startswith("error: no bundle 'nightly'")


def test_the_real_thing_starts_answers_and_stops(tiny_bundle: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from c2vl_serve.cli import main; main()"]
    environment = {**os.environ, "C2VL_BUNDLE": str(tiny_bundle), "C2VL_POSE_WORKERS": "0"}
    with subprocess.Popen(
        [*command, "run", "--port", str(port)],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            await_ready(f"{address}/health/ready")
            answer = httpx.post(f"{address}/predict", json=SKELETON)
            assert answer.json()["bundle"] == "tiny@1.0.0"
            assert "server" not in answer.headers
        finally:
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=20)
    assert "input=json frames=24 persons=1" in err
    assert "Traceback" not in out + err
    assert process.returncode in (0, -signal.SIGTERM)


def await_ready(address: str) -> None:
    for _ in range(200):
        try:
            if httpx.get(address).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError(f"{address} did not become ready")
