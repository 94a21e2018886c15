import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import SequenceError
from c2vl_serve.pose.container import VideoLimits
from c2vl_serve.pose.video import FrameReport, VideoReader
from tests.pose.conftest import MakeVideo

SMALL = "video is small (64 x 48 pixels): joints are found less exactly"


def read(
    source: bytes | Path, *, fps: float = 15.0, limits: VideoLimits | None = None
) -> tuple[list[float], list[np.ndarray], FrameReport, tuple[str, ...]]:
    with VideoReader(source, limits=limits) as video:
        frames = list(video.frames(fps))
        return [f.time for f in frames], [f.image for f in frames], video.report(), video.notes


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_every_frame_with_its_time(make_video: MakeVideo, name: str) -> None:
    times, images, report, notes = read(make_video(name))
    np.testing.assert_allclose(times, np.arange(20) / 10, atol=2e-3)
    assert images[0].shape == (48, 64, 3)
    assert images[0].dtype == np.uint8
    assert images[5][40].mean() == pytest.approx(40, abs=6)
    assert report.read == report.used == 20
    assert report.fps == pytest.approx(10)
    assert report.complete
    assert notes == (SMALL,)


def test_bytes_and_path_are_the_same(make_video: MakeVideo) -> None:
    path = make_video("a.mp4")
    np.testing.assert_array_equal(read(path)[1], read(path.read_bytes())[1])


def test_fast_video_is_sampled(make_video: MakeVideo) -> None:
    times, _, report, _ = read(make_video("fast.mp4", fps=60, num_frames=60))
    np.testing.assert_allclose(times, np.arange(15) / 15, atol=2e-3)
    assert (report.read, report.used) == (60, 15)


def test_variable_rate_keeps_its_times(make_video: MakeVideo) -> None:
    wanted = [0.0, 0.1, 0.2, 0.9, 1.0, 1.8]
    times, _, report, _ = read(make_video("vfr.mkv", times=wanted))
    np.testing.assert_allclose(times, wanted, atol=2e-3)
    assert report.complete


# The upper half is white; turned counter-clockwise by 90 degrees it is the left half.
@pytest.mark.parametrize(
    ("rotation", "shape", "white"),
    [
        (90, (64, 48, 3), np.s_[:, :20]),
        (180, (48, 64, 3), np.s_[28:, :]),
        (-90, (64, 48, 3), np.s_[:, 28:]),
    ],
)
def test_rotation_is_undone(
    make_video: MakeVideo, rotation: int, shape: tuple[int, ...], white: tuple[slice, slice]
) -> None:
    _, images, _, notes = read(make_video("turned.mp4", rotation=rotation, num_frames=2))
    assert any("as its metadata says" in note for note in notes) == bool(rotation)
    assert images[0].shape == shape
    assert images[0][white].mean() > 200
    assert images[0].mean() < 160


def test_large_pictures_are_scaled_and_wide_pixels_made_square(make_video: MakeVideo) -> None:
    _, images, _, _ = read(make_video("large.mp4", size=(1920, 960), num_frames=1))
    assert images[0].shape == (480, 960, 3)
    _, images, _, _ = read(make_video("wide.mp4", pixel=Fraction(2), num_frames=1))
    assert images[0].shape == (48, 128, 3)


def test_single_frame_is_noted(make_video: MakeVideo) -> None:
    times, _, report, notes = read(make_video("one.mp4", num_frames=1))
    assert times == [0.0]
    assert report.read == report.used == 1
    assert notes == (SMALL, "video has a single frame: a posture can be seen, no motion")


def test_damage_is_passed_over_and_noted(make_video: MakeVideo) -> None:
    content = bytearray(make_video("a.mp4", codec="libx264", num_frames=60).read_bytes())
    start = content.index(b"mdat") + 4
    middle = start + (len(content) - start) // 3
    content[middle : middle + 300] = b"\xff" * 300
    times, _, report, notes = read(bytes(content))
    assert not report.complete
    assert 0 < report.read < 60
    assert times[0] == 0.0
    assert times[-1] > 4  # the end was reached
    assert notes[0].startswith("video is damaged from")


