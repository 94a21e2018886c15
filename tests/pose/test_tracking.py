import numpy as np

from c2vl_serve.pose.tracking import PersonTracks, track_persons
from tests.pose.conftest import body, poses

RATE = 15  # frames per second


def times(num_frames: int) -> np.ndarray:
    return np.arange(num_frames) / RATE


def hips(tracks: PersonTracks, person: int) -> np.ndarray:
    return tracks.world[:, person, 23, 0] - 0.05


def test_swapped_order_keeps_ids() -> None:
    frames = [
        poses(body(0.3), body(0.7)) if t % 2 else poses(body(0.7), body(0.3)) for t in range(10)
    ]
    tracks = track_persons(frames, times(10), max_persons=2, smooth=False)
    assert sorted(np.round([hips(tracks, m)[0] for m in (0, 1)], 3)) == [0.3, 0.7]
    for person in (0, 1):
        np.testing.assert_allclose(hips(tracks, person), hips(tracks, person)[0], atol=1e-6)


def test_people_who_pass_each_other_keep_ids() -> None:
    left = np.linspace(0.2, 0.8, 40)
    frames = [poses(body(x, size=1.0), body(1 - x, y=0.45, size=0.7)) for x in left]
    tracks = track_persons(frames, times(40), max_persons=2, smooth=False)
    np.testing.assert_allclose(hips(tracks, 0), left, atol=1e-5)


def test_clearest_person_comes_first_and_others_are_counted() -> None:
    frames = [poses(body(0.15, size=0.4), body(0.8, size=0.6), body(0.5)) for _ in range(8)]
    tracks = track_persons(frames, times(8), max_persons=2)
    assert tracks.world.shape == (8, 2, 33, 3)
    np.testing.assert_allclose(hips(tracks, 0), 0.5, atol=1e-5)
    assert tracks.num_dropped == 1


def test_short_gap_is_bridged_with_zeros() -> None:
    frames = [poses() if 4 <= t < 8 else poses(body(0.5)) for t in range(12)]
    tracks = track_persons(frames, times(12), max_persons=2)
    assert tracks.world.shape[1] == 1
    seen = tracks.visibility[:, 0].max(axis=-1) > 0
    assert seen.tolist() == [t < 4 or t >= 8 for t in range(12)]
    assert not tracks.world[4:8].any()


def test_ghosts_are_dropped_but_a_single_frame_counts() -> None:
    frames = [poses(body(0.5), body(0.1)) if t in (3, 4) else poses(body(0.5)) for t in range(9)]
    assert track_persons(frames, times(9), max_persons=2).world.shape[1] == 1
    assert track_persons([poses(body(0.5))], times(1), max_persons=2).world.shape[1] == 1


def test_one_body_found_twice_is_one_person() -> None:
    frames = [poses(body(0.5), body(0.52)) for _ in range(6)]
    tracks = track_persons(frames, times(6), max_persons=2)
    assert tracks.world.shape[1] == 1
    assert tracks.num_dropped == 0


def test_jump_in_the_same_view_is_somebody_else() -> None:
    frames = [poses(body(0.2 if t < 6 else 0.8)) for t in range(12)]
    still = np.zeros((12, 9, 16), np.float32)
    tracks = track_persons(frames, times(12), max_persons=2, views=still)
    assert tracks.world.shape[1] == 2


def test_jump_at_a_camera_cut_is_the_same_person() -> None:
    frames = [poses(body(0.2 if t < 6 else 0.8)) for t in range(12)]
    views = np.zeros((12, 9, 16), np.float32)
    views[6:] = 100
    tracks = track_persons(frames, times(12), max_persons=2, views=views)
    assert tracks.world.shape[1] == 1
    np.testing.assert_allclose(hips(tracks, 0)[[5, 6]], [0.2, 0.8], atol=1e-5)  # not smeared


def test_nobody() -> None:
    tracks = track_persons([poses(), poses()], times(2), max_persons=2)
    assert tracks.world.shape == (2, 0, 33, 3)


def test_smoothing_calms_noise_and_keeps_place() -> None:
    noise = np.random.default_rng(0).normal(0, 0.004, (60, 33, 2)).astype(np.float32)
    frames = [poses(body(0.5) + n) for n in noise]
    raw = track_persons(frames, times(60), max_persons=1, smooth=False).world[:, 0]
    calm = track_persons(frames, times(60), max_persons=1, smooth=True).world[:, 0]
    assert np.diff(calm[10:], axis=0).std() < 0.6 * np.diff(raw[10:], axis=0).std()
    np.testing.assert_allclose(calm[30:].mean(axis=0), raw[30:].mean(axis=0), atol=0.003)


def test_wide_pictures_measure_both_axes_alike() -> None:
    def squeezed(x: float) -> np.ndarray:
        return body(x * 2) / np.array([2, 1], np.float32)

    frames = [poses(squeezed(0.3), squeezed(0.7)) for _ in range(5)]
    tracks = track_persons(frames, times(5), max_persons=2, aspect=2.0)
    assert tracks.world.shape[1] == 2
