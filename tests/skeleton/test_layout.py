"""Layouts: trees that hold together, and descriptions that are checked."""

import json
from pathlib import Path

import pytest

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.layout import (
    KINECT20,
    LAYOUTS,
    NTU25,
    SkeletonLayout,
    layout_by_name,
    layout_from_dict,
    layout_from_json,
)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("ntu25", 25), ("kinect20", 20), ("coco17", 17), ("h36m17", 17), ("mediapipe33", 33),
        ("smpl24", 24), ("body15", 15),
    ],
)  # fmt: skip
def test_number_of_joints(name: str, count: int) -> None:
    assert layout_by_name(name).num_joints == count


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_outward_order_visits_parents_first(layout: SkeletonLayout) -> None:
    order = layout.outward
    assert sorted(order) == list(range(layout.num_joints))
    for joint in order[1:]:
        assert order.index(layout.parents[joint]) < order.index(joint)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_mirror_swaps_left_and_right_and_twice_is_identity(layout: SkeletonLayout) -> None:
    mirror = layout.mirror
    assert [mirror[mirror[joint]] for joint in range(layout.num_joints)] == list(
        range(layout.num_joints)
    )
    assert mirror[layout.index("l_wrist")] == layout.index("r_wrist")
    sided = [name for name in layout.joints if name[:2] in ("l_", "r_")]
    assert all(mirror[layout.index(name)] != layout.index(name) for name in sided)


def test_ntu25_is_numbered_as_the_dataset_does() -> None:
    # Shahroudy et al. 2016, fig. 1, counted from 1: 4 head, 8 left hand, 21 shoulder centre.
    assert [NTU25.joints[k - 1] for k in (4, 8, 21, 25)] == [
        "head", "l_hand", "shoulder_center", "r_thumb",
    ]  # fmt: skip


def test_kinect20_is_in_sdk_order() -> None:
    assert KINECT20.joints[:5] == ("hip_center", "spine", "shoulder_center", "head", "l_shoulder")
    assert KINECT20.joints[-1] == "r_foot"


def test_unknown_layout_lists_the_known_ones() -> None:
    with pytest.raises(SequenceError, match=r"unknown layout 'kinect'; known are body15, coco17"):
        layout_by_name("kinect")


def test_own_layout_from_json(tmp_path: Path) -> None:
    file = tmp_path / "arm.json"
    file.write_text(json.dumps({"name": "arm", "joints": {"a": None, "b": "a"}, "up": "+z"}))
    layout = layout_from_json(file)
    assert layout.parents == (-1, 0)
    assert layout.up == "+z"


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"name": "x"}, "has the keys name, joints"),
        ({"name": "x", "joints": {"a": None}, "colour": 1}, "has the keys name, joints"),
        ({"name": "x", "joints": {"a": "b"}}, "which is not a joint"),
        ({"name": "x", "joints": {"a": "b", "b": "a"}}, "has 0 roots"),
        ({"name": "x", "joints": {"a": None, "b": None}}, "has 2 roots"),
        ({"name": "x", "joints": {"r": None, "a": "b", "b": "a"}}, "do not lead to the root"),
        ({"name": "x", "joints": {"a": None}, "up": "y"}, "has up='y'"),
    ],
)
def test_a_bad_description_says_what_is_wrong(description: dict, message: str) -> None:
    with pytest.raises(SequenceError, match=message):
        layout_from_dict(description)


def test_a_file_that_is_not_json(tmp_path: Path) -> None:
    file = tmp_path / "layout.json"
    file.write_text("joints: a")
    with pytest.raises(SequenceError, match="cannot be read as JSON"):
        layout_from_json(file)
