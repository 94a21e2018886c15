"""CSV <-> SkeletonSequence: one row a frame and person, columns called by joint name.

``frame[,time],person,<joint>_x,<joint>_y[,<joint>_z][,<joint>_visibility],...``; the order of
the joints does not matter, ``time`` is in seconds, and a row that is not there means that the
person was not seen in that frame.
"""

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Shaped

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.formats.assemble import assemble, check_shape
from c2vl_serve.skeleton.formats.options import ReadOptions, SequenceLimits
from c2vl_serve.skeleton.layout import LAYOUTS, SkeletonLayout
from c2vl_serve.skeleton.sequence import SkeletonSequence

_LEADING = ("frame", "time", "person")
_AXES = ("x", "y", "z")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    """The table as numbers: one entry of each a row; time is NaN where there is no such column."""

    frame: Shaped[np.ndarray, "..."]
    person: Shaped[np.ndarray, "..."]
    time: Shaped[np.ndarray, "..."]
    values: Shaped[np.ndarray, "..."]  # rows x V x (C + 1), visibility last


def sequence_from_csv(text: str, options: ReadOptions) -> SkeletonSequence:
    """A sequence from a CSV table; fps is taken from ``time`` where options do not say it.

    Raises:
        SequenceError: naming the column or line that is at fault.
    """
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [name.strip() for name in next(reader, [])]
        layout = options.chosen_layout(None if options.layout else _layout_of(header))
        rows = _rows(header, reader, layout)
    except csv.Error as error:
        raise SequenceError(f"the CSV cannot be read: {error}") from error
    fps = options.chosen_fps(None if options.fps else _fps_of(rows))
    joints, visibility, person_ids = _dense(rows, layout, options.limits)
    return assemble(
        joints,
        layout=layout,
        fps=fps,
        options=options,
        visibility=visibility,
        person_ids=person_ids,
    )


def sequence_to_csv(sequence: SkeletonSequence) -> str:
    """The table that :func:`sequence_from_csv` reads back (a layout of your own needs naming)."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    axes = _AXES[: sequence.joints.shape[-1]]
    columns = [f"{joint}_{part}" for joint in sequence.layout.joints for part in _parts(axes)]
    writer.writerow([*_LEADING, *columns])
    values = np.concatenate([sequence.joints, sequence.visibility[..., None]], axis=-1)
    for frame in range(sequence.num_frames):
        for person, person_id in enumerate(sequence.person_ids):
            # str of a float32 is its shortest exact form.
            numbers = map(str, values[frame, person].ravel())
            writer.writerow([frame, frame / sequence.fps, person_id, *numbers])
    return file.getvalue()


def _parts(axes: tuple[str, ...]) -> tuple[str, ...]:
    return (*axes, "visibility")


def _layout_of(header: list[str]) -> SkeletonLayout | None:
    """The built-in layout that has exactly the joints named in the header, if there is one."""
    named = {name.removesuffix("_x") for name in header if name.endswith("_x")}
    return next((layout for layout in LAYOUTS.values() if set(layout.joints) == named), None)


def _columns(header: list[str], layout: SkeletonLayout) -> tuple[list[int], list[int]]:
    """Positions of ``frame, time, person`` (-1 for no time) and of each joint's numbers."""
    place = {name: index for index, name in enumerate(header)}
    axes = _AXES if any(name.endswith("_z") for name in header) else _AXES[:2]
    has_visibility = any(name.endswith("_visibility") for name in header)
    parts = _parts(axes) if has_visibility else axes
    wanted = [f"{joint}_{part}" for joint in layout.joints for part in parts]
    missing = [name for name in ("frame", "person", *wanted) if name not in place]
    unknown = [name for name in header if name not in {*wanted, *_LEADING}]
    if missing or unknown or len(place) != len(header):
        raise SequenceError(
            f"the CSV header does not fit layout {layout.name!r}: missing "
            f"{', '.join(missing[:5]) or 'nothing'}, unknown or twice "
            f"{', '.join(name[:40] for name in unknown[:5]) or 'nothing'}; expected frame, person, "
            "then <joint>_x, <joint>_y, ... for each joint"
        )
    return [place["frame"], place.get("time", -1), place["person"]], [place[n] for n in wanted]


def _rows(header: list[str], reader: Any, layout: SkeletonLayout) -> _Rows:
    (frame, time, person), columns = _columns(header, layout)
    table: list[list[float]] = []
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            raise SequenceError(
                f"line {reader.line_num} of the CSV has {len(row)} cells; "
                f"the header has {len(header)}"
            )
        table.append([_number(cell, reader.line_num) for cell in row])
    if not table:
        raise SequenceError("the CSV has a header but no rows; expected one row a frame and person")
    numbers = np.array(table)
    values = numbers[:, columns].reshape(len(table), layout.num_joints, -1)
    if f"{layout.joints[0]}_visibility" not in header:
        values = np.concatenate([values, np.ones((*values.shape[:2], 1))], axis=-1)
    return _Rows(
        frame=_whole(numbers[:, frame], "frame"),
        person=_whole(numbers[:, person], "person"),
        time=numbers[:, time] if time >= 0 else np.full(len(table), np.nan),
        values=values,
    )


def _number(cell: str, line: int) -> float:
    try:
        return float(cell)
    except ValueError:
        raise SequenceError(
            f"line {line} of the CSV holds {cell[:20]!r} where a number was expected; write 0 "
            "with visibility 0 for a joint that was not seen"
        ) from None


def _whole(column: Shaped[np.ndarray, "..."], name: str) -> Shaped[np.ndarray, "..."]:
    """The column as integers."""
    # NaN fails both comparisons; beyond 2**53 a float no longer counts.
    if not ((np.abs(column) < 2**53) & (column == np.floor(column))).all():
        raise SequenceError(f"the CSV column {name!r} holds something other than whole numbers")
    return column.astype(np.int64)


def _fps_of(rows: _Rows) -> float | None:
    """Frames per second from the first and the last row, if the rows are evenly spaced between."""
    if not np.isfinite(rows.time).all():
        return None
    first, last = int(rows.frame.argmin()), int(rows.frame.argmax())
    num_steps = int(rows.frame[last] - rows.frame[first])
    seconds = float(rows.time[last] - rows.time[first])
    if num_steps == 0:
        return None
    expected = rows.time[first] + (rows.frame - rows.frame[first]) * (seconds / num_steps)
    if not seconds > 0 or np.abs(rows.time - expected).max() > seconds / num_steps:
        raise SequenceError(
            "the CSV's frames are not evenly spaced in time; resample them to a constant rate, "
            "or say fps"
        )
    return num_steps / seconds


def _dense(
    rows: _Rows, layout: SkeletonLayout, limits: SequenceLimits
) -> tuple[Shaped[np.ndarray, "..."], Shaped[np.ndarray, "..."], tuple[int, ...]]:
    """Joints, visibility and person ids with every frame and person in its place."""
    ids = np.unique(rows.person)
    start = int(rows.frame.min())
    T, M = int(rows.frame.max()) - start + 1, len(ids)
    shape = (T, M, layout.num_joints, rows.values.shape[-1] - 1)
    check_shape(shape, layout, limits)
    row_ids = (rows.frame - start) * M + np.searchsorted(ids, rows.person)
    if len(np.unique(row_ids)) != len(row_ids):
        raise SequenceError("the CSV has a frame and person twice; expected one row for each")
    dense = np.zeros((T * M, *rows.values.shape[1:]))
    dense[row_ids] = rows.values
    dense = dense.reshape(T, M, *rows.values.shape[1:])
    return dense[..., :-1], dense[..., -1], tuple(ids.tolist())
