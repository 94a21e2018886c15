"""Open a set by what a person calls it: a name we know, or a folder or table of files."""

from pathlib import Path

from c2vl_serve.errors import SequenceError
from c2vl_training.data.readers.ntu import read_ntu
from c2vl_training.data.readers.own import read_own
from c2vl_training.data.readers.packed_sets import from_packed, sample_ids
from c2vl_training.data.readers.recording import Recordings
from c2vl_training.data.sets import SETS, read_set


def open_set(name: str, data: Path | None) -> Recordings:
    """The recordings of a known packed set, an NTU folder, or your own folder or CSV.

    Args:
        name: of a packed set in the folder ``data``; or a path: a folder of ``.skeleton`` files,
            a folder with a folder for each class, or a CSV.
        data: folder of the packed sets.

    Raises:
        SequenceError: when it is none of these.
    """
    if name in SETS:
        if data is None:
            raise SequenceError(f"set {name!r} lies in the folder of the sets; say --data FOLDER")
        description = SETS[name]
        return from_packed(
            read_set(name, data),
            name,
            layout=description.layout,
            fps=description.fps,
            same_order=description.layout.name == "bandai21",
        )
    path = Path(name)
    if not path.exists():
        raise SequenceError(
            f"{name!r} is no known set ({', '.join(SETS)}) and no file or folder; "
            "give one of these names, or a path"
        )
    if path.is_dir() and next(path.glob("*.skeleton"), None) is not None:
        return read_ntu(path)
    return read_own(path)


def training_ids(name: str, data: Path) -> frozenset[str]:
    """Sample ids of a known packed set's training part.

    Raises:
        SequenceError: when the set is not a known one, or is missing.
    """
    if name not in SETS:
        raise SequenceError(f"{name!r} is no known set; known are {', '.join(SETS)}")
    packed = read_set(name, data)
    keep = SETS[name].used(packed) & ~SETS[name].test(packed)
    return frozenset(i for i, kept in zip(sample_ids(packed, name), keep, strict=True) if kept)
