"""Lane: a bounded thread pool whose queue is bounded by estimated wait, not by count.

There is one for skeletons that are long and one for videos, so that neither blocks the event loop
and a video of a minute never stands before a skeleton of a millisecond.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar

from starlette.types import Receive

from c2vl_serve.service.peers import gone
from c2vl_serve.service.problems import busy

T = TypeVar("T")
Work: TypeAlias = Callable[[threading.Event], T]  # the event: nobody waits any more

_LEARNING_RATE = 0.2  # of the seconds that one piece of work takes
_MAX_SURPRISE = 4.0  # times the estimate: what one piece of work counts for at most


class Lane:
    """Runs work in threads; refuses what would wait too long, drops what nobody waits for.

    Args:
        name: of what it does, for messages and threads.
        workers: threads.
        max_wait: estimated seconds that work may wait before it starts.
        first_guess: seconds that one piece of work takes, until some was measured.
    """

    def __init__(self, name: str, *, workers: int, max_wait: float, first_guess: float) -> None:
        self.name = name
        self._workers = workers
        self.max_wait = max_wait
        self._seconds = first_guess
        self._pending = 0  # waiting or running
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=f"c2vl-{name}")

    @property
    def depth(self) -> int:
        """Pieces of work that wait or run."""
        return self._pending

    @property
    def estimated_wait(self) -> float:
        """Seconds until work that came now would start."""
        ahead = self._pending - self._workers + 1
        return max(0, ahead) * self._seconds / self._workers

    async def run(self, work: Work[T], *, receive: Receive, deadline: float | None) -> T:
        """The result of ``work``, run in a thread.

        Args:
            work: what to do; it is not started once the client is gone or the deadline passed,
                and its event is set when that happens while it runs.
            receive: of the request, after its body; tells when the client goes.
            deadline: on the loop's clock, or None.

        Raises:
            Problem: 503 when the wait would be, or was, too long; 499 when the client went.
        """
        abandoned = threading.Event()
        future = self._submit(lambda: work(abandoned), deadline)
        result = asyncio.wrap_future(future)
        left = asyncio.create_task(disconnected(receive))
        either: set[asyncio.Future[Any]] = {result, left}
        try:
            await _first(either, self._longest_wait(deadline))
            if future.running():
                await _first(either, remaining(deadline))
            if result.done():
                return result.result()
            if left.done():
                raise gone()
            if remaining(deadline) == 0:
                raise busy("X-Request-Timeout passed before the answer was ready", self._seconds)
            raise busy(
                f"{self.name} requests did not start within {self.max_wait:g} s; try again later",
                self.max_wait,
            )
        finally:
            abandoned.set()
            result.cancel()  # and what it waits for, if that has not started
            left.cancel()
            await asyncio.gather(left, return_exceptions=True)

    def _longest_wait(self, deadline: float | None) -> float:
        """Seconds until work that has not started is given up, whatever was estimated."""
        left = remaining(deadline)
        return self.max_wait if left is None else min(self.max_wait, left)

    def close(self) -> None:
        """Drop what waits, finish what runs."""
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, work: Callable[[], T], deadline: float | None) -> Future[T]:
        wait, left = self.estimated_wait, remaining(deadline)
        if wait > self.max_wait or (left is not None and wait > left):
            raise busy(
                f"{self.name} requests would wait about {wait:.1f} s now, longer than "
                f"{'the request allows' if wait <= self.max_wait else f'{self.max_wait:g} s'}; "
                "try again later",
                wait,
            )
        with self._lock:
            self._pending += 1
        future = self._pool.submit(self._timed, work)
        future.add_done_callback(self._finished)
        return future

    def _timed(self, work: Callable[[], T]) -> T:
        begun = time.perf_counter()
        try:
            return work()
        finally:
            # One giant among dwarfs must not make the lane refuse dwarfs.
            seconds = min(time.perf_counter() - begun, _MAX_SURPRISE * self._seconds)
            self._seconds += _LEARNING_RATE * (seconds - self._seconds)

    def _finished(self, future: Future[T]) -> None:
        with self._lock:
            self._pending -= 1


def remaining(deadline: float | None) -> float | None:
    """Seconds until ``deadline`` on the loop's clock, at least 0; None where there is none."""
    if deadline is None:
        return None
    return max(0.0, deadline - asyncio.get_running_loop().time())


async def _first(either: set[asyncio.Future[Any]], timeout: float | None) -> None:
    await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)


async def disconnected(receive: Receive) -> None:
    """Return once the client has gone; to be called after the body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(done: asyncio.Future[None], receive: Receive, deadline: float | None) -> None:
    """Wait for ``done``, as long as the client does.

    Raises:
        Problem: 499 when the client went, 503 when the deadline passed; or what ``done`` raises.
    """
    left = asyncio.ensure_future(disconnected(receive))
    either: tuple[asyncio.Future[None], ...] = (done, left)
    try:
        await asyncio.wait(either, timeout=remaining(deadline), return_when=asyncio.FIRST_COMPLETED)
        # First whether anybody is there: what is granted to those who left is work for nobody.
        if left.done():
            if done.done() and not done.cancelled():
                done.exception()  # seen, and of no interest any more
            raise gone()
        if done.done():
            done.result()
        else:
            raise busy("X-Request-Timeout passed before the answer was ready", 1.0)
    finally:
        left.cancel()
