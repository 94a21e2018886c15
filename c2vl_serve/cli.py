"""``c2vl-serve``: serve a bundle, or use it on files without a server."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from c2vl_serve.bundle import load_bundle
from c2vl_serve.cli_gallery import app as gallery_app
from c2vl_serve.errors import C2VLError, RuntimeUnavailable
from c2vl_serve.pose import fetch_pose_model
from c2vl_serve.recognition.bench import bench as measured
from c2vl_serve.recognition.bench import matrix_peak
from c2vl_serve.recognition.gallery_store import GalleryStore
from c2vl_serve.recognition.parity import read_parity
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.recognition.report_tables import bench_table, parity_table
from c2vl_serve.recognition.runtime import verify
from c2vl_serve.recognition.runtimes import load_runtime
from c2vl_serve.service.app import create_app
from c2vl_serve.service.files import skeleton_upload
from c2vl_serve.service.pose_pool import PosePool
from c2vl_serve.service.predictor import Predictor
from c2vl_serve.service.query import PredictQuery
from c2vl_serve.service.schemas import Prediction
from c2vl_serve.service.server import serve
from c2vl_serve.service.settings import ServiceSettings, read_settings
from c2vl_serve.tables import print_card, print_prediction
from c2vl_serve.watch.command import watch

# The extra that brings each module which the base install lacks.
EXTRAS = {
    "onnxruntime": "cpu",
    "openvino": "openvino",
    "tensorrt": "tensorrt",
    "mediapipe": "pose",
    "av": "pose",
    "PIL": "pose",
    "cv2": "pose",
}

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Recognise what people are doing from their skeletons alone.",
)
app.add_typer(gallery_app, name="gallery")

app.command()(watch)

Bundle = Annotated[
    str | None, typer.Option(help="A shipped bundle's name, or a folder. [default: everyday]")
]
ProviderName = Annotated[
    str | None, typer.Option(help="cpu, cuda, tensorrt or auto. [default: cpu]")
]


@app.command()
def run(
    host: Annotated[str | None, typer.Option(help="[default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="[default: 8000]")] = None,
    bundle: Bundle = None,
    provider: ProviderName = None,
) -> None:
    """Serve over HTTP; every other setting is an environment variable C2VL_*."""
    settings = read_settings(host=host, port=port, bundle=bundle, provider=provider)
    serve(create_app(settings, _loaded(settings)), settings)


def _loaded(settings: ServiceSettings) -> ActionRecognizer | RuntimeUnavailable:
    """The recogniser, or why its runtime is missing, which ``/health/ready`` then tells."""
    try:
        return ActionRecognizer.load(settings.bundle, provider=settings.provider)
    except RuntimeUnavailable as error:
        return error


@app.command()
def predict(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Videos or skeleton files.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON answer a line, as the service's.")
    ] = False,
    layout: Annotated[str | None, typer.Option(help="Of .npy joints, such as ntu25.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second of .npy joints.")] = None,
    top_k: Annotated[int, typer.Option(help="Actions for each person.")] = 5,
    persons: Annotated[int, typer.Option(help="Persons at most, clearest first.")] = 2,
    window: Annotated[float | None, typer.Option(help="Seconds; gives a timeline.")] = None,
    stride: Annotated[float | None, typer.Option(help="Seconds between windows.")] = None,
    labels: Annotated[str | None, typer.Option(help="Comma-separated; only these compete.")] = None,
    bundle: Bundle = None,
    provider: ProviderName = None,
) -> None:
    """Recognise actions in files; no server is needed."""
    settings = read_settings(bundle=bundle, provider=provider, pose_workers=1)
    query = PredictQuery.checked(
        top_k=top_k,
        window=window,
        stride=stride,
        persons=persons,
        layout=layout,
        fps=fps,
        labels=labels,
    )
    recognizer = ActionRecognizer.load(settings.bundle, provider=settings.provider)
    poses = PosePool(settings)
    try:
        gallery = GalleryStore(settings.gallery_file(recognizer.bundle), recognizer.bundle)
        predictor = Predictor(recognizer, poses, settings, gallery)
        outcomes = [_predict_file(predictor, file, query, as_json=as_json) for file in files]
    finally:
        poses.close()
    if not all(outcomes):
        raise typer.Exit(1)


@app.command()
def inspect(
    bundle: Annotated[str | None, typer.Argument(help="A bundle's name or folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole card as JSON.")] = False,
) -> None:
    """Show a bundle's card: labels, accuracy, licence notes, and its parity between runtimes."""
    loaded = load_bundle(bundle or read_settings().bundle)
    card, parity = loaded.card.to_dict(), read_parity(loaded.path)
    if as_json:
        whole = card if parity is None else {**card, "parity": asdict(parity)}
        typer.echo(orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode())
        return
    print_card(Console(), card)
    if parity is not None:
        Console().print(parity_table(parity))


