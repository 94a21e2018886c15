"""Streams: bones and motion, and the way back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from c2vl_serve.skeleton.layout import LAYOUTS, SkeletonLayout, layout_from_dict
from c2vl_serve.skeleton.streams import bones, joints_from_bones, motion

ARM = layout_from_dict({"name": "arm", "joints": {"a": None, "b": "a", "c": "b"}})


def test_bones_by_hand() -> None:
    joints = np.array([[[[1, 1, 1], [2, 1, 1], [2, 4, 1]]]], np.float32)
    expected = [[[[1, 1, 1], [1, 0, 0], [0, 3, 0]]]]
    np.testing.assert_array_equal(bones(joints, ARM), expected)


def test_motion_by_hand() -> None:
    joints = np.array([0, 1, 4], np.float32).reshape(3, 1, 1, 1)
    np.testing.assert_array_equal(motion(joints).ravel(), [0, 1, 3])


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@settings(deadline=None)
@given(data=st.data())
def test_bones_sum_up_to_joints(layout: SkeletonLayout, data: st.DataObject) -> None:
    values = st.floats(-2, 2, width=16)
    joints = data.draw(hnp.arrays(np.float32, (2, 1, layout.num_joints, 3), elements=values))
    back = joints_from_bones(bones(joints, layout), layout)
    np.testing.assert_allclose(back, joints, atol=1e-4)
