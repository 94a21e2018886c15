"""What a long video costs in memory: the table of docs/timeline.md.

    python benchmarks/long_video.py --clip ../shared/data/videos/clips/NAME.mp4 --minutes 1 10
    python benchmarks/long_video.py --minutes 1 10

The second sends as long a skeleton instead, at the rate of poses: what is left of the work is the
server's own, and takes seconds instead of minutes. Each length is sent to a server of its own,
started for it with one pose worker and with `C2VL_MAX_VIDEO_SECONDS` raised. Memory is the most
that the kernel ever counted as resident (VmHWM, Linux). The video is the clip, repeated without
encoding it again.
"""

import argparse
import io
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import httpx2 as httpx
import numpy as np
from rich.console import Console
from rich.table import Table

MEBIBYTE = 2**20
HOURS = 6 * 3600.0  # on a busy machine; nothing here is about speed

console = Console(width=120)


def repeat(clip: Path, seconds: float, path: Path) -> None:
    """Write the clip's packets again and again until they fill ``seconds``."""
    with av.open(clip) as source, av.open(path, "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.dts is not None]
        assert stream.time_base is not None
        length = packets[-1].dts - packets[0].dts + (packets[-1].duration or 1)
        rounds = -(-seconds // float(length * stream.time_base))
        for turn in range(int(rounds)):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.dts is None or packet.pts is None:
                    continue
                packet.dts += turn * length
                packet.pts += turn * length
                if packet.pts * stream.time_base < seconds:
                    packet.stream = copy
                    target.mux(packet)


def padded(video: bytes, mebibytes: float) -> bytes:
    """The same MP4 with a box behind it that players skip, so that it is as large as that."""
    missing = max(0, int(mebibytes * MEBIBYTE) - len(video))
    return (
        video if missing < 8 else video + struct.pack(">I4s", missing, b"free") + bytes(missing - 8)
    )


@contextmanager
def server(seconds: float) -> Iterator[tuple[str, int]]:
    """A server that takes videos this long; its address and process number."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "C2VL_MAX_VIDEO_SECONDS": str(seconds + 10),
        "C2VL_POSE_TIMEOUT": str(HOURS),
        "C2VL_POSE_WORKERS": "1",
    }
    command = "from c2vl_serve.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "run", "--port", str(port)],
        env={**os.environ, **settings},
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        await_ready(address)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(60)


def await_ready(address: str) -> None:
    """Return once the server answers."""
    for _ in range(1200):
        try:
            if httpx.get(f"{address}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"{address} did not become ready")


def peak(pid: int) -> float:
    """The most memory that a process ever had resident, MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / MEBIBYTE


def children(pid: int) -> list[int]:
    """Process numbers of a process's children, whichever of its threads started them."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text(encoding="ascii").split()]


def skeleton(seconds: float) -> bytes:
    """A ``.npy`` of somebody in MediaPipe's layout who moves at random, 15 frames per second."""
    steps = np.random.default_rng(0).normal(scale=0.02, size=(round(15 * seconds), 1, 33, 3))
    out = io.BytesIO()
    np.save(out, (np.sin(np.cumsum(steps, axis=0))).astype(np.float32))
    return out.getvalue()


def measure(body: bytes, content_type: str, seconds: float) -> list[str]:
    """One row: the input and what it took."""
    as_video = content_type.startswith("video")
    about = {} if as_video else {"layout": "mediapipe33", "fps": "15"}
    with server(seconds) as (address, pid):
        begun = time.perf_counter()
        answer = httpx.post(
            f"{address}/predict",
            content=body,
            headers={"content-type": content_type},
            params={"persons": "1", "top_k": "1", **about},
            timeout=HOURS,
        )
        wall = time.perf_counter() - begun
        answer.raise_for_status()
        worker = max((peak(child) for child in children(pid)), default=0.0) if as_video else 0.0
        whole = peak(pid)
    got = answer.json()
    windows = sum(len(person["windows"]) for person in got["persons"])
    return [
        f"{seconds / 60:g}",
        f"{len(body) / MEBIBYTE:.1f}",
        str(got["frames"]["used"]),
        str(windows),
        f"{whole:.0f}",
        f"{worker:.0f}",
        f"{whole + worker:.0f}",
        f"{wall:.0f}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, help="one that shows a person")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--body-mib", type=float, default=0.0, help="pad a smaller MP4 to this")
    arguments = parser.parse_args()
    table = Table(
        "minutes", "body MiB", "frames used", "windows", "server MiB", "pose worker MiB",
        "both MiB", "seconds",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for minutes in arguments.minutes:
            seconds = 60 * minutes
            if arguments.clip is None:
                row = measure(skeleton(seconds), "application/x-npy", seconds)
            else:
                video = Path(folder) / f"{minutes:g}.mp4"
                repeat(arguments.clip, seconds, video)
                body = padded(video.read_bytes(), arguments.body_mib)
                row = measure(body, "video/mp4", seconds)
            table.add_row(*row)
            console.print(" ".join(row))  # the next may take long
    console.print(table)


if __name__ == "__main__":
    main()
