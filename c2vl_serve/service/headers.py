"""One header of a request, without a look at the others' text; the hot path asks for five."""

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of this lower-case name; None where there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("latin-1")
    return None


def media_type(scope: Scope) -> str:
    """Of the body, in lower case and without parameters; empty where none is told."""
    return (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
