"""Enrol an action from two clips of video and recognise a third, beside other videos.

    python benchmarks/gallery_videos.py --data ../shared/data --poses /tmp/poses

There are two videos each of jumping jacks and of push-ups, by different people before different
cameras; longer ones are cut into clips. Every pair of clips is enrolled once, and every other clip
of the action recognised: some are of a video that an example is from, others of neither. Videos
that show something else are answered with every such gallery.

No number is chosen here, but the form of the scores was settled with these videos in view
(decision 11). Poses take most of the time; ``--poses`` keeps them.
"""

import argparse
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from c2vl_serve import ActionRecognizer, SkeletonSequence
from c2vl_serve.gallery_space import PLAIN, GallerySpace
from c2vl_serve.pose import extract_pose, find_pose_model
from c2vl_serve.recognition.embedding import embedded
from c2vl_serve.recognition.gallery import EnrolledAction, Gallery
from c2vl_serve.recognition.judging import judge_of
from c2vl_serve.recognition.preparation import Prepared
from c2vl_serve.recognition.runtime import Outputs
from c2vl_serve.skeleton.formats import read_sequence, write_sequence

# Into how many clips each video is cut.
ENROLLED = {
    "jumping jack": {"treadtv_jumping_jacks.mp4": 1, "luizfcharry_jacks.mp4": 3},
    "push-up": {"omartarek198_pushup.mp4": 2, "omartarek198_pushup5.mp4": 2},
}
OTHERS = (
    "sudchaudhary_walking.avi", "sudchaudhary_waving.avi", "sudchaudhary_boxing.avi",
    "luizfcharry_squat2.mp4", "ikramaliokz_squat.mp4", "nlarion_fight2.mp4",
    "omartarek198_running.mp4", "treadtv_starfish.mp4", "treadtv_arm_circles.mp4",
    "treadtv_Ibbu_2.mp4", "treadtv_Ibbu_5.mp4", "treadtv_Ibbu_7.mp4",
    "omartarek198_juggling1.mp4", "omartarek198_juggling2.mp4", "omartarek198_jump.mp4",
    "omartarek198_jump2.mp4", "CakeMoon_dancing.mp4", "malikmrllh_wallpush.mp4",
    "malikmrllh_donkeykicks.mp4", "malikmrllh_clapsoverhead.mp4",
    "malikmrllh_standingcrunch.mp4", "malikmrllh_plankside2.mp4",
)  # fmt: skip

console = Console(width=140)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clip:
    """A clip that went through the network.

    Attributes:
        video: it is from.
        prepared: its windows.
        outputs: of them.
        example: its embedding.
    """

    video: str
    prepared: Prepared
    outputs: Outputs
    example: np.ndarray


def main() -> None:
    """Print how many third clips are recognised, and what becomes of other videos."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--bundle", default="everyday")
    parser.add_argument("--poses", type=Path, help="folder that keeps the poses of each video")
    parser.add_argument(
        "--plain", action="store_true", help="plain cosines and the default scale, for comparison"
    )
    arguments = parser.parse_args()
    recognizer = ActionRecognizer.load(arguments.bundle)
    space = PLAIN if arguments.plain else recognizer.bundle.gallery_space
    folder = arguments.data / "videos" / "clips"
    others = [
        clip
        for name in OTHERS
        for clip in clips_of(recognizer, watched(folder / name, arguments.poses), name, 1)
    ]
    thirds = Table(
        "enrolled", "third clip", "trials", "named", "recognised", title=f"{space.scale}"
    )
    taken: Counter[str] = Counter()
    for action, videos in ENROLLED.items():
        clips = [
            clip
            for name, parts in videos.items()
            for clip in clips_of(recognizer, watched(folder / name, arguments.poses), name, parts)
        ]
        add_rows(thirds, recognizer, action, clips, space)
        taken += wrongly_named(recognizer, action, clips, others, space)
    console.print(thirds, taken)


def watched(video: Path, kept: Path | None) -> SkeletonSequence:
    """The poses of a video, from the folder that keeps them where they are there."""
    file = None if kept is None else kept / f"{video.name}.npz"
    if file is not None and file.is_file():
        return read_sequence(file)
    found = extract_pose(video, model=find_pose_model(), max_persons=1).sequence
    assert found is not None, f"nobody was found in {video}"
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_sequence(found, file)
    return found


def clips_of(
    recognizer: ActionRecognizer, sequence: SkeletonSequence, video: str, parts: int
) -> list[Clip]:
    """A video cut into as many clips, each through the network once; title cards are left out."""
    seen = np.flatnonzero(sequence.visibility.any(axis=(1, 2)))
    cuts = np.linspace(seen[0], seen[-1] + 1, parts + 1).astype(int)
    clips = []
    for start, stop in zip(cuts[:-1], cuts[1:], strict=True):
        prepared = recognizer.prepare(sequence.frames(int(start), int(stop)), max_persons=1)
        outputs = recognizer.run(prepared.inputs)
        example = embedded(prepared, outputs, 0.0).example()
        clips.append(Clip(video=video, prepared=prepared, outputs=outputs, example=example))
    return clips


def galleries(
    action: str, clips: list[Clip], space: GallerySpace
) -> list[tuple[tuple[Clip, Clip], Gallery]]:
    """Each pair of clips, enrolled."""
    return [
        (
            pair,
            Gallery(
                actions={
                    action: EnrolledAction(
                        name=action, examples=np.stack([clip.example for clip in pair])
                    )
                },
                space=space,
            ),
        )
        for pair in combinations(clips, 2)
    ]


def answer(recognizer: ActionRecognizer, clip: Clip, gallery: Gallery | None) -> tuple[str, bool]:
    """The best name, and whether it is recognised."""
    judge = judge_of(recognizer.bundle, gallery)
    found = recognizer.answer(clip.prepared, clip.outputs, top_k=1, judge=judge)
    return found.actions[0].label, found.recognised


def add_rows(
    table: Table, recognizer: ActionRecognizer, action: str, clips: list[Clip], space: GallerySpace
) -> None:
    """Third clips of a video that an example is from, and of another."""
    rows: dict[bool, list[tuple[bool, bool]]] = {True: [], False: []}
    for pair, gallery in galleries(action, clips, space):
        for third in clips:
            if third not in pair:
                name, recognised = answer(recognizer, third, gallery)
                seen = third.video in {clip.video for clip in pair}
                rows[seen].append((name == action, name == action and recognised))
    for seen, found in rows.items():
        words = "of a video that an example is from" if seen else "of another video"
        named, recognised = np.sum(found, axis=0)
        table.add_row(action, words, str(len(found)), str(named), str(recognised))


def wrongly_named(
    recognizer: ActionRecognizer,
    action: str,
    clips: list[Clip],
    others: list[Clip],
    space: GallerySpace,
) -> Counter[str]:
    """How the answers to other videos compare with those without a gallery, over all pairs."""
    counts: Counter[str] = Counter()
    for _, gallery in galleries(action, clips, space):
        for other in others:
            before, known = answer(recognizer, other, None)
            name, recognised = answer(recognizer, other, gallery)
            counts["answers to other videos"] += 1
            counts["with the enrolled name first"] += name == action
            counts["recognised as it"] += name == action and recognised
            counts["recognised without the gallery"] += known
            counts["and just so with it"] += known and recognised and name == before
    return counts


if __name__ == "__main__":
    main()
