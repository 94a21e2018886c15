"""``c2vl-train knowledge``: sentences about clips, their embeddings, and a look at both."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from c2vl_serve.errors import C2VLError

if TYPE_CHECKING:
    from c2vl_training.data.readers.recording import Recordings
    from c2vl_training.knowledge.class_texts import ClassTexts
    from c2vl_training.knowledge.describe import SentenceSource
    from c2vl_training.knowledge.inspect import SpaceFigures, TextFigures

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
console = Console()

MINILM = "minilm"


class Source(StrEnum):
    """Where sentences come from."""

    KINEMATIC = "kinematic"
    LMM = "lmm"
    CLASS_TEXTS = "class-texts"


class Tower(StrEnum):
    """What embeds."""

    SENTENCE = "sentence"
    CLIP_TEXT = "clip-text"
    CLIP_IMAGE = "clip-image"


@app.callback()
def knowledge() -> None:
    """Describe clips in sentences, embed them, and look at what came out."""


@app.command()
def describe(
    skeletons: Annotated[str, typer.Argument(help="Name of a set, a folder, or a CSV.")],
    out: Annotated[Path, typer.Option(help="JSON-lines file of sentences.")],
    source: Annotated[Source, typer.Option(help="Who says it.")] = Source.KINEMATIC,
    data: Annotated[Path | None, typer.Option(help="Folder of the packed sets.")] = None,
    videos: Annotated[Path | None, typer.Option(help="lmm: folder of the RGB clips.")] = None,
    model: Annotated[str | None, typer.Option(help="lmm: folder or hub name.")] = None,
    prompt: Annotated[str | None, typer.Option(help="lmm: asked about each frame.")] = None,
    device: Annotated[str, typer.Option(help="lmm: cpu or cuda.")] = "cpu",
    texts: Annotated[
        list[Path] | None,
        typer.Option(help="class-texts: files; without, the class names are the texts."),
    ] = None,
    seed: Annotated[int, typer.Option(help="kinematic: chooses the words.")] = 0,
) -> None:
    """Write sentences about every clip of a set.

    An interrupted run goes on when the same command is given again.
    """
    from c2vl_training.knowledge.describe import KinematicSource
    from c2vl_training.knowledge.describe import describe as describe_all
    from c2vl_training.knowledge.open_set import open_set

    recordings = open_set(skeletons, data)
    speaker: SentenceSource
    if source is Source.LMM:
        speaker = _lmm_source(videos, model, prompt, device)
    elif source is Source.CLASS_TEXTS:
        speaker = _class_text_source(recordings, texts or [])
    else:
        speaker = KinematicSource(recordings=recordings, seed=seed)
    with _bar("clips", len(recordings)) as on_done:
        num_skipped = describe_all(recordings.entries, speaker, out, on_done)
    console.print(f"{len(recordings)} clips described in {out}, {num_skipped} skipped now")


def _lmm_source(
    videos: Path | None, model: str | None, prompt: str | None, device: str
) -> "SentenceSource":
    from c2vl_training.knowledge.describe import LmmSource
    from c2vl_training.knowledge.lmm import DEFAULT_PROMPT, load_speaker

    if videos is None or model is None:
        raise C2VLError("source lmm needs --videos FOLDER and --model FOLDER_OR_NAME")
    return LmmSource(
        videos=videos,
        speaker=load_speaker(model, device=device),
        model_name=model,
        prompt=prompt or DEFAULT_PROMPT,
    )


def _class_text_source(recordings: "Recordings", texts: list[Path]) -> "SentenceSource":
    from c2vl_training.knowledge.class_texts import names_as_texts, read_class_texts
    from c2vl_training.knowledge.describe import ClassTextSource

    read: ClassTexts = read_class_texts(*texts) if texts else names_as_texts(recordings.class_names)
    for name in recordings.class_names:  # all that is missing is told before the work begins
        read.of(name)
    return ClassTextSource(texts=read)


@app.command()
def embed(
    sentences: Annotated[Path, typer.Argument(help="JSON-lines file that describe wrote.")],
    out: Annotated[Path, typer.Option(help="Where the .safetensors goes.")],
    tower: Annotated[Tower, typer.Option(help="What embeds.")] = Tower.SENTENCE,
    model: Annotated[
        str, typer.Option(help="minilm (packaged), or a folder or hub name.")
    ] = MINILM,
    videos: Annotated[Path | None, typer.Option(help="clip-image: folder of the clips.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Embed sentences, or the frames of the same samples, with a frozen tower.

    An interrupted run goes on when the same command is given again.
    """
    from c2vl_training.knowledge.embed import embed_frames, embed_sentences
    from c2vl_training.knowledge.sentences import read_descriptions
    from c2vl_training.knowledge.towers import (
        MINILM_PACKAGE,
        TextTower,
        load_clip,
        load_sentence_encoder,
    )

    descriptions = read_descriptions(sentences)
    if tower is not Tower.SENTENCE and model == MINILM:
        raise C2VLError(f"tower {tower.value} needs --model with CLIP's weights")
    ids = tuple(sample.sample_id for sample in descriptions.samples)
    with _bar("clips", len(ids)) as on_done:
        if tower is Tower.CLIP_IMAGE:
            if videos is None:
                raise C2VLError("tower clip-image needs --videos FOLDER")
            embed_frames(ids, videos, load_clip(model, device=device), out, on_done)
        else:
            text: TextTower = (
                load_sentence_encoder(MINILM_PACKAGE if model == MINILM else model, device=device)
                if tower is Tower.SENTENCE
                else load_clip(model, device=device)
            )
            embed_sentences(descriptions, text, out, on_done)
    console.print(f"{len(ids)} clips embedded in {out}")


