"""A ``.npy`` file that grows along its first axis and is whole again after its writer was killed.

numpy leaves room in the header for a growing first axis (``write_array_header_1_0``), so that the
true length can be written over the first one at the end.
"""

import io
from math import prod
from pathlib import Path

import numpy as np
from jaxtyping import Float32


class GrowingArray:
    """Float32 frames of one shape, appended one after the other."""

    def __init__(self, path: Path, frame_shape: tuple[int, ...]) -> None:
        """Create the file, or open one that was left unfinished."""
        self.frame_shape = frame_shape
        self._frame_bytes = prod(frame_shape) * 4
        self._start = len(self._header(0))
        self._file = path.open("r+b" if path.exists() else "x+b")
        if self._file.seek(0, io.SEEK_END) < self._start:
            self._file.seek(0)
            self._file.write(self._header(0))

    def _header(self, num_frames: int) -> bytes:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header,
            {"descr": "<f4", "fortran_order": False, "shape": (num_frames, *self.frame_shape)},
        )
        return header.getvalue()

    @property
    def num_whole_frames(self) -> int:
        """Frames that are in the file; one that was being written does not count."""
        return (self._file.seek(0, io.SEEK_END) - self._start) // self._frame_bytes

    def cut(self, num_frames: int) -> None:
        """Forget what comes after ``num_frames``."""
        self._file.truncate(self._start + num_frames * self._frame_bytes)
        self._file.seek(0, io.SEEK_END)

    def append(self, frames: Float32[np.ndarray, "T ..."]) -> None:
        """Write frames; they survive the death of this process from here on."""
        self._file.write(np.ascontiguousarray(frames, "<f4").tobytes())
        self._file.flush()

    def finish(self, num_frames: int) -> None:
        """Write the true length into the header and close."""
        self._file.seek(0)
        self._file.write(self._header(num_frames))
        self.close()

    def close(self) -> None:
        """Leave the file as it is, to be gone on with."""
        self._file.close()
