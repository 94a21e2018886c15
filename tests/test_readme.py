"""What README and docs say is executed: commands, Python, and the answers they show."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.pose import find_pose_model

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
ADDRESS = "127.0.0.1:8000"
YOUR_CLIP = "your-clip.mp4"
# The clip whose answer README shows; it is nobody's to ship.
CLIP = Path("videos", "clips", "sudchaudhary_walking.avi")
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "C2VL_POSE_WORKERS": "1",
    "COLUMNS": "80",
}


LONG = ("c2vl-export", "c2vl-train")  # a block that begins with one is not run


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, and the one right after it that shows what comes out."""

    language: str
    text: str
    output: str | None
    where: str


def _blocks(*languages: str) -> list[Any]:
    """All blocks in these languages, as pytest parameters named after where they stand."""
    found = []
    for document in DOCUMENTS:
        content = document.read_text(encoding="utf-8")
        fences = list(re.finditer(r"^```(\w+)\n(.*?)^```$", content, re.MULTILINE | re.DOTALL))
        for fence, after in zip_longest(fences, fences[1:]):
            line = content.count("\n", 0, fence.start()) + 1
            follows = after is not None and after[1] in ("json", "text")
            block = Block(
                language=fence[1],
                text=fence[2],
                output=after[2] if follows and after else None,
                where=f"{document.name}:{line}",
            )
            if block.language in languages:
                found.append(pytest.param(block, id=block.where))
    return found


def test_every_block_is_in_a_language_that_is_checked() -> None:
    known = {"bash", "python", "json", "text", "toml"}
    for document in DOCUMENTS:
        languages = re.findall(r"^```(\w*)\n(?:.*?)^```$", document.read_text(), re.M | re.S)
        assert set(languages) <= known, document.name


def test_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """Where a service answers: a process of its own on a free port, as ``make serve`` starts it."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{chosen.getsockname()[1]}"
    command = ["c2vl-serve", "run", "--port", address.rpartition(":")[2]]
    with _running(command):
        patience = time.monotonic() + 30
        while not _is_ready(address):
            assert time.monotonic() < patience, "the service does not become ready"
            time.sleep(0.1)
        yield address


@contextmanager
def _running(command: list[str]) -> Iterator[None]:
    executable = shutil.which(command[0], path=ENVIRONMENT["PATH"])
    assert executable, f"{command[0]} is not installed"
    process = subprocess.Popen(
        [executable, *command[1:]], env=ENVIRONMENT, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.mark.parametrize("block", _blocks("bash"))
def test_commands_do_what_is_shown(
    block: Block, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    commands = [line for line in block.text.splitlines() if line and not line.startswith("#")]
    if commands[0].split()[0] in LONG:
        for command in commands:
            _check_options(command)
        return
    for command in commands:
        verb = command.split()[0]
        if verb in ("docker", "git", "python", "pip"):
            _check_names(command)
        elif verb == "make":
            _run(f"make --dry-run {command.removeprefix('make')}")
        else:
            output = _run(_made_runnable(command, request, tmp_path))
            if command == commands[-1] and block.output is not None:
                _assert_same(block.output, output)


@pytest.mark.parametrize("block", _blocks("python"))
def test_python_runs(
    block: Block, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    text = block.text
    if ADDRESS in text:
        text = text.replace(ADDRESS, request.getfixturevalue("service"))
    exec(compile(text, block.where, "exec"), {"__name__": "readme"})


def _check_options(command: str) -> None:
    """Commands that take minutes, or a GPU, must at least have the options that are shown."""
    words = command.split()
    name = words[:1] if words[0] == "c2vl-export" else words[:2]
    told = _run(f"{' '.join(name)} --help")
    for word in words:
        if word.startswith("--"):
            assert word in told, f"{' '.join(name)} has no {word}"


def _check_names(command: str) -> None:
    """What is not run here must at least name files and services that exist."""
    words = command.split()
    for word in words:
        if word.endswith((".py", ".yaml", ".txt")):
            assert (ROOT / word).exists(), word
    if words[:2] == ["docker", "compose"]:
        services = re.findall(r"^  (\w+):$", (ROOT / "compose.yaml").read_text(), re.MULTILINE)
        assert {"serve", "gpu"} <= set(services)
        assert set(words[3:4]) <= {*services, "--build"}


def _made_runnable(command: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same command on the test's own port and clip."""
    if command.startswith("curl") and not shutil.which("curl"):
        pytest.skip("curl is not installed")
    if YOUR_CLIP in command:
        clip = request.getfixturevalue("data_dir") / CLIP
        if not clip.is_file():
            pytest.skip(f"the clip is not here: {clip}")
        try:
            find_pose_model()
        except RuntimeUnavailable as error:
            pytest.skip(f"no pose model: {error}")
        (tmp_path / YOUR_CLIP).symlink_to(clip)
        command = command.replace(YOUR_CLIP, str(tmp_path / YOUR_CLIP))
    if ADDRESS in command:
        command = command.replace(ADDRESS, request.getfixturevalue("service"))
    return command


def _run(command: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def _assert_same(shown: str, output: str) -> None:
    """Labels to the letter, scores to two decimals; times of computing may be any."""
    if shown.lstrip().startswith("{"):
        _assert_shown(json.loads(shown), json.loads(output), "")
        return
    numbers = r"(?<![\w.])\d+\.\d+(?![\w.])"
    words, expected = (
        re.sub(r"\d+ ms|█+ *", " ", re.sub(numbers, "#", text)).split() for text in (output, shown)
    )
    assert words == expected
    got = [float(number) for number in re.findall(numbers, output)]
    assert got == pytest.approx([float(n) for n in re.findall(numbers, shown)], abs=0.01)


def _assert_shown(shown: Any, answer: Any, where: str) -> None:
    """What is shown is in the answer; lists and objects may be shown cut short."""
    if where.startswith("/timing_ms"):
        assert set(shown) == set(answer)
    elif isinstance(shown, dict):
        assert isinstance(answer, dict)
        for key, value in shown.items():
            assert key in answer, f"{where}/{key}"
            _assert_shown(value, answer[key], f"{where}/{key}")
    elif isinstance(shown, list):
        assert len(shown) <= len(answer), where
        for index, value in enumerate(shown):
            _assert_shown(value, answer[index], f"{where}/{index}")
    elif isinstance(shown, float):
        assert answer == pytest.approx(shown, abs=0.01), where
    else:
        assert answer == shown, where


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/health/ready", timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False
