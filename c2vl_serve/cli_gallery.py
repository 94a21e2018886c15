"""``c2vl-serve gallery``: enrol actions from files, list, forget, and carry them elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from c2vl_serve.bundle import load_bundle
from c2vl_serve.errors import C2VLError, GalleryError
from c2vl_serve.recognition.gallery import checked_name
from c2vl_serve.recognition.gallery_file import from_file, to_file
from c2vl_serve.recognition.gallery_store import GalleryStore
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.files import skeleton_upload
from c2vl_serve.service.pose_pool import PosePool
from c2vl_serve.service.predictor import Predictor
from c2vl_serve.service.query import PredictQuery
from c2vl_serve.service.settings import read_settings

app = typer.Typer(
    no_args_is_help=True, help="Actions enrolled by example, recognised beside the bundle's own."
)

Bundle = Annotated[
    str | None, typer.Option(help="A shipped bundle's name, or a folder. [default: everyday]")
]
GalleryFile = Annotated[
    Path | None,
    typer.Option("--gallery", help="The gallery's file. [default: the bundle's own, C2VL_GALLERY]"),
]
Name = Annotated[str, typer.Argument(help="Of the action.")]


@app.command("list")
def list_command(bundle: Bundle = None, gallery: GalleryFile = None) -> None:
    """Show the enrolled actions."""
    with _store(bundle, gallery) as store:
        table = Table("action", "examples")
        for action in store.gallery.actions.values():
            table.add_row(action.name, str(len(action.examples)))
        Console().print(table)
        _say(f"{store.path}, for {store.origin.bundle}")


@app.command()
def add(
    name: Name,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Videos or skeleton files.")
    ],
    layout: Annotated[str | None, typer.Option(help="Of .npy joints, such as ntu25.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second of .npy joints.")] = None,
    bundle: Bundle = None,
    gallery: GalleryFile = None,
) -> None:
    """Enrol an action from files: all of them are taken in, or none."""
    query = PredictQuery.checked(layout=layout, fps=fps)
    with _store(bundle, gallery) as store:
        checked_name(name, load_bundle(bundle or read_settings().bundle).card.labels)
        with _predictor(bundle, store) as predictor:
            examples = np.stack([_example(predictor, file, query) for file in files])
        enrolled = store.add(name, examples)
        _say(f"{enrolled.name}: {len(enrolled.examples)} examples")


@app.command()
def remove(name: Name, bundle: Bundle = None, gallery: GalleryFile = None) -> None:
    """Forget an action."""
    with _store(bundle, gallery) as store:
        store.remove(name)
        _say(f"{name}: forgotten")


@app.command("export")
def export_command(
    file: Annotated[Path, typer.Argument(help="Where to.")],
    bundle: Bundle = None,
    gallery: GalleryFile = None,
) -> None:
    """Write the gallery to a JSON file."""
    with _store(bundle, gallery) as store:
        content, beside = to_file(store.gallery, store.origin), file.with_name(f".{file.name}.new")
        try:
            beside.write_bytes(content)
            beside.replace(file)
        except OSError as error:
            raise GalleryError(
                f"{file} cannot be written: {error.strerror}; choose another place"
            ) from error
        _say(f"{file}: {len(store.gallery.actions)} actions")


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="As `export` wrote it.")],
    bundle: Bundle = None,
    gallery: GalleryFile = None,
) -> None:
    """Take in an exported gallery: all of its actions, or none."""
    settings = read_settings(bundle=bundle)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise GalleryError(f"{file} cannot be read: {error.strerror}") from error
    with _store(bundle, gallery) as store:
        width = ActionRecognizer.load(settings.bundle).num_features
        added = store.add_all(from_file(data, store.origin, width))
        _say(f"{store.path}: {len(added)} actions taken in")


@contextmanager
def _store(bundle: str | None, gallery: Path | None) -> Iterator[GalleryStore]:
    settings = read_settings(bundle=bundle, gallery=gallery)
    loaded = load_bundle(settings.bundle)
    store = GalleryStore(settings.gallery_file(loaded), loaded)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _predictor(bundle: str | None, store: GalleryStore) -> Iterator[Predictor]:
    settings = read_settings(bundle=bundle, pose_workers=1)
    poses = PosePool(settings)
    try:
        yield Predictor(ActionRecognizer.load(settings.bundle), poses, settings, store)
    finally:
        poses.close()


def _example(predictor: Predictor, file: Path, query: PredictQuery) -> np.ndarray:
    try:
        upload = skeleton_upload(file)
        decoded = (
            predictor.watch(file, query) if upload is None else predictor.decode(upload, query)
        )
        return predictor.embed(decoded, query).example()
    except C2VLError as error:
        raise GalleryError(f"{file}: {error}") from error


def _say(sentence: str) -> None:
    Console().print(sentence, highlight=False, markup=False, soft_wrap=True)
