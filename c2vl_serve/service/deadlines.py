"""DeadlineProtocol: uvicorn's HTTP/1.1 with the bounds that it lacks.

uvicorn waits for a request's headers for ever, takes any number of them, and for ever reads (and
drops) the rest of a body that was answered early. All would let a client hold a connection or
memory at no cost. Closing at once after an early answer is no way out: the client, still sending,
would get a reset and no answer.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from c2vl_serve.service.peers import Peer
from c2vl_serve.service.problems import MEDIA_TYPE, Problem

LINGER_SECONDS = 10.0  # for which a body that was answered early is still read and dropped
MAX_HEAD_BYTES = 65_536  # of a request's line and headers


def protocol_class(header_seconds: float) -> type[HttpToolsProtocol]:
    """A protocol for ``uvicorn.Config(http=...)`` with this header deadline, in seconds."""

    class DeadlineProtocol(HttpToolsProtocol):
        """Closes connections whose headers, or dropped bodies, do not end."""

        _timer: asyncio.TimerHandle | None = None
        _head_bytes = 0  # of a request whose headers are not whole
        _is_in_head = False
        _is_in_body = False
        _is_dropping = False  # the rest of a body that was answered early

        def connection_made(self, transport: Any) -> None:  # uvloop's are no asyncio.Transport
            super().connection_made(transport)
            self._peer = Peer(transport)
            self._arm(header_seconds, self._headers_late)

        def connection_lost(self, exc: Exception | None) -> None:
            self._peer.close()
            self._disarm()
            super().connection_lost(exc)

        def eof_received(self) -> None:
            self._peer.close()  # whoever sends no more is hung up on in the loop's next turn
            super().eof_received()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not self._is_in_head or self.transport.is_closing():
                return
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response("headers too long")
            elif self._timer is None and not self._is_answering():
                self._arm(header_seconds, self._headers_late)

        def on_message_begin(self) -> None:
            self._is_in_head = True
            super().on_message_begin()
            self._peer.mark(cast(Scope, self.scope))

        def on_headers_complete(self) -> None:
            self._disarm()
            self._head_bytes = 0
            self._is_in_head, self._is_in_body = False, True
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._is_in_body = False
            if self._is_dropping:
                self._is_dropping = False
                self._arm(header_seconds, self._close)  # uvicorn waits for the next request
            super().on_message_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self._is_in_body:
                self._is_dropping = True
                self._arm(LINGER_SECONDS, self._close)

        def send_400_response(self, msg: str) -> None:
            """What is not HTTP at all also gets a problem, and no second chance."""
            self.transport.write(_spelled_out(Problem(400, "this is not a valid HTTP/1.1 request")))
            self.transport.close()

        def _is_answering(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _arm(self, seconds: float, late: Callable[[], None]) -> None:
            self._disarm()
            self._timer = self.loop.call_later(seconds, late)

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _headers_late(self) -> None:
            if not self.transport.is_closing():
                sentence = f"the request's headers did not arrive within {header_seconds:g} s"
                self.transport.write(_spelled_out(Problem(408, sentence)))
            self._close()

        def _close(self) -> None:
            self._timer = None
            self.transport.close()

    return DeadlineProtocol


def _spelled_out(problem: Problem) -> bytes:
    """An answer as bytes: no request is there yet that a framework could answer."""
    body = bytes(problem.response().body)
    head = (
        f"HTTP/1.1 {problem.status} {problem.title}\r\ncontent-type: {MEDIA_TYPE}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
