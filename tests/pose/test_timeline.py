import numpy as np
import pytest

from c2vl_serve.pose.timeline import at_constant_rate
from c2vl_serve.pose.tracking import PersonTracks


def moving(times: np.ndarray, seen: np.ndarray | None = None) -> PersonTracks:
    """One person whose x is the time in seconds."""
    seen = np.ones(len(times)) if seen is None else seen
    x = (np.asarray(times) * seen)[:, None, None, None].astype(np.float32)
    return PersonTracks(
        world=np.broadcast_to(x, (len(times), 1, 33, 3)).copy(),
        image=np.broadcast_to(x, (len(times), 1, 33, 2)).copy(),
        visibility=np.broadcast_to(seen[:, None, None], (len(times), 1, 33)).astype(np.float32),
    )


@pytest.mark.parametrize("fps", [5.0, 10.0, 15.0])
def test_even_frames_stay_as_they_are(fps: float) -> None:
    times = np.arange(12) / fps
    tracks = moving(times)
    line = at_constant_rate(tracks, times, fps=15.0)
    assert line.fps == pytest.approx(fps)
    assert line.tracks is tracks


def test_uneven_frames_come_onto_the_beat() -> None:
    times = np.array([0, 0.08, 0.12, 0.2, 0.28, 0.32, 0.4, 0.48, 0.52, 0.6])  # 25 fps sampled
    line = at_constant_rate(moving(times), times, fps=15.0)
    assert line.fps == pytest.approx(15)
    np.testing.assert_allclose(line.times, np.arange(10) / 15)
    np.testing.assert_allclose(line.tracks.world[:, 0, 0, 0], line.times, atol=1e-6)
    np.testing.assert_allclose(line.tracks.image[:, 0, 5, 1], line.times, atol=1e-6)
    assert line.tracks.visibility.min() == 1


def test_nobody_is_made_up_in_a_long_gap() -> None:
    times = np.array([0, 0.1, 0.2, 0.3, 2.3, 2.4, 2.5])
    line = at_constant_rate(moving(times), times, fps=15.0)
    seen = line.tracks.visibility[:, 0, 0] > 0
    assert line.fps == pytest.approx(10)
    assert not seen[(line.times > 0.36) & (line.times < 2.24)].any()
    assert seen[line.times < 0.31].all()
    assert not line.tracks.world[~seen].any()


def test_beside_a_frame_without_the_person_the_nearer_one_counts() -> None:
    times = np.array([0, 0.09, 0.2, 0.29, 0.4])
    line = at_constant_rate(moving(times, np.array([1, 1, 0, 1, 1])), times, fps=10.0)
    assert (line.tracks.visibility[:, 0, 0] > 0).tolist() == [True, True, False, True, True]


def test_single_frame() -> None:
    line = at_constant_rate(moving(np.zeros(1)), np.zeros(1), fps=15.0)
    assert line.fps == 15
    assert line.tracks.world.shape[0] == 1
