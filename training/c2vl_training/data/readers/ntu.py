"""NTU RGB+D 60 and 120: folders of ``.skeleton`` files, their names, protocols and known gaps.

A name is ``SsssCcccPpppRrrrAaaa``: setup, camera, performer, replication, action (Shahroudy et
al., CVPR 2016; Liu et al., TPAMI 2020). The text of one file is read by
``c2vl_serve.skeleton.formats``.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.formats import ReadOptions, SequenceLimits, read_sequence
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.readers.class_names import NTU_CLASSES
from c2vl_training.data.readers.denoise import FIELD_RULES, Denoising, denoised
from c2vl_training.data.readers.recording import Entry, Protocol, Recordings

SUFFIX = ".skeleton"
NUM_CLASSES_60 = 60
LAST_SETUP_60 = 17  # NTU RGB+D 60 is setups 1 to 17 of the 32
TRAINING_VIEWS = (2, 3)

# Shahroudy et al., section 3.2.1.
TRAINING_SUBJECTS_60 = (1, 2, 4, 5, 8, 9, *range(13, 20), 25, 27, 28, 31, 34, 35, 38)
# Liu et al., section 3.2: the same 20 and 33 of the new performers.
TRAINING_SUBJECTS_120 = (
    *TRAINING_SUBJECTS_60,
    *(45, 46, 47, 49, 50, *range(52, 60), 70, 74, 78, *range(80, 87), 89, *range(91, 96)),
    *(97, 98, 100, 103),
)

# The sensor renumbers whoever it loses, so a file may hold many bodies though few at a time.
_LIMITS = SequenceLimits(persons=200)
_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")


def parse_name(name: str) -> Entry:
    """What a name such as ``S001C002P003R002A013`` says.

    Raises:
        SequenceError: for another form, or an action beyond 120.
    """
    match = _NAME.fullmatch(name)
    setup, view, subject, repetition, action = map(int, match.groups()) if match else (0,) * 5
    if not 1 <= action <= len(NTU_CLASSES):
        raise SequenceError(
            f"{name!r} is not a name of NTU RGB+D; expected SsssCcccPpppRrrrAaaa with an action "
            f"of 1 to {len(NTU_CLASSES)}, such as S001C002P003R002A013"
        )
    return Entry(
        sample_id=name,
        class_name=NTU_CLASSES[action - 1],
        subject=subject,
        view=view,
        setup=setup,
        repetition=repetition,
    )


def _in_60(entry: Entry) -> bool:
    return isinstance(entry.setup, int) and entry.setup <= LAST_SETUP_60


def _even_setup(entry: Entry) -> bool:
    return isinstance(entry.setup, int) and entry.setup % 2 == 0


NTU_PROTOCOLS: dict[str, Protocol] = {
    "ntu60_xsub": Protocol(trains=lambda e: e.subject in TRAINING_SUBJECTS_60, used=_in_60),
    "ntu60_xview": Protocol(trains=lambda e: e.view in TRAINING_VIEWS, used=_in_60),
    "ntu120_xsub": Protocol(trains=lambda e: e.subject in TRAINING_SUBJECTS_120),
    "ntu120_xset": Protocol(trains=_even_setup),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Files:
    """Reads a sample by its name."""

    paths: dict[str, Path]
    denoising: Denoising | None

    def __call__(self, sample_id: str) -> SkeletonSequence:
        sequence = read_sequence(self.paths[sample_id], ReadOptions(limits=_LIMITS))
        return sequence if self.denoising is None else denoised(sequence, self.denoising)


def read_ntu(
    *folders: Path, missing: Path | None = None, denoising: Denoising | None = FIELD_RULES
) -> Recordings:
    """The recordings in one or several folders of ``.skeleton`` files, without the missing ones.

    Classes are the first 60 names, or all 120 where one of the later ones occurs.

    Args:
        folders: such as ``nturgb+d_skeletons`` and ``nturgb+d_skeletons120``.
        missing: the published list of samples with missing or incomplete skeletons, or one of
            your own (:func:`names_in_list`). Without it files that show nobody are left out,
            for which the beginning of every file is read; incomplete ones then stay.
        denoising: which bodies are persons; None keeps all bodies.

    Raises:
        SequenceError: when a folder has no such files, or a file a name of another form.
    """
    paths = {path.stem: path for folder in folders for path in _skeleton_files(folder)}
    if missing is None:
        left_out = {name for name, path in paths.items() if shows_nobody(path)}
    else:
        left_out = names_in_list(missing)
    entries = tuple(parse_name(name) for name in sorted(set(paths) - left_out))
    later = any(entry.class_name in NTU_CLASSES[NUM_CLASSES_60:] for entry in entries)
    return Recordings(
        entries=entries,
        read=_Files(paths=paths, denoising=denoising),
        class_names=NTU_CLASSES if later else NTU_CLASSES[:NUM_CLASSES_60],
        source=f"NTU RGB+D, {denoising or 'all bodies'}",
    )


def names_in_list(path: Path) -> set[str]:
    """The sample names in a list, one a line, with or without ``.skeleton``.

    The published lists begin with a few lines of prose, which are passed over.

    Raises:
        SequenceError: naming the line, when something else stands among the names.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SequenceError(f"the list of missing samples cannot be read: {error}") from error
    return set(_names(path, lines))


def _names(path: Path, lines: Sequence[str]) -> Iterator[str]:
    begun = False
    for number, line in enumerate(lines, start=1):
        name = line.strip().removesuffix(SUFFIX)
        if _NAME.fullmatch(name):
            begun = True
            yield name
        elif begun and name:
            raise SequenceError(
                f"{path}, line {number} holds {name[:40]!r} among the names of missing samples; "
                "expected one name a line, such as S001C002P005R002A008"
            )
    if not begun:
        raise SequenceError(
            f"{path} names no sample; expected one name a line, such as S001C002P005R002A008"
        )


def shows_nobody(path: Path) -> bool:
    """Whether a ``.skeleton`` file holds counts only: bodies have several numbers on a line."""
    with path.open("rb") as file:
        return not any(len(line.split()) > 1 for line in file)


def _skeleton_files(folder: Path) -> Iterable[Path]:
    if not folder.is_dir():
        raise SequenceError(f"{folder} is not a folder; give the one that holds {SUFFIX} files")
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        raise SequenceError(
            f"{folder} holds no {SUFFIX} files; unpack nturgbd_skeletons_s001_to_s017.zip and give "
            "the folder in which the files lie"
        )
    return files
