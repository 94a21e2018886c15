"""Four times more than it can do, open loop: goodput, and how long yes and no take.

    python benchmarks/load/overload.py

First a closed loop finds what the service can do, then requests come at four times that rate
whether or not earlier ones were answered, on as many connections as that takes.
"""

import argparse
import asyncio
import time
from collections import Counter

import numpy as np
import uvloop
from client import Answer, Connection, closed_loop, npy_request
from rich.console import Console
from rich.table import Table
from servers import ours

console = Console(width=120)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--times", type=float, default=4.0)
    given = parser.parse_args()
    request = npy_request()
    with ours(request) as server:
        begun = time.perf_counter()
        asyncio.run(closed_loop(server.port, request, clients=8, requests=400))
        capacity = 400 / (time.perf_counter() - begun)
        rate = given.times * capacity
        faults: Counter[str] = Counter()
        # On the faster loop, so that it is the service which is measured and not the client.
        answers = uvloop.run(open_loop(server.port, request, rate, given.seconds, faults))
    accepted = [a.seconds for a in answers if a.status == 200]
    rejected = [a.seconds for a in answers if a.status == 503]
    table = Table("what", "figure", title=f"{rate:.0f} requests a second for {given.seconds:g} s")
    table.add_row("capacity, closed loop of 8", f"{capacity:.0f} a second")
    table.add_row("goodput", f"{len(accepted) / given.seconds / capacity:.2f} of capacity")
    table.add_row("answered 200 / 503 / else", _counts(answers))
    for fault, count in faults.items():
        table.add_row(fault, str(count))
    table.add_row("accepted, p50 and p99", _quantiles(accepted))
    table.add_row("rejected, p50 and p99", _quantiles(rejected))
    console.print(table)


async def open_loop(
    port: int, request: bytes, rate: float, seconds: float, faults: Counter[str]
) -> list[Answer]:
    """Send at a fixed rate; an idle connection is used again, and else a new one is opened.

    What got no answer is counted by its error.
    """
    idle: list[Connection] = []
    answers: list[Answer] = []

    async def one() -> None:
        connection = idle.pop() if idle else Connection(port)
        try:
            answers.append(await connection.ask(request))
            idle.append(connection)
        except (OSError, asyncio.IncompleteReadError) as error:
            faults[repr(error)[:60]] += 1
            answers.append(Answer(0, 0.0, {}, b""))

    tasks: list[asyncio.Task[None]] = []
    begun = time.perf_counter()
    while (now := time.perf_counter() - begun) < seconds:
        tasks += [asyncio.create_task(one()) for _ in range(int(now * rate) - len(tasks))]
        await asyncio.sleep(0.002)
    await asyncio.gather(*tasks)
    for connection in idle:
        connection.close()
    return answers


def _counts(answers: list[Answer]) -> str:
    yes, no = (sum(a.status == status for a in answers) for status in (200, 503))
    return f"{yes} / {no} / {len(answers) - yes - no}"


def _quantiles(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    return " and ".join(f"{1e3 * q:.0f} ms" for q in np.quantile(seconds, [0.5, 0.99]))


if __name__ == "__main__":
    main()
