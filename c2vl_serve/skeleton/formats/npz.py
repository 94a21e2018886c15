"""``.npz`` <-> SkeletonSequence: ``joints``, and where known visibility, fps, layout, person_ids.

Each member's size is checked in the zip directory before any of it is decompressed.
"""

import io
import json
import zipfile
import zlib

import numpy as np
from jaxtyping import Shaped

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.formats.assemble import assemble, check_shape
from c2vl_serve.skeleton.formats.json_object import layout_from_reference, layout_reference
from c2vl_serve.skeleton.formats.npy import ShapeCheck, array_from_npy
from c2vl_serve.skeleton.formats.options import FieldError, ReadOptions
from c2vl_serve.skeleton.layout import SkeletonLayout
from c2vl_serve.skeleton.sequence import SkeletonSequence

MAGIC = b"PK\x03\x04"

_HEADER = 10_240  # bytes: the largest .npy header
_SMALL = 65_536  # bytes: fps, layout, person_ids
_MAX_MEMBERS = 1000
_CENTRAL = b"PK\x01\x02"  # opens each entry of the zip directory


def sequence_from_npz(data: bytes, options: ReadOptions) -> SkeletonSequence:
    """A sequence from the arrays ``joints``, ``visibility``, ``fps``, ``layout`` of a ``.npz``.

    ``layout`` is a name or the JSON of a layout's description; only ``joints`` is needed where
    options say the rest. Other arrays in the file are not read.

    Raises:
        SequenceError: when the archive is damaged, lacks joints or is too large.
    """
    try:
        # A directory of a million entries would cost more than the file before we could refuse it.
        if data.count(_CENTRAL) > _MAX_MEMBERS:
            raise SequenceError(f"the .npz has more than {_MAX_MEMBERS} members; expected a few")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _sequence(archive, options)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        raise SequenceError(
            f"the .npz cannot be unpacked: {error}; write it again with numpy.savez_compressed"
        ) from error


def sequence_to_npz(sequence: SkeletonSequence) -> bytes:
    """The ``.npz`` that :func:`sequence_from_npz` reads back unchanged."""
    reference = layout_reference(sequence.layout)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        joints=sequence.joints,
        visibility=sequence.visibility,
        fps=np.float64(sequence.fps),
        layout=np.array(reference if isinstance(reference, str) else json.dumps(reference)),
        person_ids=np.array(sequence.person_ids, np.int64),
    )
    return file.getvalue()


def _sequence(archive: zipfile.ZipFile, options: ReadOptions) -> SkeletonSequence:
    layout = options.chosen_layout(_layout(archive, options))
    fps = options.chosen_fps(_fps(archive))
    limits = options.limits
    largest = limits.frames * limits.persons * layout.num_joints * 8  # bytes a coordinate, float64
    joints = _member(
        archive,
        "joints",
        max_bytes=3 * largest + _HEADER,
        check=lambda shape: check_shape(shape, layout, limits),
    )
    if joints is None:
        held = ", ".join(name.removesuffix(".npy")[:40] for name in archive.namelist()[:10])
        raise FieldError("/joints", f"the .npz has no array 'joints'; it holds {held or 'nothing'}")
    return assemble(
        joints,
        layout=layout,
        fps=fps,
        options=options,
        visibility=_member(archive, "visibility", max_bytes=largest + _HEADER),
        person_ids=_person_ids(archive, joints),
    )


def _layout(archive: zipfile.ZipFile, options: ReadOptions) -> SkeletonLayout | None:
    array = _member(archive, "layout", max_bytes=_SMALL, check=_check_scalar, text=True)
    if array is None or options.layout is not None:
        return None
    try:
        value = array.reshape(()).item()
        text = value.decode("utf-8") if isinstance(value, bytes) else value
        reference = json.loads(text) if text.startswith("{") else text
    except (ValueError, RecursionError) as error:
        raise FieldError("/layout", f"the array 'layout' cannot be read: {error}") from error
    return layout_from_reference(reference, options)


def _fps(archive: zipfile.ZipFile) -> float | None:
    array = _member(archive, "fps", max_bytes=_SMALL, check=_check_scalar)
    return None if array is None else float(array.reshape(()))


def _person_ids(archive: zipfile.ZipFile, joints: Shaped[np.ndarray, "..."]) -> tuple[int, ...]:
    ids = _member(archive, "person_ids", max_bytes=_SMALL)
    if ids is None:
        return ()
    num_persons = joints.shape[1] if joints.ndim == 4 else 1
    if ids.dtype.kind not in "iu" or ids.shape != (num_persons,):
        raise FieldError(
            "/person_ids",
            f"person_ids is {ids.dtype} of shape {ids.shape}; expected {num_persons} integers",
        )
    return tuple(ids.tolist())


def _check_scalar(shape: tuple[int, ...]) -> None:
    if shape not in ((), (1,)):
        raise SequenceError(f"an array of shape {shape} stands where one value was expected")


def _member(
    archive: zipfile.ZipFile,
    name: str,
    *,
    max_bytes: int,
    check: ShapeCheck = lambda shape: None,
    text: bool = False,
) -> Shaped[np.ndarray, "..."] | None:
    """The array called ``name``, or None where the archive has none."""
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        return None
    if info.file_size > max_bytes:
        raise FieldError(
            f"/{name}",
            f"the array {name!r} unpacks to {info.file_size} bytes; at most {max_bytes} are "
            "accepted",
        )
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FieldError(
            f"/{name}",
            f"the array {name!r} is encrypted or compressed in an unusual way; write the .npz "
            "with numpy.savez_compressed",
        )
    return array_from_npy(archive.read(info), name, check, text=text)
