"""From data to checkpoint: validate and calibrate on held-back training groups, then train on all.

    sets -> pool -> validation run (without its groups) -> temperature
                 -> final run (all training clips)      -> threshold, on actions of no training
                    (each run: the networks of all sets, then the experts and their gate)
                                                        -> test splits -> checkpoint, report

Nothing is chosen on a test split: they are only measured, at the very end.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.checkpoint import Checkpoint, write_checkpoint
from c2vl_training.config import TrainConfig
from c2vl_training.data.augment import as_one_camera_sees
from c2vl_training.data.labels import STILL_LABEL, label_sources
from c2vl_training.data.pool import Pool, load_pool
from c2vl_training.data.sets import SETS
from c2vl_training.data.unknowns import unknown_clips
from c2vl_training.evaluate.calibration import (
    UnknownThreshold,
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
    judge_threshold,
)
from c2vl_training.evaluate.clips import (
    accuracy_per_set,
    among_own_labels,
    clip_logits,
    sequences_of,
)
from c2vl_training.evaluate.figures import draw_confusion, draw_curves, draw_map
from c2vl_training.evaluate.representation import ClipWindows
from c2vl_training.fit_experts import experts_config, train_experts
from c2vl_training.model.classifier import ClassifierConfig
from c2vl_training.model.ensemble import Ensemble, ensemble_of
from c2vl_training.model.rounding import rounded
from c2vl_training.supervised import History, classifier_config, train
from c2vl_training.train_members import Learners, OnStep, train_members

# Of the final run's steps. An expert that has hardly begun would say nothing about the last one.
VALIDATION_STEPS = 0.2
VALIDATION_STEPS_OF_EXPERTS = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """What the validation run found, on groups that it did not train on."""

    accuracy: dict[str, dict[str, float | int]]
    seen_by_camera: dict[str, dict[str, float | int]]
    temperature: float
    calibration_error: float
    histories: dict[str, History]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Test:
    """What the final model does on the test splits; ``scores`` are of the clips as recorded.

    ``among_own_labels`` is the accuracy when only the labels of a clip's own set compete, which is
    how the field measures a set; ``without_experts`` that of the networks of all sets alone, None
    where there are no others.
    """

    accuracy: dict[str, dict[str, float | int]]
    among_own_labels: dict[str, dict[str, float | int]]
    seen_by_camera: dict[str, dict[str, float | int]]
    without_experts: dict[str, dict[str, float | int]] | None
    calibration_error: float
    unknown: UnknownThreshold
    scores: Float64[np.ndarray, "N K"]
    labels: np.ndarray

    def report(self) -> dict[str, Any]:
        """What ``report.json`` says of it."""
        return {
            "accuracy": self.accuracy,
            "accuracy_among_own_labels": self.among_own_labels,
            "accuracy_seen_by_camera": self.seen_by_camera,
            "accuracy_without_experts": self.without_experts,
            "expected_calibration_error": self.calibration_error,
            "unknown": asdict(self.unknown),
        }

    def card(self, temperature: float) -> dict[str, Any]:
        """What the bundle's card will say of it."""
        return {
            "accuracy": {
                name: {"protocol": SETS[name].protocol, **values}
                for name, values in self.accuracy.items()
            },
            "calibration": {
                "temperature": temperature,
                "expected_calibration_error": self.calibration_error,
                "threshold": self.unknown.threshold,
                "fitted_on": "validation groups of the training splits and actions never trained "
                "on, as recorded and as one camera would see them",
                "known_accepted": self.unknown.known_accepted,
                "unknown_rejected": self.unknown.unknown_rejected,
            },
        }


