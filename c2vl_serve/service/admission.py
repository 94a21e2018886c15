"""Admission: pure ASGI middleware that refuses what would wait too long, before its body is read.

The Content-Type tells which queue a request will stand in. A refusal is made of bytes that lie
ready, because an overloaded service has better things to do than to compose them. They are the
same for all, so a request's id stands in the header only.
"""

import asyncio
import math
from functools import lru_cache

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from c2vl_serve.service.headers import media_type
from c2vl_serve.service.lanes import remaining
from c2vl_serve.service.peers import gone, has_left
from c2vl_serve.service.problems import busy
from c2vl_serve.service.state import ServiceState

RESTARTING = 1012  # what RFC 6455's registry calls a WebSocket's end on "Service Restart"


class Admission:
    """503 with a computed ``Retry-After`` for what would wait too long, or comes while draining.

    The state is ``scope["app"].state.service``. Answers that are sent while the service drains
    carry ``Connection: close``, so that clients look for another server; a request that is given
    up then is told so, too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it without reading its body."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        state: ServiceState = scope["app"].state.service
        if scope["type"] == "websocket":
            if state.is_draining:
                await send({"type": "websocket.close", "code": RESTARTING})
            else:
                await self._app(scope, receive, send)
            return

        has_begun = False

        async def send_and_close(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            if state.is_draining and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        if scope["method"] == "POST":
            refusal = _refusal_of(state, scope)
            if refusal is not None:
                state.num_refused += 1
                await refusal(scope, receive, send_and_close)
                return
        try:
            await self._app(scope, receive, send_and_close)
        except asyncio.CancelledError:
            # The server gives up what did not end within ``finish_seconds``.
            if has_begun or not state.is_draining:
                raise
            await _draining()(scope, receive, send_and_close)


def _refusal_of(state: ServiceState, scope: Scope) -> Response | None:
    """The 503 that this request gets, or None where it may come in."""
    if has_left(scope)():
        return gone().response()  # read by nobody; nor is the body
    if state.is_draining:
        return _draining()
    left = remaining(scope["state"].get("deadline"))
    waits = []
    for name, wait, max_wait in state.waits(media_type(scope)):
        allowed = max_wait if left is None else min(max_wait, left)
        if wait <= allowed:
            return None
        waits.append((wait, name, allowed))
    if not waits:
        return None
    wait, name, allowed = min(waits)
    return _too_long(name, float(math.ceil(wait)), round(allowed, 1))


@lru_cache(maxsize=256)
def _too_long(name: str, seconds: float, allowed: float) -> Response:
    return busy(
        f"{name} requests would wait longer than {allowed:g} s now; try again in {seconds:g} s",
        seconds,
    ).shared_response()


@lru_cache(maxsize=1)
def _draining() -> Response:
    problem = busy("this server is stopping; send it again, to another or in a moment", 1.0)
    return problem.shared_response()
