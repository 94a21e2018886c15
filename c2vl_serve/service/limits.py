"""BodyGuard: pure ASGI middleware that bounds bodies in size, in time, and all of them together.

A body that its Content-Length calls too large is refused before it is read; one that lies, or
comes in chunks, is refused at the byte that is too much. Deadlines are the loop's clock, seconds.
"""

import asyncio
import math
from contextlib import ExitStack
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from c2vl_serve.service.headers import header
from c2vl_serve.service.problems import Problem, busy
from c2vl_serve.service.settings import ServiceSettings
from c2vl_serve.service.spool import SPOOLED

TIMEOUT_HEADER = b"x-request-timeout"


class BodyGuard:
    """413 for a body too large, 408 for one too slow, 503 when all together are too much.

    Where the client sent ``X-Request-Timeout: SECONDS``, ``scope["state"]["deadline"]`` is when
    it stops waiting, and None otherwise.
    """

    def __init__(self, app: ASGIApp, *, settings: ServiceSettings) -> None:
        self._app = app
        self._settings = settings
        self._held = _Held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a guarded ``receive``, or answer it without reading."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check_length(header(scope, b"content-length") or "0")
            deadline = _deadline(header(scope, TIMEOUT_HEADER))
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        spooled = ExitStack()
        scope.setdefault("state", {}).update({"deadline": deadline, SPOOLED: spooled})
        guarded = _GuardedReceive(
            receive=receive, settings=self._settings, deadline=deadline, held=self._held
        )
        try:
            await self._app(scope, guarded, send)
        finally:
            spooled.close()
            self._held.num_bytes -= guarded.received

    def _check_length(self, length: str) -> None:
        if not length.isdecimal():
            raise Problem(400, f"Content-Length is {length[:20]!r}; expected a number of bytes")
        if int(length[:20]) > self._settings.max_body_bytes:
            raise too_large(f"the body has {length[:20]} bytes", self._settings.max_body_bytes)


def too_large(what: str, max_bytes: int) -> Problem:
    """413, with the limit in it."""
    return Problem(
        413, f"{what}; at most {max_bytes} are accepted: shorten or compress it, or send parts"
    )


@dataclass(slots=True)
class _Held:
    """Bytes of the bodies of all requests that are not answered yet."""

    num_bytes: int = 0


@dataclass(kw_only=True, slots=True)
class _GuardedReceive:
    """An ASGI ``receive`` that counts bytes and time until the body is whole."""

    receive: Receive
    settings: ServiceSettings
    deadline: float | None
    held: _Held
    received: int = 0
    begun: float = 0.0
    whole: bool = False

    async def __call__(self) -> Message:
        if self.whole:
            return await self.receive()
        self.begun = self.begun or asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(self._due()):
                message = await self.receive()
        except TimeoutError:
            raise Problem(
                408,
                f"the body came too slowly: {self.received} bytes so far; a body has "
                f"{self.settings.body_seconds:g} s, at no less than {self.settings.body_min_rate} "
                "bytes a second, and no longer than X-Request-Timeout",
            ) from None
        if message["type"] == "http.request":
            self._count(len(message.get("body", b"")))
            self.whole = not message.get("more_body", False)
        return message

    def _count(self, num_bytes: int) -> None:
        self.received += num_bytes
        self.held.num_bytes += num_bytes
        if self.received > self.settings.max_body_bytes:
            raise too_large(
                f"the body goes on after {self.received} bytes", self.settings.max_body_bytes
            )
        if self.held.num_bytes > self.settings.max_held_bytes:
            raise busy("the service holds as many requests as it can; try again later", 1.0)

    def _due(self) -> float:
        """When the next bytes must be here, by the whole time and by the rate so far."""
        settings = self.settings
        at_rate = settings.body_grace_seconds + self.received / settings.body_min_rate
        due = self.begun + min(settings.body_seconds, at_rate)
        return due if self.deadline is None else min(due, self.deadline)


def _deadline(value: str | None) -> float | None:
    """When a client that wrote this header stops waiting."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise Problem(
            400, f"X-Request-Timeout is {value[:20]!r}; expected seconds, more than 0, such as 2.5"
        )
    return asyncio.get_running_loop().time() + seconds
