"""The table of docs/results.md, from the JSON files of finished cells."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_serve.errors import C2VLError
from c2vl_training.results.rows import ROWS, SEEDS, SETS
from c2vl_training.state import write_json

BEGIN, END = "<!-- numbers -->", "<!-- end of numbers -->"
COLUMNS = {
    "linear": "linear",
    "knn": "kNN",
    "semi10": "linear, 10 % of labels",
    "fewshot5": "5-shot",
    "zeroshot": "zero-shot",
    "tuned": "all weights, all labels",
    "tuned10": "all weights, 10 % of labels",
}
NOT_RUN, NOT_ASKED = "not run", ""


def finished(out: Path) -> list[dict[str, Any]]:
    """All cells that have numbers."""
    return [
        json.loads(path.read_text(encoding="utf-8"))
        for name in SETS
        for path in sorted((out / name).glob("*-seed*.json"))
    ]


def tables(cells: Iterable[dict[str, Any]]) -> str:
    """One table a set: mean and spread over seeds of top-1 in percent."""
    known = list(cells)
    per_set = {name: [cell for cell in known if cell["set_name"] == name] for name in SETS}
    return "\n".join(_table(name, cells) for name, cells in per_set.items())


def _table(set_name: str, cells: list[dict[str, Any]]) -> str:
    clips = {cell["test_clips"] for cell in cells}
    lines = [
        f"### {set_name} ({', '.join(map(str, clips)) or 'no'} test clips)",
        "",
        f"| row | seeds | {' | '.join(COLUMNS.values())} |",
        f"|---|---|{'---|' * len(COLUMNS)}",
    ]
    for name, row in ROWS.items():
        own = [cell["numbers"] for cell in cells if cell["row"] == name]
        values = [_value([n[column] for n in own if column in n], own) for column in COLUMNS]
        lines.append(f"| {row.says} (`{name}`) | {len(own)}/{len(SEEDS)} | {' | '.join(values)} |")
    return "\n".join([*lines, ""])


def _value(values: list[float], cells: list[dict[str, float]]) -> str:
    """Mean, and standard deviation between seeds where there are several."""
    if not cells:
        return NOT_RUN
    if not values:
        return NOT_ASKED
    mean = f"{np.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.1f}"


def write_tables(document: Path, text: str) -> None:
    """Put the tables between the document's marks.

    Raises:
        C2VLError: when it has none.
    """
    whole = document.read_text(encoding="utf-8") if document.exists() else ""
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise C2VLError(
            f"{document} has no place for the tables; expected the lines {BEGIN!r} and {END!r}"
        )
    beside = document.with_suffix(".partial")
    beside.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")
    beside.replace(document)


def write_cells(path: Path, cells: Iterable[dict[str, Any]]) -> None:
    """Every cell's numbers with the command that makes them, without the configurations."""
    whole = ("pretraining", "supervised")
    write_json(path, [{k: v for k, v in cell.items() if k not in whole} for cell in cells])
