"""Enrol an action from one video and recognise it in another, by another person.

    python benchmarks/gallery_videos.py --data ../shared/data

There are two clips of each action: the halves of the first are enrolled as two examples, the second
is recognised. Clips of known actions are answered with and without the gallery.
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from c2vl_serve import ActionRecognizer, SkeletonSequence
from c2vl_serve.pose import extract_pose, find_pose_model
from c2vl_serve.recognition.gallery import EnrolledAction, Gallery

# Name, clip whose halves are enrolled, clip to be recognised.
ENROLLED = (
    ("jumping jack", "treadtv_jumping_jacks.mp4", "luizfcharry_jacks.mp4"),
    ("push-up", "omartarek198_pushup.mp4", "omartarek198_pushup5.mp4"),
)
KNOWN = ("sudchaudhary_walking.avi", "sudchaudhary_waving.avi", "luizfcharry_squat2.mp4")

console = Console(width=120)


def main() -> None:
    """Print what each clip is answered with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    clips = parser.parse_args().data / "videos" / "clips"
    recognizer = ActionRecognizer.load("everyday")
    watched = {
        name: _sequence(clips / name)
        for name in (*(name for _, *pair in ENROLLED for name in pair), *KNOWN)
    }
    gallery = Gallery(
        actions={name: _enrolled(recognizer, name, watched[first]) for name, first, _ in ENROLLED}
    )
    table = Table("clip", "cosines", "without the gallery", "with it")
    for name in (*(second for *_, second in ENROLLED), *KNOWN):
        vector = recognizer.embed(watched[name], max_persons=1).persons[0].vector
        cosines = [float(vector @ action.prototype) for action in gallery.actions.values()]
        table.add_row(
            name,
            ", ".join(f"{cosine:.2f}" for cosine in cosines),
            _answer(recognizer, watched[name], None),
            _answer(recognizer, watched[name], gallery),
        )
    console.print(f"cosines with {', '.join(gallery.names)}")
    console.print(table)


def _sequence(path: Path) -> SkeletonSequence:
    found = extract_pose(path, model=find_pose_model(), max_persons=1).sequence
    assert found is not None, f"nobody was found in {path}"
    return found


def _enrolled(
    recognizer: ActionRecognizer, name: str, sequence: SkeletonSequence
) -> EnrolledAction:
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
