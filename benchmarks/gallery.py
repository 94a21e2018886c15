"""What the gallery is worth: enrolled actions found, known ones kept, unknown ones still rejected.

    python benchmarks/gallery.py --data ../shared/data

Leave one class out: a class is taken out of the label list, enrolled again from k of its training
clips, and everything is measured. The encoder has seen these classes in training, so the actions
that it never saw (``c2vl_training.data.unknowns``) are measured in rows of their own.

Training splits choose the scale; test splits are only measured. Of the actions never seen, every
second class chooses and the others are measured. Whole clips are judged: their windows' mean
representation, and their windows' scores summed up as in serving.
"""

import argparse
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64
from rich.console import Console
from rich.table import Table

from c2vl_serve import ActionRecognizer, SkeletonSequence
from c2vl_serve.recognition.gallery import EnrolledAction, GalleryScale, unit
from c2vl_serve.skeleton.sampling import cut_windows, probabilities, summed_up
from c2vl_training.data.labels import EVERYDAY_LABELS, UNKNOWN_CLASSES
from c2vl_training.data.pool import Pool, load_pool
from c2vl_training.data.unknowns import webcam_gestures

MOST_CLIPS = 900  # of one set: the largest has mostly easy ones
SHOTS = (1, 3, 5)
DRAWS = 3  # of the examples of each class
BOUNDARIES = np.arange(0.60, 0.99, 0.02)
WIDTHS = (0.005, 0.01, 0.02, 0.04)
STILL_REJECTED = 0.9  # of the unknown clips that are rejected without a gallery

console = Console(width=120)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clips:
    """What the network said of many clips.

    Attributes:
        vectors: embeddings, of unit length.
        scores: the bundle's own, summed up over windows.
        labels: column of the right label; -1 for unknown actions.
        classes: ``set:class``.
        test: True for clips that are only measured.
    """

    vectors: Float32[np.ndarray, "N D"]
    scores: Float64[np.ndarray, "N K"]
    labels: np.ndarray
    classes: np.ndarray
    test: np.ndarray


