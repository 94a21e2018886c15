"""Peer: whether whoever asked is still there, asked of the socket itself.

The event loop hands on the end of a connection one turn after the data before it, and the
framework takes two turns more. Whatever starts in between is done for nobody; a look at the
socket costs two microseconds.
"""

import select
from collections.abc import Callable
from typing import Any, TypeAlias

from starlette.types import Scope

from c2vl_serve.service.problems import CLIENT_GONE, Problem

HasLeft: TypeAlias = Callable[[], bool]

_KEY = "c2vl.has_left"  # of a request's scope
# The other side has closed; where a system has no such event, only a broken connection shows.
_HUNG_UP = getattr(select, "POLLRDHUP", 0)


class Peer:
    """The other end of one connection.

    Args:
        transport: of the connection; one without a socket is never found closed by looking.
    """

    def __init__(self, transport: Any) -> None:
        socket = transport.get_extra_info("socket")
        self._is_closed = False
        self._poll = None
        if socket is not None and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(socket.fileno(), _HUNG_UP)

    def close(self) -> None:
        """The connection has ended; its socket's number may soon be another's."""
        self._is_closed = True

    def has_left(self) -> bool:
        """Whether nobody would read an answer."""
        return self._is_closed or (self._poll is not None and bool(self._poll.poll(0)))

    def mark(self, scope: Scope) -> None:
        """Let whoever handles this request look."""
        scope[_KEY] = self.has_left


def has_left(scope: Scope) -> HasLeft:
    """How to see whether a request's client is gone; :func:`never` under other servers."""
    return scope.get(_KEY, never)


def never() -> bool:
    """Of a client that cannot be seen."""
    return False


def gone() -> Problem:
    """What becomes of a request whose client has hung up."""
    return Problem(CLIENT_GONE, "the client closed the connection")
