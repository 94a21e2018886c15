"""``.npy`` <-> arrays without ``numpy.load``: no pickle can be reached, sizes are checked first.

The header is a Python literal (numpy's NEP 1); only plain real numbers and short text pass.
"""

import ast
import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Shaped

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.formats.assemble import assemble, check_shape
from c2vl_serve.skeleton.formats.options import ReadOptions
from c2vl_serve.skeleton.sequence import SkeletonSequence

MAGIC = b"\x93NUMPY"

_MAX_HEADER = 10_000  # characters; numpy's own limit
_NUMBER = re.compile(r"[<>=|][fiu][1248]")
_TEXT = re.compile(r"[<>=|][US]\d{1,6}")

ShapeCheck = Callable[[tuple[int, ...]], None]


def sequence_from_npy(data: bytes, options: ReadOptions) -> SkeletonSequence:
    """A sequence from a ``.npy`` of ``T V C`` or ``T M V C``; layout and fps come with options.

    Raises:
        SequenceError: when the file is damaged, holds something else, or is too large.
    """
    layout = options.chosen_layout(None)
    fps = options.chosen_fps(None)
    joints = array_from_npy(
        data, "joints", lambda shape: check_shape(shape, layout, options.limits)
    )
    return assemble(joints, layout=layout, fps=fps, options=options)


def array_from_npy(
    data: bytes, what: str, check: ShapeCheck, *, text: bool = False
) -> Shaped[np.ndarray, "..."]:
    """The array in a ``.npy`` file, as a read-only view of ``data``.

    Args:
        data: the whole file.
        what: what it holds, for messages.
        check: called with the shape before anything is made from it.
        text: accept text instead of real numbers.

    Raises:
        SequenceError: when it is no such array, or cut short.
    """
    dtype, fortran, shape, start = _header(data, what, text=text)
    check(shape)
    expected, got = math.prod(shape) * dtype.itemsize, len(data) - start
    if got != expected:
        raise SequenceError(
            f"the .npy of {what} has {got} bytes of data; its shape {shape} of {dtype} needs "
            f"{expected}: the file is {'cut short' if got < expected else 'damaged'}; "
            "write it again"
        )
    flat = np.frombuffer(data, dtype, math.prod(shape), start)
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(
    data: bytes, what: str, *, text: bool
) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """Type, Fortran order, shape, and where the data start."""
    if not data.startswith(MAGIC):
        raise SequenceError(f"{what} is not a .npy file (it lacks the NUMPY magic)")
    width = {b"\x01": 2, b"\x02": 4}.get(data[6:7])
    if width is None:
        raise SequenceError(
            f"the .npy of {what} has format version {data[6:7].hex()}; versions 1 and 2 are read: "
            "save a plain array of numbers with numpy.save"
        )
    length = int.from_bytes(data[8 : 8 + width], "little")
    start = 8 + width + length
    if length > _MAX_HEADER or start > len(data):
        raise SequenceError(f"the .npy of {what} is damaged in its header; write it again")
    try:
        header = _literal(data[8 + width : start].decode("latin-1").strip())
        descr, fortran, shape = (header[key] for key in ("descr", "fortran_order", "shape"))
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError) as error:
        raise SequenceError(
            f"the .npy of {what} is damaged in its header; write it again"
        ) from error
    return _dtype(descr, what, text=text), fortran is True, _shape(shape, what), start


@lru_cache(64)
def _literal(text: str) -> Any:
    """The value that the text spells; clients send the same few headers all day."""
    return ast.literal_eval(text)


def _dtype(descr: object, what: str, *, text: bool) -> np.dtype[Any]:
    if descr == "|O":
        raise SequenceError(
            f"the .npy of {what} holds Python objects, which would be unpickled and never are; "
            "save one array of numbers (ragged lists become objects)"
        )
    pattern = _TEXT if text else _NUMBER
    if not (isinstance(descr, str) and pattern.fullmatch(descr)):
        raise SequenceError(
            f"the .npy of {what} holds the type {str(descr)[:40]!r}; expected "
            f"{'text' if text else 'floats or integers, such as float32'}"
        )
    return np.dtype(descr)


def _shape(shape: object, what: str) -> tuple[int, ...]:
    if not (isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 2**63 for n in shape)):
        raise SequenceError(
            f"the .npy of {what} has the shape {str(shape)[:60]}; expected whole numbers"
        )
    return shape
