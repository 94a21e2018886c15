"""SIGTERM on a real server under load: it says that it stops, loses nothing, and exits with 0."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from .test_predict import SKELETON

BODY = orjson.dumps(SKELETON)
DRAIN_SECONDS = 1.5


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


@pytest.fixture
def server(tiny_bundle: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    settings = {
        "C2VL_PORT": str(port),
        "C2VL_BUNDLE": str(tiny_bundle),
        "C2VL_POSE_WORKERS": "0",
        "C2VL_DRAIN_SECONDS": str(DRAIN_SECONDS),
    }
    command = "from c2vl_serve.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "run"],
        env={**os.environ, **settings},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        _await_ready(port, process)
        yield process, port
    finally:
        process.kill()
        process.wait(30)


def _await_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            if _get(port, "/health/ready")[0] == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the server ended with {process.returncode}")


def _get(port: int, path: str) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.getheader("Connection")


class Client(threading.Thread):
    """Asks again and again on one connection, until it is told that it closes."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self.statuses: list[int] = []
        self.retry_after: str | None = None
        self.lost: OSError | http.client.HTTPException | None = None

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        headers = {"Content-Type": "application/json"}
        try:
            while True:
                connection.request("POST", "/predict", BODY, headers)
                answer = connection.getresponse()
                answer.read()
                self.statuses.append(answer.status)
                if answer.getheader("Connection") == "close":
                    self.retry_after = answer.getheader("Retry-After")
                    return
        except (OSError, http.client.HTTPException) as error:
            self.lost = error
        finally:
            connection.close()


def test_no_request_is_lost_on_sigterm(server: tuple[subprocess.Popen[bytes], int]) -> None:
    process, port = server
    clients = [Client(port) for _ in range(4)]
    for client in clients:
        client.start()
    while min(len(client.statuses) for client in clients) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    for client in clients:
        client.join(60)
    # The port is still open, and says to whoever asks that it will not be.
    assert _get(port, "/health/ready") == (503, "close")
    assert _get(port, "/health/live") == (200, "close")
    assert process.wait(60) == 0
    assert [client.lost for client in clients] == [None] * 4
    for client in clients:
        assert set(client.statuses[:-1]) == {200}
        assert client.statuses[-1] == 200 or client.retry_after == "1"
    with pytest.raises(OSError, match="refused"):
        _get(port, "/health/live")


def test_sigint_does_not_wait(server: tuple[subprocess.Popen[bytes], int]) -> None:
    process, port = server
    assert _get(port, "/health/ready")[0] == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
