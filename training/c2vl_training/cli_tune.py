"""``c2vl-train finetune | distill``: from an encoder or a teacher to what can be served."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

from c2vl_serve.errors import C2VLError
from c2vl_training.command import typed_command

if TYPE_CHECKING:
    from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
    from c2vl_training.config import Member, TrainConfig
    from c2vl_training.distill import Teacher
    from c2vl_training.model.encoders import Encoder, EncoderConfig
    from c2vl_training.train_members import Learners

console = Console()

Recipe = Annotated[str, typer.Argument(help="Name of a recipe, such as nw_ucla.")]
Data = Annotated[Path, typer.Option(help="Folder of the skeleton sets.")]
Out = Annotated[Path, typer.Option(help="Folder for checkpoint, report and pictures.")]
Steps = Annotated[int, typer.Option(help="Optimiser steps of the final run.")]
Seed = Annotated[int, typer.Option(help="Seed of all chance.")]


class Student(StrEnum):
    """Sizes of a student."""

    TEMPORAL = "temporal"
    GRAPH = "graph"
    POSTURE = "posture"
    SMALL = "small"
    SMALL_POSTURE = "small-posture"


def finetune(
    start: Annotated[
        Path, typer.Argument(help="An encoder that was pretrained, or a checkpoint, of any labels.")
    ],
    recipe: Recipe,
    data: Data,
    out: Out,
    steps: Steps = 600,
    rate: Annotated[float, typer.Option(help="Peak of the learning rate.")] = 2e-3,
    batch: Annotated[int, typer.Option(help="Windows a step.", min=2)] = 256,
    seed: Seed = 0,
) -> None:
    """Train an encoder further with the labels of RECIPE, calibrate it, measure it.

    All networks of a checkpoint that know the recipe's sets are trained further, those of their
    experts among them, and answer as one. They have seen the groups that they are then calibrated
    on, which makes them a little too sure. An interrupted run goes on when the same command is
    given again.
    """
    from c2vl_training.supervised import train

    labelled = supervised_recipe(recipe, seed).without_experts()
    starts, preprocessing = _starts(start, tuple(labelled.labels))
    config = replace(
        labelled,
        preprocessing=preprocessing,
        members=tuple(
            replace(member, num_steps=steps, learning_rate=rate, batch_size=batch)
            for member, _ in starts
        ),
    )
    fitted(config, data, out, tuple(partial(train, start=encoder) for _, encoder in starts))


def distill(
    teacher: Annotated[
        Path, typer.Argument(help="A checkpoint, or an encoder that was only pretrained.")
    ],
    recipe: Recipe,
    data: Data,
    out: Out,
    student: Annotated[Student, typer.Option(help="Sizes of the student.")] = Student.SMALL,
    labels: Annotated[bool, typer.Option(help="Look at the truth as well.")] = False,
    steps: Steps = 600,
    seed: Seed = 0,
) -> None:
    """Train a student on what a teacher makes of the clips of RECIPE; labels are optional.

    From a checkpoint it learns logits and features, and becomes a checkpoint; from a pretrained
    encoder it learns features, and becomes an encoder. The calibration of the former is a little
    too sure: the teacher has seen the groups that it is fitted on.
    """
    from c2vl_training.config import Member
    from c2vl_training.distill import distill as learn
    from c2vl_training.objectives.distillation import DistillationConfig

    taught, preprocessing = _teacher(teacher)
    config = replace(
        supervised_recipe(recipe, seed).without_experts(),
        preprocessing=preprocessing,
        members=(Member(encoder=_sizes(student), num_steps=steps),),
    )
    weights = DistillationConfig()
    if taught.labels:
        by_teacher = partial(learn, teacher=taught, weights=weights, with_labels=labels)
        fitted(config, data, out, by_teacher)
    elif labels:
        raise C2VLError(
            f"{teacher} has no labels of its own; distil without --labels, then finetune"
        )
    else:
        _distilled_encoder(config, data, out, taught, teacher)


def narrow(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint of several sets.")],
    set_name: Annotated[str, typer.Argument(metavar="SET", help="Whose labels stay.")],
    data: Data,
    out: Out,
    seed: Seed = 0,
) -> None:
    """Keep the labels of SET alone, and measure on its test split; nothing is trained."""
    import json

    from c2vl_training.checkpoint import read_checkpoint, write_checkpoint
    from c2vl_training.narrow import narrowed

    kept, test = narrowed(read_checkpoint(checkpoint), set_name, data, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    write_checkpoint(out / f"{kept.card['name']}.safetensors", kept)
    report = {"command": typed_command(), "seed": seed, "test": test.report()}
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    _tell(out, test.accuracy)


def supervised_recipe(name: str, seed: int) -> "TrainConfig":
    """A recipe of training with labels.

    Raises:
        C2VLError: naming those that there are.
    """
    from c2vl_training.recipes import RECIPES

    if name not in RECIPES:
        raise C2VLError(f"unknown recipe {name!r}; known are {', '.join(RECIPES)}")
    return replace(RECIPES[name](), seed=seed)


def fitted(config: "TrainConfig", data: Path, out: Path, learn: "Learners") -> None:
    """Validate, train, measure; print top-1 of each set."""
    from c2vl_training.fit import fit

    with stages(out / "log") as on_step:
        result = fit(
            config,
            data,
            checkpoint=out / f"{config.name}.safetensors",
            report=out,
            state=out,
            on_step=on_step,
            learn=learn,
            command=typed_command(),
        )
    _tell(out, result["test"]["accuracy"])


def _tell(out: Path, accuracy: dict[str, dict[str, float | int]]) -> None:
    for name, values in accuracy.items():
        console.print(f"{out}: {name}, {values['clips']} test clips: top-1 {values['top1']:.2f} %")
    tell_copies(accuracy)


def tell_copies(accuracy: dict[str, dict[str, float | int]]) -> None:
    """Say where test clips are training clips as well, and what is true of the others."""
    for name, values in accuracy.items():
        if "top1_without_copies" in values:
            console.print(
                f"{name}: {values['copies']} test clips are training clips as well; top-1 on the "
                f"others {values['top1_without_copies']:.2f} %"
            )


@contextmanager
def stages(log: Path | None = None) -> Iterator[Callable[[str, Any], None]]:
    """A progress bar for each stage, and a log of each where a folder is given."""
    from c2vl_training.log import RunLog

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}  accuracy {task.fields[accuracy]:.1%}"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    logs: dict[str, RunLog] = {}
    with Progress(*columns, console=console) as progress:

        def on_step(stage: str, done: Any) -> None:
            shown = {"loss": done.loss, "accuracy": done.accuracy}
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=done.num_steps, **shown)
                if log is not None:
                    logs[stage] = RunLog(log / stage.replace("/", "-of-").replace(" ", "-"))
            progress.update(tasks[stage], completed=done.step, **shown)
            if log is not None:
                logs[stage].note(done.step, shown)

        yield on_step
    for each in logs.values():
        each.close()


def _teacher(path: Path) -> "tuple[Teacher, Any]":
    """A checkpoint or a pretrained encoder; which one, the file says itself."""
    from c2vl_training.checkpoint import read_checkpoint
    from c2vl_training.distill import Teacher
    from c2vl_training.pretrained import PRETRAINED, read_pretrained

    if PRETRAINED.wrote(path):
        file = read_pretrained(path)
        return Teacher(network=file.encoder), file.preprocessing
    checkpoint = read_checkpoint(path)
    return Teacher(network=checkpoint.model, labels=checkpoint.labels), checkpoint.preprocessing


def _starts(
    path: Path, set_names: tuple[str, ...]
) -> "tuple[list[tuple[Member, Encoder]], PreprocessingConfig]":
    """The encoders of a file that know these sets, and what their input must go through."""
    from c2vl_training.checkpoint import read_checkpoint
    from c2vl_training.config import Member
    from c2vl_training.pretrained import PRETRAINED, read_pretrained

    if PRETRAINED.wrote(path):
        file = read_pretrained(path)
        return [(Member(encoder=file.encoder_config), file.encoder)], file.preprocessing
    checkpoint = read_checkpoint(path)
    starts = [
        (Member(encoder=config.encoder, stream=config.stream), encoder)
        for config, encoder in checkpoint.encoders_for(*set_names)
    ]
    return starts, checkpoint.preprocessing


def _sizes(student: Student) -> "EncoderConfig":
    from c2vl_training.model.graph import COMPACT
    from c2vl_training.model.posture import SMALL_POSTURE, PostureConfig
    from c2vl_training.model.temporal import TemporalConfig

    sizes: dict[Student, EncoderConfig] = {
        Student.TEMPORAL: TemporalConfig(),
        Student.GRAPH: COMPACT,
        Student.POSTURE: PostureConfig(),
        Student.SMALL: TemporalConfig(channels=96, depth=3),
        Student.SMALL_POSTURE: SMALL_POSTURE,
    }
    return sizes[student]


def _distilled_encoder(
    config: "TrainConfig", data: Path, out: Path, teacher: "Teacher", path: Path
) -> None:
    from c2vl_training.data.pool import load_pool
    from c2vl_training.distill import distill as learn
    from c2vl_training.objectives.distillation import DistillationConfig
    from c2vl_training.pretrain import Pretrained
    from c2vl_training.pretrain_config import PretrainConfig
    from c2vl_training.pretrained import write_pretrained

    pool = load_pool(data, config.labels, config.preprocessing, hold_still=False)
    member, state = config.members[0], out / "distill.pt"
    with stages(out / "log") as on_step:
        student, history = learn(
            config,
            member,
            pool.where(~pool.test),
            teacher=teacher,
            weights=DistillationConfig(),
            state_file=state,
            on_step=partial(on_step, "distillation"),
        )
    as_run = PretrainConfig(
        name="distilled",
        preprocessing=config.preprocessing,
        sampling=config.sampling,
        encoder=member.encoder,
        num_steps=member.num_steps,
        batch_size=member.batch_size,
        learning_rate=member.learning_rate,
        seed=config.seed,
    )
    made = Pretrained(
        encoder=student.encoder, projector=None, heads=None, measures={"loss": history.loss}
    )
    noted = {"teacher": str(path), "sets": list(config.labels), "command": typed_command()}
    write_pretrained(out / "encoder.safetensors", made, as_run, noted)
    state.unlink(missing_ok=True)
    console.print(f"{out / 'encoder.safetensors'}: {member.num_steps} steps, no label read")
