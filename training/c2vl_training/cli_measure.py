"""``c2vl-train linear | knn | semi | fewshot | zeroshot | report``: what an encoder is worth."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from c2vl_training.command import typed_command

if TYPE_CHECKING:
    from c2vl_training.evaluate.frozen import Split
    from c2vl_training.evaluate.frozen_file import FrozenFile
    from c2vl_training.evaluate.protocols import Protocol

console = Console()

SetName = Annotated[str, typer.Option("--set", help="Name of a set, such as nw_ucla.")]
Data = Annotated[Path, typer.Option(help="Folder of the skeleton sets.")]
Encoder = Annotated[Path, typer.Argument(help="File that `c2vl-train pretrain` wrote.")]
Frozen = Annotated[
    Path, typer.Argument(help="An encoder that was pretrained, or a checkpoint of any labels.")
]
Validate = Annotated[
    bool, typer.Option(help="Measure on validation groups, not on the test split.")
]
Report = Annotated[Path | None, typer.Option(help="JSON file that the number is added to.")]


def linear(
    encoder: Frozen,
    set_name: SetName,
    data: Data,
    validate: Validate = False,
    report: Report = None,
) -> None:
    """Top-1 of a linear classifier on the frozen encoder."""
    from c2vl_training.evaluate import frozen

    _measure("linear", encoder, set_name, data, validate, report, frozen.linear)


def knn(
    encoder: Frozen,
    set_name: SetName,
    data: Data,
    validate: Validate = False,
    report: Report = None,
) -> None:
    """Top-1 of the nearest training clip by cosine, before the projector."""
    from c2vl_training.evaluate import frozen

    _measure("knn", encoder, set_name, data, validate, report, frozen.nearest)


def semi(
    encoder: Frozen,
    set_name: SetName,
    data: Data,
    share: Annotated[float, typer.Option(help="Share of the labels, such as 0.05.")],
    seed: Annotated[int, typer.Option(help="Which labels.")] = 0,
    validate: Validate = False,
    report: Report = None,
) -> None:
    """Top-1 of a linear classifier that sees a share of the labels."""
    from c2vl_training.evaluate import frozen

    def measure(split: "Split") -> float:
        return frozen.semi(split, share, seed)

    _measure(f"semi-{share:g}", encoder, set_name, data, validate, report, measure)


def fewshot(
    encoder: Frozen,
    set_name: SetName,
    data: Data,
    shots: Annotated[int, typer.Option(help="Examples a class.")],
    seed: Annotated[int, typer.Option(help="Which examples.")] = 0,
    validate: Validate = False,
    report: Report = None,
) -> None:
    """Top-1 of the nearest mean of a few examples a class."""
    from c2vl_training.evaluate import frozen

    def measure(split: "Split") -> float:
        return frozen.few_shot(split, shots, seed)

    _measure(f"fewshot-{shots}", encoder, set_name, data, validate, report, measure)


def zeroshot(
    encoder: Encoder,
    set_name: SetName,
    data: Data,
    texts: Annotated[
        list[Path] | None,
        typer.Option(help="Files about the classes; without, the class names are the texts."),
    ] = None,
    validate: Validate = False,
    report: Report = None,
) -> None:
    """Top-1 of the class text that is nearest in the shared space; no example is looked at."""
    from c2vl_training.evaluate.frozen_file import of_pretrained
    from c2vl_training.evaluate.protocols import protocol_of
    from c2vl_training.evaluate.zero_shot import zero_shot_of
    from c2vl_training.knowledge.class_texts import names_as_texts, read_class_texts
    from c2vl_training.pretrained import read_pretrained

    file = read_pretrained(encoder)
    measured = protocol_of(set_name, data, file.preprocessing, validate=validate)
    names = measured.pool.label_names
    said = read_class_texts(*texts) if texts else names_as_texts(names)
    top1 = zero_shot_of(file, measured, said)
    _tell("zeroshot", measured, of_pretrained(file), top1, report)


def report(
    encoder: Encoder,
    set_name: SetName,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for numbers and pictures.")],
    validate: Validate = False,
) -> None:
    """Every protocol's number, with curves, confusion matrix and a map of the representations."""
    from c2vl_training.evaluate.protocols import protocol_of
    from c2vl_training.evaluate.report import write_report
    from c2vl_training.pretrained import read_pretrained

    file = read_pretrained(encoder)
    measured = protocol_of(set_name, data, file.preprocessing, validate=validate)
    numbers = write_report(file, measured, out, typed_command())
    console.print(f"{out}: {numbers}")


def _measure(
    protocol: str,
    encoder: Path,
    set_name: str,
    data: Path,
    validate: bool,
    report: Path | None,
    measure: "Callable[[Split], float]",
) -> None:
    from c2vl_training.evaluate.frozen_file import read_frozen
    from c2vl_training.evaluate.protocols import protocol_of

    file = read_frozen(encoder)
    measured = protocol_of(set_name, data, file.preprocessing, validate=validate)
    _tell(protocol, measured, file, measure(measured.split(file.encoder)), report)


def _tell(
    protocol: str, measured: "Protocol", file: "FrozenFile", top1: float, report: Path | None
) -> None:
    row = {
        "protocol": protocol,
        "set": measured.pool.set_names[0],
        "part": "validation" if measured.validate else "test",
        "clips": int(measured.measured.sum()),
        "top1": round(top1, 2),
        "recipe": file.recipe,
        "seed": file.seed,
        "steps": file.num_steps,
        "command": typed_command(),
    }
    if report is not None:
        _add_row(report, row)
    console.print(
        f"{row['recipe']}, seed {row['seed']}: {protocol} on the {row['part']} part of "
        f"{row['set']} ({row['clips']} clips): top-1 {top1:.2f} %"
    )


def _add_row(report: Path, row: dict[str, Any]) -> None:
    from c2vl_training.state import write_json

    rows = json.loads(report.read_text(encoding="utf-8")) if report.exists() else []
    write_json(report, [*rows, row])
