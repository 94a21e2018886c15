"""PKU-MMD: videos, label files, split files."""

from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.layout import NTU25
from c2vl_training.data.readers.class_names import NTU_CLASSES, PKU_CLASSES
from c2vl_training.data.readers.pku import BACKGROUND, read_pku, read_split
from tests.training.readers.made_files import moved, pku_text

NOBODY = np.zeros((100, 25, 3), np.float32)
LABELS = "13,40,60,2\n14,62,95,1\n"  # hand waving, handshaking


@pytest.fixture
def pku(tmp_path: Path) -> Path:
    """Two videos: in the second one another person comes in at frame 50."""
    (tmp_path / "skeleton").mkdir()
    (tmp_path / "label").mkdir()
    second = moved(100, 0.2, x=1)
    second[:50] = 0
    for name, other in (("0002-L", NOBODY), ("A01N07-R", second)):
        (tmp_path / "skeleton" / f"{name}.txt").write_text(pku_text(moved(100, 0.5), other))
        (tmp_path / "label" / f"{name}.txt").write_text(LABELS)
    return tmp_path


def test_actions_are_cut_out(pku: Path) -> None:
    recordings = read_pku(pku / "skeleton", pku / "label")
    assert [entry.sample_id for entry in recordings.entries] == [
        "0002-L/000", "0002-L/001", "A01N07-R/000", "A01N07-R/001",
    ]  # fmt: skip
    first = recordings[0]
    assert (first.class_name, first.subject, first.view) == ("hand waving", None, "L")
    assert (first.sequence.fps, first.sequence.layout) == (30.0, NTU25)
    np.testing.assert_allclose(first.sequence.joints[:, 0], moved(100, 0.5)[40:60], atol=1e-5)
    assert first.sequence.num_persons == 1


def test_the_second_person_is_missing_until_there(pku: Path) -> None:
    recording = read_pku(pku / "skeleton", pku / "label")[2]
    assert (recording.subject, recording.view) == (7, "R")
    assert recording.sequence.joints.shape == (20, 2, 25, 3)
    seen = recording.sequence.visibility[:, 1]
    assert not seen[:10].any()
    assert seen[10:].all()


def test_background_on_demand(pku: Path) -> None:
    recordings = read_pku(pku / "skeleton", pku / "label", background=True)
    background = recordings.where(lambda entry: entry.class_name == BACKGROUND)
    assert [entry.sample_id for entry in background.entries] == [
        "0002-L/background000", "A01N07-R/background000",
    ]  # fmt: skip
    assert background[0].sequence.num_frames == 40  # frames 60 and 61 are too few for another
    assert recordings.class_names == (*PKU_CLASSES, BACKGROUND)


def test_background_passes_over_actions_at_the_same_time(pku: Path) -> None:
    (pku / "label" / "0002-L.txt").write_text("14,10,90,1\n13,20,30,1\n1,95,99,1\n")
    recordings = read_pku(pku / "skeleton", pku / "label", background=True)
    assert [e.sample_id for e in recordings.entries if e.sample_id.startswith("0002")] == [
        "0002-L/000", "0002-L/001", "0002-L/002",
    ]  # fmt: skip


def test_an_action_without_anybody(pku: Path) -> None:
    (pku / "skeleton" / "0002-L.txt").write_text(pku_text(NOBODY, NOBODY))
    with pytest.raises(SequenceError, match=r"'0002-L/000': nobody is seen in frames 40 to 60"):
        read_pku(pku / "skeleton", pku / "label")[0]


def test_fifty_one_classes() -> None:
    assert len(PKU_CLASSES) == len(set(PKU_CLASSES)) == 51
    assert (PKU_CLASSES[0], PKU_CLASSES[25], PKU_CLASSES[50]) == (
        "bow", "punching/slapping other person", "writing",
    )  # fmt: skip
    # The classes of the set are sorted by name.
    assert list(PKU_CLASSES) == sorted(PKU_CLASSES)
    assert {"drop", "hand waving", "writing"} <= set(PKU_CLASSES) & set(NTU_CLASSES)


