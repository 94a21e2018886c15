"""Live windows are the timeline's windows, however the frames are handed over."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2vl_serve.errors import SequenceError
from c2vl_serve.recognition.live import LiveWindow, LiveWindows
from c2vl_serve.skeleton.convert import convert
from c2vl_serve.skeleton.layout import COCO17, KINECT20, LAYOUTS
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_serve.skeleton.resampling import resample
from c2vl_serve.skeleton.sampling import window_starts
from c2vl_serve.skeleton.sequence import SkeletonSequence
from tests.conftest import waving

CONFIG = PreprocessingConfig(num_frames=16)


def fed(
    sequence: SkeletonSequence, sizes: list[int], **lengths: float
) -> tuple[LiveWindows, list[LiveWindow]]:
    live = LiveWindows(layout=sequence.layout, fps=sequence.fps, config=CONFIG, **lengths)
    windows, start = [], 0
    while start < sequence.num_frames:
        size = sizes[len(windows) % len(sizes)]
        windows += live.push(sequence.frames(start, start + size))
        start += size
    return live, windows + live.finish()


@settings(deadline=None, max_examples=40)
@given(
    num_frames=st.integers(1, 150),
    fps=st.sampled_from([7.5, 15.0, 25.0, 29.97, 30.0]),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    window=st.sampled_from([0.5, 1.0, 2.0]),
    stride=st.sampled_from([0.2, 0.5, 3.0]),
)
def test_they_are_the_windows_of_the_whole_sequence(
    num_frames: int, fps: float, sizes: list[int], window: float, stride: float
) -> None:
    sequence = waving(num_frames, fps)
    live, windows = fed(sequence, sizes, window=window, stride=stride)
    whole = resample(convert(sequence, LAYOUTS[CONFIG.layout])[0], CONFIG.fps)
    length, step = round(window * CONFIG.fps), round(stride * CONFIG.fps)
    starts = window_starts(whole.num_frames, length, step)
    assert [round(w.start * CONFIG.fps) for w in windows] == list(starts)
    assert [w.index for w in windows] == list(range(len(starts)))
    assert (live.num_received, live.num_windows) == (num_frames, len(starts))
    for start, found in zip(starts, windows, strict=True):
        expected = whole.frames(start, start + length)
        np.testing.assert_allclose(found.sequence.joints, expected.joints, atol=1e-5)
        np.testing.assert_array_equal(found.sequence.visibility, expected.visibility)
        assert found.end == pytest.approx(found.start + expected.num_frames / CONFIG.fps)


def test_a_window_comes_with_its_last_frame() -> None:
    sequence = waving(40, fps=15.0)
    live = LiveWindows(layout=KINECT20, fps=15.0, config=CONFIG, window=1.0, stride=1.0)
    out = [bool(live.push(sequence.frames(t, t + 1))) for t in range(40)]
    assert [t for t in range(40) if out[t]] == [14, 29]


def test_no_more_is_kept_than_a_window() -> None:
    live = LiveWindows(layout=KINECT20, fps=30.0, config=CONFIG)
    for _ in range(20):
        live.push(waving(300))
        assert live._kept is not None
        assert live._kept.num_frames == CONFIG.num_frames


def test_nothing_comes_of_nothing() -> None:
    assert LiveWindows(layout=KINECT20, fps=30.0, config=CONFIG).finish() == []


def test_who_is_hardly_seen_is_left_out() -> None:
    sequence = waving(32, fps=15.0)
    visibility = sequence.visibility.copy()
    visibility[5:] = 0
    _, (first, *_) = fed(SkeletonSequence(
        joints=sequence.joints, visibility=visibility, fps=15.0, layout=KINECT20
    ), [32])  # fmt: skip
    assert first.sequence.visibility.any()
    assert not first.seen(CONFIG).visibility.any()


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (waving(5, fps=25.0), "in layout 'kinect20' at 25 fps but the stream began in .* at 30"),
        (
            SkeletonSequence(joints=np.ones((2, 2, 20, 3), np.float32), fps=30.0, layout=KINECT20),
            "frames show 2 persons but the stream began with 1",
        ),
        (
            SkeletonSequence(joints=np.ones((2, 1, 20, 2), np.float32), fps=30.0, layout=KINECT20),
            "needs 3-D",
        ),
        (
            SkeletonSequence(joints=np.ones((2, 1, 17, 3), np.float32), fps=30.0, layout=COCO17),
            "in layout 'coco17'",
        ),
    ],
)
def test_frames_unlike_those_before_are_refused_and_change_nothing(
    frames: SkeletonSequence, message: str
) -> None:
    live = LiveWindows(layout=KINECT20, fps=30.0, config=CONFIG)
    live.push(waving(30))
    with pytest.raises(SequenceError, match=message):
        live.push(frames)
    assert live.num_received == 30


def test_impossible_lengths() -> None:
    with pytest.raises(SequenceError, match="window is -1"):
        LiveWindows(layout=KINECT20, fps=30.0, config=CONFIG, window=-1.0)
