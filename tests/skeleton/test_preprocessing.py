"""The one preprocessing: what it must not depend on, what it must keep, what it masks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2vl_serve.errors import BundleError, SequenceError
from c2vl_serve.skeleton.convert import convert
from c2vl_serve.skeleton.layout import BODY15, COCO17, KINECT20
from c2vl_serve.skeleton.preprocessing import (
    BONE_LENGTHS,
    MAX_TRAVEL,
    PreprocessingConfig,
    bridge_gaps,
    preprocess,
)
from c2vl_serve.skeleton.resampling import at_positions, resample
from c2vl_serve.skeleton.sequence import SkeletonSequence
from tests.conftest import waving

CONFIG = PreprocessingConfig()
LIMIT = {"atol": 2e-4}


def turned(sequence: SkeletonSequence, angle: float) -> SkeletonSequence:
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], np.float32)
    return replace(sequence, joints=(sequence.joints @ turn.T).astype(np.float32))


def test_shape_and_channels() -> None:
    x = preprocess(waving(), CONFIG)
    assert x.shape == (1, 10, CONFIG.num_frames, 15, 1)
    assert x.dtype == np.float32


@settings(max_examples=25, deadline=None)
@given(
    shift=st.tuples(*[st.floats(-5, 5)] * 3),
    angle=st.floats(-3.1, 3.1),
    size=st.floats(0.5, 2),
)
def test_camera_place_and_body_size_do_not_matter(
    shift: tuple[float, ...], angle: float, size: float
) -> None:
    sequence = waving()
    other = turned(sequence, angle)
    moved = (other.joints * size + np.array(shift)).astype(np.float32)
    np.testing.assert_allclose(
        preprocess(replace(other, joints=moved), CONFIG), preprocess(sequence, CONFIG), **LIMIT
    )


@pytest.mark.parametrize("bone_lengths", ["average", "scale"])
def test_size_does_not_matter_either_way(bone_lengths: str) -> None:
    config = replace(CONFIG, bone_lengths=bone_lengths)
    small = replace(waving(), joints=waving().joints * np.float32(0.4))
    np.testing.assert_allclose(preprocess(small, config), preprocess(waving(), config), **LIMIT)


@pytest.mark.parametrize("fps", [15.0, 20.0, 60.0, 120.0])
def test_frame_rate_does_not_matter(fps: float) -> None:
    """Linear interpolation between frames of a slow movement: within half a centimetre."""
    ours = preprocess(waving(num_frames=61, fps=30.0), CONFIG)
    other = preprocess(waving(num_frames=int(2 * fps) + 1, fps=fps), CONFIG)
    np.testing.assert_allclose(other[:, :6], ours[:, :6], atol=0.02)


@pytest.mark.parametrize("fps", [30.0, 45.0])
def test_a_whole_number_of_frames_is_no_different_from_any_other(fps: float) -> None:
    """Frames that are taken as they are, and those between two when they are one of the two."""
    sequence = waving(num_frames=61, fps=fps)
    sequence.visibility[20:23, 0, 4] = 0
    taken = resample(sequence, 15.0)
    at = np.arange(taken.num_frames) * (fps / 15.0)
    between = at_positions(sequence, at, 15.0)
    np.testing.assert_array_equal(taken.joints, between.joints, strict=True)
    np.testing.assert_array_equal(taken.visibility, between.visibility, strict=True)


def test_a_hidden_joint_changes_nothing_about_the_others() -> None:
    """Nothing hidden takes a shorter way through the code; it must lead to the same numbers."""
    sequence = waving()
    hidden = replace(sequence, visibility=sequence.visibility.copy())
    hand = sequence.layout.index("r_hand")
    hidden.visibility[:, :, hand] = 0  # which the model's layout lacks
    in_model = convert(sequence, BODY15)[0]
    wrist = BODY15.index("r_wrist")
    masked = replace(in_model, visibility=in_model.visibility.copy())
    masked.visibility[:, :, wrist] = 0
    whole, part = preprocess(in_model, CONFIG), preprocess(masked, CONFIG)
    others = [joint for joint in range(15) if joint != wrist]
    np.testing.assert_array_equal(part[..., others, :], whole[..., others, :])
    assert not part[..., wrist, :].any()
    np.testing.assert_array_equal(preprocess(hidden, CONFIG), preprocess(sequence, CONFIG))


def test_tempo_is_kept() -> None:
    """Half as fast is half the motion: windows are seconds, never stretched clips."""
    fast, slow = waving(30, fps=30.0), replace(waving(30), fps=15.0)
    motion = slice(6, 9)
    ratio = (
        np.abs(preprocess(fast, CONFIG)[:, motion, 1:15]).max()
        / np.abs(preprocess(slow, CONFIG)[:, motion, 1:15]).max()
    )
    assert ratio == pytest.approx(2, rel=0.1)


def test_persons_are_independent_and_padding_them_changes_nothing() -> None:
    sequence = waving()
    nobody = np.zeros_like(sequence.joints)
    padded = SkeletonSequence(
        joints=np.concatenate([sequence.joints, nobody], axis=1),
        visibility=np.concatenate([sequence.visibility, nobody[..., 0]], axis=1),
        fps=30.0,
        layout=KINECT20,
    )
    x = preprocess(padded, CONFIG)
    np.testing.assert_array_equal(x[:1], preprocess(sequence, CONFIG))
    assert not x[1].any()


def test_average_bones_have_average_lengths() -> None:
    x = preprocess(waving(), replace(CONFIG, bone_lengths="average"))
    bone = x[0, 3:6, 5, :, 0]
    for joint, length in BONE_LENGTHS.items():
        assert np.linalg.norm(bone[:, BODY15.index(joint)]) == pytest.approx(length, rel=1e-4)


def test_the_body_faces_front_with_left_at_positive_x() -> None:
    x = preprocess(turned(waving(), 2.0), CONFIG)[0, :3, 5, :, 0]
    assert x[0, BODY15.index("l_shoulder")] > 0.15
    assert x[0, BODY15.index("r_shoulder")] < -0.15


@settings(max_examples=20, deadline=None)
@given(
    joint=st.sampled_from(["l_elbow", "r_wrist", "l_knee", "r_ankle", "head", "l_hip"]),
    value=st.floats(-9, 9),
)
def test_a_hidden_joint_contributes_nothing(joint: str, value: float) -> None:
    sequence = waving()
    visibility = sequence.visibility.copy()
    visibility[:, :, KINECT20.index(joint)] = 0
    joints = sequence.joints.copy()
    joints[:, :, KINECT20.index(joint)] = value
    hidden = replace(sequence, visibility=visibility)
    x = preprocess(hidden, CONFIG)
    np.testing.assert_array_equal(preprocess(replace(hidden, joints=joints), CONFIG), x)
    assert not x[:, :, :, BODY15.index(joint)].any()


def test_a_hidden_pelvis_leaves_the_upper_body_usable() -> None:
    sequence = waving()
    visibility = sequence.visibility.copy()
    legs = [KINECT20.index(n) for n in KINECT20.joints if n[2:] in ("hip", "knee", "ankle")]
    visibility[:, :, legs] = 0
    x = preprocess(replace(sequence, visibility=visibility), CONFIG)
    whole = preprocess(sequence, CONFIG)
    wrist = BODY15.index("r_wrist")
    # The torso is then guessed from the shoulders' width: the size is off by one factor.
    guessed, true = (np.linalg.norm(y[0, 3:6, 0, wrist, 0]) for y in (x, whole))
    assert 0.8 < guessed / true < 1.25
    chest = BODY15.index("chest")
    above, expected = (y[:, :3, :, wrist] - y[:, :3, :, chest] for y in (x, whole))
    np.testing.assert_allclose(above, expected * (guessed / true), atol=1e-4)
    assert not x[:, :, :, BODY15.index("l_ankle")].any()


def test_short_gaps_are_bridged_and_long_ones_are_not() -> None:
    joints = np.arange(8, dtype=np.float32).reshape(8, 1, 1, 1)
    seen = np.ones((8, 1, 1), bool)
    seen[[2, 3]] = False
    broken = np.where(seen[..., None], joints, 99).astype(np.float32)
    filled, usable = bridge_gaps(broken, seen, max_gap=2)
    np.testing.assert_allclose(filled, joints)
    assert usable.all()
    unfilled, still_missing = bridge_gaps(broken, seen, max_gap=1)
    np.testing.assert_array_equal(still_missing, seen)
    np.testing.assert_array_equal(unfilled, broken)


def test_resampling_never_mixes_in_a_missing_joint() -> None:
    sequence = waving(num_frames=4, fps=30.0)
    visibility = sequence.visibility.copy()
    visibility[1] = 0
    joints = sequence.joints.copy()
    joints[1] = 1e6
    resampled = resample(replace(sequence, joints=joints, visibility=visibility), 45.0)
    assert np.abs(resampled.joints[resampled.visibility > 0]).max() < 10


def test_travel_is_the_roots_motion_for_a_body_of_average_size() -> None:
    sequence = waving()
    forward = np.zeros_like(sequence.joints)
    forward[..., 2] = np.arange(sequence.num_frames)[:, None, None] * 0.01
    walking = replace(sequence, joints=sequence.joints + forward)
    body = convert(sequence, BODY15)[0].joints[0, 0]
    torso = np.linalg.norm(body[BODY15.index("chest")] - body[BODY15.root])
    motion = preprocess(walking, CONFIG)[0, 6:9, 1 : sequence.num_frames // 2, BODY15.root, 0]
    # Towards +z is backwards for somebody who faces the camera; 30 fps become 15.
    backwards = -2 * 0.01 * BONE_LENGTHS["chest"] / torso
    np.testing.assert_allclose(motion[2], backwards, rtol=1e-3)
    np.testing.assert_allclose(motion[:2], 0, atol=1e-6)
    other = np.delete(np.arange(10), [6, 7, 8])
    np.testing.assert_allclose(
        preprocess(walking, CONFIG)[:, other], preprocess(sequence, CONFIG)[:, other], **LIMIT
    )


def test_without_travel_a_walk_is_one_on_the_spot() -> None:
    config, sequence = replace(CONFIG, travel=False), waving()
    drift = np.linspace(0, 2, sequence.num_frames, dtype=np.float32)[:, None, None, None]
    np.testing.assert_allclose(
        preprocess(replace(sequence, joints=sequence.joints + drift), config),
        preprocess(sequence, config),
        **LIMIT,
    )


def test_a_jump_of_the_tracker_is_no_travel() -> None:
    joints = waving().joints.copy()
    joints[10:] += 3
    motion = preprocess(replace(waving(), joints=joints), CONFIG)[0, 6:9, :, BODY15.root, 0]
    assert np.abs(motion).max() <= MAX_TRAVEL


def test_a_short_window_is_padded_with_zeros() -> None:
    x = preprocess(waving(num_frames=11, fps=15.0), CONFIG)
    assert x[:, :, 11:].any() == np.False_
    assert x[:, -1, :11].all()


def test_what_it_refuses() -> None:
    with pytest.raises(SequenceError, match="cut the sequence into windows first"):
        preprocess(waving(num_frames=200), CONFIG)
    flat = SkeletonSequence(joints=np.zeros((3, 1, 17, 2), np.float32), fps=30.0, layout=COCO17)
    with pytest.raises(SequenceError, match=r"2-D .* needs 3-D"):
        preprocess(flat, CONFIG)


def test_config_round_trip_is_whole() -> None:
    values = CONFIG.to_dict()
    assert PreprocessingConfig.from_dict(values) == CONFIG
    with pytest.raises(BundleError, match=r"unknown keys \['colour'\]"):
        PreprocessingConfig.from_dict({**values, "colour": 1})
    del values["fps"]
    with pytest.raises(BundleError, match=r"lacks \['fps'\]"):
        PreprocessingConfig.from_dict(values)
