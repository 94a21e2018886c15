"""What the gallery is worth: enrolled actions found, known ones kept, unknown ones still rejected.

    python benchmarks/gallery.py --data ../shared/data

Leave one class out: a class is taken out of the label list, enrolled again from k of its training
clips, and everything is measured. The encoder has seen these classes in training, so the actions
that it never saw (``c2vl_training.data.unknowns``) are measured in rows of their own.

The rule that chooses boundary and slack, on training clips and every second action never seen: of
all pairs that keep 99 % of the known clips and 90 % of the rejections with 1, 3 and 5 examples
each, the one that finds most. It compares whole clips, by their mean representation. The table is
measured afterwards, on test clips and the other actions never seen: windows are judged and summed
up as in serving. The width is set by hand (decision 11).
"""

import argparse
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64
from rich.console import Console
from rich.table import Table

from c2vl_serve import ActionRecognizer, SkeletonSequence
from c2vl_serve.bundle import BundleCard
from c2vl_serve.recognition.gallery import EnrolledAction, Gallery, GalleryScale, unit
from c2vl_serve.recognition.runtime import Outputs
from c2vl_serve.skeleton.sampling import cut_windows, probabilities, summed_up
from c2vl_training.data.labels import EVERYDAY_LABELS, UNKNOWN_CLASSES
from c2vl_training.data.pool import Pool, load_pool
from c2vl_training.data.unknowns import webcam_gestures

MOST_CLIPS = 200  # of one set
SHOTS = (1, 3, 5)
DRAWS = {True: 1, False: 8}  # of the examples of each class, seen in training or never
BOUNDARIES = np.arange(0.80, 0.99, 0.005).round(3)
SLACKS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06)
KEPT = 0.99  # of the known clips that are right without a gallery
STILL_REJECTED = 0.9  # of the unknown clips that are rejected without a gallery

console = Console(width=120)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clips:
    """What the network said of many clips.

    Attributes:
        windows: of each clip, the outputs and the frames with the person.
        vectors: embeddings, of unit length.
        labels: column of the right label; -1 for unknown actions.
        classes: ``set:class``.
        test: True for clips that are only measured.
        card: of the bundle.
    """

    windows: tuple[tuple[Outputs, Float32[np.ndarray, " W"]], ...]
    vectors: Float32[np.ndarray, "N D"]
    labels: np.ndarray
    classes: np.ndarray
    test: np.ndarray
    card: BundleCard


def read_clips(recognizer: ActionRecognizer, data: Path) -> Clips:
    """Clips of all sets (of the largest, some), and of actions never trained on."""
    card = recognizer.bundle.card
    pool = _used(load_pool(data, EVERYDAY_LABELS, card.preprocessing, hold_still=False))
    gestures = webcam_gestures(data, card.preprocessing)
    sequences = [*map(pool.sequence, range(len(pool))), *(sequence for _, sequence in gestures)]
    windows = tuple(_run(recognizer, sequence) for sequence in sequences)
    classes = np.array([*pool.classes, *(f"webcam16:{name}" for name, _ in gestures)])
    own = np.array([card.labels.index(name) for name in pool.label_names])
    labels = np.concatenate(
        [np.where(pool.labels < 0, -1, own[pool.labels]), np.full(len(gestures), -1)]
    )
    test = np.concatenate([pool.test, np.zeros(len(gestures), bool)])
    unknown = labels < 0
    test[unknown] = np.isin(classes[unknown], np.unique(classes[unknown])[1::2])
    return Clips(
        windows=windows,
        vectors=unit(np.stack([outputs.representation.mean(axis=0) for outputs, _ in windows])),
        labels=labels,
        classes=classes,
        test=test,
        card=card,
    )


def _used(pool: Pool) -> Pool:
    """Labelled clips and those of unknown actions; of a large set, some."""
    unknown = [f"{name}:{cls}" for name, classes in UNKNOWN_CLASSES.items() for cls in classes]
    used = (pool.labels >= 0) | np.isin(pool.classes, unknown)
    rng = np.random.default_rng(0)
    for source in range(len(pool.set_names)):
        own = rng.permutation(np.flatnonzero(used & (pool.sources == source)))
        used[own[MOST_CLIPS:]] = False
    return pool.where(used)


