"""Train the networks of a recipe one after the other, each from a seed of its own."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from c2vl_training.config import TrainConfig
from c2vl_training.data.pool import Pool
from c2vl_training.model.classifier import Classifier
from c2vl_training.supervised import History, Progress, train

OnStep = Callable[[str, Progress], None]
Learn = Callable[..., tuple[Classifier, History]]  # called as `train`
Learners = Learn | tuple[Learn, ...]  # for all networks, or one for each


def train_members(
    config: TrainConfig,
    pool: Pool,
    run: str,
    *,
    state: Path,
    on_step: OnStep,
    learn: Learners = train,
) -> tuple[list[Classifier], dict[str, History]]:
    """The trained members, in order, and what each went through; finished ones are kept.

    Args:
        config: the recipe; member ``k`` has its seed and ``k``.
        pool: labelled clips only.
        run: begins the names of the members' runs and of their state files.
        state: folder for unfinished runs.
        on_step: called with the run's name after each step.
        learn: trains one network, or each its own.
    """
    members, histories = [], {}
    learners = learn if isinstance(learn, tuple) else (learn,) * len(config.members)
    for index, (member, learner) in enumerate(zip(config.members, learners, strict=True)):
        name = f"{run} {index + 1}/{len(config.members)}"
        model, histories[name] = learner(
            replace(config, seed=config.seed + index),
            member,
            pool,
            state_file=state / f"{run.replace(' ', '-')}-{index}.pt",
            on_step=partial(on_step, name),
        )
        members.append(model)
    return members, histories
