"""A long day, shortened: steady load, with memory and CPU over time.

    python benchmarks/load/soak.py --minutes 60

Good and bad bodies, abandoned requests and connections that come and go, from 8 clients. Memory
that grows shows in the last column: megabytes an hour, from a line through the second half.
"""

import argparse
import asyncio
import random
import time
from itertools import count

import numpy as np
from client import Ask, Connection, json_request, npy_request
from rich.console import Console
from servers import Server, ours

console = Console(width=120)
BAD = Ask(content_type="application/json", body=b'{"joints": [[[0, NaN]]]}').spelled_out()


def main() -> None:
    """Print a line a minute, and the slope."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.02, help="seconds between requests")
    given = parser.parse_args()
    with ours(npy_request()) as server:
        asyncio.run(soak(server, given.minutes * 60, given.clients, given.pause))


async def soak(server: Server, seconds: float, clients: int, pause: float) -> None:
    """Ask for so long; every minute, or twentieth of the time, say what was seen."""
    statuses: dict[int, int] = {}
    end = time.monotonic() + seconds
    asking = [
        asyncio.create_task(ask_until(server.port, end, pause, statuses, random.Random(seed)))
        for seed in range(clients)
    ]
    seen: list[tuple[float, float]] = []
    every = min(60.0, seconds / 20)
    console.print("seconds   RSS MB   CPU s   answers")
    for step in count(1):
        await asyncio.sleep(every)
        at, rss = step * every, server.rss_bytes() / 1e6
        seen.append((at, rss))
        console.print(f"{at:7.0f} {rss:8.1f} {server.cpu_seconds():7.1f}   {statuses}")
        if time.monotonic() >= end:
            break
    await asyncio.gather(*asking)
    half = np.array(seen[len(seen) // 2 :])
    slope = np.polyfit(half[:, 0] / 3600, half[:, 1], 1)[0]
    console.print(f"memory in the second half: {slope:+.1f} MB an hour")


async def ask_until(
    port: int, end: float, pause: float, statuses: dict[int, int], draw: random.Random
) -> None:
    """One client: mostly good requests; some bad, some given up, some on a new connection."""
    connection = Connection(port)
    good = (npy_request(), json_request())
    while time.monotonic() < end:
        kind = draw.random()
        try:
            if kind < 0.05:
                await asyncio.wait_for(connection.ask(good[0]), 0.001)
            answer = await connection.ask(BAD if kind > 0.9 else draw.choice(good))
            statuses[answer.status] = statuses.get(answer.status, 0) + 1
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            connection.close()
            statuses[0] = statuses.get(0, 0) + 1
        if 0.05 <= kind < 0.1:
            connection.close()
        await asyncio.sleep(pause)


if __name__ == "__main__":
    main()
