"""Servers under measurement: start, wait until they answer, read what they cost, stop."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from client import HOST, Connection

ROOT = Path(__file__).parents[2]
CORES = os.cpu_count() or 1
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Server:
    """A running server and all processes under it."""

    def __init__(self, name: str, command: list[str], port: int, settings: dict[str, str]) -> None:
        self.name = name
        self.port = port
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": path, **settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def await_answer(self, request: bytes) -> None:
        """Return once a request is answered with 200."""
        while self.process.poll() is None:
            try:
                if asyncio.run(Connection(self.port).ask(request)).status == 200:
                    return
            except (OSError, asyncio.IncompleteReadError):
                pass
            time.sleep(0.2)
        raise SystemExit(f"{self.name} ended with status {self.process.returncode}")

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        return sum(int(f[11]) + int(f[12]) for f in self._stats()) / _TICKS

    def rss_bytes(self) -> int:
        """Resident memory of all its processes now."""
        return sum(int(fields[21]) for fields in self._stats()) * _PAGE

    def metric(self, name: str) -> float:
        """One of our service's metrics that has no labels, as Prometheus would read it."""
        with urllib.request.urlopen(f"http://{HOST}:{self.port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def stop(self) -> None:
        """SIGTERM; SIGKILL where that does not help."""
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _stats(self) -> list[list[str]]:
        """Fields of ``/proc/PID/stat`` after the name, of each process in the session."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[3]) == self.process.pid:
                    found.append(fields)
        return found


@contextmanager
def ours(request: bytes, **settings: str) -> Iterator[Server]:
    """Our service, without videos unless the settings (``C2VL_`` + name) say so."""
    port = _free_port()
    given = {"C2VL_POSE_WORKERS": "0", "C2VL_DRAIN_SECONDS": "0", "C2VL_PORT": str(port)}
    given |= {f"C2VL_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-c", "from c2vl_serve.cli import main; main()", "run"]
    yield from _running(Server("c2vl-serve", command, port, given), request)


@contextmanager
def litserve(request: bytes, python: str, workers: int) -> Iterator[Server]:
    """LitServe with the same recogniser, on the Python that has it."""
    port = _free_port()
    script = str(Path(__file__).with_name("lit_server.py"))
    command = [python, script, str(port), str(workers)]
    yield from _running(Server("LitServe", command, port, {}), request)


def _running(server: Server, request: bytes) -> Iterator[Server]:
    try:
        server.await_answer(request)
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])
