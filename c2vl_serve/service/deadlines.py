"""DeadlineProtocol: uvicorn's HTTP/1.1 with the two deadlines that it lacks.

uvicorn waits for a request's headers for ever, and for ever reads (and drops) the rest of a body
that was answered early. Both would let a client hold a connection at no cost. Closing at once
after an early answer is no way out: the client, still sending, would get a reset and no answer.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from c2vl_serve.service.problems import MEDIA_TYPE, Problem

LINGER_SECONDS = 10.0  # for which a body that was answered early is still read and dropped


def protocol_class(header_seconds: float) -> type[H11Protocol]:
    """A protocol for ``uvicorn.Config(http=...)`` with this header deadline, in seconds."""

    class DeadlineProtocol(H11Protocol):
        """Closes connections whose headers, or dropped bodies, do not end."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._expect_headers()

        def send_400_response(self, msg: str) -> None:
            """What is not HTTP at all also gets a problem, and no second chance."""
            body = bytes(Problem(400, "this is not a valid HTTP/1.1 request").response().body)
            headers = [
                ("content-type", MEDIA_TYPE),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            for event in (
                h11.Response(status_code=400, reason=b"Bad Request", headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                if self._is_answered():
                    return
                self._disarm()
            elif self._timer is None and self.timeout_keep_alive_task is None:
                self._expect_headers()

        def on_response_complete(self) -> None:
            self._disarm()
            super().on_response_complete()
            if self.conn.their_state is h11.SEND_BODY:
                self._timer = self.loop.call_later(LINGER_SECONDS, self._close)

        def _is_answered(self) -> bool:
            return self.cycle is not None and self.cycle.response_complete

        def _expect_headers(self) -> None:
            self._timer = self.loop.call_later(header_seconds, self._headers_late)

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _headers_late(self) -> None:
            if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
                self.transport.write(_late_answer(header_seconds))
            self._close()

        def _close(self) -> None:
            self._timer = None
            self.transport.close()

    return DeadlineProtocol


def _late_answer(header_seconds: float) -> bytes:
    """A 408 answer, spelled out: no request is there yet that a framework could answer."""
    body = Problem(
        408, f"the request's headers did not arrive within {header_seconds:g} s"
    ).response()
    head = (
        f"HTTP/1.1 408 Request Timeout\r\ncontent-type: {MEDIA_TYPE}\r\n"
        f"content-length: {len(body.body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + bytes(body.body)
