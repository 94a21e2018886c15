"""Train the experts of a recipe, each on its own set alone, and the gate between them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from c2vl_serve.errors import C2VLError
from c2vl_serve.skeleton.layout import layout_by_name
from c2vl_training.config import TrainConfig
from c2vl_training.data.gate_batches import GateSampler
from c2vl_training.data.labels import STILL_LABEL, label_names
from c2vl_training.data.pool import Pool
from c2vl_training.model.classifier import Classifier
from c2vl_training.model.experts import ExpertConfig, Experts, ExpertsConfig, experts_of
from c2vl_training.supervised import History, LabelLoss, Progress, classifier_config, train
from c2vl_training.train_members import OnStep, train_members

GATE_SMOOTHING = 0.02  # a gate should be sure: what it leaves to others, its experts cannot move
# Added to its last logit, for none of the sets: cameras that it does not know look like one that
# it does more often than it thinks, and the wrong expert costs more than the right one brings.
DOUBT = 2.5


def experts_config(config: TrainConfig, labels: tuple[str, ...]) -> ExpertsConfig | None:
    """What the experts of a recipe are built from; None where it has none.

    Args:
        config: the recipe.
        labels: all labels, in logit order.

    Raises:
        C2VLError: when the network's input does not tell the body's way through the room.
    """
    if not config.experts:
        return None
    preprocessing = config.preprocessing
    if "motion" not in preprocessing.streams or not preprocessing.travel:
        raise C2VLError(
            f"recipe {config.name!r} has experts but its input no travel (streams "
            f"{', '.join(preprocessing.streams)}; travel {preprocessing.travel}); expected the "
            "motion stream and travel, which tell recordings from video"
        )
    experts = []
    for expert in config.experts:
        own = label_names(expert.labels, hold_still=False)
        experts.append(
            ExpertConfig(
                set_name=expert.name,
                labels=tuple(labels.index(label) for label in own),
                networks=tuple(
                    classifier_config(expert, member, len(own)) for member in expert.members
                ),
            )
        )
    return ExpertsConfig(
        gate=classifier_config(config, config.gate, len(experts) + 1),
        experts=tuple(experts),
        num_labels=len(labels),
        travel_channel=3 * preprocessing.streams.index("motion"),
        root=layout_by_name(preprocessing.layout).root,
        idle=labels.index(STILL_LABEL) if STILL_LABEL in labels else None,
    )


def train_experts(
    config: TrainConfig,
    pool: Pool,
    stage: str,
    *,
    state: Path,
    on_step: OnStep,
) -> tuple[Experts | None, dict[str, History]]:
    """Train each expert's networks and the gate; finished ones are kept in ``state``.

    Args:
        config: the recipe, which names the experts' own.
        pool: labelled clips of all sets.
        stage: ``validation`` or ``final``; begins the names of runs and of their state files.
        state: folder for unfinished runs.
        on_step: called with the run's name after each step.
    """
    built = experts_config(config, pool.label_names)
    if built is None:
        return None, {}
    networks: list[tuple[Classifier, ...]] = []
    histories: dict[str, History] = {}
    for expert in config.experts:
        own = pool.of_set(expert.name, label_names(expert.labels, hold_still=False))
        trained, of_expert = train_members(
            replace(expert, seed=config.seed),
            own,
            f"{stage} {expert.name}",
            state=state,
            on_step=on_step,
        )
        histories |= of_expert
        networks.append(tuple(trained))
    gate, histories[f"{stage} gate"] = _train_gate(
        config, pool, state / f"{stage}-gate.pt", partial(on_step, f"{stage} gate")
    )
    return experts_of(built, gate, tuple(networks)), histories


def _train_gate(
    config: TrainConfig, pool: Pool, state_file: Path, on_step: Callable[[Progress], None]
) -> tuple[Classifier, History]:
    names = tuple(expert.name for expert in config.experts)
    # As often as drawn: a window that could be anybody's is more likely from elsewhere.
    loss = LabelLoss(torch.zeros(len(names) + 1), GATE_SMOOTHING)
    gate, history = train(
        replace(config, ema=config.experts[0].ema),
        config.gate,
        pool,
        objective=loss,
        num_labels=len(names) + 1,
        draw=GateSampler(pool, config.sampling, names, config.seed).draw,
        state_file=state_file,
        on_step=on_step,
    )
    with torch.no_grad():
        gate.head.bias[-1] += DOUBT
    return gate, history