@pytest.mark.parametrize("name", ["a.mkv", "a.avi"])
def test_silent_truncation_is_told(make_video: MakeVideo, name: str) -> None:
    content = make_video(name, num_frames=60, size=(160, 120)).read_bytes()
    _, _, report, notes = read(content[: len(content) // 2])
    assert not report.complete
    assert 0 < report.read < 60
    assert any("its header promises 6.0 s; it was cut short" in note for note in notes)


def test_mp4_without_index_says_so(make_video: MakeVideo) -> None:
    content = make_video("a.mp4").read_bytes()
    with pytest.raises(SequenceError, match=r"without its index \(moov\).*send the whole file"):
        read(content[: content.index(b"moov") - 4])


def test_what_is_no_video_is_refused(sound_only: Path, tmp_path: Path) -> None:
    with pytest.raises(SequenceError, match=r"video is empty \(0 bytes\)"):
        read(b"")
    with pytest.raises(SequenceError, match="no video that FFmpeg knows; send mp4"):
        read(b"these are words, not pictures\n" * 20)
    with pytest.raises(SequenceError, match=r"no video stream.*\(it holds: audio\)"):
        read(sound_only)
    with pytest.raises(SequenceError, match="No such file or directory; check the path"):
        read(tmp_path / "absent.mp4")


def test_limits(make_video: MakeVideo) -> None:
    path = make_video("a.mp4")
    with pytest.raises(SequenceError, match=r"64 x 48 pixels; at most 32 a side"):
        read(path, limits=VideoLimits(max_side=32))
    with pytest.raises(SequenceError, match=r"2\.0 s long; at most 1 s"):
        read(path, limits=VideoLimits(max_seconds=1.0))
    with pytest.raises(SequenceError, match="more than 10 frames"):
        read(path, limits=VideoLimits(max_seconds=2.0, max_fps=5.0))


def test_length_is_limited_where_no_header_tells(make_video: MakeVideo, tmp_path: Path) -> None:
    path = make_video("a.mjpeg", codec="mjpeg", num_frames=90)  # a bare row of pictures
    with pytest.raises(SequenceError, match="s long; at most 1 s"):
        read(path, limits=VideoLimits(max_seconds=1.0))


def test_playlist_cannot_read_other_files(make_video: MakeVideo, tmp_path: Path) -> None:
    secret = make_video("secret.mp4")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    with pytest.raises(SequenceError, match="cannot be opened"):
        read(playlist.encode())


def test_real_edge_files(videos_dir: Path) -> None:
    edge = videos_dir / "edge"
    _, images, report, _ = read(edge / "rotated90_metadata.mp4")
    assert images[0].shape[1] > images[0].shape[0]
    assert report == FrameReport(read=183, used=92, fps=30.0, complete=True)
    _, _, report, notes = read(edge / "corrupt_middle.mp4")
    assert report.read > 200
    assert not report.complete
    assert notes[0].startswith("video is damaged from 2.8 s on")
    for name in ("empty.mp4", "truncated.mp4", "not_a_video.mp4"):
        with pytest.raises(SequenceError):
            read(edge / name)


def test_reordered_avi_is_not_thinned(videos_dir: Path, tmp_path: Path) -> None:
    # FFmpeg's stand-in times of this file go back and forth.
    copy = shutil.copy(videos_dir / "clips" / "kennymckormi_ntu_sample.avi", tmp_path)
    times, _, report, _ = read(Path(copy))
    assert report.read == 72
    assert len(times) == 37
    assert np.diff(times).min() > 0.03


def test_scrambled_files_end_in_frames_or_a_sentence(make_video: MakeVideo) -> None:
    rng = np.random.default_rng(0)
    whole = [make_video(name).read_bytes() for name in ("a.mp4", "a.mkv", "a.avi")]
    outcomes = {"read": 0, "refused": 0}
    for trial in range(150):
        content = bytearray(whole[trial % 3])
        for _ in range(6):
            place, length = int(rng.integers(len(content))), int(rng.integers(1, 30))
            content[place : place + length] = rng.bytes(length if trial % 2 else 0)
        try:
            _, images, report, _ = read(bytes(content))
        except SequenceError:
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
            assert len(images) == report.used > 0
    assert min(outcomes.values()) > 10


def test_titles_in_another_encoding_do_no_harm(make_video: MakeVideo) -> None:
    content = make_video("a.mkv").read_bytes()
    assert b"Lavf" in content
    _, _, report, _ = read(content.replace(b"Lavf", b"\xe9\xe8\xff\xfe"))
    assert report.read == 20
