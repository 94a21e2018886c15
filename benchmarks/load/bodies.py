"""A body of 1 GiB: what it costs the service in memory, and what the client is told.

    python benchmarks/load/bodies.py

Once with its length in the header, once in chunks that do not say; the cap is 64 MiB.
"""

import asyncio
import time

from client import HOST, Connection, npy_request
from rich.console import Console
from rich.table import Table
from servers import Server, ours

console = Console(width=120)
GIBIBYTE = 2**30
CAP = 64 * 2**20
PIECE = bytes(2**18)


def main() -> None:
    """Print one table."""
    table = Table("body", "status", "seconds", "bytes sent", "memory above idle", "of the cap")
    with ours(npy_request()) as server:
        for name, chunked in (("1 GiB, length told", False), ("1 GiB in chunks", True)):
            idle = server.rss_bytes()
            begun = time.perf_counter()
            status, sent, peak = asyncio.run(send(server, chunked))
            seconds = time.perf_counter() - begun
            extra = max(0, peak - idle)
            table.add_row(
                name,
                str(status),
                f"{seconds:.1f}",
                f"{sent:,}",
                f"{extra / 2**20:.0f} MiB",
                f"{extra / CAP:.2f}",
            )
        after = asyncio.run(Connection(server.port).ask(npy_request()))
    console.print(table)
    console.print(f"the next request: {after.status}")


async def send(server: Server, chunked: bool) -> tuple[int, int, int]:
    """Status, bytes sent until the answer came, and the largest memory seen meanwhile."""
    reader, writer = await asyncio.open_connection(HOST, server.port)
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {GIBIBYTE}"
    head = f"POST /predict?layout=kinect20&fps=30 HTTP/1.1\r\nHost: {HOST}\r\n{length}\r\n"
    writer.write(head.encode() + b"Content-Type: application/x-npy\r\n\r\n")
    answer = asyncio.create_task(reader.readline())
    sent = peak = 0
    piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE
    try:
        while sent < GIBIBYTE and not answer.done():
            writer.write(piece)
            await writer.drain()
            sent += len(PIECE)
            if sent % (16 * len(PIECE)) == 0:
                peak = max(peak, server.rss_bytes())
    except OSError:
        pass  # the service has hung up after its answer
    status = int((await answer).split()[1])
    writer.close()
    return status, sent, max(peak, server.rss_bytes())


if __name__ == "__main__":
    main()
