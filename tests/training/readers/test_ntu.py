"""NTU RGB+D: names, folders, protocols, the list of missing samples."""

from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.layout import NTU25
from c2vl_training.data.readers.class_names import NTU_CLASSES
from c2vl_training.data.readers.ntu import (
    NTU_PROTOCOLS,
    TRAINING_SUBJECTS_60,
    TRAINING_SUBJECTS_120,
    names_in_list,
    parse_name,
    read_ntu,
    shows_nobody,
)
from c2vl_training.data.readers.recording import Recordings
from tests.training.readers.made_files import moved, ntu_text, write_ntu

NAMES = (
    "S001C001P001R001A001",
    "S001C002P003R002A013",
    "S002C003P003R001A060",
    "S018C001P045R001A061",
    "S019C002P044R002A120",
)
PROSE = (
    '302 of the captured samples in the "NTU RGB+D" dataset have missing or incomplete '
    "skeleton data.\nThe list of these samples is as follows:\n\n"
)


def ids(recordings: Recordings) -> set[str]:
    return {entry.sample_id for entry in recordings.entries}


def test_a_name_says_everything() -> None:
    entry = parse_name("S012C003P027R002A043")
    assert (entry.setup, entry.view, entry.subject, entry.repetition) == (12, 3, 27, 2)
    assert entry.class_name == "falling down"


@pytest.mark.parametrize("name", ["S001C001P001R001A121", "S001C001P001R001A000", "S1C1P1R1A1", ""])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(SequenceError, match=f"'{name}' is not a name of NTU.*SsssCccc.*1 to 120"):
        parse_name(name)


def test_there_are_120_classes_in_published_order() -> None:
    assert len(NTU_CLASSES) == len(set(NTU_CLASSES)) == 120
    published = {
        1: "drink water",
        23: "hand waving",
        50: "punch/slap",
        60: "walking apart",
        61: "put on headphone",
        99: "run on the spot",
        120: "rock-paper-scissors",
    }
    assert {number: NTU_CLASSES[number - 1] for number in published} == published


def test_classes_are_those_of_the_class_texts(data_dir: Path) -> None:
    path = data_dir / "captions" / "ntu120_label_map.txt"
    if not path.exists():
        pytest.skip(f"the class texts are not here: {path}")
    assert tuple(line.strip() for line in path.read_text().splitlines()) == NTU_CLASSES


def test_training_subjects_are_the_published_ones() -> None:
    published = "1 2 4 5 8 9 13 14 15 16 17 18 19 25 27 28 31 34 35 38"
    later = (
        "45 46 47 49 50 52 53 54 55 56 57 58 59 70 74 78 80 81 82 83 84 85 86 89 91 92 93 94 95 "
        "97 98 100 103"
    )
    assert tuple(map(int, published.split())) == TRAINING_SUBJECTS_60
    assert tuple(map(int, f"{published} {later}".split())) == TRAINING_SUBJECTS_120
    assert (len(TRAINING_SUBJECTS_60), len(TRAINING_SUBJECTS_120)) == (20, 53)


@pytest.mark.parametrize(
    ("protocol", "train", "test"),
    [
        ("ntu60_xsub", [0], [1, 2]),
        ("ntu60_xview", [1, 2], [0]),
        ("ntu120_xsub", [0, 3], [1, 2, 4]),
        ("ntu120_xset", [2, 3], [0, 1, 4]),
    ],
)
def test_protocols(tmp_path: Path, protocol: str, train: list[int], test: list[int]) -> None:
    write_ntu(tmp_path / "a", NAMES[:3], num_frames=2)
    write_ntu(tmp_path / "b", NAMES[3:], num_frames=2)
    parts = read_ntu(tmp_path / "a", tmp_path / "b").split(NTU_PROTOCOLS[protocol])
    assert [ids(part) for part in parts] == [
        {NAMES[index] for index in train},
        {NAMES[index] for index in test},
    ]


def test_a_protocol_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    write_ntu(tmp_path, NAMES[3:], num_frames=2)
    with pytest.raises(SequenceError, match=r"0 training and 0 test recordings of 2"):
        read_ntu(tmp_path).split(NTU_PROTOCOLS["ntu60_xsub"])


