"""ApiKeyGate: pure ASGI middleware that asks for an API key, where the settings hold any."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from c2vl_serve.service.page import FILES, PAGE
from c2vl_serve.service.problems import Problem

# A browser's WebSocket cannot send headers of its own; it offers subprotocols: this one, which is
# accepted, and one that is the key in base64url behind the prefix.
STREAM_PROTOCOL = "c2vl"
KEY_PROTOCOL_PREFIX = "c2vl.key."

OPEN_PATHS = frozenset({"/health/live", "/health/ready", PAGE})


class ApiKeyGate:
    """401 unless ``Authorization: Bearer KEY`` or ``X-API-Key: KEY`` holds one of the keys.

    Probes need no key, nor does the page, which asks for one. Comparing digests takes the same
    time whichever key, or none, fits. ``scope["state"]["key"]`` is then the key's digest: who
    asks, without the secret.
    """

    def __init__(self, app: ASGIApp, *, keys: Iterable[str]) -> None:
        self._app = app
        self._digests = [_digest(key) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 without reading its body."""
        if not self._digests or scope["type"] == "lifespan" or _is_open(scope["path"]):
            await self._app(scope, receive, send)
        elif (digest := self._known(_key(scope))) is not None:
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

    def _known(self, key: str) -> bytes | None:
        """The digest of a key, if it is one of ours."""
        digest = _digest(key)
        # All are compared, whichever fits.
        fits = sum(hmac.compare_digest(digest, known) for known in self._digests) > 0
        return digest if fits else None


def _key(scope: Scope) -> str:
    """The key that the client sent, in whichever way; empty where there is none."""
    headers = Headers(scope=scope)
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return bearer.strip()
    for protocol in scope.get("subprotocols", ()):
        if protocol.startswith(KEY_PROTOCOL_PREFIX):
            return _from_base64url(protocol.removeprefix(KEY_PROTOCOL_PREFIX))
    return headers.get("x-api-key", "")


def _from_base64url(text: str) -> str:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return ""
    return raw.decode("utf-8", "surrogateescape")


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(f"{FILES}/")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
