"""``c2vl-export``: a checkpoint in, a bundle out."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from c2vl_serve.errors import BundleError, C2VLError

if TYPE_CHECKING:
    from c2vl_export.options import ExportOptions
    from c2vl_training.checkpoint import Checkpoint

# The extra that brings each module which the base install lacks.
EXTRAS = {
    "torch": "export",
    "onnx": "export",
    "onnxscript": "export",
    "safetensors": "export",
    "onnxruntime": "cpu",
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console()


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A .safetensors file of c2vl-train.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle; written as a whole.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of the skeleton sets, to compare on real clips.")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Integers; needs --data.")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Half floats, for GPUs.")] = False,
    bf16: Annotated[bool, typer.Option("--bf16", help="bfloat16; with --openvino.")] = False,
    openvino: Annotated[bool, typer.Option("--openvino", help="A bundle for OpenVINO.")] = False,
    trt: Annotated[bool, typer.Option("--trt", help="A TensorRT plan for this GPU.")] = False,
    triton: Annotated[
        Path | None, typer.Option(help="Also write a Triton model repository here.")
    ] = None,
    max_drop: Annotated[float, typer.Option(help="Points of accuracy that may be lost.")] = 0.5,
    dynamic_frames: Annotated[
        bool, typer.Option("--dynamic-frames", help="Windows of any multiple of 8 frames.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an older bundle.")] = False,
    min_batch: Annotated[int, typer.Option(help="Of --trt.")] = 1,
    opt_batch: Annotated[int, typer.Option(help="Of --trt: tuned for it.")] = 8,
    max_batch: Annotated[int, typer.Option(help="Of --trt and --triton.")] = 64,
    workspace: Annotated[int, typer.Option(help="Of --trt, MiB.")] = 1024,
    engine_cache: Annotated[
        Path | None, typer.Option(help="Of --trt. [default: the user's cache]")
    ] = None,
) -> None:
    """Write CHECKPOINT as a bundle that c2vl-serve can run, and show how far it agrees."""
    from c2vl_export.options import MIB, ExportOptions, TensorRtOptions

    kept = {} if engine_cache is None else {"cache": engine_cache}
    options = ExportOptions(
        precision=_one_of("fp32", int8=int8, fp16=fp16, bf16=bf16),
        runtime=_one_of("onnxruntime", openvino=openvino, tensorrt=trt),
        data=data,
        max_drop=max_drop,
        dynamic_frames=dynamic_frames,
        replace=force,
        tensorrt=TensorRtOptions(
            min_batch=min_batch,
            opt_batch=opt_batch,
            max_batch=max_batch,
            workspace=workspace * MIB,
            **kept,
        ),
    )
    _export(checkpoint, out, options, triton)


def _export(checkpoint: Path, out: Path, options: "ExportOptions", triton: Path | None) -> None:
    started = time.perf_counter()
    from c2vl_export.package import write_bundle
    from c2vl_export.triton import check_repository, write_repository
    from c2vl_serve.bundle import load_bundle
    from c2vl_serve.recognition.report_tables import parity_table

    trained = _read(checkpoint)
    if triton is not None:
        check_repository(triton, trained.card["name"], replace=options.replace)
    report = write_bundle(trained, out, options)
    console.print(parity_table(report))
    _say(f"wrote {out} ({_megabytes(out):.1f} MB) in {time.perf_counter() - started:.0f} s")
    if triton is not None:
        model = write_repository(
            load_bundle(out),
            triton,
            max_batch=options.tensorrt.max_batch,
            replace=options.replace,
        )
        _say(f"wrote {model}: run tritonserver --model-repository={triton}")


def _read(path: Path) -> "Checkpoint":
    """Read a checkpoint; whatever is wrong inside it is one sentence."""
    from c2vl_training.checkpoint import read_checkpoint

    try:
        return read_checkpoint(path)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"checkpoint {path} does not describe a model of this version ({error!r}); "
            "write it again with c2vl-train"
        ) from error


def _one_of(default: str, **asked: bool) -> str:
    """The one option that was given."""
    given = [name for name, wanted in asked.items() if wanted]
    if len(given) > 1:
        raise C2VLError(f"{' and '.join(given)} were asked for together; choose one of them")
    return given[0] if given else default


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6


def _say(sentence: str) -> None:
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def main() -> None:
    """Entry point of ``c2vl-export``: errors raised on purpose end in one sentence."""
    try:
        app()
    except C2VLError as error:
        _complain(str(error))
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        _complain(f"{error.name} is missing; run: pip install 'c2vl-serve[{extra}]'")
    else:
        return
    sys.exit(1)


def _complain(sentence: str) -> None:
    Console(stderr=True).print(
        f"[bold red]error:[/] {escape(sentence)}", highlight=False, soft_wrap=True
    )
