"""How well segments find the actions of untrimmed input: the tables of docs/timeline.md.

    python benchmarks/untrimmed.py --data ../shared/data --split train
    python benchmarks/untrimmed.py --data ../shared/data

No set here has untrimmed recordings with times. Eight clips of one subject of UTD-MHAD, of
classes drawn at random, are joined end to end, each of them once (about two seconds an action) or
three times (about seven). The joints jump where clips meet, which a real recording does not.

What a change costs is chosen on the training subjects; the test subjects say how good that is.

Measured are the seconds with the right label, and F1 of the segments: one is right where it
overlaps a true one of its label by half of what both cover, and each true one counts once.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from c2vl_serve import ActionRecognizer, SkeletonSequence
from c2vl_serve.recognition.segments import CHANGE_COST, Segment, segments
from c2vl_serve.skeleton.layout import KINECT20
from c2vl_serve.skeleton.sampling import probabilities
from c2vl_training.data.packed import PackedSet
from c2vl_training.data.sets import SETS, read_set

SET = "utd_mhad"
NUM_SEQUENCES = 4  # of each subject
NUM_CLIPS = 8  # of each sequence
FPS = 30.0
MODEL_WINDOW = 64 / 15  # seconds

Track = tuple[np.ndarray, np.ndarray]  # windows' times, seconds, and their scores
Method = Callable[[ActionRecognizer, SkeletonSequence], list[Segment]]

console = Console(width=100)


def joined(
    packed: PackedSet, labels: dict[str, int], subject: float, turns: int, rng: np.random.Generator
) -> tuple[SkeletonSequence, list[Segment]]:
    """Clips of one subject, each ``turns`` times, and what is done from when to when."""
    order = [packed.joint_names.index(joint) for joint in KINECT20.joints]
    own = np.flatnonzero(packed.extra["subjects"] == subject)
    parts, truth, start = [], [], 0.0
    for clip in rng.choice(own, NUM_CLIPS, replace=False):
        part = np.concatenate([packed.clips[clip][:, order]] * turns)
        label = labels[f"{SET}:{packed.class_names[packed.labels[clip]]}"]
        end = start + len(part) / FPS
        truth.append(Segment(start, end, label, 1.0))
        parts.append(part)
        start = end
    joints = np.concatenate(parts)[:, None].astype(np.float32)
    return SkeletonSequence(joints=joints, fps=FPS, layout=KINECT20), truth


def track(recognizer: ActionRecognizer, sequence: SkeletonSequence, window: float) -> Track:
    """Times and scores of windows this long, every half second."""
    prepared = recognizer.prepare(sequence, window=window, stride=0.5)
    logits = recognizer.run(prepared.inputs).logits
    scores = probabilities(logits, recognizer.bundle.card.calibration.temperature)
    (person,) = prepared.persons
    rows = [person.rows_of(span.windows) for span in person.timeline]
    times = np.array([(span.start, span.end) for span in person.timeline])
    return times, np.stack([scores[row].mean(axis=0) for row in rows])


def nearest(recognizer: ActionRecognizer, sequence: SkeletonSequence) -> list[Segment]:
    """Each moment has the label of the window whose middle is nearest; nothing is smoothed."""
    times, scores = track(recognizer, sequence, 2.0)
    middles = times.mean(axis=1)
    edges = [times[0, 0], *((middles[1:] + middles[:-1]) / 2), times[-1, 1]]
    return segments(np.stack([edges[:-1], edges[1:]], axis=1), scores, change_cost=0.0)


def smoothed(window: float, change_cost: float) -> Method:
    """Segments from windows this long."""
    return lambda recognizer, sequence: segments(
        *track(recognizer, sequence, window), change_cost=change_cost
    )


def shipped(recognizer: ActionRecognizer, sequence: SkeletonSequence) -> list[Segment]:
    """What `/predict` answers."""
    indices = {label: k for k, label in enumerate(recognizer.bundle.card.labels)}
    (person,) = recognizer.recognise(sequence).persons
    return [Segment(s.start, s.end, indices[s.label], s.score) for s in person.segments]


METHODS: dict[str, dict[str, Method]] = {
    "train": {
        f"changes cost {cost:g}": smoothed(2.0, cost) for cost in (0, 0.25, 0.5, 1, 1.5, 2, 4)
    },
    "test": {
        "nearest window of 2 s": nearest,
        "mean of windows of 2 s": smoothed(2.0, 0.0),
        f"the same, changes cost {CHANGE_COST:g} (shipped)": shipped,
        "the same, changes cost 4": smoothed(2.0, 4.0),
        f"windows of 4.3 s, changes cost {CHANGE_COST:g}": smoothed(MODEL_WINDOW, CHANGE_COST),
    },
}


def seconds_right(found: list[Segment], truth: list[Segment]) -> float:
    """Seconds in which both say the same."""
    pairs = ((f, t) for f in found for t in truth if f.label == t.label)
    return sum(max(0.0, min(f.end, t.end) - max(f.start, t.start)) for f, t in pairs)


def num_right(found: list[Segment], truth: list[Segment]) -> int:
    """Segments that overlap a true one of their label by half or more of their union."""
    left = list(truth)
    for segment in found:
        fits = [t for t in left if t.label == segment.label and _overlap(segment, t) >= 0.5]
        if fits:
            left.remove(fits[0])
    return len(truth) - len(left)


def _overlap(one: Segment, other: Segment) -> float:
    common = min(one.end, other.end) - max(one.start, other.start)
    return max(0.0, common) / (max(one.end, other.end) - min(one.start, other.start))


def measure(recognizer: ActionRecognizer, packed: PackedSet, split: str, turns: int) -> None:
    """Print a table."""
    is_test = SETS[SET].test(packed)
    subjects = np.unique(packed.extra["subjects"][is_test == (split == "test")])
    sources = recognizer.bundle.card.label_sources
    labels = {
        source: index
        for index, label in enumerate(recognizer.bundle.card.labels)
        for source in sources[label]
    }
    rng = np.random.default_rng(0)
    inputs = [
        joined(packed, labels, subject, turns, rng)
        for subject in subjects
        for _ in range(NUM_SEQUENCES)
    ]
    num_true = sum(len(truth) for _, truth in inputs)
    seconds = sum(truth[-1].end for _, truth in inputs)
    size = f"{len(inputs)} sequences, {seconds:.0f} s, {num_true} actions"
    table = Table(title=f"{split} subjects {', '.join(map(str, subjects))}: {size}")
    for column in ("segments from", "seconds right %", "F1 %", "segments"):
        table.add_column(column)
    for name, method in METHODS[split].items():
        found = [method(recognizer, sequence) for sequence, _ in inputs]
        pairs = [(f, truth) for f, (_, truth) in zip(found, inputs, strict=True)]
        count = sum(map(len, found))
        right = sum(num_right(*pair) for pair in pairs)
        share = sum(seconds_right(*pair) for pair in pairs) / seconds
        table.add_row(
            name, f"{100 * share:.1f}", f"{200 * right / (count + num_true):.1f}", str(count)
        )
    console.print(table)
    tell_recognised(recognizer, inputs)


def tell_recognised(
    recognizer: ActionRecognizer, inputs: list[tuple[SkeletonSequence, list[Segment]]]
) -> None:
    """Print how many of the shipped segments are called recognised, the right ones and others."""
    counts = {True: [0, 0], False: [0, 0]}
    indices = {label: k for k, label in enumerate(recognizer.bundle.card.labels)}
    for sequence, truth in inputs:
        for found in recognizer.recognise(sequence).persons[0].segments:
            segment = Segment(found.start, found.end, indices[found.label], found.score)
            count = counts[num_right([segment], truth) == 1]
            count[0] += found.recognised
            count[1] += 1
    (right, of_right), (wrong, of_wrong) = counts[True], counts[False]
    console.print(f"recognised: {right} of {of_right} right segments, {wrong} of {of_wrong} others")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--bundle", default="everyday")
    parser.add_argument("--split", choices=METHODS, default="test")
    arguments = parser.parse_args()
    recognizer = ActionRecognizer.load(arguments.bundle)
    packed = read_set(SET, arguments.data)
    for turns in (1, 3):
        measure(recognizer, packed, arguments.split, turns)


if __name__ == "__main__":
    main()
