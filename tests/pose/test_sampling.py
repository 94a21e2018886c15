import pytest

from c2vl_serve.pose.sampling import nearest_to_ticks


def chosen(fps: float, seconds: float, tick_fps: float = 15.0) -> list[int]:
    items = ((i / fps, i) for i in range(round(seconds * fps)))
    return [i for _, i in nearest_to_ticks(items, tick_fps)]


def test_double_rate_gives_every_other_frame() -> None:
    assert chosen(30.0, 1) == list(range(0, 30, 2))


def test_same_and_slower_rates_come_through_whole() -> None:
    assert chosen(15.0, 2) == list(range(30))
    assert chosen(10.0, 2) == list(range(20))
    assert chosen(5.0, 2) == list(range(10))


def test_odd_rate_takes_the_nearest_frame_to_each_tick() -> None:
    times = [i / 25 for i in range(25)]
    expected = [min(range(25), key=lambda i: abs(times[i] - tick / 15)) for tick in range(15)]
    assert chosen(25.0, 1) == expected


def test_no_frame_is_given_twice_across_a_gap() -> None:
    times = [0.0, 0.05, 1.0, 1.01, 1.02, 3.0]
    given = [i for _, i in nearest_to_ticks(((t, i) for i, t in enumerate(times)), 15.0)]
    assert given == [0, 1, 2, 5]


def test_nothing_in_nothing_out() -> None:
    assert list(nearest_to_ticks(iter(()), 15.0)) == []


@pytest.mark.parametrize("fps", [23.976, 29.97, 50.0, 59.94])
def test_samples_stay_within_half_a_source_frame_of_the_beat(fps: float) -> None:
    given = list(nearest_to_ticks(((i / fps, i) for i in range(400)), 15.0))
    assert len(given) == pytest.approx(400 / fps * 15, abs=1)
    assert all(abs(time - k / 15) <= 0.51 / fps for k, (time, _) in enumerate(given[:-1]))
