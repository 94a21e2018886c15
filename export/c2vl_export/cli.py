"""``c2vl-export``: a checkpoint in, a bundle out."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from c2vl_serve.errors import C2VLError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console()


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A .safetensors file of c2vl-train.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle; replaced as a whole.")],
) -> None:
    """Write CHECKPOINT as a bundle that c2vl-serve can run."""
    from c2vl_export.package import write_bundle
    from c2vl_training.checkpoint import read_checkpoint

    difference = write_bundle(read_checkpoint(checkpoint), out)
    size = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    console.print(
        f"wrote {out} ({size:.1f} MB); torch and ONNX Runtime differ by {difference:.1e} "
        "on the golden sample",
        soft_wrap=True,
    )


def main() -> None:
    """Entry point of ``c2vl-export``: errors raised on purpose end in one sentence."""
    try:
        app()
    except C2VLError as error:
        console.print(f"[red]error:[/red] {error}", soft_wrap=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "onnx", "onnxscript", "safetensors"):
            raise
        console.print(
            f"{error.name} is missing; run: pip install 'c2vl-serve[export]'", markup=False
        )
        sys.exit(1)
