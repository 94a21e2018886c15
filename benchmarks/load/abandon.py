"""Forty clients ask and hang up: how soon the forty-first is answered, in batches.

    python benchmarks/load/abandon.py

The aim: within two batches. How long a batch takes is the median of full ones that run in this
process, on as many threads as the service has.
"""

import argparse
import asyncio
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from client import HOST, Connection, closed_loop, npy_request
from rich.console import Console
from rich.table import Table
from servers import CORES, Server, ours

from c2vl_serve import ActionRecognizer
from c2vl_serve.recognition.bench import golden_windows
from c2vl_serve.service.engine import CPU_BATCH

console = Console(width=120)
AIM = 2.0  # batches


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--turns", type=int, default=10)
    given = parser.parse_args()
    request = npy_request()
    batch = batch_seconds()
    with ours(request, max_skeleton_wait="30") as server:
        alone = asyncio.run(closed_loop(server.port, request, clients=1, requests=50))
        before, windows, cpu = counts(server)
        after = [asyncio.run(turn(server.port, request, given.clients)) for _ in range(given.turns)]
        batches, run, cost = (
            (late - early) / given.turns
            for late, early in zip(counts(server), (before, windows, cpu), strict=True)
        )
    usual = statistics.median(answer.seconds for answer in alone)
    last = statistics.median(after)
    table = Table("what", "figure", title=f"{given.clients} abandoned requests, then one")
    table.add_row("a request on an idle service", f"{1e3 * usual:.1f} ms")
    table.add_row(f"a batch of {CPU_BATCH} windows", f"{1e3 * batch:.1f} ms")
    table.add_row("the one after, median", f"{1e3 * last:.1f} ms")
    table.add_row("the one after, slowest", f"{1e3 * max(after):.1f} ms")
    table.add_row(f"windows run, of {given.clients + 1}", f"{run:.1f} in {batches:.1f} calls")
    table.add_row("CPU of all of a turn", f"{1e3 * cost:.0f} ms")
    console.print(table)
    verdict = "reached" if last <= AIM * batch else "missed"
    console.print(f"the one after, in batches: {last / batch:.2f}; aim {AIM:g}: {verdict}")


def batch_seconds() -> float:
    """What a full batch takes while every core runs one."""
    recognizer = ActionRecognizer.load("everyday")
    x = np.repeat(golden_windows(recognizer.bundle, 1), CPU_BATCH, axis=0)

    def one(_: int) -> float:
        begun = time.perf_counter()
        recognizer.run(x)
        return time.perf_counter() - begun

    with ThreadPoolExecutor(CORES) as pool:
        return statistics.median(pool.map(one, range(50)))


def counts(server: Server) -> tuple[float, float, float]:
    """Calls of the network, windows in them, and seconds of CPU, so far."""
    calls, windows = (server.metric(f"c2vl_batch_windows_{what}") for what in ("count", "sum"))
    return calls, windows, server.cpu_seconds()


async def turn(port: int, request: bytes, clients: int) -> float:
    """Seconds of the request that comes after so many were sent and given up."""
    leaving = [await asyncio.open_connection(HOST, port) for _ in range(clients)]
    for _, writer in leaving:
        writer.write(request)
    await asyncio.gather(*[writer.drain() for _, writer in leaving])
    for _, writer in leaving:
        writer.close()
    last = Connection(port)
    answer = await last.ask(request)
    last.close()
    assert answer.status == 200, answer.body
    await asyncio.sleep(0.5)
    return answer.seconds


if __name__ == "__main__":
    main()
