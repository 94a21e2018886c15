"""Your own recordings: a folder for each class, or a CSV that says what each file shows.

Files are of any type that ``c2vl_serve.skeleton.formats`` reads. Layout and frame rate are said
once for all files where these do not say them; a layout is a name, or a small JSON file
(docs/layouts.md).
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.formats import ReadOptions, read_sequence, sniff
from c2vl_serve.skeleton.layout import SkeletonLayout, layout_by_name, layout_from_json
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.readers.recording import Entry, Recordings

REQUIRED = ("file", "label")
OPTIONAL = ("subject", "view")

_HEAD = 4096  # bytes that tell what a file is


@dataclass(frozen=True, kw_only=True, slots=True)
class _Files:
    """Reads a sample by its path below a folder."""

    folder: Path
    options: ReadOptions

    def __call__(self, sample_id: str) -> SkeletonSequence:
        path = self.folder / sample_id
        try:
            return read_sequence(path, self.options)
        except SequenceError as error:
            raise SequenceError(f"{path}: {error}") from error


def read_own(
    source: Path, *, layout: str | Path | None = None, fps: float | None = None
) -> Recordings:
    """The recordings of a folder with a folder for each class, or of a CSV.

    The CSV's header is ``file,label`` and, as you have them, ``subject`` and ``view``; files are
    named from the CSV's folder on. Sample ids are these names, tags are text as written. The
    beginning of every file is looked at now, the rest when it is read.

    Args:
        source: the folder or the CSV.
        layout: of all files: the name of a known layout, or the path of a JSON that describes
            one; not needed for files that name theirs.
        fps: frames per second of all files, where they do not say it.

    Raises:
        SequenceError: naming the file and line that is at fault.
    """
    if source.is_dir():
        folder, entries = source, tuple(_from_folder(source))
    else:
        folder, entries = source.parent, tuple(_from_table(source))
    options = ReadOptions(layout=_layout(layout), fps=fps)
    return Recordings(
        entries=entries, read=_Files(folder=folder, options=options), source=source.name
    )


def _layout(layout: str | Path | None) -> SkeletonLayout | None:
    if layout is None:
        return None
    if isinstance(layout, Path) or layout.endswith(".json"):
        return layout_from_json(Path(layout))
    return layout_by_name(layout)


def _from_folder(folder: Path) -> Iterator[Entry]:
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and _is_visible(path))
    if not classes:
        raise SequenceError(
            f"{folder} holds no folders; expected one for each class with its files in it, "
            "or give a CSV of file,label"
        )
    for path in classes:
        files = sorted(file for file in path.iterdir() if _is_visible(file))
        if not files:
            raise SequenceError(f"the class folder {path} is empty; fill or remove it")
        for file in files:
            _check_file(file, str(file))
            yield Entry(sample_id=f"{path.name}/{file.name}", class_name=path.name)


def _is_visible(path: Path) -> bool:
    return not path.name.startswith(".")


def _from_table(table: Path) -> Iterator[Entry]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            _check_header(table, header)
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SequenceError(f"{table} cannot be read as a folder or a CSV: {error}") from error
    if not rows:
        raise SequenceError(f"{table} has a header but no rows; expected one row a file")
    lines: dict[str, int] = {}
    for line, row in rows:
        entry = _row(f"{table}, line {line}", header, row)
        if entry.sample_id in lines:
            raise SequenceError(
                f"{table}, line {line} names {entry.sample_id!r}, as line "
                f"{lines[entry.sample_id]} does; give each file once"
            )
        lines[entry.sample_id] = line
        _check_file(table.parent / entry.sample_id, f"{table}, line {line}: {entry.sample_id}")
        yield entry


def _check_header(table: Path, header: list[str]) -> None:
    unknown = [name for name in header if name not in (*REQUIRED, *OPTIONAL)]
    missing = [name for name in REQUIRED if name not in header]
    if unknown or missing or len(set(header)) != len(header):
        raise SequenceError(
            f"{table}, line 1 has the columns {', '.join(header)[:80] or 'none'}; expected "
            f"{','.join(REQUIRED)} and, if you have them, {','.join(OPTIONAL)}"
        )


def _row(where: str, header: list[str], row: list[str]) -> Entry:
    if len(row) != len(header):
        raise SequenceError(f"{where} has {len(row)} cells; the header has {len(header)}")
    cells = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
    if empty := [name for name in REQUIRED if not cells[name]]:
        raise SequenceError(f"{where} has no {empty[0]}; expected a file and its label")
    return Entry(
        sample_id=cells["file"],
        class_name=cells["label"],
        subject=cells.get("subject") or None,
        view=cells.get("view") or None,
    )


def _check_file(path: Path, where: str) -> None:
    try:
        with path.open("rb") as file:
            file_type = sniff(file.read(_HEAD))
    except OSError as error:
        raise SequenceError(f"{where} cannot be read: {error.strerror}") from error
    if file_type is None:
        raise SequenceError(
            f"{where} is no skeleton file; expected .skeleton, .npy, .npz, .json or .csv content"
        )
