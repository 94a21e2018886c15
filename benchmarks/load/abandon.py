"""Forty clients ask and hang up: how soon the forty-first is answered, in batches.

python benchmarks/load/abandon.py
"""

import argparse
import asyncio
import statistics

from client import HOST, Connection, closed_loop, npy_request
from rich.console import Console
from rich.table import Table
from servers import ours

console = Console(width=120)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--turns", type=int, default=10)
    given = parser.parse_args()
    request = npy_request()
    with ours(request, max_skeleton_wait="30") as server:
        alone = asyncio.run(closed_loop(server.port, request, clients=1, requests=50))
        before = server.cpu_seconds()
        after = [asyncio.run(turn(server.port, request, given.clients)) for _ in range(given.turns)]
        cost = 1e3 * (server.cpu_seconds() - before) / given.turns
    usual = statistics.median(answer.seconds for answer in alone)
    table = Table("what", "figure", title=f"{given.clients} abandoned requests, then one")
    table.add_row("a request on an idle service", f"{1e3 * usual:.1f} ms")
    table.add_row("the one after, median", f"{1e3 * statistics.median(after):.1f} ms")
    table.add_row("in requests", f"{statistics.median(after) / usual:.1f}")
    table.add_row("CPU of all of a turn", f"{cost:.0f} ms")
    console.print(table)


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
