"""Request ids: one name for a request in its answer, in the log and in a trace."""

import re
import uuid
from contextvars import ContextVar

HEADER = "x-request-id"

# Never reset: a server runs each request in a context of its own, and a 500 is answered by
# middleware that stands outside of ours, after ours has ended.
REQUEST_ID: ContextVar[str | None] = ContextVar("c2vl_request_id", default=None)

# No blanks, quotes or line ends: an id is copied into headers and log lines.
_ACCEPTED = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def chosen_id(given: str | None) -> str:
    """The client's own id where it is harmless, else a new random one."""
    if given is not None and _ACCEPTED.fullmatch(given):
        return given
    return uuid.uuid4().hex