@pytest.mark.parametrize("line", ["52,1,9,1", "0,1,9,1", "3,9,9,1", "3,1,9", "3,x,9,1", "3,-1,9,1"])
def test_bad_labels_name_file_and_line(pku: Path, line: str) -> None:
    (pku / "label" / "0002-L.txt").write_text(f"13,40,60,2\n{line}\n")
    with pytest.raises(SequenceError, match=rf"0002-L.txt, line 2 is '{line}'; expected class,st"):
        read_pku(pku / "skeleton", pku / "label")


def test_bad_videos(pku: Path) -> None:
    video = pku / "skeleton" / "0002-L.txt"
    video.write_text("1 2 3\n4 5 6\n")
    with pytest.raises(SequenceError, match="0002-L.txt has 3 numbers a line; expected 150"):
        read_pku(pku / "skeleton", pku / "label")[0]
    video = video.rename(video.with_name("0003-M.txt"))
    (pku / "label" / "0002-L.txt").rename(pku / "label" / "0003-M.txt")
    video.write_text("1 2 3\n4 5\n")
    with pytest.raises(SequenceError, match=r"cannot be read as lines of numbers.*row 2"):
        read_pku(pku / "skeleton", pku / "label")[0]
    video.unlink()
    with pytest.raises(SequenceError, match=r"0003-M.txt labels a video that is not in"):
        read_pku(pku / "skeleton", pku / "label")


def test_files_that_cannot_be_read(pku: Path) -> None:
    video = pku / "skeleton" / "0002-L.txt"
    video.write_text(" \n")
    with pytest.raises(SequenceError, match=r"skeleton/0002-L.txt is empty"):
        read_pku(pku / "skeleton", pku / "label")[0]
    video.write_bytes(b"\xff\xfe")
    with pytest.raises(SequenceError, match=r"skeleton/0002-L.txt cannot be read: .*utf-8"):
        read_pku(pku / "skeleton", pku / "label")[0]
    with pytest.raises(SequenceError, match="holds no label files"):
        read_pku(pku / "skeleton", pku)
    for kind in ("skeleton", "label"):
        (pku / kind / "0002-L.txt").rename(pku / kind / "2-left.txt")
    with pytest.raises(SequenceError, match="'2-left' is not a video of PKU-MMD"):
        read_pku(pku / "skeleton", pku / "label")


def test_blank_lines_in_labels_do_not_count(pku: Path) -> None:
    (pku / "label" / "0002-L.txt").write_text("13,40,60,2\n\n")
    recordings = read_pku(pku / "skeleton", pku / "label")
    assert sum(entry.sample_id.startswith("0002") for entry in recordings.entries) == 1


def test_split_files(pku: Path) -> None:
    split = pku / "cross-subject.txt"
    split.write_text("Training videos:\n0002-L, 0002-M, \n\nValidataion videos:\nA01N07-R, \n")
    train, test = read_pku(pku / "skeleton", pku / "label").split(read_split(split))
    assert {entry.sample_id for entry in train.entries} == {"0002-L/000", "0002-L/001"}
    assert {entry.sample_id for entry in test.entries} == {"A01N07-R/000", "A01N07-R/001"}


def test_bad_split_files(pku: Path) -> None:
    split = pku / "split.txt"
    split.write_text("0002-L, 0002-M\n")
    with pytest.raises(SequenceError, match=r"split.txt, line 1 holds '0002-L'.*Training videos:"):
        read_split(split)
    split.write_text("Training videos:\n0002-L, 2-M\n")
    with pytest.raises(SequenceError, match="line 2 holds '2-M'"):
        read_split(split)
    split.write_text("Training videos:\n0002-L\n")
    with pytest.raises(SequenceError, match="names 1 training and 0 other videos"):
        read_split(split)
