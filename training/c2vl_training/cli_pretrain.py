"""``c2vl-train pretrain``: an encoder from clips whose labels are not read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from c2vl_serve.errors import C2VLError
from c2vl_training import cli_measure
from c2vl_training.command import typed_command

if TYPE_CHECKING:
    from c2vl_training.pretrain import PretrainProgress
    from c2vl_training.pretrain_config import PretrainConfig

console = Console()

Recipe = Annotated[str, typer.Argument(help="Name of a recipe, such as c2vl.")]
Data = Annotated[Path, typer.Option(help="Folder of the skeleton sets.")]


class Precisions(StrEnum):
    """Of a network's arithmetic."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


def pretrain(
    recipe: Recipe,
    set_names: Annotated[list[str], typer.Option("--set", help="Name of a set; may be repeated.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Where the .safetensors goes.")],
    knowledge: Annotated[
        list[Path] | None,
        typer.Option(help="Language embeddings that `knowledge embed` wrote, of each set."),
    ] = None,
    vision: Annotated[
        list[Path] | None, typer.Option(help="Embeddings of frames, the same.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all chance.")] = 0,
    precision: Annotated[Precisions, typer.Option(help="Of the encoder's arithmetic.")] = (
        Precisions.BFLOAT16
    ),
    log: Annotated[
        Path | None, typer.Option(help="Folder for log.csv and TensorBoard's events.")
    ] = None,
) -> None:
    """Train an encoder on the training clips of one or more sets without their labels.

    An interrupted run goes on when the same command is given again. Under ``torchrun`` several
    processes share each batch.
    """
    from c2vl_training.evaluate.protocols import set_pool
    from c2vl_training.parallel import joined
    from c2vl_training.pretrain import pretrain as run
    from c2vl_training.pretrain_config import Knowledge
    from c2vl_training.pretrained import write_pretrained

    config = replace(_recipe(recipe, steps, seed), precision=precision.value)
    pool = set_pool(tuple(set_names), data, config.preprocessing)
    pool = pool.where(~pool.test)
    sources = {"language": knowledge or [], "vision": vision or []}
    given = {source: files for source, files in sources.items() if files}
    ids = tuple(str(sample) for sample in pool.ids)
    known = Knowledge.of_files(given, ids) if given else None
    state = out.with_suffix(".state.pt")
    with joined() as processes, _logged(config, log, shown=processes.leads) as on_step:
        result = run(config, pool, known, processes=processes, state_file=state, on_step=on_step)
    if not processes.leads:
        return
    noted = {
        "sets": set_names,
        "clips": len(pool),
        "knowledge": {source: [str(path) for path in paths] for source, paths in given.items()},
        "command": typed_command(),
        "measures": result.measures,
    }
    write_pretrained(out, result, config, noted)
    state.unlink(missing_ok=True)
    last = {name: round(values[-1], 3) for name, values in result.measures.items() if values}
    console.print(
        f"{out}: {len(pool)} clips of {', '.join(set_names)}, {config.num_steps} steps; {last}"
    )


def transfer(
    recipe: Recipe,
    set_name: Annotated[str, typer.Option("--set", help="The set that is left out.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Where the .safetensors goes.")],
    others: Annotated[
        list[str] | None,
        typer.Option("--from", help="A set to learn from; all others without it."),
    ] = None,
    knowledge: Annotated[
        list[Path] | None, typer.Option(help="Language embeddings, of each of these sets.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all chance.")] = 0,
    report: cli_measure.Report = None,
) -> None:
    """Pretrain on all sets but one, and measure on that one with the encoder frozen.

    ``finetune`` goes on from the encoder that it leaves. An interrupted run goes on when the same
    command is given again.
    """
    from c2vl_training.data.sets import SETS

    learned_from = others or [name for name in SETS if name != set_name]
    if set_name in learned_from:
        raise C2VLError(f"{set_name} is to be measured and cannot be learned from; leave it out")
    if not out.exists():
        pretrain(recipe, learned_from, data, out, knowledge, steps=steps, seed=seed)
    cli_measure.linear(out, set_name, data, report=report)
    cli_measure.knn(out, set_name, data, report=report)


def _recipe(name: str, steps: int | None, seed: int) -> "PretrainConfig":
    from c2vl_training.pretrain_recipes import PRETRAIN_RECIPES

    if name not in PRETRAIN_RECIPES:
        raise C2VLError(f"unknown recipe {name!r}; known are {', '.join(PRETRAIN_RECIPES)}")
    config = replace(PRETRAIN_RECIPES[name](), seed=seed)
    return config if steps is None else replace(config, num_steps=steps)


@contextmanager
def _logged(
    config: "PretrainConfig", folder: Path | None, *, shown: bool
) -> Iterator[Callable[["PretrainProgress"], None]]:
    """A progress bar and a log, as the function that is called after each step."""
    from c2vl_training.log import RunLog

    if not shown:
        yield lambda _: None
        return
    log = None if folder is None else RunLog(folder)
    columns = (
        TextColumn(config.name),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(config.name, total=config.num_steps, loss=float("nan"))

        def on_step(done: "PretrainProgress") -> None:
            progress.update(task, completed=done.step, loss=done.loss)
            if log is not None:
                log.note(done.step, done.measures)

        yield on_step
    if log is not None:
        log.close()
