"""Turnstile: how many short requests may be read, and wait for their turn, at the same time.

Reading costs the event loop as much as everything around it. Whoever hangs up before the
turnstile has cost a fraction of that, and the next request does not stand behind forty who left.
One passes in each turn of the event loop, so that connections are looked at in between.
"""

import asyncio
from collections import deque
from types import TracebackType

from starlette.types import Receive

from c2vl_serve.service.lanes import unless_gone
from c2vl_serve.service.peers import HasLeft, gone, never


class Place:
    """A place inside, given back once: at the latest where the ``with`` block ends."""

    def __init__(self, turnstile: "Turnstile | None" = None) -> None:
        self._turnstile = turnstile

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Let the next one in."""
        turnstile, self._turnstile = self._turnstile, None
        if turnstile is not None:
            turnstile.leave()


class Turnstile:
    """Lets so many in at a time, in order of arrival; for one event loop.

    Args:
        places: requests inside at most; enough of them that the network never waits for one.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._is_passing = False  # in this turn of the loop somebody does
        self._waiting: deque[tuple[asyncio.Future[None], HasLeft]] = deque()

    @property
    def num_waiting(self) -> int:
        """Requests before the turnstile."""
        return len(self._waiting)

    async def enter(
        self, *, receive: Receive, deadline: float | None, has_left: HasLeft = never
    ) -> Place:
        """Wait for a place.

        Args:
            receive: of the request, after its body; tells when the client goes.
            deadline: on the loop's clock, or None.
            has_left: whether the client is gone, looked at before it is let in.

        Raises:
            Problem: 499 when the client went, 503 when the deadline passed.
        """
        if has_left():
            raise gone()
        if self._free and not self._is_passing and not self._waiting:
            self._pass()
            return Place(self)
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((given, has_left))
        try:
            await unless_gone(given, receive, deadline)
        except BaseException:
            if given.done() and not given.cancelled() and given.exception() is None:
                self.leave()  # it was given in the same moment
            given.cancel()
            raise
        return Place(self)

    def leave(self) -> None:
        """A place is free."""
        self._free += 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._free and not self._is_passing:
            given, has_left = self._waiting.popleft()
            if given.done():
                continue
            if has_left():
                given.set_exception(gone())
            else:
                self._pass()
                given.set_result(None)

    def _pass(self) -> None:
        self._free -= 1
        self._is_passing = True
        asyncio.get_running_loop().call_soon(self._passed)

    def _passed(self) -> None:
        self._is_passing = False
        self._let_in()
