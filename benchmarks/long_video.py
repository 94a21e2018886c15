"""What a long video costs in memory: the table of docs/timeline.md.

    python benchmarks/long_video.py --clip ../shared/data/videos/clips/NAME.mp4 --minutes 1 10

Each length is sent to a server of its own, started for it with one pose worker and with
`C2VL_MAX_VIDEO_SECONDS` raised. Memory is the most that the kernel ever counted as resident
(VmHWM, Linux). The video is the clip, repeated without encoding it again.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import httpx2 as httpx
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


def measure(video: Path, seconds: float) -> list[str]:
    """One row: the video and what it took."""
    with server(seconds) as (address, pid):
        begun = time.perf_counter()
        answer = httpx.post(
            f"{address}/predict",
            content=video.read_bytes(),
            headers={"content-type": "video/mp4"},
            params={"persons": "1", "top_k": "1"},
            timeout=HOURS,
        )
        wall = time.perf_counter() - begun
        answer.raise_for_status()
        worker = max(peak(child) for child in children(pid))
        whole = peak(pid)
    got = answer.json()
    windows = sum(len(person["windows"]) for person in got["persons"])
    return [
        f"{seconds / 60:g}",
        f"{video.stat().st_size / MEBIBYTE:.1f}",
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
    parser.add_argument("--clip", type=Path, required=True, help="one that shows a person")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 10.0])
    arguments = parser.parse_args()
    table = Table(
        "minutes", "file MiB", "frames used", "windows", "server MiB", "pose worker MiB",
        "both MiB", "seconds",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for minutes in arguments.minutes:
            video = Path(folder) / f"{minutes:g}.mp4"
            repeat(arguments.clip, 60 * minutes, video)
            table.add_row(*measure(video, 60 * minutes))
            console.print(table.rows and f"{minutes:g} minutes done")
    console.print(table)


if __name__ == "__main__":
    main()
