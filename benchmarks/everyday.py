"""What the shipped bundle does on real clips, and what it costs: the tables of docs/everyday.

    python benchmarks/everyday.py --data ../shared/data

Accuracy goes through the same recogniser as a request. Times are of this machine; CPU seconds
are those of this process, which estimates poses itself instead of in workers.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from c2vl_serve import ActionRecognizer, SkeletonSequence
from c2vl_serve.pose import extract_pose, find_pose_model
from c2vl_training.data.packed import PackedSet
from c2vl_training.data.sets import SETS, read_set

# The clips that the bundle must name, and which labels are right.
NAMED_CLIPS = {
    "nlarion_fight2.mp4": {"boxing"},
    "sudchaudhary_boxing.avi": {"boxing"},
    "sudchaudhary_walking.avi": {"walk"},
    "sudchaudhary_waving.avi": {"wave both hands", "wave"},
    "ikramaliokz_squat.mp4": {"squat"},
    "luizfcharry_squat2.mp4": {"squat"},
    "omartarek198_running.mp4": {"run"},
}

console = Console(width=120)


def accuracy(recognizer: ActionRecognizer, data: Path) -> None:
    """Every test clip as a client would send it: raw joints in the set's own layout and rate."""
    sources = recognizer.bundle.card.label_sources
    table = Table("set", "protocol", "test clips", "top-1 %", "recognised %")
    for name, description in SETS.items():
        packed = read_set(name, data)
        known = {source for group in sources.values() for source in group}
        right, recognised = [], []
        for clip in np.flatnonzero(description.test(packed) & description.used(packed)):
            truth = f"{name}:{packed.class_names[packed.labels[clip]]}"
            if truth not in known:
                continue
            answer = recognizer.recognise(_sequence(name, packed, int(clip)))
            right.append(bool(answer.actions) and truth in sources[answer.actions[0].label])
            recognised.append(answer.recognised)
        table.add_row(
            name,
            description.protocol,
            str(len(right)),
            f"{100 * np.mean(right):.2f}",
            f"{100 * np.mean(recognised):.1f}",
        )
    console.print(table)


def _sequence(name: str, packed: PackedSet, clip: int) -> SkeletonSequence:
    layout, joint_names = SETS[name].layout, packed.joint_names
    joints = packed.clips[clip][..., :3]
    if layout.name != "bandai21":  # whose file spells other names in the same order
        joints = joints[:, [joint_names.index(joint) for joint in layout.joints]]
    tracked = np.abs(joints).sum(axis=-1) > 0
    return SkeletonSequence(
        joints=joints[:, None].astype(np.float32),
        visibility=tracked[:, None].astype(np.float32),
        fps=SETS[name].fps,
        layout=layout,
    )


def videos(recognizer: ActionRecognizer, data: Path, *, every: bool) -> None:
    """The named clips (or all), from the file to the answer."""
    model = find_pose_model()
    with (data / "videos" / "labels.csv").open(newline="") as file:
        titles = {Path(row["file"]).name: row["label"] for row in csv.DictReader(file)}
    names = sorted(titles) if every else list(NAMED_CLIPS)
    table = Table("clip", "what is in it", "answer", "score", "recognised", "right",
                  "seconds", "CPU s per 10 s")  # fmt: skip
    for name in names:
        wall, cpu = time.perf_counter(), time.process_time()
        found = extract_pose(data / "videos" / "clips" / name, model=model)
        answer = None if found.sequence is None else recognizer.recognise(found.sequence)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        length = found.frames.read / found.frames.fps if found.frames.fps else 0.0
        best = answer.actions[0] if answer and answer.actions else None
        table.add_row(
            name,
            titles.get(name, ""),
            best.label if best else "nobody",
            f"{best.score:.2f}" if best else "",
            str(answer.recognised) if answer else "",
            str(best is not None and best.label in NAMED_CLIPS[name])
            if name in NAMED_CLIPS
            else "",
            f"{wall:.1f}",
            f"{10 * cpu / length:.1f}" if length else "",
        )
    console.print(table)


def cost(recognizer: ActionRecognizer) -> None:
    """Size, operations, and milliseconds of one window on one thread."""
    bundle = recognizer.bundle
    config = bundle.card.preprocessing
    shape = (1, config.num_channels, config.num_frames, config.num_joints, 1)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x[:, -1] = 1
    for _ in range(20):
        recognizer.runtime.run(x)
    cpu = time.process_time()
    for _ in range(200):
        recognizer.runtime.run(x)
    milliseconds = (time.process_time() - cpu) * 1000 / 200
    size = sum(file.stat().st_size for file in bundle.path.iterdir()) / 1e6
    console.print(
        f"{bundle.card.identity}: {size:.2f} MB, {bundle.card.num_parameters / 1e6:.2f} M "
        f"parameters, {bundle.card.gflop:.3f} GFLOP a window of {config.window_seconds:.2f} s, "
        f"{milliseconds:.2f} CPU-ms a window on one thread"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--bundle", default="everyday")
    parser.add_argument("--every-video", action="store_true", help="not only the named clips")
    arguments = parser.parse_args()
    recognizer = ActionRecognizer.load(arguments.bundle)
    cost(recognizer)
    accuracy(recognizer, arguments.data)
    videos(recognizer, arguments.data, every=arguments.every_video)


if __name__ == "__main__":
    main()
