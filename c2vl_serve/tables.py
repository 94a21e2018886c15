"""What the command line shows: a prediction and a bundle's card as tables for people."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from c2vl_serve.service.schemas import Action, Prediction

_BAR = 20  # characters, of a score of 1


def print_prediction(console: Console, name: str, prediction: Prediction) -> None:
    """One table a file: each person's actions, then window by window where asked for."""
    frames = prediction.frames
    seconds = f", {frames.read / frames.fps:.1f} s" if frames.fps else ""
    milliseconds = f"{prediction.timing_ms.total:.0f} ms"
    table = Table()
    for column in ("person", "time", "action"):
        table.add_column(column)
    table.add_column("score", justify="right")
    table.add_column("")
    for person in prediction.persons:
        _add(table, str(person.id), "all", person.actions, recognised=person.recognised)
        for window in person.windows:
            time = f"{window.start:.1f}-{window.end:.1f} s"
            _add(table, str(person.id), time, window.actions[:1], recognised=window.recognised)
    if not prediction.persons:
        table.add_row("-", "", "nobody was found", "", "")
    _say(console, name)
    console.print(table)
    _say(console, f"{prediction.bundle} · {frames.read} frames{seconds} · {milliseconds}")
    for note in prediction.notes:
        _say(console, f"note: {note}")
    if not frames.complete:
        _say(console, "note: the file is damaged or ends early")


def print_card(console: Console, card: Mapping[str, Any]) -> None:
    """A bundle's card, nested parts indented, lists in one cell."""
    table = Table(title=f"bundle {card['name']}@{card['version']}", title_justify="left")
    table.add_column("what")
    table.add_column("value")
    for key, value in card.items():
        _add_field(table, key.replace("_", " "), value)
    console.print(table)


def _say(console: Console, sentence: str) -> None:
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def _add(table: Table, person: str, time: str, actions: list[Action], *, recognised: bool) -> None:
    for rank, action in enumerate(actions):
        known = recognised or rank > 0
        table.add_row(
            person if rank == 0 else "",
            time if rank == 0 else "",
            escape(action.label) if known else f"{escape(action.label)} [dim](not recognised)[/]",
            f"{action.score:.3f}",
            "█" * round(_BAR * action.score),
        )


def _add_field(table: Table, name: str, value: Any, indent: str = "") -> None:
    if isinstance(value, Mapping):
        table.add_row(indent + escape(name), "")
        for key, part in value.items():
            _add_field(table, str(key), part, indent + "  ")
    elif isinstance(value, list | tuple):
        table.add_row(indent + escape(name), escape(", ".join(map(str, value))))
    else:
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        table.add_row(indent + escape(name), escape(text))
