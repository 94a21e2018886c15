"""ApiKeyGate: pure ASGI middleware that asks for an API key, where the settings hold any."""

import hashlib
import hmac
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from c2vl_serve.service.problems import Problem

OPEN_PATHS = frozenset({"/health/live", "/health/ready"})


class ApiKeyGate:
    """401 unless ``Authorization: Bearer KEY`` or ``X-API-Key: KEY`` holds one of the keys.

    Probes need no key. Comparing digests takes the same time whichever key, or none, fits.
    ``scope["state"]["key"]`` is then the key's digest: who asks, without the secret.
    """

    def __init__(self, app: ASGIApp, *, keys: Iterable[str]) -> None:
        self._app = app
        self._digests = [_digest(key) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 without reading its body."""
        if not self._digests or scope["type"] == "lifespan" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
        elif (digest := self._known(Headers(scope=scope))) is not None:
            scope.setdefault("state", {})["key"] = digest.hex()
            await self._app(scope, receive, send)
        else:
            problem = Problem(
                401,
                "this service wants an API key that it knows; send it as "
                "'Authorization: Bearer KEY' or 'X-API-Key: KEY'",
                headers={"WWW-Authenticate": "Bearer"},
            )
            await problem.response()(scope, receive, send)

    def _known(self, headers: Headers) -> bytes | None:
        """The digest of the key in the headers, if it is one of ours."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        key = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        digest = _digest(key)
        # All are compared, whichever fits.
        fits = sum(hmac.compare_digest(digest, known) for known in self._digests) > 0
        return digest if fits else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
