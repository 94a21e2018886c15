"""What the gallery is worth: enrolled actions found, known ones kept, unknown ones still rejected.

    python benchmarks/gallery.py --data ../shared/data

One action is enrolled at a time, from k of its clips. Classes of the training sets are taken out
of the label list first; their examples are training clips. The encoder has learned these, so that
actions which it never saw (``c2vl_training.data.unknowns``) are measured in rows of their own.
All is measured on clips as recorded, and again on clips that a made-up single camera sees, each
clip by another one.

Nothing is chosen here: the bundle's space and scale come from ``c2vl-train gallery``, which looked
at training clips and every second action never seen. Measured are test clips and the other
actions, answered window by window as in serving.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from gallery_clips import Clips, read_clips
from jaxtyping import Bool, Float64
from rich.console import Console
from rich.table import Table

from c2vl_serve import ActionRecognizer
from c2vl_serve.gallery_space import PLAIN, GallerySpace
from c2vl_serve.recognition.gallery import EnrolledAction, Gallery
from c2vl_serve.recognition.judging import LabelJudge
from c2vl_serve.skeleton.sampling import summed_up

SHOTS = (1, 3, 5)
DRAWS = {True: 1, False: 8}  # of the examples of each action, trained on or never seen

console = Console(width=120)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trial:
    """One action enrolled from one draw of examples.

    Attributes:
        gallery: it alone.
        without: labels that are taken out.
        enrolled: its clips, less the examples.
        others: clips of other labels that are right without a gallery.
        unknown: clips of other actions never seen.
        before: the best score of each clip without a gallery.
    """

    gallery: Gallery
    without: np.ndarray
    enrolled: Bool[np.ndarray, " N"]
    others: Bool[np.ndarray, " N"]
    unknown: Bool[np.ndarray, " N"]
    before: Float64[np.ndarray, " N"]


def trials(clips: Clips, shots: int, space: GallerySpace, *, trained_on: bool) -> Iterator[Trial]:
    """Enrol each action in turn, a few times.

    Args:
        clips: all of them.
        shots: examples of the enrolled action.
        space: where they are compared.
        trained_on: enrol what the encoder was trained on, or what it never saw.
    """
    rng = np.random.default_rng(shots)
    known = clips.labels >= 0
    for action in np.unique(clips.actions[(known == trained_on) & clips.measured]):
        own = clips.actions == action
        without = np.unique(clips.labels[own & known])
        # Actions never seen have no training split: what was no example is measured.
        pool = np.flatnonzero(own & (~clips.measured if trained_on else clips.measured))
        if len(pool) <= shots or (own & clips.measured).sum() <= shots:
            continue
        scores = answers(clips, without, Gallery())
        for _ in range(DRAWS[trained_on]):
            examples = rng.permutation(pool)[:shots]
            enrolled = EnrolledAction(name="enrolled", examples=clips.vectors[examples])
            used = clips.measured.copy()
            used[examples] = False
            yield Trial(
                gallery=Gallery(actions={enrolled.name: enrolled}, space=space),
                without=without,
                enrolled=used & own,
                others=used & ~own & known & (scores.argmax(axis=1) == clips.labels),
                unknown=used & ~own & ~known,
                before=scores.max(axis=1),
            )


def answers(clips: Clips, without: np.ndarray, gallery: Gallery) -> Float64[np.ndarray, "N K"]:
    """Scores of all clips as serving gives them, some labels taken out."""
    logits = clips.outputs.logits.copy()
    logits[:, without] = -np.inf
    scores = LabelJudge(card=clips.card, gallery=gallery).scores(
        clips.outputs._replace(logits=logits)
    )
    stops = np.cumsum([len(seen_frames) for seen_frames in clips.seen_frames])[:-1]
    return np.stack(
        [
            summed_up(windows, seen_frames, clips.card.idle)
            for windows, seen_frames in zip(np.split(scores, stops), clips.seen_frames, strict=True)
        ]
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Shares of clips, means over trials.

    Attributes:
        named: clips of the enrolled action that get its name.
        found: that are recognised besides.
        kept: clips of other labels, right without a gallery, that are right and as recognised
            with it.
        rejected: clips of other actions never seen that are not recognised.
        rejected_before: without a gallery.
    """

    named: float
    found: float
    kept: float
    rejected: float
    rejected_before: float


def measure(clips: Clips, shots: int, space: GallerySpace, *, trained_on: bool) -> Figures:
    """The figures of all trials."""
    run = trials(clips, shots, space, trained_on=trained_on)
    means = np.mean([_shares(clips, trial) for trial in run], axis=0)
    return Figures(**{field.name: float(means[k]) for k, field in enumerate(fields(Figures))})


def _shares(clips: Clips, trial: Trial) -> tuple[float, ...]:
    scores = answers(clips, trial.without, trial.gallery)
    column, best = scores.argmax(axis=1), scores.max(axis=1)
    named = column == len(clips.card.labels)
    threshold = clips.card.calibration.threshold
    passed = best >= threshold
    shares = (
        (named, trial.enrolled),
        (named & passed, trial.enrolled),
        ((column == clips.labels) & (passed | (trial.before < threshold)), trial.others),
        (~passed, trial.unknown),
        (trial.before < threshold, trial.unknown),
    )
    return tuple(float(answer[chosen].mean()) for answer, chosen in shares)


def main() -> None:
    """Measure clips as recorded, and as made-up cameras see them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--bundle", default="everyday")
    parser.add_argument(
        "--plain", action="store_true", help="plain cosines and the default scale, for comparison"
    )
    arguments = parser.parse_args()
    recognizer = ActionRecognizer.load(arguments.bundle)
    space = PLAIN if arguments.plain else recognizer.bundle.gallery_space
    table = Table(
        "enrolled", "seen", "examples", "named %", "found %", "kept %", "unknown rejected %",
        "before %", title=f"{recognizer.bundle.card.identity}: {space.scale}",
    )  # fmt: skip
    for by_camera, how in ((False, "as recorded"), (True, "by made-up cameras")):
        clips = read_clips(recognizer, arguments.data, by_camera=by_camera)
        for trained_on, what in (
            (True, "a class seen in training"),
            (False, "an action never seen"),
        ):
            for shots in SHOTS:
                found = measure(clips, shots, space, trained_on=trained_on)
                shares = (f"{100 * getattr(found, each.name):.1f}" for each in fields(Figures))
                table.add_row(what, how, str(shots), *shares)
    console.print(table)


if __name__ == "__main__":
    main()