def _run(
    recognizer: ActionRecognizer, sequence: SkeletonSequence
) -> tuple[Outputs, Float32[np.ndarray, " W"]]:
    windows = cut_windows(sequence, recognizer.bundle.card.preprocessing)
    return recognizer.run(windows.inputs), windows.seen_frames


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trial:
    """One class enrolled from one draw of examples; the scale is not decided yet.

    Attributes:
        examples: embeddings.
        without: labels that are taken out.
        enrolled: clips of the class.
        others: clips of other labels that are right without a gallery.
        unknown: clips of unknown actions, less the enrolled one.
        best: the best score of each clip without a gallery.
    """

    examples: Float32[np.ndarray, "E D"]
    without: np.ndarray
    enrolled: np.ndarray
    others: np.ndarray
    unknown: np.ndarray
    best: Float64[np.ndarray, " N"]


def trials(clips: Clips, measured: np.ndarray, shots: int, *, seen: bool) -> list[Trial]:
    """Enrol each class in turn, a few times, to be measured where ``measured`` is True.

    Args:
        clips: all of them.
        measured: those to measure on, less the examples.
        shots: examples of the enrolled class.
        seen: enrol classes that the encoder was trained on, or those that it never saw.
    """
    rng = np.random.default_rng(shots)
    names = np.where(clips.labels >= 0, clips.labels.astype(str), clips.classes)
    found = []
    for name in np.unique(names[(clips.labels >= 0) == seen]):
        own = names == name
        without = np.unique(clips.labels[own & (clips.labels >= 0)])
        # Unknown actions have no training split: what was no example is measured.
        pool = np.flatnonzero(own & ~clips.test) if seen else np.flatnonzero(own & measured)
        if len(pool) > shots and (own & measured).sum() > shots:
            scores = answers(clips, measured, without, Gallery())
            found += [
                _trial(clips, measured, own, without, scores, rng.permutation(pool)[:shots])
                for _ in range(DRAWS[seen])
            ]
    return found


def _trial(
    clips: Clips,
    measured: np.ndarray,
    own: np.ndarray,
    without: np.ndarray,
    scores: Float64[np.ndarray, "N K"],
    examples: np.ndarray,
) -> Trial:
    used = measured.copy()
    used[examples] = False
    known = clips.labels >= 0
    return Trial(
        examples=clips.vectors[examples],
        without=without,
        enrolled=used & own,
        others=used & ~own & known & (scores.argmax(axis=1) == clips.labels),
        unknown=used & ~own & ~known,
        best=scores.max(axis=1),
    )