def read_clips(recognizer: ActionRecognizer, data: Path) -> Clips:
    """Clips of all sets (of the largest, some), and of actions never trained on."""
    card = recognizer.bundle.card
    pool = _used(load_pool(data, EVERYDAY_LABELS, card.preprocessing, hold_still=False))
    gestures = webcam_gestures(data, card.preprocessing)
    sequences = [*map(pool.sequence, range(len(pool))), *(sequence for _, sequence in gestures)]
    answered = [_answered(recognizer, sequence) for sequence in sequences]
    classes = np.array([*pool.classes, *(f"webcam16:{name}" for name, _ in gestures)])
    labels = np.concatenate([pool.labels, np.full(len(gestures), -1)])
    test = np.concatenate([pool.test, np.zeros(len(gestures), bool)])
    unknown = labels < 0
    test[unknown] = np.isin(classes[unknown], np.unique(classes[unknown])[1::2])
    return Clips(
        vectors=unit(np.stack([vector for vector, _ in answered])),
        scores=np.stack([scores for _, scores in answered]),
        labels=labels,
        classes=classes,
        test=test,
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


def _answered(
    recognizer: ActionRecognizer, sequence: SkeletonSequence
) -> tuple[np.ndarray, np.ndarray]:
    """Mean representation and own scores of a clip."""
    card = recognizer.bundle.card
    windows = cut_windows(sequence, card.preprocessing)
    outputs = recognizer.run(windows.inputs)
    scores = probabilities(outputs.logits, card.calibration.temperature)
    return outputs.representation.mean(axis=0), summed_up(scores, windows.seen_frames, card.idle)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trial:
    """One class enrolled from one draw of examples; the scale is not decided yet.

    Attributes:
        cosines: of all clips with the prototype.
        enrolled: clips of the class.
        others: clips of other labels that are right without a gallery.
        unknown: clips of unknown actions, less the enrolled one.
        best: the best own score of each clip, the class taken out of the labels.
    """

    cosines: Float64[np.ndarray, " N"]
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
        # Unknown actions have no training split: what was no example is measured.
        pool = np.flatnonzero(own & ~clips.test) if seen else np.flatnonzero(own & measured)
        if len(pool) > shots and (own & measured).sum() > shots:
            found += [
                _trial(clips, measured, own, rng.permutation(pool)[:shots]) for _ in range(DRAWS)
            ]
    return found


def _trial(clips: Clips, measured: np.ndarray, own: np.ndarray, examples: np.ndarray) -> Trial:
    scores = clips.scores.copy()
    scores[:, np.unique(clips.labels[own & (clips.labels >= 0)])] = 0  # out of the label list
    scores /= np.maximum(scores.sum(axis=1, keepdims=True), 1e-12)
    prototype = EnrolledAction(name="enrolled", examples=clips.vectors[examples]).prototype
    used = measured.copy()
    used[examples] = False
    known = clips.labels >= 0
    return Trial(
        cosines=clips.vectors.astype(np.float64) @ prototype,
        enrolled=used & own,
        others=used & ~own & known & (scores.argmax(axis=1) == clips.labels),
        unknown=used & ~own & ~known,
        best=scores.max(axis=1),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Shares of clips, means over trials.

    Attributes:
        named: clips of the enrolled class that get its name.
        found: that are recognised besides.
        kept: clips of other labels, right without a gallery, that are right with it.
        rejected: clips of unknown actions that are not recognised.
        rejected_before: without a gallery.
    """

    named: float
    found: float
    kept: float
    rejected: float
    rejected_before: float


def measure(run: list[Trial], threshold: float, scale: GalleryScale) -> Figures:
    """The figures of all trials under one scale."""
    rows = [_shares(trial, threshold, scale) for trial in run]
    means = np.mean(rows, axis=0)
    return Figures(**{field.name: float(means[k]) for k, field in enumerate(fields(Figures))})


def _shares(trial: Trial, threshold: float, scale: GalleryScale) -> tuple[float, ...]:
    enrolled = scale.scores(trial.cosines[:, None], threshold)[:, 0]
    own = trial.best * (1 - enrolled)
    answers = (
        (enrolled > own, trial.enrolled),
        ((enrolled > own) & (enrolled >= threshold), trial.enrolled),
        (own > enrolled, trial.others),
        (np.maximum(own, enrolled) < threshold, trial.unknown),
        (trial.best < threshold, trial.unknown),
    )
    return tuple(float(answer[clips].mean()) for answer, clips in answers)


def choose_scale(clips: Clips, threshold: float) -> GalleryScale:
    """The scale that finds and keeps most of those that still reject unknown clips.

    "Unknown" must stay possible: an enrolled action may cost a tenth of the rejections at most.
    """
    runs = [trials(clips, ~clips.test, 3, seen=seen) for seen in (True, False)]
    scales = [GalleryScale(boundary=float(b), width=w) for w in WIDTHS for b in BOUNDARIES]

    def worth(scale: GalleryScale) -> tuple[bool, float, float]:
        every = [measure(run, threshold, scale) for run in runs]
        rejects = all(each.rejected >= STILL_REJECTED * each.rejected_before for each in every)
        # Of equals the widest: a likely name is then shown even where it is not recognised.
        return rejects, round(sum(each.found + each.kept for each in every), 2), scale.width

    return max(scales, key=worth)


def report(clips: Clips, threshold: float, scale: GalleryScale) -> Table:
    """The test clips under the chosen scale."""
    table = Table(
        "enrolled", "examples", "named %", "found %", "kept %", "unknown rejected %", "before %"
    )
    for seen in (True, False):
        for shots in SHOTS:
            found = measure(trials(clips, clips.test, shots, seen=seen), threshold, scale)
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
    threshold = recognizer.bundle.card.calibration.threshold
    clips = read_clips(recognizer, arguments.data)
    scale = choose_scale(clips, threshold)
    identity = recognizer.bundle.card.identity
    console.print(f"{identity}: boundary {scale.boundary:.2f}, width {scale.width}")
    console.print(report(clips, threshold, scale))


if __name__ == "__main__":
    main()
