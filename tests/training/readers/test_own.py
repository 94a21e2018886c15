"""Your own files: a folder for each class, a CSV, layouts of your own."""

import json
from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.formats import write_sequence
from c2vl_serve.skeleton.layout import KINECT20, SkeletonLayout
from c2vl_training.data.readers.own import read_own
from tests.conftest import waving

STICK = {"name": "stick", "joints": {"hip": None, "head": "hip", "hand": "head"}, "up": "+z"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes with files of three types, and what file browsers leave behind."""
    for name, file, frames in (("wave", "a.json", 10), ("wave", "b.csv", 12), ("hop", "a.npz", 14)):
        (tmp_path / name).mkdir(exist_ok=True)
        write_sequence(waving(num_frames=frames), tmp_path / name / file)
    (tmp_path / "hop" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def table(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text)
    return path


def test_a_folder_for_each_class(folder: Path) -> None:
    recordings = read_own(folder)
    assert [(e.sample_id, e.class_name) for e in recordings.entries] == [
        ("hop/a.npz", "hop"), ("wave/a.json", "wave"), ("wave/b.csv", "wave"),
    ]  # fmt: skip
    assert [recording.sequence.num_frames for recording in recordings] == [14, 10, 12]
    assert recordings.class_names == ("hop", "wave")


def test_a_table(folder: Path) -> None:
    path = table(
        folder,
        'file,label,subject,view\nwave/b.csv,greeting,Ann,left\n\nhop/a.npz,"hop, high",Bo,\n',
    )
    recordings = read_own(path)
    first, second = recordings.entries
    assert (first.class_name, first.subject, first.view) == ("greeting", "Ann", "left")
    assert (second.class_name, second.subject, second.view) == ("hop, high", "Bo", None)
    np.testing.assert_allclose(
        recordings[0].sequence.joints, waving(num_frames=12).joints, atol=1e-6
    )


def test_a_described_layout(tmp_path: Path) -> None:
    joints = np.arange(5 * 3 * 3, dtype=np.float32).reshape(5, 3, 3)
    (tmp_path / "up").mkdir()
    np.save(tmp_path / "up" / "1.npy", joints)
    described = tmp_path / "stick.json"
    described.write_text(json.dumps(STICK))
    recording = read_own(tmp_path, layout=described, fps=25.0)[0]
    expected = SkeletonLayout(
        name="stick", joints=("hip", "head", "hand"), parents=(-1, 0, 1), up="+z"
    )
    assert (recording.sequence.layout, recording.sequence.fps) == (expected, 25.0)
    np.testing.assert_array_equal(recording.sequence.joints[:, 0], joints)
    assert read_own(tmp_path, layout=str(described), fps=25.0)[0].sequence.layout == expected


def test_a_known_layout_by_name(tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    np.save(tmp_path / "up" / "1.npy", np.ones((5, 20, 3)))
    assert read_own(tmp_path, layout="kinect20", fps=30.0)[0].sequence.layout == KINECT20
    with pytest.raises(SequenceError, match=r"up/1.npy: the input does not say which layout"):
        read_own(tmp_path, fps=30.0)[0]
    with pytest.raises(SequenceError, match="unknown layout 'kinect'"):
        read_own(tmp_path, layout="kinect")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file;label\n", "line 1 has the columns file;label; expected file,label and"),
        ("file,label,age\n", "line 1 has the columns file, label, age"),
        ("", "line 1 has the columns none"),
        ("file,label\n", "has a header but no rows"),
        ("file,label\nhop/a.npz\n", "line 2 has 1 cells; the header has 2"),
        ("file,label\n\nhop/a.npz,\n", "line 3 has no label"),
        ("file,label\nhop/b.npz,hop\n", "line 2: hop/b.npz cannot be read: No such file"),
        ("file,label\nhop/.DS_Store,hop\n", "line 2: hop/.DS_Store is no skeleton file"),
        ("file,label\nhop/a.npz,x\nhop/a.npz,y\n", "line 3 names 'hop/a.npz', as line 2 does"),
    ],
)
def test_bad_tables_name_file_and_line(folder: Path, text: str, message: str) -> None:
    with pytest.raises(SequenceError, match=rf"labels.csv,? {message}"):
        read_own(table(folder, text))


def test_bad_folders(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(SequenceError, match="class folder .*empty is empty"):
        read_own(folder)
    with pytest.raises(SequenceError, match="holds no folders"):
        read_own(folder / "wave")
    with pytest.raises(SequenceError, match="cannot be read as a folder or a CSV"):
        read_own(folder / "nowhere")
    (folder / "empty" / "notes.txt").write_text("hello")
    with pytest.raises(SequenceError, match=r"empty/notes.txt is no skeleton file"):
        read_own(folder)


def test_a_damaged_file_is_named_when_read(folder: Path) -> None:
    path = folder / "hop" / "a.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SequenceError, match=r"'hop/a.npz': .*hop/a.npz: the .npz cannot be unp"):
        read_own(folder)[0]
