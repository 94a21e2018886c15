"""Which bodies are persons: each rule on hand-made bodies, all rules beside a slow reference."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.formats import read_sequence
from c2vl_serve.skeleton.layout import NTU25
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.readers.denoise import (
    FIELD_RULES,
    denoised,
    motion_energy,
    noisy_frames,
)
from tests.training.readers.made_files import moved, ntu_text

KEEP_EMPTY = replace(FIELD_RULES, drop_empty_frames=False)


def recorded(num_frames: int, *bodies: tuple[int, np.ndarray]) -> SkeletonSequence:
    """The bodies as a file gives them, numbered in order of appearance."""
    named = {f"7205759403793{index:04d}": body for index, body in enumerate(bodies)}
    return read_sequence(ntu_text(num_frames, named).encode())


def lying(num_frames: int, reach: float) -> np.ndarray:
    """Somebody on the ground, or a sofa: wider than high."""
    return np.ascontiguousarray(moved(num_frames, reach)[..., [1, 0, 2]])


def test_one_body_stays_whatever_it_is() -> None:
    sofa = lying(5, 0.1)
    kept = denoised(recorded(5, (0, sofa)), FIELD_RULES)
    np.testing.assert_allclose(kept.joints[:, 0], sofa, atol=1e-5)


def test_nobody_at_all() -> None:
    nobody = SkeletonSequence(joints=np.zeros((4, 1, 25, 3), np.float32), fps=30.0, layout=NTU25)
    with pytest.raises(SequenceError, match="nobody is seen in the 4 frames"):
        denoised(nobody, FIELD_RULES)


def test_short_bodies_go() -> None:
    for frames, num_kept in ((11, 1), (12, 2)):
        kept = denoised(
            recorded(30, (0, moved(30, 0.2)), (3, moved(frames, 0.2, x=1))), FIELD_RULES
        )
        assert kept.num_persons == num_kept


def test_of_short_bodies_only_the_longest_stays() -> None:
    kept = denoised(recorded(9, (0, moved(4, 0.9)), (0, moved(9, 0.1, x=1))), FIELD_RULES)
    assert kept.person_ids == (1,)


def test_wide_bodies_go_while_another_is_left() -> None:
    person, sofa = moved(20, 0.2), lying(20, 0.5)
    assert denoised(recorded(20, (0, sofa), (0, person)), FIELD_RULES).person_ids == (1,)
    assert denoised(recorded(20, (0, person), (0, sofa)), FIELD_RULES).person_ids == (0,)
    assert denoised(recorded(20, (0, sofa), (0, sofa + 1)), FIELD_RULES).person_ids == (1,)


def test_who_lies_down_for_a_while_stays() -> None:
    falls = np.concatenate([moved(14, 0.2), lying(6, 0.2)])
    assert noisy_frames(falls, 0.8).sum() == 6
    kept = denoised(recorded(20, (0, falls), (0, moved(20, 0.1, x=1))), FIELD_RULES)
    assert set(kept.person_ids) == {0, 1}


def test_width_is_measured_against_height() -> None:
    joints = np.zeros((3, 25, 3), np.float32)
    joints[:, 0, 1] = 1  # a metre high
    joints[:, 1, 0] = [0.79, 0.8, 0.81]
    assert noisy_frames(joints, 0.8).tolist() == [False, False, True]


def test_motion_is_the_sum_of_variances() -> None:
    joints = np.zeros((2, 1, 3), np.float32)
    joints[1, 0] = [2, 4, 0]  # variances 1 and 4
    assert motion_energy(joints) == pytest.approx(5.0)


def test_the_two_who_move_most_stay_in_that_order() -> None:
    still, some, most = moved(20, 0.1), moved(20, 0.5, x=1), moved(20, 0.9, x=-1)
    kept = denoised(recorded(20, (0, still), (0, some), (0, most)), FIELD_RULES)
    assert kept.person_ids == (2, 1)
    np.testing.assert_allclose(kept.joints[:, 0], most, atol=1e-5)
    np.testing.assert_allclose(kept.joints[:, 1], some, atol=1e-5)


def test_a_new_number_is_the_same_person_going_on() -> None:
    first, second, other = moved(15, 0.4), moved(15, 0.3), moved(30, 0.9, x=1)
    kept = denoised(recorded(30, (0, other), (0, first), (15, second)), FIELD_RULES)
    assert kept.person_ids == (0, 1)
    np.testing.assert_allclose(kept.joints[:, 1], np.concatenate([first, second]), atol=1e-5)


def test_empty_frames_go_or_stay() -> None:
    sequence = recorded(40, (5, moved(12, 0.4)), (25, moved(12, 0.2)))
    kept = denoised(sequence, FIELD_RULES)
    assert (kept.num_frames, kept.num_persons) == (24, 1)
    as_recorded = denoised(sequence, KEEP_EMPTY)
    assert as_recorded.num_frames == 40
    shown = as_recorded.visibility[:, 0].any(axis=-1)
    assert np.flatnonzero(shown).tolist() == [*range(5, 17), *range(25, 37)]


def reference(num_frames: int, bodies: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """The published steps for several bodies, one after the other: ``T 2 25 3``."""
    alive = {index: body for index, body in enumerate(bodies) if len(body[1]) > 11}
    motion = {index: sum(body[1][..., c].var() for c in range(3)) for index, body in alive.items()}
    for index, (_, joints) in list(alive.items()):
        if len(alive) == 1:
            break
        good = [
            frame
            for frame in joints
            if np.ptp(frame[:, 0]) <= 0.8 * np.ptp(frame[:, 1])
        ]  # fmt: skip
        if (len(joints) - len(good)) / len(joints) >= 0.69754:
            del alive[index]
        elif len(good) < len(joints):
            energy = sum(np.array(good)[..., c].var() for c in range(3))
            motion[index] = min(motion[index], energy)
    result = np.zeros((num_frames, 2, 25, 3), np.float32)
    spans: list[list[int]] = []
    for index in sorted(alive, key=lambda index: -motion[index]):
        start, stop = alive[index][0], alive[index][0] + len(alive[index][1]) - 1
        for person in range(2):
            if person == len(spans):
                spans.append([start, stop])
            elif min(spans[person][1], stop) - max(spans[person][0], start) > 0:
                continue
            spans[person] = [min(spans[person][0], start), max(spans[person][1], stop)]
            result[start : stop + 1, person] = alive[index][1]
            break
    return result


made_bodies = st.lists(
    st.tuples(
        st.integers(0, 20),  # first frame
        st.integers(12, 25),  # frames
        st.integers(1, 50).map(lambda n: n / 40),  # reach
        st.sampled_from((moved, lying)),
    ),
    min_size=2,
    max_size=5,
    unique_by=lambda made: made[2],
)


@given(made_bodies)
@settings(max_examples=40, deadline=None)
def test_as_published(made: list[tuple[int, int, float, object]]) -> None:
    bodies = [(start, kind(frames, reach)) for start, frames, reach, kind in made]  # type: ignore[operator]
    T, V = 45, 25
    joints = np.zeros((T, len(bodies), V, 3), np.float32)
    for person, (start, body) in enumerate(bodies):
        joints[start : start + len(body), person] = body
    sequence = SkeletonSequence(joints=joints, fps=30.0, layout=NTU25)
    ours = denoised(sequence, KEEP_EMPTY).joints
    expected = reference(T, bodies)
    np.testing.assert_array_equal(ours, expected[:, : ours.shape[1]])
    assert not expected[:, ours.shape[1] :].any()
