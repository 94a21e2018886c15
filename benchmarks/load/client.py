"""A client that costs little: HTTP/1.1 on asyncio streams, one request at a time."""

import asyncio
import io
import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

HOST = "127.0.0.1"  # loads go to this machine only


class Answer(NamedTuple):
    """What came back, and after how many seconds."""

    status: int
    seconds: float
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """A request, spelled out once."""

    content_type: str
    body: bytes
    path: str = "/predict"
    extra: str = ""  # header lines, each with its \\r\\n

    def spelled_out(self) -> bytes:
        """The bytes on the wire."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {self.content_type}\r\n"
            f"{self.extra}Content-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


class Connection:
    """One keep-alive connection; opened by the first request, and again after it was closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> Answer:
        """Send a request as it is, and wait for its whole answer."""
        begun = time.perf_counter()
        if self._writer is None or self._reader is None or self._is_closed():
            self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.close()
        return Answer(int(head[0].split()[1]), time.perf_counter() - begun, headers, body)

    def _is_closed(self) -> bool:
        """By either side: a server may end a connection that nobody used for a while."""
        assert self._writer is not None
        assert self._reader is not None
        return self._writer.is_closing() or self._reader.at_eof()

    def close(self) -> None:
        """Hang up, whatever is under way."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def clip() -> np.ndarray:
    """Two seconds of somebody who waves, 60 frames of Kinect's 20 joints: ``T V 3``, metres."""
    rng = np.random.default_rng(0)
    body = rng.normal(0, 0.3, (20, 3)).astype(np.float32)
    t = np.linspace(0, 2, 60, dtype=np.float32)[:, None]
    joints = np.repeat(body[None], len(t), axis=0)
    joints[:, 4:8, 0] += 0.3 * np.sin(9 * t)
    return joints


def npy_request(extra: str = "") -> bytes:
    """The clip as ``.npy``, to ``/predict``."""
    out = io.BytesIO()
    np.save(out, clip())
    path = "/predict?layout=kinect20&fps=30"
    ask = Ask(content_type="application/x-npy", body=out.getvalue(), path=path, extra=extra)
    return ask.spelled_out()


def json_request() -> bytes:
    """The clip as nested JSON, to ``/predict``."""
    import orjson

    values = {"joints": clip().tolist(), "layout": "kinect20", "fps": 30}
    return Ask(content_type="application/json", body=orjson.dumps(values)).spelled_out()


async def closed_loop(port: int, request: bytes, *, clients: int, requests: int) -> list[Answer]:
    """So many clients ask one after the other until so many requests were answered."""
    left = requests
    answers: list[Answer] = []

    async def one() -> None:
        nonlocal left
        connection = Connection(port)
        while left > 0:
            left -= 1
            answers.append(await connection.ask(request))
        connection.close()

    await asyncio.gather(*[one() for _ in range(clients)])
    return answers
