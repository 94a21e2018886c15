"""RequestLog: pure ASGI middleware that names, counts and logs each request.

It stands before every other middleware, so that refusals are seen too.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from c2vl_serve.service.headers import header
from c2vl_serve.service.metrics import Metrics
from c2vl_serve.service.problems import CLIENT_GONE
from c2vl_serve.service.request_ids import HEADER, REQUEST_ID, chosen_id

logger = logging.getLogger(__name__)

# Asked every few seconds by machines; in the log only when something is wrong with them.
QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})
ABOUT = "about"  # in a request's state: what its line in the log should tell besides
_NAME = HEADER.encode()
UNROUTED = "none"  # answered before, or without, a route
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})


class RequestLog:
    """Gives each request an id, answers with it, and tells metrics and log what came of it.

    The log holds the route's template, never the path itself: a path may hold anything.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; whatever ends it, it is counted once."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = chosen_id(header(scope, _NAME))
        about: dict[str, Any] = {}
        scope.setdefault("state", {}).update({"request_id": request_id, ABOUT: about})
        REQUEST_ID.set(request_id)
        answer = _Answer(send=send, request_id=request_id, about=about)
        begun = time.perf_counter()
        with self._metrics.in_flight(scope["type"]):
            try:
                await self._app(scope, receive, answer)
            except Exception:
                answer.status = answer.status or 500
                raise
            finally:
                self._tell(scope, answer, time.perf_counter() - begun)

    def _tell(self, scope: Scope, answer: "_Answer", seconds: float) -> None:
        method, route = method_of(scope), route_of(scope)
        status = answer.status or CLIENT_GONE
        self._metrics.answered(method, route, status, seconds)
        level = logging.DEBUG if route in QUIET and status < 400 else logging.INFO
        fields = {
            "method": method,
            "route": route,
            "status": status,
            "ms": round(1000 * seconds, 1),
            "bytes": answer.num_bytes,
            **answer.about,
        }
        logger.log(level, "answered", extra=fields)


@dataclass(kw_only=True, slots=True)
class _Answer:
    """An ASGI ``send`` that adds the id and remembers status and size."""

    send: Send
    request_id: str
    about: dict[str, Any]
    status: int = 0
    num_bytes: int = 0

    async def __call__(self, message: Message) -> None:
        kind = message["type"].removeprefix("websocket.")
        if kind in ("http.response.start", "accept"):
            # A list of its own: that of a refusal lies ready for the next request.
            named = (_NAME, self.request_id.encode("latin-1"))
            message["headers"] = [*message.get("headers", ()), named]
            self.status = message.get("status", 101)
        elif kind == "http.response.body":
            self.num_bytes += len(message.get("body", b""))
        elif kind == "close" and not self.status:
            self.status = 403  # what a server answers to a WebSocket that is closed unopened
        await self.send(message)


def method_of(scope: Scope) -> str:
    """The method, one of a known few; clients may invent as many as they like."""
    method = scope.get("method", "WEBSOCKET")
    return method if method in _METHODS else "OTHER"


def route_of(scope: Scope) -> str:
    """The template of the route that was taken, such as ``/gallery/actions/{name}``."""
    route = scope.get("route")
    if route is not None:
        return route.path
    endpoint = scope.get("endpoint")
    routes: list[BaseRoute] = scope["app"].routes if endpoint is not None else []
    return next((path for route in routes if (path := _path(route, endpoint))), UNROUTED)


def _path(route: Any, endpoint: object) -> str | None:
    """The route's path if it leads there; FastAPI marks its own routes only."""
    leads = getattr(route, "endpoint", None) or getattr(route, "app", None)
    return (route.path or "/") if leads is endpoint else None
