"""Spool: a body as it comes, in memory while it is small and in a private file once it is not.

The file can be read by this user only, is opened by the pose worker itself, and is gone with the
request.
"""

import io
import shutil
from contextlib import ExitStack
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Protocol, runtime_checkable

from c2vl_serve.service.problems import busy

SPOOLED = "spooled"  # in a request's state: what is removed once it is answered
MAX_IN_MEMORY = 4 * 2**20  # bytes
_PIECE = 2**20  # bytes that are copied at once
_RETRY = 30.0  # seconds until a full disk may have been seen to


@runtime_checkable
class Readable(Protocol):
    """A file that is open for reading."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


class Spool:
    """Takes bytes in order.

    Args:
        spooled: removes the file when it is closed.
    """

    def __init__(self, spooled: ExitStack) -> None:
        self._spooled = spooled
        self._file: Any = io.BytesIO()  # and then a NamedTemporaryFile
        self._num_bytes = 0
        self._path: Path | None = None

    def write(self, part: bytes) -> None:
        """Add to the end.

        Raises:
            Problem: 503 where the disk is full.
        """
        self._num_bytes += len(part)
        try:
            if self._path is None and self._num_bytes > MAX_IN_MEMORY:
                self._move()
            self._file.write(part)
        except OSError as error:
            raise busy(
                f"the service has no room to keep the upload meanwhile: {error.strerror}; "
                "try again later, or send a smaller one",
                _RETRY,
            ) from error

    def copy(self, source: Readable) -> None:
        """Add all that is left in a file; as :meth:`write`."""
        while piece := source.read(_PIECE):
            self.write(piece)

    def content(self) -> bytes | Path:
        """What was written, or where it lies."""
        self._file.flush()
        if self._path is not None:
            return self._path
        self._file.seek(0)
        return self._file.read()

    def _move(self) -> None:
        with ExitStack() as opening:
            file = opening.enter_context(NamedTemporaryFile(prefix="c2vl-"))
            self._file.seek(0)
            shutil.copyfileobj(self._file, file)
            self._spooled.push(opening.pop_all())
        self._file, self._path = file, Path(file.name)