def test_a_recording_is_read_when_asked_for(tmp_path: Path) -> None:
    write_ntu(tmp_path, NAMES[:2])
    recordings = read_ntu(tmp_path)
    (tmp_path / f"{NAMES[1]}.skeleton").write_text("spoilt")
    recording = recordings[0]
    assert recording.class_name == "drink water"
    assert recording.sequence.joints.shape == (20, 1, 25, 3)
    assert (recording.sequence.layout, recording.sequence.fps) == (NTU25, 30.0)
    np.testing.assert_allclose(recording.sequence.joints[:, 0], moved(20, 0.11), atol=1e-5)
    with pytest.raises(SequenceError, match=f"recording '{NAMES[1]}': .*no skeleton file"):
        recordings[1]


def test_only_later_classes_make_120(tmp_path: Path) -> None:
    write_ntu(tmp_path / "a", NAMES[:3], num_frames=2)
    assert read_ntu(tmp_path / "a").class_names == NTU_CLASSES[:60]
    write_ntu(tmp_path / "b", NAMES[3:], num_frames=2)
    assert read_ntu(tmp_path / "b").class_names == NTU_CLASSES


def test_files_that_show_nobody_are_found(tmp_path: Path) -> None:
    write_ntu(tmp_path, NAMES[:2], num_frames=2)
    empty = tmp_path / f"{NAMES[2]}.skeleton"
    empty.write_text(ntu_text(40, {}))
    late = tmp_path / f"{NAMES[3]}.skeleton"
    late.write_text(ntu_text(40, {"7": (39, moved(1, 0.1))}))
    assert shows_nobody(empty)
    assert not shows_nobody(late)
    assert ids(read_ntu(tmp_path)) == {NAMES[0], NAMES[1], NAMES[3]}


def test_the_published_list_is_left_out(tmp_path: Path) -> None:
    write_ntu(tmp_path / "ntu", NAMES[:3], num_frames=2)
    listed = tmp_path / "missing.txt"
    listed.write_text(PROSE + f"{NAMES[0]}\n{NAMES[2]}.skeleton\n\nS001C002P005R002A008\n")
    assert names_in_list(listed) == {NAMES[0], NAMES[2], "S001C002P005R002A008"}
    assert ids(read_ntu(tmp_path / "ntu", missing=listed)) == {NAMES[1]}


def test_a_list_with_something_else_is_refused(tmp_path: Path) -> None:
    listed = tmp_path / "missing.txt"
    listed.write_text(PROSE + f"{NAMES[0]}\nS001C002P005\n")
    with pytest.raises(SequenceError, match=r"missing.txt, line 5 holds 'S001C002P005'"):
        names_in_list(listed)
    listed.write_text(PROSE)
    with pytest.raises(SequenceError, match="names no sample"):
        names_in_list(listed)
    with pytest.raises(SequenceError, match="list of missing samples cannot be read: .*No such"):
        names_in_list(tmp_path / "no.txt")


def test_folders_that_cannot_be_right(tmp_path: Path) -> None:
    with pytest.raises(SequenceError, match="holds no .skeleton files"):
        read_ntu(tmp_path)
    with pytest.raises(SequenceError, match="is not a folder"):
        read_ntu(tmp_path / "no")
    write_ntu(tmp_path, NAMES[:1], num_frames=2)
    (tmp_path / "notes.skeleton").write_text("1\n1\n7 0 0\n")
    with pytest.raises(SequenceError, match="'notes' is not a name of NTU"):
        read_ntu(tmp_path)


def test_a_ghost_is_dropped_unless_all_bodies_are_wanted(tmp_path: Path) -> None:
    bodies = {"1": (0, moved(20, 0.5)), "2": (0, moved(20, 0.2, x=1)), "3": (0, moved(5, 2, x=-1))}
    (tmp_path / f"{NAMES[0]}.skeleton").write_text(ntu_text(20, bodies))
    assert read_ntu(tmp_path)[0].sequence.person_ids == (0, 1)
    assert read_ntu(tmp_path, denoising=None)[0].sequence.num_persons == 3