def answers(
    clips: Clips, measured: np.ndarray, without: np.ndarray, gallery: Gallery
) -> Float64[np.ndarray, "N K"]:
    """Scores of the measured clips as serving gives them, some labels taken out; 0 elsewhere."""
    found = np.zeros((len(clips.labels), len(clips.card.labels) + len(gallery.names)))
    temperature, threshold = clips.card.calibration.temperature, clips.card.calibration.threshold
    for clip in np.flatnonzero(measured):
        outputs, seen_frames = clips.windows[clip]
        logits = outputs.logits.copy()
        logits[:, without] = -np.inf
        scores = probabilities(logits, temperature)
        if gallery.actions:
            enrolled = gallery.scores(outputs.representation, threshold)
            rest = 1 - enrolled.sum(axis=1, keepdims=True)
            scores = np.concatenate([scores * rest, enrolled], axis=1)
        found[clip] = summed_up(scores, seen_frames, clips.card.idle)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Shares of clips, means over trials.

    Attributes:
        named: clips of the enrolled class that get its name.
        found: that are recognised besides.
        kept: clips of other labels, right without a gallery, that are right and as recognised
            with it.
        rejected: clips of unknown actions that are not recognised.
        rejected_before: without a gallery.
    """

    named: float
    found: float
    kept: float
    rejected: float
    rejected_before: float


def measure(
    clips: Clips, measured: np.ndarray, shots: int, scale: GalleryScale, *, seen: bool
) -> Figures:
    """The figures of all trials under one scale."""
    run = trials(clips, measured, shots, seen=seen)
    means = np.mean([_shares(clips, measured, trial, scale) for trial in run], axis=0)
    return Figures(**{field.name: float(means[k]) for k, field in enumerate(fields(Figures))})


def _shares(
    clips: Clips, measured: np.ndarray, trial: Trial, scale: GalleryScale
) -> tuple[float, ...]:
    action = EnrolledAction(name="enrolled", examples=trial.examples)
    gallery = Gallery(actions={action.name: action}, scale=scale)
    scores = answers(clips, measured, trial.without, gallery)
    column, best = scores.argmax(axis=1), scores.max(axis=1)
    named = column == len(clips.card.labels)
    threshold = clips.card.calibration.threshold
    passed = best >= threshold
    shares = (
        (named, trial.enrolled),
        (named & passed, trial.enrolled),
        ((column == clips.labels) & (passed | (trial.best < threshold)), trial.others),
        (~passed, trial.unknown),
        (trial.best < threshold, trial.unknown),
    )
    return tuple(float(answer[chosen].mean()) for answer, chosen in shares)


def choose_scale(clips: Clips) -> GalleryScale:
    """The scale after the rule at the top of this file."""
    runs = [
        trials(clips, ~clips.test, shots, seen=seen) for seen in (True, False) for shots in SHOTS
    ]
    compared = [[(trial, cosines(clips, trial)) for trial in run] for run in runs]
    threshold = clips.card.calibration.threshold
    found, boundary, slack = max(
        (_found(compared, threshold, boundary, slack), boundary, slack)
        for boundary, slack in product(BOUNDARIES.tolist(), SLACKS)
    )
    console.print(f"{100 * found:.1f} % found where the scale was chosen")
    return GalleryScale(boundary=boundary, slack=slack)


def cosines(clips: Clips, trial: Trial) -> Float64[np.ndarray, " N"]:
    """Of all clips with the prototype of a trial."""
    prototype = EnrolledAction(name="enrolled", examples=trial.examples).prototype
    return clips.vectors.astype(np.float64) @ prototype


Compared = list[tuple[Trial, Float64[np.ndarray, " N"]]]


def _found(compared: list[Compared], threshold: float, boundary: float, slack: float) -> float:
    """Mean share of enrolled clips beyond the boundary; 0 where too much else is lost."""
    means = []
    for run in compared:
        shares = []
        for trial, cosine in run:
            rejected = trial.best < threshold
            below = cosine < boundary - slack / len(trial.examples)
            shares.append(
                (
                    1 - below[trial.enrolled].mean(),
                    below[trial.others].mean(),
                    (below & rejected)[trial.unknown].mean(),
                    rejected[trial.unknown].mean(),
                )
            )
        found, kept, rejections, before = np.mean(shares, axis=0)
        if kept < KEPT or rejections < STILL_REJECTED * before:
            return 0.0
        means.append(found)
    return float(np.mean(means))


def report(clips: Clips, scale: GalleryScale) -> Table:
    """The test clips under the chosen scale."""
    table = Table(
        "enrolled", "examples", "named %", "found %", "kept %", "unknown rejected %", "before %"
    )
    for seen in (True, False):
        for shots in SHOTS:
            found = measure(clips, clips.test, shots, scale, seen=seen)
            shares = (getattr(found, field.name) for field in fields(Figures))
            words = "a class seen in training" if seen else "an action never seen"
            table.add_row(words, str(shots), *(f"{100 * share:.1f}" for share in shares))
    return table


def main() -> None:
    """Choose the scale on training clips, and measure the test clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--bundle", default="everyday")
    arguments = parser.parse_args()
    recognizer = ActionRecognizer.load(arguments.bundle)
    clips = read_clips(recognizer, arguments.data)
    scale = choose_scale(clips)
    console.print(f"{clips.card.identity}: {scale}")
    console.print(report(clips, scale))


if __name__ == "__main__":
    main()
