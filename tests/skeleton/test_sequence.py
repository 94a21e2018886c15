"""SkeletonSequence: every promise is checked when it is made."""

import numpy as np
import pytest

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.layout import KINECT20, NTU25
from c2vl_serve.skeleton.sequence import SkeletonSequence


def joints(T: int = 4, M: int = 2, V: int = 20, C: int = 3) -> np.ndarray:  # noqa: N803
    return np.zeros((T, M, V, C), np.float32)


def test_defaults_are_all_visible_and_numbered() -> None:
    sequence = SkeletonSequence(joints=joints(), fps=30.0, layout=KINECT20)
    assert sequence.visibility.shape == (4, 2, 20)
    assert sequence.visibility.min() == 1
    assert sequence.person_ids == (0, 1)
    assert sequence.duration == pytest.approx(4 / 30)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"joints": joints(T=0)}, "sequence is empty"),
        ({"joints": joints(M=0)}, "sequence is empty"),
        ({"joints": joints(), "layout": NTU25}, "20 joints but layout 'ntu25' has 25"),
        ({"joints": joints(C=4)}, "4 coordinates; expected 2"),
        ({"fps": 0.0}, "fps is 0.0; expected a positive"),
        ({"fps": float("nan")}, "fps is nan"),
        ({"visibility": np.ones((4, 1, 20), np.float32)}, "visibility has shape"),
        ({"visibility": np.full((4, 2, 20), 1.5, np.float32)}, "outside 0..1"),
        ({"visibility": np.full((4, 2, 20), np.nan, np.float32)}, "outside 0..1"),
        ({"person_ids": (1,)}, "1 person ids for 2 persons"),
    ],
)
def test_what_cannot_be_used_is_refused(values: dict, message: str) -> None:
    with pytest.raises(SequenceError, match=message):
        SkeletonSequence(**{"joints": joints(), "fps": 30.0, "layout": KINECT20, **values})


def test_nan_is_named_with_its_place() -> None:
    bad = joints()
    bad[2, 1, 6, 0] = np.inf
    with pytest.raises(SequenceError, match="frame 2, person 1, joint 'l_wrist'"):
        SkeletonSequence(joints=bad, fps=30.0, layout=KINECT20)


def test_persons_keep_their_ids() -> None:
    sequence = SkeletonSequence(joints=joints(), fps=30.0, layout=KINECT20, person_ids=(7, 3))
    assert sequence.persons(1).person_ids == (3,)
    assert sequence.frames(1, 3).num_frames == 2
