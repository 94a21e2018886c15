"""RateLimit: pure ASGI middleware that keeps one client from taking everybody's share.

A token bucket and a count of requests in progress, for each API key, or for each client address
where the service asks for no keys. Both are off unless set.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from c2vl_serve.service.keys import OPEN_PATHS
from c2vl_serve.service.problems import Problem
from c2vl_serve.service.settings import ServiceSettings

# Clients remembered; whoever was quiet longest is forgotten first, and starts with a full bucket.
_MAX_CLIENTS = 10_000
_RETRY_CONCURRENT = 1.0  # seconds; when another request ends is not known


@dataclass(slots=True)
class _Client:
    """What one client has left."""

    tokens: float
    seen: float  # seconds, on the clock
    in_progress: int = 0


class RateLimit:
    """429 with ``Retry-After`` for a client beyond its rate or its number of requests at once.

    Answers tell what is left in ``RateLimit`` and ``RateLimit-Policy``, as the IETF's draft
    ``draft-ietf-httpapi-ratelimit-headers`` spells them: ``q`` requests of quota in ``w``
    seconds, ``r`` remaining, ``t`` seconds until one more.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: ServiceSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._rate = settings.key_rate
        self._burst = settings.key_burst
        self._concurrent = settings.key_concurrent
        self._clock = clock
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 429 without reading its body."""
        is_off = self._rate is None and self._concurrent is None
        if is_off or scope["type"] == "lifespan" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        client = self._client(_who(scope))
        told = self._told(client, send)
        try:
            self._take(client)
        except Problem as problem:
            await problem.response()(scope, receive, told)
            return
        client.in_progress += 1
        try:
            await self._app(scope, receive, told)
        finally:
            client.in_progress -= 1

    def _client(self, who: str) -> _Client:
        """The client's bucket, filled up by the time that passed."""
        now = self._clock()
        client = self._clients.setdefault(who, _Client(float(self._burst), now))
        self._clients.move_to_end(who)
        while len(self._clients) > _MAX_CLIENTS:
            self._clients.popitem(last=False)
        if self._rate is not None:
            client.tokens = min(self._burst, client.tokens + (now - client.seen) * self._rate)
        client.seen = now
        return client

    def _take(self, client: _Client) -> None:
        if self._concurrent is not None and client.in_progress >= self._concurrent:
            raise _too_many(
                f"{client.in_progress} of your requests are in progress; at most "
                f"{self._concurrent} at once: wait for one to end",
                _RETRY_CONCURRENT,
            )
        if self._rate is not None:
            if client.tokens < 1:
                raise _too_many(
                    f"you asked more often than {self._rate:g} times a second, "
                    f"{self._burst} at once; wait as Retry-After says",
                    self._seconds_to_one(client),
                )
            client.tokens -= 1

    def _seconds_to_one(self, client: _Client) -> float:
        return 0.0 if self._rate is None else max(0.0, 1 - client.tokens) / self._rate

    def _told(self, client: _Client, send: Send) -> Send:
        """A ``send`` that adds what is left, where a rate is set."""
        if self._rate is None:
            return send
        window = math.ceil(self._burst / self._rate)

        async def told(message: Message) -> None:
            if message["type"].endswith("http.response.start"):
                headers = MutableHeaders(scope=message)
                wait = math.ceil(self._seconds_to_one(client))
                headers["RateLimit-Policy"] = f'"key";q={self._burst};w={window}'
                headers["RateLimit"] = f'"key";r={math.floor(client.tokens)};t={wait}'
            await send(message)

        return told


def _who(scope: Scope) -> str:
    """The key that opened the gate, else the address."""
    key = scope.get("state", {}).get("key")
    if key is not None:
        return str(key)
    address = scope.get("client")
    return "" if address is None else str(address[0])


def _too_many(detail: str, retry_after: float) -> Problem:
    return Problem(429, detail, headers={"Retry-After": str(max(1, math.ceil(retry_after)))})
