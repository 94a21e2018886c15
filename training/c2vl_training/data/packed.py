"""Reader for packed skeleton sets: one ``.npz`` a set, all clips end to end, values as recorded."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from c2vl_serve.errors import SequenceError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PackedSet:
    """A skeleton set as its file holds it.

    Attributes:
        clips: each ``T V C`` in the set's own joint order and coordinates.
        labels: 0-based index into ``class_names``, one a clip.
        joint_names: names in array order.
        fps: frames per second, 0 where the set does not state it.
        extra: further arrays of one value a clip (``subjects``, ``views``, ``styles`` ...).
    """

    clips: tuple[Float32[np.ndarray, "_ V C"], ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    joint_names: tuple[str, ...]
    fps: float
    extra: dict[str, np.ndarray]


def read_packed(path: Path) -> PackedSet:
    """Read a packed set; no pickle is ever loaded.

    Joints may be stored as scaled int16, and as frame differences that wrap around.

    Raises:
        SequenceError: when the file is missing or not a packed set.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise SequenceError(f"packed set {path} cannot be read: {error}") from error
    missing = {"joints", "offsets", "labels", "class_names", "joint_names"} - set(arrays)
    if missing:
        raise SequenceError(f"packed set {path} lacks {sorted(missing)}; is it another format?")
    joints, offsets = arrays.pop("joints"), arrays.pop("offsets")
    spans = list(zip(offsets[:-1], offsets[1:], strict=True))
    if arrays.pop("delta", 0):
        joints = np.concatenate(
            [np.cumsum(joints[start:stop], axis=0, dtype=np.int16) for start, stop in spans]
        )
    if joints.dtype == np.int16:
        joints = joints.astype(np.float32) * np.float32(arrays.pop("scale"))
    joints = joints.astype(np.float32)
    labels = arrays.pop("labels")
    return PackedSet(
        clips=tuple(joints[start:stop] for start, stop in spans),
        labels=labels.astype(np.int64),
        class_names=tuple(str(name) for name in arrays.pop("class_names")),
        joint_names=tuple(str(name) for name in arrays.pop("joint_names")),
        fps=float(arrays.pop("fps", 0.0)),
        extra={name: value for name, value in arrays.items() if value.shape[:1] == labels.shape},
    )
