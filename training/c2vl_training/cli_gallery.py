"""``c2vl-train gallery``: a checkpoint learns in which space enrolled actions are compared."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from c2vl_training.cli_language import trained_on
from c2vl_training.cli_tune import Data, Seed
from c2vl_training.command import typed_command

console = Console()


def gallery(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint that gets a gallery space.")],
    data: Data,
    out: Annotated[
        Path | None, typer.Option(help="Where the result goes; in its place without.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    seed: Seed = 0,
) -> None:
    """Measure the space in which enrolled actions are compared, and choose its scale.

    Printed is what the scale does on the actions never seen that chose it.
    """
    from c2vl_training.checkpoint import read_checkpoint, write_checkpoint
    from c2vl_training.data.unknowns import unknown_actions
    from c2vl_training.gallery_fit import GalleryConfig, fitted_space
    from c2vl_training.state import write_json

    given = read_checkpoint(checkpoint)
    pool, sampling = trained_on(given, data)
    config = GalleryConfig(seed=seed)
    unknown = unknown_actions(data, pool)
    space, found = fitted_space(given, pool, unknown, sampling.camera, config)
    write_checkpoint(out or checkpoint, replace(given, gallery_space=space))
    whitened = space.whitening is not None
    figures = {
        "whitened": whitened,
        "scale": asdict(space.scale),
        "where_chosen": asdict(found),
    }
    if report is not None:
        write_json(report, {"command": typed_command(), **asdict(config), **figures})
    console.print(
        f"{out or checkpoint}: {'whitened' if whitened else 'plain'}, {space.scale}. "
        f"On every second action never seen: {found.found:.1%} found, {found.kept:.1%} of known "
        f"clips kept, {found.rejected:.1%} of other actions rejected "
        f"({found.rejected_before:.1%} without a gallery)",
        soft_wrap=True,
    )