@app.command()
def bench(
    bundle: Annotated[str | None, typer.Argument(help="A bundle's name or folder.")] = None,
    against: Annotated[str | None, typer.Option(help="A second bundle, side by side.")] = None,
    batch: Annotated[
        list[int] | None, typer.Option(help="Windows a call. [default: 1, 16]")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Of timing, for each bundle and batch.")] = 2.0,
    threads: Annotated[int, typer.Option(min=1, help="Of one call on a CPU.")] = 1,
    provider: ProviderName = None,
    as_json: Annotated[bool, typer.Option("--json", help="All figures as JSON.")] = False,
) -> None:
    """Measure a bundle's runtime here, beside this machine's own matrix product."""
    settings = read_settings(bundle=bundle, provider=provider)
    names = [settings.bundle] if against is None else [settings.bundle, against]
    bundles = [load_bundle(name) for name in names]
    entries = [
        (each, load_runtime(each, provider=settings.provider, num_threads=threads))
        for each in bundles
    ]
    for each, runtime in entries:
        verify(runtime, each)
    peak = matrix_peak(threads)
    speeds = [
        speed
        for size in batch or (1, 16)
        for speed in measured(entries, batch=size, seconds=seconds, peak=peak)
    ]
    if as_json:
        whole = {"matrix_gflop_per_second": peak, "speeds": [asdict(speed) for speed in speeds]}
        typer.echo(orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode())
    else:
        Console().print(bench_table(speeds, peak, threads))


@app.command("fetch-pose-model")
def fetch_pose_model_command(
    path: Annotated[
        Path | None, typer.Option(help="Where to put it. [default: the user's cache]")
    ] = None,
) -> None:
    """Fetch the network that finds people in videos, once, and check its hash."""
    console = Console()
    target = path or read_settings().pose_model
    with console.status("fetching the pose model") as status:

        def report(sentence: str) -> None:
            status.update(sentence)
            console.print(sentence, highlight=False, markup=False)

        fetch_pose_model(target, report=report)


def main() -> None:
    """The entry point: whatever is wrong is one sentence and exit status 1, not a traceback."""
    try:
        app()
    except C2VLError as error:
        _complain(str(error))
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        _complain(
            f"{error.name} is not installed; install it with: pip install 'c2vl-serve[{extra}]'"
        )
    else:
        return
    raise SystemExit(1)


def _predict_file(predictor: Predictor, file: Path, query: PredictQuery, *, as_json: bool) -> bool:
    """Print the answer for one file; False where there is none but a sentence."""
    try:
        prediction = _prediction(predictor, file, query)
    except C2VLError as error:
        _complain(f"{file}: {error}")
        return False
    if as_json:
        answer = {"file": str(file), **prediction.model_dump(exclude_none=True)}
        typer.echo(orjson.dumps(answer).decode())
    else:
        print_prediction(Console(), str(file), prediction)
    return True


def _prediction(predictor: Predictor, file: Path, query: PredictQuery) -> Prediction:
    upload = skeleton_upload(file)
    return predictor.video(file, query) if upload is None else predictor.skeleton(upload, query)


def _complain(sentence: str) -> None:
    Console(stderr=True).print(
        f"[bold red]error:[/] {escape(sentence)}", highlight=False, soft_wrap=True
    )
