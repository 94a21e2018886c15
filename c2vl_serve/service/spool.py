"""Spool: a body as it comes, in memory while it is small and in a private file once it is not.

The file can be read by this user only, is opened by the pose worker itself, and is gone with the
request. One that a killed service left behind is held by nobody, and goes when the next one starts.
"""

import io
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, Protocol, runtime_checkable

from c2vl_serve.service.problems import busy

SPOOLED = "spooled"  # in a request's state: what is removed once it is answered
MAX_IN_MEMORY = 4 * 2**20  # bytes
_PIECE = 2**20  # bytes that are copied at once
_RETRY = 30.0  # seconds until a full disk may have been seen to
_PREFIX = "c2vl-upload-"
_SETTLED = 60.0  # seconds after which a file that is in use is surely held

if sys.platform == "win32":  # which removes the files of a killed process itself

    def _hold(file: IO[bytes]) -> None:
        pass

    def remove_leftovers() -> int:
        """Nothing is left behind here."""
        return 0

else:
    import fcntl

    def _hold(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def remove_leftovers() -> int:
        """Remove uploads that no living process holds; how many there were."""
        num_removed = 0
        for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            # Held by another service, or another user's: not ours to remove.
            with suppress(OSError), path.open("rb") as file:
                _hold(file)
                if time.time() - path.stat().st_mtime > _SETTLED:
                    path.unlink()
                    num_removed += 1
        return num_removed


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
            file = opening.enter_context(NamedTemporaryFile(prefix=_PREFIX))
            _hold(file)
            self._file.seek(0)
            shutil.copyfileobj(self._file, file)
            self._spooled.push(opening.pop_all())
        self._file, self._path = file, Path(file.name)
