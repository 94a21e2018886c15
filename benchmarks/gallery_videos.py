"""Enrol an action from one video and recognise it in another, by another person.

    python benchmarks/gallery_videos.py --data ../shared/data

There are two clips of each action. The halves of one are enrolled as two examples and the other is
recognised, then the other way round. Clips of known actions, and of others that are neither known
nor enrolled, are answered with both galleries. The width of the scale was set after a look at
the waving clip; nothing else was chosen here.
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from c2vl_serve import ActionRecognizer, SkeletonSequence
from c2vl_serve.pose import extract_pose, find_pose_model
from c2vl_serve.recognition.gallery import EnrolledAction, Gallery

ENROLLED = {
    "jumping jack": ("treadtv_jumping_jacks.mp4", "luizfcharry_jacks.mp4"),
    "push-up": ("omartarek198_pushup.mp4", "omartarek198_pushup5.mp4"),
}
KNOWN = (
    "sudchaudhary_walking.avi",
    "sudchaudhary_waving.avi",
    "luizfcharry_squat2.mp4",
    "ikramaliokz_squat.mp4",
    "sudchaudhary_boxing.avi",
    "nlarion_fight2.mp4",
)
NEITHER = (
    "treadtv_arm_circles.mp4",
    "treadtv_starfish.mp4",
    "omartarek198_juggling1.mp4",
    "CakeMoon_dancing.mp4",
)

console = Console(width=140)


def main() -> None:
    """Print what each clip is answered with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    clips = parser.parse_args().data / "videos" / "clips"
    recognizer = ActionRecognizer.load("everyday")
    names = (*(name for pair in ENROLLED.values() for name in pair), *KNOWN, *NEITHER)
    watched = {name: _sequence(clips / name) for name in names}
    for way in (0, 1):
        console.print(_table(recognizer, watched, way))


def _table(recognizer: ActionRecognizer, watched: dict[str, SkeletonSequence], way: int) -> Table:
    """Answers with a gallery of the first clip of each pair, or of the second."""
    gallery = Gallery(
        actions={
            name: enrolled(recognizer, name, watched[pair[way]]) for name, pair in ENROLLED.items()
        }
    )
    sources = ", ".join(pair[way] for pair in ENROLLED.values())
    table = Table("clip", *gallery.names, "without the gallery", "with it", title=sources)
    others = [pair[1 - way] for pair in ENROLLED.values()]
    for name in (*others, *KNOWN, *NEITHER):
        vector = recognizer.embed(watched[name], max_persons=1).persons[0].vector
        table.add_row(
            name,
            *(f"{cosine:.3f}" for cosine in gallery.cosines(vector[None])[0]),
            _answer(recognizer, watched[name], None),
            _answer(recognizer, watched[name], gallery),
        )
    return table


def _sequence(path: Path) -> SkeletonSequence:
    found = extract_pose(path, model=find_pose_model(), max_persons=1).sequence
    assert found is not None, f"nobody was found in {path}"
    return found


def enrolled(recognizer: ActionRecognizer, name: str, sequence: SkeletonSequence) -> EnrolledAction:
    """The action with the halves of one clip as its examples."""
    T = sequence.num_frames
    halves = (sequence.frames(0, T // 2), sequence.frames(T // 2, T))
    examples = [recognizer.embed(half, max_persons=1).example() for half in halves]
    return EnrolledAction(name=name, examples=np.stack(examples))


def _answer(
    recognizer: ActionRecognizer, sequence: SkeletonSequence, gallery: Gallery | None
) -> str:
    answer = recognizer.recognise(sequence, top_k=1, max_persons=1, gallery=gallery)
    best = answer.actions[0]
    return f"{best.label} {best.score:.2f}{'' if answer.recognised else ' (not recognised)'}"


if __name__ == "__main__":
    main()
