"""PKU-MMD I and II: long videos of up to two persons, cut into the actions that were labelled.

A video ``0002-L.txt`` (part I) or ``A01N01-L.txt`` (part II: N is the subject) is text, a frame a
line: two bodies x 25 joints x 3 metres, zeros for a body that is not there. Its label file of the
same name has a line ``class,start,end,confidence`` an action; L, M and R are the cameras (Liu et
al., arXiv 1703.07475, and the readme of the set).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.layout import NTU25
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.readers.class_names import PKU_CLASSES
from c2vl_training.data.readers.recording import Entry, Protocol, Recordings

FPS = 30.0  # frames per second
NUM_BODIES = 2
NUMBERS_A_LINE = NUM_BODIES * NTU25.num_joints * 3
BACKGROUND = "background"
MIN_BACKGROUND = 30  # frames; between two actions there are often only a few

_VIDEO = re.compile(r"(?:\d{4}|A\d{2}N(?P<subject>\d{2}))-(?P<view>[LMR])")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Segment:
    """Frames ``start .. stop - 1`` of a video, as the field cuts them."""

    video: str
    class_name: str
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Videos:
    """Reads a segment by its sample id; neighbours are of one video, which is kept."""

    folder: Path
    segments: dict[str, _Segment]

    def __call__(self, sample_id: str) -> SkeletonSequence:
        segment = self.segments[sample_id]
        path = self.folder / f"{segment.video}.txt"
        joints = _bodies(path)[segment.start : segment.stop]
        if not joints.any():
            raise SequenceError(
                f"nobody is seen in frames {segment.start} to {segment.stop} of {path}"
            )
        shown = np.abs(joints).any(axis=(2, 3))
        persons = np.flatnonzero(shown.any(axis=0))
        tracked = np.abs(joints[:, persons]).any(axis=3)
        return SkeletonSequence(
            joints=joints[:, persons],
            visibility=tracked.astype(np.float32),
            fps=FPS,
            layout=NTU25,
            person_ids=tuple(persons.tolist()),
        )


def read_pku(skeletons: Path, labels: Path, *, background: bool = False) -> Recordings:
    """The labelled actions of all videos of PKU-MMD I or II as recordings.

    Sample ids are ``VIDEO/NUMBER``. An action in which nobody is seen fails when it is read (the
    field leaves it out: ``write_cache`` can, too).

    Args:
        skeletons: folder of the videos' skeletons.
        labels: folder of their label files, named alike.
        background: add the stretches of :data:`MIN_BACKGROUND` frames and more before and between
            actions, as the class :data:`BACKGROUND`.

    Raises:
        SequenceError: naming the file and line that is at fault.
    """
    if not any(labels.glob("*.txt")):
        raise SequenceError(f"{labels} holds no label files; expected one .txt a video, as 0002-L")
    segments: dict[str, _Segment] = {}
    for path in sorted(labels.glob("*.txt")):
        if not (skeletons / path.name).is_file():
            raise SequenceError(f"{path} labels a video that is not in {skeletons}")
        actions = list(_actions(path))
        segments |= {f"{path.stem}/{index:03d}": action for index, action in enumerate(actions)}
        if background:
            gaps = enumerate(_gaps(path.stem, actions))
            segments |= {f"{path.stem}/{BACKGROUND}{index:03d}": gap for index, gap in gaps}
    return Recordings(
        entries=tuple(_entry(sample_id, segment) for sample_id, segment in segments.items()),
        read=_Videos(folder=skeletons, segments=segments),
        class_names=(*PKU_CLASSES, BACKGROUND) if background else PKU_CLASSES,
        source="PKU-MMD",
    )


def read_split(path: Path) -> Protocol:
    """The protocol in a published split file, ``cross-subject.txt`` or ``cross-view.txt``.

    The file names training videos after a line ``Training videos:`` and the others after a line
    of their own that ends in a colon.

    Raises:
        SequenceError: when there are no such two lists of videos.
    """
    lists: dict[bool, set[str]] = {True: set(), False: set()}
    training: bool | None = None
    for number, line in enumerate(_lines(path), start=1):
        if line.strip().endswith(":"):
            training = line.strip().lower().startswith("train")
            continue
        for name in filter(None, (part.strip() for part in line.split(","))):
            if training is None or not _VIDEO.fullmatch(name):
                raise SequenceError(
                    f"{path}, line {number} holds {name[:40]!r}; expected a line "
                    "'Training videos:', then names such as 0002-L with commas between"
                )
            lists[training].add(name)
    if not (lists[True] and lists[False]):
        raise SequenceError(
            f"{path} names {len(lists[True])} training and {len(lists[False])} other videos; "
            "expected a list of each"
        )
    return Protocol(
        trains=lambda entry: video_of(entry) in lists[True],
        used=lambda entry: video_of(entry) in lists[True] | lists[False],
    )


def video_of(entry: Entry) -> str:
    """The video that a recording is cut from."""
    return entry.sample_id.partition("/")[0]


def _entry(sample_id: str, segment: _Segment) -> Entry:
    match = _VIDEO.fullmatch(segment.video)
    if match is None:
        raise SequenceError(
            f"{segment.video!r} is not a video of PKU-MMD; expected names such as 0002-L or "
            "A01N01-L"
        )
    subject = match["subject"]
    return Entry(
        sample_id=sample_id,
        class_name=segment.class_name,
        subject=None if subject is None else int(subject),
        view=match["view"],
    )


def _actions(path: Path) -> Iterator[_Segment]:
    """The labelled actions of a video, in the file's order; confidence is not used by the field."""
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        words = line.split(",")
        try:
            action, start, stop = (int(word) for word in words[:3])
        except ValueError:
            action, start, stop = 0, 0, 0
        if len(words) != 4 or not 1 <= action <= len(PKU_CLASSES) or not 0 <= start < stop:
            raise SequenceError(
                f"{path}, line {number} is {line.strip()[:40]!r}; expected "
                f"class,start,end,confidence with a class of 1 to {len(PKU_CLASSES)} and a start "
                "before the end"
            )
        yield _Segment(video=path.stem, class_name=PKU_CLASSES[action - 1], start=start, stop=stop)


def _gaps(video: str, actions: list[_Segment]) -> Iterator[_Segment]:
    """What lies before and between actions; how long the video goes on is not known here."""
    ends = [0]
    for action in sorted(actions, key=lambda action: action.start):
        if action.start - ends[-1] >= MIN_BACKGROUND:
            yield _Segment(video=video, class_name=BACKGROUND, start=ends[-1], stop=action.start)
        ends.append(max(ends[-1], action.stop))


@lru_cache(maxsize=2)
def _bodies(path: Path) -> Float32[np.ndarray, "T 2 25 3"]:
    """A whole video; read-only, as it is shared."""
    try:
        numbers = np.loadtxt(_lines(path), dtype=np.float32, ndmin=2)
    except ValueError as error:
        raise SequenceError(f"{path} cannot be read as lines of numbers: {error}") from error
    if numbers.shape[1] != NUMBERS_A_LINE:
        raise SequenceError(
            f"{path} has {numbers.shape[1]} numbers a line; expected {NUMBERS_A_LINE}: "
            "two bodies x 25 joints x 3"
        )
    numbers.flags.writeable = False
    return numbers.reshape(-1, NUM_BODIES, NTU25.num_joints, 3)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SequenceError(f"{path} cannot be read: {error}") from error
    if not any(line.strip() for line in lines):
        raise SequenceError(f"{path} is empty")
    return lines
