"""Frames of clips: which ones, and what happens without."""

from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import SequenceError
from c2vl_training.knowledge.videos import clip_frames, find_clip
from tests.training.knowledge.made_clips import BRIGHTER, write_clip


def indices(frames: list[np.ndarray]) -> list[int]:
    return [round((float(frame.mean()) - 16) / BRIGHTER) for frame in frames]


def test_frames_are_the_middles_of_equal_parts(tmp_path: Path) -> None:
    frames = clip_frames(write_clip(tmp_path / "a.mp4", 24), 4)
    assert indices(frames) == [3, 9, 15, 21]
    assert all(frame.shape == (48, 64, 3) and frame.dtype == np.uint8 for frame in frames)


def test_a_short_clip_gives_each_frame_once(tmp_path: Path) -> None:
    assert indices(clip_frames(write_clip(tmp_path / "a.avi", 5), 16)) == [0, 1, 2, 3, 4]


def test_a_clip_that_ends_early_gives_what_there_is(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.avi", 24)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    frames = clip_frames(path, 24)
    assert 1 <= len(frames) < 24


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video at all")
    with pytest.raises(SequenceError, match="cannot be read: .*convert it to mp4"):
        clip_frames(path, 4)


def test_a_clip_is_found_by_its_sample(tmp_path: Path) -> None:
    wanted = tmp_path / "nw_ucla" / "a01_rgb.avi"
    wanted.parent.mkdir()
    wanted.touch()
    assert find_clip(tmp_path, "nw_ucla/a01") == wanted
    with pytest.raises(SequenceError, match=r"'a02' has no video below .*a02.avi"):
        find_clip(tmp_path, "a02")


def test_a_turned_clip_comes_upright(data_dir: Path) -> None:
    path = data_dir / "videos" / "edge" / "rotated90_metadata.mp4"
    if not path.exists():
        pytest.skip("the turned clip is not here")
    import av

    with av.open(str(path)) as container:
        stored = next(container.decode(container.streams.video[0]))
    assert clip_frames(path, 1)[0].shape == (stored.width, stored.height, 3)
