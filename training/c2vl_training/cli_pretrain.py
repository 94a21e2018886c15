"""``c2vl-train pretrain`` and the protocols that measure what it left."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from c2vl_serve.errors import C2VLError

if TYPE_CHECKING:
    from c2vl_training.evaluate.frozen import Split
    from c2vl_training.pretrain import Knowledge, PretrainConfig, PretrainProgress

console = Console()

Recipe = Annotated[str, typer.Argument(help="Name of a recipe, such as c2vl.")]
SetName = Annotated[str, typer.Option("--set", help="Name of a set, such as nw_ucla.")]
Data = Annotated[Path, typer.Option(help="Folder of the skeleton sets.")]
Encoder = Annotated[Path, typer.Argument(help="File that `c2vl-train pretrain` wrote.")]
Validate = Annotated[
    bool, typer.Option(help="Measure on validation groups, not on the test split.")
]
Report = Annotated[Path | None, typer.Option(help="JSON file that the number is added to.")]


def pretrain(
    recipe: Recipe,
    set_name: SetName,
    data: Data,
    out: Annotated[Path, typer.Option(help="Where the .safetensors goes.")],
    knowledge: Annotated[
        Path | None, typer.Option(help="Language embeddings that `knowledge embed` wrote.")
    ] = None,
    vision: Annotated[Path | None, typer.Option(help="Embeddings of frames, the same.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all chance.")] = 0,
) -> None:
    """Train an encoder on a set's training clips without their labels.

    An interrupted run goes on when the same command is given again.
    """
    from c2vl_training.evaluate.protocols import set_pool
    from c2vl_training.pretrain import pretrain as run
    from c2vl_training.pretrained import write_pretrained

    config = _recipe(recipe, steps, seed)
    pool = set_pool(set_name, data, config.preprocessing)
    pool = pool.where(~pool.test)
    sources = {"language": knowledge, "vision": vision}
    known = _knowledge({k: v for k, v in sources.items() if v is not None}, tuple(pool.ids))
    state = out.with_suffix(".state.pt")
    with _bar(config) as on_step:
        result = run(config, pool, known, state_file=state, on_step=on_step)
    noted = {
        "set": set_name,
        "clips": len(pool),
        "knowledge": {k: str(v) for k, v in sources.items() if v is not None},
        "measures": result.measures,
    }
    write_pretrained(out, result, config, noted)
    state.unlink(missing_ok=True)
    last = {name: round(values[-1], 3) for name, values in result.measures.items() if values}
    console.print(f"{out}: {len(pool)} clips of {set_name}, {config.num_steps} steps; {last}")


def linear(
    encoder: Encoder,
    set_name: SetName,
    data: Data,
    validate: Validate = False,
    report: Report = None,
) -> None:
    """Top-1 of a linear classifier on the frozen encoder."""
    from c2vl_training.evaluate import frozen

    _measure("linear", encoder, set_name, data, validate, report, frozen.linear)


def knn(
    encoder: Encoder,
    set_name: SetName,
    data: Data,
    validate: Validate = False,
    report: Report = None,
) -> None:
    """Top-1 of the nearest training clip by cosine, before the projector."""
    from c2vl_training.evaluate import frozen

    _measure("knn", encoder, set_name, data, validate, report, frozen.nearest)


def semi(
    encoder: Encoder,
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
    encoder: Encoder,
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


def _recipe(name: str, steps: int | None, seed: int) -> "PretrainConfig":
    from c2vl_training.pretrain_recipes import PRETRAIN_RECIPES

    if name not in PRETRAIN_RECIPES:
        raise C2VLError(f"unknown recipe {name!r}; known are {', '.join(PRETRAIN_RECIPES)}")
    config = replace(PRETRAIN_RECIPES[name](), seed=seed)
    return config if steps is None else replace(config, num_steps=steps)


def _knowledge(files: dict[str, Path], ids: tuple[str, ...]) -> "Knowledge | None":
    """The embeddings of these clips from each file; None without files."""
    import torch

    from c2vl_training.knowledge.store import read_knowledge
    from c2vl_training.pretrain import Knowledge

    if not files:
        return None
    names = tuple(str(sample) for sample in ids)
    read = {source: read_knowledge(path).of(names) for source, path in files.items()}
    return Knowledge(
        embeddings={source: torch.from_numpy(each.embeddings) for source, each in read.items()},
        given={source: torch.from_numpy(each.given) for source, each in read.items()},
    )


def _measure(
    protocol: str,
    encoder: Path,
    set_name: str,
    data: Path,
    validate: bool,
    report: Path | None,
    measure: "Callable[[Split], float]",
) -> None:
    from c2vl_training.evaluate.protocols import protocol_of
    from c2vl_training.pretrained import read_pretrained

    file = read_pretrained(encoder)
    split = protocol_of(set_name, data, file.preprocessing, validate=validate).split(file.encoder)
    top1 = round(measure(split), 2)
    row = {
        "protocol": protocol,
        "set": set_name,
        "part": "validation" if validate else "test",
        "clips": len(split.test_labels),
        "top1": top1,
        "recipe": file.run["config"]["name"],
        "seed": file.run["config"]["seed"],
        "steps": file.run["config"]["num_steps"],
    }
    if report is not None:
        _add_row(report, row)
    console.print(
        f"{row['recipe']}, seed {row['seed']}: {protocol} on the {row['part']} part of {set_name} "
        f"({row['clips']} clips): top-1 {top1:.2f} %"
    )


def _add_row(report: Path, row: dict[str, Any]) -> None:
    rows = json.loads(report.read_text(encoding="utf-8")) if report.exists() else []
    beside = report.with_suffix(".partial")
    beside.write_text(json.dumps([*rows, row], indent=1) + "\n", encoding="utf-8")
    beside.replace(report)


@contextmanager
def _bar(config: "PretrainConfig") -> Iterator[Callable[["PretrainProgress"], None]]:
    """A progress bar, as the function that is called after each step."""
    columns = (
        TextColumn(config.name),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(config.name, total=config.num_steps, loss=float("nan"))
        yield lambda done: progress.update(task, completed=done.step, loss=done.loss)
