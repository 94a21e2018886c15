"""Files of any type: what is it, read it, write it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.formats import npy, npz
from c2vl_serve.skeleton.formats.csv_table import sequence_from_csv, sequence_to_csv
from c2vl_serve.skeleton.formats.json_object import sequence_from_dict, sequence_to_dict
from c2vl_serve.skeleton.formats.npy import sequence_from_npy
from c2vl_serve.skeleton.formats.npz import sequence_from_npz, sequence_to_npz
from c2vl_serve.skeleton.formats.ntu import sequence_from_ntu
from c2vl_serve.skeleton.formats.options import ReadOptions
from c2vl_serve.skeleton.sequence import SkeletonSequence

FileType = Literal["ntu", "npy", "npz", "json", "csv"]

_HEAD = 4096  # bytes looked at to tell the type
_EMPTY_ZIP = b"PK\x05\x06"
_BOM = b"\xef\xbb\xbf"


def sniff(data: bytes) -> FileType | None:
    """The type of a skeleton file from how it begins; None when it is none (perhaps a video)."""
    head = data[:_HEAD].removeprefix(_BOM).lstrip()
    if data.startswith(npy.MAGIC):
        return "npy"
    if data.startswith((npz.MAGIC, _EMPTY_ZIP)):
        return "npz"
    if head.startswith((b"{", b"[")):
        return "json"
    if re.match(rb"\d{1,9}\s*\n\s*\d{1,9}\s*(\n|$)", head):
        return "ntu"
    columns = [name.strip() for name in head.partition(b"\n")[0].split(b",")]
    return "csv" if b"frame" in columns else None


def read_sequence(source: bytes | Path, options: ReadOptions | None = None) -> SkeletonSequence:
    """The sequence in a skeleton file, given as its bytes or its path.

    Args:
        source: the content, or where to read it.
        options: layout and fps, where the file does not say them, and limits.

    Raises:
        SequenceError: when it is not a skeleton file, is damaged, or is too large.
    """
    data = _content(source) if isinstance(source, Path) else source
    file_type = sniff(data)
    if file_type is None:
        raise SequenceError(
            f"the file ({len(data)} bytes) is no skeleton file; expected .skeleton, .npy, .npz, "
            ".json or .csv content"
        )
    return _READERS[file_type](data, options or ReadOptions())


def write_sequence(sequence: SkeletonSequence, path: Path) -> None:
    """Write a sequence as ``.npz``, ``.json`` or ``.csv``, by the path's suffix.

    Raises:
        SequenceError: for another suffix.
    """
    writer = _WRITERS.get(path.suffix)
    if writer is None:
        raise SequenceError(
            f"cannot write {path.name!r}; choose a name that ends in {', '.join(_WRITERS)}"
        )
    path.write_bytes(writer(sequence))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SequenceError(f"cannot read {path}: {error.strerror}") from error


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SequenceError(f"the file is not UTF-8 text: {error.reason}") from error


def _read_json(data: bytes, options: ReadOptions) -> SkeletonSequence:
    try:
        body = json.loads(_text(data))
    except (ValueError, RecursionError) as error:
        raise SequenceError(f"the file is not JSON: {error}") from error
    return sequence_from_dict(body, options)


_READERS: dict[FileType, Callable[[bytes, ReadOptions], SkeletonSequence]] = {
    "npy": sequence_from_npy,
    "npz": sequence_from_npz,
    "json": _read_json,
    "ntu": lambda data, options: sequence_from_ntu(_text(data), options),
    "csv": lambda data, options: sequence_from_csv(_text(data), options),
}

_WRITERS: dict[str, Callable[[SkeletonSequence], bytes]] = {
    ".npz": sequence_to_npz,
    ".json": lambda sequence: json.dumps(sequence_to_dict(sequence)).encode(),
    ".csv": lambda sequence: sequence_to_csv(sequence).encode(),
}
