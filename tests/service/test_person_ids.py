"""PersonIds: numbers that stay with people while windows of the same pictures go by."""

import numpy as np

from c2vl_serve.pose.tracking import PersonTracks, track_persons
from c2vl_serve.watch.person_ids import PersonIds
from tests.pose.conftest import body, poses

FPS = 15.0


def window(first: int, last: int, *, num: int = 2) -> tuple[PersonTracks, np.ndarray]:
    """Two people who cross: the left one grows, the right one shrinks, so clearness changes."""
    times = np.arange(first, last) / FPS
    frames = [
        poses(body(0.3 + 0.01 * t, size=0.5 + 0.1 * t), body(1.2, size=1.5 - 0.1 * t))
        for t in times
    ]
    return track_persons(frames, times, max_persons=num, aspect=1.0), times


def test_numbers_stay_where_clearness_changes() -> None:
    ids = PersonIds()
    found = []
    for first in range(0, 150, 30):
        tracks, times = window(first, first + 60)
        left_first = tracks.image[0, 0, 0, 0] < tracks.image[0, 1, 0, 0]
        found.append((left_first, ids.of(tracks, times)))
    assert {order for order, _ in found} == {True, False}  # the tracker's order did change
    assert {given for order, given in found if not order} == {(0, 1)}
    assert {given for order, given in found if order} == {(1, 0)}


def test_who_comes_later_gets_the_next_number() -> None:
    ids = PersonIds()
    assert ids.of(*window(0, 60, num=1)) == (0,)
    assert ids.of(*window(8, 68)) == (0, 1)


def test_after_a_window_without_them_it_is_somebody_else() -> None:
    ids = PersonIds()
    assert ids.of(*window(0, 60, num=1)) == (0,)
    assert ids.of(*window(60, 120, num=1)) == (1,)
