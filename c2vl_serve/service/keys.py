"""ApiKeyGate: pure ASGI middleware that asks for an API key, where the settings hold any."""

import hashlib
import hmac
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from c2vl_serve.service.page import FILES, PAGE
from c2vl_serve.service.problems import Problem

OPEN_PATHS = frozenset({"/health/live", "/health/ready", PAGE})


class ApiKeyGate:
    """401 unless ``Authorization: Bearer KEY`` or ``X-API-Key: KEY`` holds one of the keys.

    Probes need no key, nor does the page, which asks for one. Comparing digests takes the same
    time whichever key, or none, fits.
    """

    def __init__(self, app: ASGIApp, *, keys: Iterable[str]) -> None:
        self._app = app
        self._digests = [_digest(key) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 without reading its body."""
        is_open = not self._digests or scope["type"] == "lifespan" or _is_open(scope["path"])
        if is_open or self._fits(Headers(scope=scope)):
            await self._app(scope, receive, send)
        else:
            problem = Problem(
                401,
                "this service wants an API key that it knows; send it as "
                "'Authorization: Bearer KEY' or 'X-API-Key: KEY'",
                headers={"WWW-Authenticate": "Bearer"},
            )
            await problem.response()(scope, receive, send)

    def _fits(self, headers: Headers) -> bool:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        key = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        digest = _digest(key)
        # All are compared, whichever fits.
        return sum(hmac.compare_digest(digest, known) for known in self._digests) > 0


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(f"{FILES}/")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
