"""Packed sets as recordings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.layout import KINECT20, NTU25
from c2vl_training.data.packed import PackedSet, read_packed
from c2vl_training.data.readers.packed_sets import from_packed
from c2vl_training.data.readers.recording import Protocol
from tests.training.made_sets import CLASSES, write_made_utd


@pytest.fixture
def packed(tmp_path: Path) -> PackedSet:
    write_made_utd(tmp_path)
    return read_packed(tmp_path / "utd_mhad" / "utd_mhad.npz")


def test_clips_become_recordings(packed: PackedSet) -> None:
    recordings = from_packed(packed, "utd_mhad", layout=KINECT20)
    assert (len(recordings), recordings.class_names) == (18, tuple(CLASSES))
    recording = recordings[7]
    assert (recording.sample_id, recording.subject) == ("utd_mhad/00007", 2)
    assert recording.class_name == "right arm swipe to the right"
    assert recording.sequence.fps == 30.0
    np.testing.assert_array_equal(recording.sequence.joints[:, 0], packed.clips[7])


def test_joints_go_where_the_layout_has_them(packed: PackedSet) -> None:
    turned = replace(
        packed,
        joint_names=packed.joint_names[::-1],
        clips=tuple(clip[:, ::-1] for clip in packed.clips),
    )
    ours = from_packed(turned, "turned", layout=KINECT20)[3].sequence
    np.testing.assert_array_equal(ours.joints[:, 0], packed.clips[3])


def test_other_joints_are_refused_unless_only_their_names_differ(packed: PackedSet) -> None:
    renamed = replace(packed, joint_names=tuple(f"j{index}" for index in range(20)))
    with pytest.raises(SequenceError, match="set 'x' has the joints .*layout 'kinect20' has"):
        from_packed(renamed, "x", layout=KINECT20)
    with pytest.raises(SequenceError, match="layout 'ntu25' has"):
        from_packed(packed, "x", layout=NTU25, same_order=True)
    ours = from_packed(renamed, "x", layout=KINECT20, same_order=True)[0].sequence
    np.testing.assert_array_equal(ours.joints[:, 0], packed.clips[0])


def test_what_was_not_tracked_is_missing(packed: PackedSet) -> None:
    clips = [clip.copy() for clip in packed.clips]
    clips[0][:] = 0
    clips[1][5, 3] = 0
    recordings = from_packed(replace(packed, clips=tuple(clips)), "x", layout=KINECT20)
    assert recordings.entries[0].sample_id == "x/00001"
    seen = recordings[0].sequence.visibility
    assert seen[5, 0, 3] == 0
    assert seen.sum() == seen.size - 1


def test_the_rate_must_be_said_by_somebody(packed: PackedSet) -> None:
    unknown = replace(packed, fps=0.0)
    with pytest.raises(SequenceError, match="set 'x' does not state its frames per second"):
        from_packed(unknown, "x", layout=KINECT20)
    assert from_packed(unknown, "x", layout=KINECT20, fps=15.0)[0].sequence.fps == 15


def test_nw_ucla_by_view(data_dir: Path) -> None:
    path = data_dir / "nw_ucla" / "nw_ucla.npz"
    if not path.exists():
        pytest.skip(f"the set is not here: {path}")
    recordings = from_packed(read_packed(path), "nw_ucla", layout=KINECT20, fps=12.0)
    train, test = recordings.split(Protocol(trains=lambda entry: entry.view in (1, 2)))
    assert (len(train), len(test)) == (1020, 464)
    assert len({entry.subject for entry in recordings.entries}) == 10


def test_msr_action3d_leaves_out_the_clip_that_shows_nobody(data_dir: Path) -> None:
    path = data_dir / "msr_action3d" / "msr_action3d.npz"
    if not path.exists():
        pytest.skip(f"the set is not here: {path}")
    packed = read_packed(path)
    recordings = from_packed(packed, "msr", layout=KINECT20)
    names = {f"msr/{file}" for file in packed.extra["files"]}
    assert names - {entry.sample_id for entry in recordings.entries} == {"msr/a13_s09_e02"}
    assert recordings[0].sequence.joints.shape[-1] == 3  # of x, y, z, confidence
