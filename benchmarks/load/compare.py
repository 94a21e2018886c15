"""CPU a request and throughput: our service, LitServe, and the bare calls without a server.

    python benchmarks/load/compare.py --litserve /tmp/litserve/bin/python

Ours and LitServe get the same body and run the same recogniser; they take turns. CPU is user and
system time of all a server's processes, so it holds on a machine that is not quiet; requests a
second do not.
"""

import argparse
import asyncio
import statistics
import threading
import time
from contextlib import ExitStack

import numpy as np
from client import clip, closed_loop, json_request, npy_request
from rich.console import Console
from rich.table import Table
from servers import CORES, Server, litserve, ours

from c2vl_serve import ActionRecognizer, SkeletonSequence
from c2vl_serve.recognition.bench import golden_windows
from c2vl_serve.skeleton.layout import KINECT20

console = Console(width=120)


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--litserve", help="a Python that has litserve")
    parser.add_argument("--requests", type=int, default=300, help="of each turn")
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    recognizer = ActionRecognizer.load("everyday")
    with ExitStack() as stack:
        servers = [stack.enter_context(ours(npy_request()))]
        if given.litserve:
            servers.append(stack.enter_context(litserve(npy_request(), given.litserve, CORES)))
        cpu_table(servers, recognizer, given.requests, given.turns)
        throughput_table(servers, recognizer, given.requests, given.turns)


def cpu_table(servers: list[Server], recognizer: ActionRecognizer, num: int, turns: int) -> None:
    """CPU milliseconds of a request beyond the network's own, one client."""
    asks = [(server, "npy", npy_request()) for server in servers]
    asks.append((servers[0], "nested JSON", json_request()))
    spent: dict[tuple[str, str], list[float]] = {}
    for _ in range(turns):
        bare = bare_cpu_ms(recognizer, num)
        spent.setdefault(("bare network call", ""), []).append(bare)
        for server, form, request in asks:
            before = server.cpu_seconds()
            answers = asyncio.run(closed_loop(server.port, request, clients=1, requests=num))
            assert {answer.status for answer in answers} == {200}
            cost = 1e3 * (server.cpu_seconds() - before) / num
            spent.setdefault((server.name, form), []).append(cost)
    bare = statistics.median(spent["bare network call", ""])
    table = Table("server", "body", "CPU ms a request", "above the network", title="one client")
    for (name, form), costs in spent.items():
        cost = statistics.median(costs)
        table.add_row(name, form, f"{cost:.2f}", f"{cost - bare:.2f}")
    console.print(table)


def bare_cpu_ms(recognizer: ActionRecognizer, num: int) -> float:
    """CPU milliseconds of the network alone on one window."""
    x = golden_windows(recognizer.bundle, 1)
    begun = time.process_time()
    for _ in range(num):
        recognizer.run(x)
    return 1e3 * (time.process_time() - begun) / num


def throughput_table(
    servers: list[Server], recognizer: ActionRecognizer, num: int, turns: int
) -> None:
    """Requests a second with 8 and 32 clients, beside a loop without any server."""
    rates: dict[tuple[str, int], list[float]] = {}
    for _ in range(turns):
        for clients in (8, 32):
            rates.setdefault(("in-process loop", clients), []).append(loop_rate(recognizer, num))
            for server in servers:
                begun = time.perf_counter()
                asyncio.run(closed_loop(server.port, npy_request(), clients=clients, requests=num))
                rate = num / (time.perf_counter() - begun)
                rates.setdefault((server.name, clients), []).append(rate)
    table = Table("what", "clients", "requests a second", "of the loop", title="throughput")
    for (name, clients), values in rates.items():
        ratios = np.array(values) / np.array(rates["in-process loop", clients])
        table.add_row(
            name, str(clients), f"{statistics.median(values):.0f}", f"{np.median(ratios):.2f}"
        )
    console.print(table)


def loop_rate(recognizer: ActionRecognizer, num: int) -> float:
    """Sequences a second that a thread a core recognises."""
    sequence = SkeletonSequence(joints=clip()[:, None], fps=30.0, layout=KINECT20)

    def some() -> None:
        for _ in range(num // CORES):
            recognizer.recognise(sequence)

    threads = [threading.Thread(target=some) for _ in range(CORES)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return num // CORES * CORES / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
