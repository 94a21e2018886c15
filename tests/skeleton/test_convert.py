"""Conversion between layouts: copied, approximated or missing, and never mirrored."""

import numpy as np
import pytest

from c2vl_serve.skeleton.convert import conversion, convert
from c2vl_serve.skeleton.layout import (
    BODY15,
    COCO17,
    H36M17,
    KINECT20,
    LAYOUTS,
    MEDIAPIPE33,
    NTU25,
    SMPL24,
    SkeletonLayout,
    layout_from_dict,
)
from c2vl_serve.skeleton.sequence import SkeletonSequence


def body(layout: SkeletonLayout) -> SkeletonSequence:
    """Joints that say their own number, so that copies can be told from sums."""
    joints = np.arange(layout.num_joints * 3, dtype=np.float32).reshape(1, 1, -1, 3)
    return SkeletonSequence(joints=joints, fps=30.0, layout=layout)


@pytest.mark.parametrize("source", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_reaches_body15_whole(source: SkeletonLayout) -> None:
    assert conversion(source, BODY15).missing == ()


def test_same_layout_is_the_same_sequence() -> None:
    sequence = body(KINECT20)
    assert convert(sequence, KINECT20) == (sequence, ())


def test_shared_joints_are_copied() -> None:
    converted, notes = convert(body(NTU25), KINECT20)
    wrist = converted.joints[0, 0, KINECT20.index("l_wrist")]
    np.testing.assert_array_equal(wrist, body(NTU25).joints[0, 0, NTU25.index("l_wrist")])
    assert notes == ("layout ntu25 converted to kinect20: exact",)


def test_pelvis_is_the_middle_of_the_hips_even_where_a_hip_center_exists() -> None:
    converted, _ = convert(body(KINECT20), BODY15)
    hips = [KINECT20.index("l_hip"), KINECT20.index("r_hip")]
    expected = body(KINECT20).joints[0, 0, hips].mean(axis=0)
    np.testing.assert_allclose(converted.joints[0, 0, BODY15.index("pelvis")], expected)


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (MEDIAPIPE33, KINECT20, ("hip_center", "head", "l_hand", "approximated")),
        (COCO17, KINECT20, ("l_hand", "l_foot, r_foot missing")),
        (H36M17, BODY15, ("pelvis", "head", "approximated")),
        (SMPL24, KINECT20, ("shoulder_center", "approximated")),
    ],
)
def test_notes_say_what_is_not_exact(
    source: SkeletonLayout, target: SkeletonLayout, words: tuple[str, ...]
) -> None:
    _, notes = convert(body(source), target)
    for word in words:
        assert word in notes[0]


def test_a_joint_is_as_visible_as_what_it_is_made_of() -> None:
    visibility = np.ones((1, 1, 17), np.float32)
    visibility[0, 0, COCO17.index("l_hip")] = 0.25
    sequence = SkeletonSequence(
        joints=np.ones((1, 1, 17, 3), np.float32), visibility=visibility, fps=30.0, layout=COCO17
    )
    converted, _ = convert(sequence, KINECT20)
    assert converted.visibility[0, 0, KINECT20.index("hip_center")] == 0.25
    assert converted.visibility[0, 0, KINECT20.index("l_foot")] == 0  # coco has no feet
    assert converted.visibility[0, 0, KINECT20.index("r_wrist")] == 1


@pytest.mark.parametrize("up", ["+y", "-y", "+z", "-z"])
def test_up_becomes_up_and_left_stays_left(up: str) -> None:
    """The triple product of up, forward and left keeps its sign: no axis is mirrored."""
    axes = {"+y": (0, 1, 0), "-y": (0, -1, 0), "+z": (0, 0, 1), "-z": (0, 0, -1)}[up]
    upward = np.array(axes, np.float32)
    forward = np.array((1, 0, 0), np.float32)
    left = np.cross(upward, forward)
    layout = layout_from_dict(
        {"name": "three", "joints": {"l_hip": None, "l_knee": "l_hip", "l_ankle": "l_knee"},
         "up": up}
    )  # fmt: skip
    target = layout_from_dict(
        {"name": "other", "joints": {"l_hip": None, "l_knee": "l_hip", "l_ankle": "l_knee"}}
    )
    joints = np.stack([upward, forward, left]).astype(np.float32)[None, None]
    converted, _ = convert(SkeletonSequence(joints=joints, fps=1.0, layout=layout), target)
    new_up, new_forward, new_left = converted.joints[0, 0]
    np.testing.assert_allclose(new_up, (0, 1, 0))
    np.testing.assert_allclose(np.cross(new_up, new_forward), new_left)


def test_two_dimensions_turn_half_round() -> None:
    joints = np.zeros((1, 1, 17, 2), np.float32)
    joints[0, 0, COCO17.index("l_wrist")] = (0.3, 0.7)  # image: right of the middle, below it
    converted, _ = convert(SkeletonSequence(joints=joints, fps=1.0, layout=COCO17), BODY15)
    np.testing.assert_allclose(
        converted.joints[0, 0, BODY15.index("l_wrist")], (-0.3, -0.7), atol=1e-7
    )