@app.command()
def inspect(
    sentences: Annotated[Path, typer.Argument(help="JSON-lines file that describe wrote.")],
    embeddings: Annotated[Path | None, typer.Option(help="What embed made of it.")] = None,
    examples: Annotated[int, typer.Option(help="Samples to show of each class.")] = 0,
    train_of: Annotated[
        str | None, typer.Option(help="Only the training clips of this packed set.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the packed sets.")] = None,
) -> None:
    """Print what is in a file of sentences, and how far its embeddings tell classes apart."""
    from c2vl_training.knowledge.inspect import space_figures, text_figures
    from c2vl_training.knowledge.open_set import training_ids
    from c2vl_training.knowledge.sentences import read_descriptions
    from c2vl_training.knowledge.store import read_knowledge

    read = read_descriptions(sentences)
    samples = read.samples
    if train_of is not None:
        if data is None:
            raise C2VLError("--train-of needs --data FOLDER")
        keep = training_ids(train_of, data)
        samples = tuple(sample for sample in samples if sample.sample_id in keep)
    _print_texts(text_figures(samples), len(read.skipped))
    shown: dict[str, int] = {}
    for sample in samples:
        shown[sample.class_name] = shown.get(sample.class_name, 0) + 1
        if shown[sample.class_name] <= examples:
            console.print(f"[bold]{sample.class_name}[/bold]")
            console.print("\n".join(f"  {s}" for s in sample.sentences), markup=False)
    if embeddings is not None:
        _print_space(space_figures(samples, read_knowledge(embeddings)))


def _print_texts(figures: "TextFigures", num_skipped: int) -> None:
    fewest, mean, most = figures.per_sample
    console.print(
        f"{figures.num_samples} samples ({num_skipped} skipped in the file), {fewest} to {most} "
        f"sentences each (mean {mean:.1f}), {figures.num_distinct} distinct sentences, "
        f"{figures.num_words} words, entropy {figures.entropy:.1f} bits, "
        f"{figures.duplicates:.1%} of the samples say exactly what another does"
    )


def _print_space(figures: "SpaceFigures") -> None:
    table = Table("class", "nearest of another subject is of the class, %")
    for name, share in figures.by_class.items():
        table.add_row(name, f"{100 * share:.1f}")
    console.print(table)
    console.print(
        f"mean cosine inside classes {figures.cosine_inside:.3f}, between "
        f"{figures.cosine_between:.3f}; 1-NN, one subject out: {figures.nearest:.1%} "
        f"(chance {figures.chance:.1%})"
    )


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar, as a function of how many are done."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)
