"""How soon /stream answers a window after its last frame was sent: the table of docs/stream.md.

    python benchmarks/load/stream.py --streams 1 4 8 --fps 15 30

Each stream sends one frame a message at its own pace, and all streams of a row run at once against
one server. The time goes from before the window's last frame is sent until its answer was read, by
this client's clock, so the socket and the client's own share are in it. `slow` counts windows that
took longer than 100 ms; `dropped` those that the service gave up.
"""

import argparse
import asyncio
import json
import math
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from client import HOST, clip, npy_request
from rich.console import Console
from rich.table import Table
from servers import ours
from websockets.asyncio.client import ClientConnection, connect

WINDOW, STRIDE = 2.0, 0.5  # seconds
MODEL_FPS = 15.0
GOAL = 100.0  # milliseconds

console = Console(width=100)


@dataclass(kw_only=True, slots=True)
class Stream:
    """One client, and what it measured.

    Attributes:
        port: of the server.
        fps: frames per second that it sends.
        stride: seconds, in whole frames of the model.
        sent: when each frame was sent, seconds.
        milliseconds: from a window's last frame to its answer, a window each.
        num_dropped: windows that were not answered.
    """

    port: int
    fps: float
    stride: float = STRIDE
    sent: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    num_dropped: int = 0

    async def run(self, seconds: float) -> None:
        """Stream for so many seconds, and read all answers."""
        async with connect(f"ws://{HOST}:{self.port}/stream") as socket:
            hello = {"layout": "kinect20", "fps": self.fps, "window": WINDOW, "stride": STRIDE}
            await socket.send(json.dumps({"type": "hello", **hello}))
            self.stride = json.loads(await socket.recv())["stride"]
            await asyncio.gather(self._send(socket, seconds), self._read(socket))

    async def _send(self, socket: ClientConnection, seconds: float) -> None:
        frames = clip().astype("<f4")
        begun = perf_counter()
        for index in range(round(seconds * self.fps)):
            await asyncio.sleep(max(0.0, begun + index / self.fps - perf_counter()))
            self.sent.append(perf_counter())
            await socket.send(frames[index % len(frames)].tobytes())
        await socket.send(json.dumps({"type": "end"}))

    async def _read(self, socket: ClientConnection) -> None:
        async for text in socket:
            now, message = perf_counter(), json.loads(text)
            if message["type"] == "window":
                self._note(message, now)
            elif message["type"] == "dropped":
                self.num_dropped += len(message["windows"])

    def _note(self, message: dict[str, Any], now: float) -> None:
        if not math.isclose(message["start"], message["index"] * self.stride):
            return  # the end of the stream ended it, not a frame
        # It is whole with the first frame at or after the model's last one in it.
        last = math.ceil((message["end"] - 1 / MODEL_FPS) * self.fps - 1e-6)
        self.milliseconds.append(1e3 * (now - self.sent[last]))


async def run_all(port: int, *, num_streams: int, fps: float, seconds: float) -> list[Stream]:
    """All streams at once, their beginnings spread over one stride."""
    streams = [Stream(port=port, fps=fps) for _ in range(num_streams)]

    async def late(order: int, stream: Stream) -> None:
        await asyncio.sleep(STRIDE * order / num_streams)
        await stream.run(seconds)

    await asyncio.gather(*(late(*pair) for pair in enumerate(streams)))
    return streams


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--fps", type=float, nargs="+", default=[15.0, 30.0])
    parser.add_argument("--seconds", type=float, default=30.0, help="of each row")
    given = parser.parse_args()
    table = Table("streams", "fps", "windows", "median ms", "p99 ms", "slow", "dropped", "CPU %")
    request = npy_request()
    with ours(request) as server:
        for fps in given.fps:
            for num_streams in given.streams:
                before, begun = server.cpu_seconds(), perf_counter()
                streams = asyncio.run(
                    run_all(server.port, num_streams=num_streams, fps=fps, seconds=given.seconds)
                )
                share = (server.cpu_seconds() - before) / (perf_counter() - begun)
                took = np.array([ms for stream in streams for ms in stream.milliseconds])
                table.add_row(
                    str(num_streams), f"{fps:g}", str(len(took)),
                    f"{np.median(took):.1f}", f"{np.percentile(took, 99):.1f}",
                    str(int((took > GOAL).sum())),
                    str(sum(stream.num_dropped for stream in streams)),
                    f"{100 * share:.0f}",
                )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    main()