def fit(
    config: TrainConfig,
    data: Path,
    *,
    checkpoint: Path,
    report: Path,
    state: Path,
    on_step: OnStep,
    learn: Learners = train,
    command: str = "",
) -> dict[str, Any]:
    """Run a whole recipe; an interrupted one goes on where its state was saved.

    Args:
        config: the recipe.
        data: folder of the skeleton sets.
        checkpoint: where the ``.safetensors`` goes.
        report: folder for ``report.json`` and the pictures.
        state: folder for unfinished runs; emptied of them at the end.
        on_step: called with the stage's name after each step.
        learn: trains one network: from scratch, from an encoder, or from a teacher. One that has
            seen the validation groups makes their calibration too sure.
        command: that was typed, for the report.

    Returns:
        The report, as written.
    """
    pool = load_pool(data, config.labels, config.preprocessing, hold_still=config.hold_still)
    labelled = pool.where(pool.labels >= 0)
    unknown = unknown_clips(data, pool)
    train_networks = partial(_train_networks, state=state, on_step=on_step, learn=learn)
    validation = _validate(config, labelled, train_networks)
    model, histories = train_networks(config, labelled.where(~labelled.test), "final")
    test = measure(config, model, labelled.where(labelled.test), unknown, validation.temperature)
    result = {"command": command, "seed": config.seed, **_report(config, validation, test)}
    write_checkpoint(
        checkpoint,
        Checkpoint(
            model=model,
            model_configs=_networks(config, pool),
            preprocessing=config.preprocessing,
            labels=pool.label_names,
            card=_card(config, pool, validation, test),
            experts=experts_config(config, pool.label_names),
        ),
    )
    report.mkdir(parents=True, exist_ok=True)
    (report / "report.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draw_curves({**validation.histories, **histories}, report / "curves.png")
    draw_confusion(test.scores, test.labels, pool.label_names, report / "confusion.png")
    tested = labelled.where(labelled.test)
    values = ClipWindows(tested, config.preprocessing).representations(lambda x: model(x)[1])
    draw_map(values, tested.labels, pool.label_names, report / "map.png")
    for finished in state.glob("*.pt"):
        finished.unlink()
    return result


def _train_networks(
    config: TrainConfig, pool: Pool, stage: str, *, state: Path, on_step: OnStep, learn: Learners
) -> tuple[Ensemble, dict[str, History]]:
    """Train the networks of all sets, then the experts; finished ones are kept in ``state``.

    Args:
        config: the recipe.
        pool: labelled clips only.
        stage: ``validation`` or ``final``; begins the names of runs and of their state files.
        state: folder for unfinished runs.
        on_step: called with the run's name after each step.
        learn: trains one network, or each its own.
    """
    members, histories = train_members(
        config, pool, f"{stage} run", state=state, on_step=on_step, learn=learn
    )
    experts, of_experts = train_experts(config, pool, stage, state=state, on_step=on_step)
    model = ensemble_of(_networks(config, pool), members, experts)
    return rounded(model), {**histories, **of_experts}


def _networks(config: TrainConfig, pool: Pool) -> tuple[ClassifierConfig, ...]:
    labels = len(pool.label_names)
    return tuple(classifier_config(config, member, labels) for member in config.members)


def _idle(config: TrainConfig, pool: Pool) -> int | None:
    return pool.label_names.index(STILL_LABEL) if config.hold_still else None


def _validate(
    config: TrainConfig,
    labelled: Pool,
    train_networks: Callable[..., tuple[Ensemble, dict[str, History]]],
) -> Validation:
    experts = tuple(expert.shortened(VALIDATION_STEPS_OF_EXPERTS) for expert in config.experts)
    shorter = replace(config.shortened(VALIDATION_STEPS), experts=experts, gate=config.gate)
    training = labelled.where(~labelled.test & ~labelled.validation)
    model, histories = train_networks(shorter, training, "validation")
    held_back = labelled.where(labelled.validation)
    clips = clip_logits(model, _both_ways(sequences_of(held_back), config), config.preprocessing)
    labels, idle = np.tile(held_back.labels, 2), _idle(config, labelled)
    temperature = fit_temperature(clips, labels, idle)
    scores = clips.scores(temperature, idle)
    recorded, seen = np.split(scores, 2)
    return Validation(
        accuracy=accuracy_per_set(recorded, held_back),
        seen_by_camera=accuracy_per_set(seen, held_back),
        temperature=temperature,
        calibration_error=expected_calibration_error(scores, labels),
        histories=histories,
    )


def _both_ways(sequences: list[SkeletonSequence], config: TrainConfig) -> list[SkeletonSequence]:
    """The clips as recorded, then all of them as one camera sees them: serving meets both."""
    rng = np.random.default_rng(config.seed)
    return sequences + [
        as_one_camera_sees(sequence, config.sampling.camera, rng) for sequence in sequences
    ]


def _best(
    model: Ensemble,
    sequences: list[SkeletonSequence],
    config: TrainConfig,
    temperature: float,
    idle: int | None,
) -> Float64[np.ndarray, " N"]:
    clips = clip_logits(model, _both_ways(sequences, config), config.preprocessing)
    return clips.scores(temperature, idle).max(axis=1)


def measure(
    config: TrainConfig,
    model: Ensemble,
    pool: Pool,
    unknown: list[SkeletonSequence],
    temperature: float,
) -> Test:
    """Top-1 on test clips, and the threshold that actions of no training choose.

    Args:
        config: whose labels, preprocessing, camera and seed are used.
        model: in evaluation mode.
        pool: test clips, with the model's labels.
        unknown: clips of actions that the model was not trained on.
        temperature: of the calibration.
    """
    idle = _idle(config, pool)
    sequences = sequences_of(pool)
    clips = clip_logits(model, _both_ways(sequences, config), config.preprocessing)
    scores = clips.scores(temperature, idle)
    alone = None
    if model.experts is not None:
        by_all = clip_logits(model.without_experts(), sequences, config.preprocessing)
        alone = accuracy_per_set(by_all.scores(temperature, idle), pool)
    # Every second unknown clip chooses the threshold; the others judge it.
    choosing, judging = (
        _best(model, unknown[half::2], config, temperature, idle) for half in (0, 1)
    )
    threshold = choose_threshold(choosing)
    recorded, seen = np.split(scores, 2)
    return Test(
        accuracy=accuracy_per_set(recorded, pool),
        among_own_labels=accuracy_per_set(among_own_labels(recorded, pool, config.labels), pool),
        seen_by_camera=accuracy_per_set(seen, pool),
        without_experts=alone,
        calibration_error=expected_calibration_error(scores, np.tile(pool.labels, 2)),
        unknown=judge_threshold(threshold, scores.max(axis=1), judging),
        scores=recorded,
        labels=pool.labels,
    )


def _report(config: TrainConfig, validation: Validation, test: Test) -> dict[str, Any]:
    return {
        "recipe": config.to_dict(),
        "validation": {
            "accuracy": validation.accuracy,
            "accuracy_seen_by_camera": validation.seen_by_camera,
            "temperature": validation.temperature,
            "expected_calibration_error": validation.calibration_error,
        },
        "test": test.report(),
    }


def _card(config: TrainConfig, pool: Pool, validation: Validation, test: Test) -> dict[str, Any]:
    """What the bundle's card will say, less what only the export knows."""
    return {
        "name": config.name,
        "version": config.version,
        "description": config.description,
        "label_sources": label_sources(config.labels, hold_still=config.hold_still),
        "idle_label": STILL_LABEL if config.hold_still else None,
        **test.card(validation.temperature),
        "training": {
            "recipe": config.name,
            "seed": config.seed,
            "members": [asdict(member) for member in config.members],
            "experts": [expert.name for expert in config.experts],
            "pose_source": "Kinect v1 and optical motion capture, disturbed as one camera would",
            "units": "metres; preprocessing removes place, size and frame rate",
            "sets": list(config.labels),
        },
        "licences": [
            *(SETS[name].licence for name in config.labels),
            "Trained on data for research or non-commercial use: check these terms before any "
            "commercial use of this bundle.",
        ],
    }
