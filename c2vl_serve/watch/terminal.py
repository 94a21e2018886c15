"""What ``c2vl-serve watch`` shows in a terminal."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from c2vl_serve.recognition.answers import PersonAnswer
from c2vl_serve.watch.watcher import Moment

_BAR = 30  # characters, of a score of 1


def panel(moment: Moment, source: str, num_dropped: int) -> Panel:
    """The current action of each person, scores as bars, and how it goes."""
    parts: list[RenderableType] = [_person(person) for person in moment.persons]
    if moment.found is None:
        parts = [Text("looking ...", style="dim")]
    elif not parts:
        parts = [Text("nobody is seen", style="dim")]
    state = (
        f"{moment.frame.time:.1f} s · {moment.poses.num_poses} in the picture · "
        f"{moment.fps:.1f} frames a second · {num_dropped} dropped"
    )
    return Panel(
        Group(*parts),
        title=escape(source),
        title_align="left",
        subtitle=state,
        subtitle_align="left",
        width=76,
    )


def line(moment: Moment) -> str:
    """One answer in one line, for a file or a pipe, where no panel can be drawn again."""
    said = [
        f"person {person.id}: {person.actions[0].label}{'' if person.recognised else '?'} "
        f"{person.actions[0].score:.2f}"
        for person in moment.persons
    ]
    return f"{moment.frame.time:6.1f} s  " + (", ".join(said) or "nobody is seen")


def _person(person: PersonAnswer) -> RenderableType:
    best = person.actions[0]
    headline = Text(f"person {person.id}: ", style="dim")
    colour = "green" if person.recognised else "yellow"
    headline.append(best.label if person.recognised else f"{best.label}?", style=f"bold {colour}")
    if not person.recognised:
        headline.append("  not recognised", style="dim")
    table = Table.grid(padding=(0, 1))
    for action in person.actions:
        bar = ProgressBar(
            total=1.0,
            completed=action.score,
            width=_BAR,
            complete_style=colour,
            finished_style=colour,
        )
        table.add_row(escape(action.label), bar, f"{action.score:.2f}")
    return Group(headline, table)
