import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import RuntimeUnavailable, SequenceError
from c2vl_serve.pose import PoseExtraction, VideoLimits, extract_pose
from c2vl_serve.pose.messages import (
    Task,
    pack_error,
    pack_extraction,
    unpack_answer,
)
from c2vl_serve.pose.overlay import OverlayStrip
from c2vl_serve.pose.video import FrameReport
from c2vl_serve.skeleton.layout import MEDIAPIPE33
from c2vl_serve.skeleton.sequence import SkeletonSequence
from tests.pose.conftest import body


@pytest.mark.parametrize("max_persons", [1, 2])
def test_real_clip(pose_model: Path, videos_dir: Path, max_persons: int) -> None:
    clip = videos_dir / "clips" / "nlarion_fight2.mp4"
    found = extract_pose(clip, model=pose_model, max_persons=max_persons)
    assert found.sequence is not None
    assert found.sequence.joints.shape == (22, 1, 33, 3)
    assert found.sequence.fps == pytest.approx(15, abs=0.01)
    assert found.sequence.layout is MEDIAPIPE33
    assert found.image_joints.shape == (22, 1, 33, 2)
    assert found.frames == FrameReport(read=43, used=22, fps=30.0, complete=True)
    assert (found.sequence.visibility.max(axis=-1) > 0).all()
    assert found.notes == ()
    assert found.overlay is None
    assert found.timing_ms["pose"] > 0


def test_edge_clips(pose_model: Path, videos_dir: Path) -> None:
    edge = videos_dir / "edge"
    turned = extract_pose(edge / "rotated90_metadata.mp4", model=pose_model, max_persons=1)
    assert turned.sequence is not None
    nose, ankle = turned.image_joints[:, 0, 0, 1], turned.image_joints[:, 0, 27, 1]
    assert (nose < ankle - 0.3).all()  # upright
    assert "degrees, as its metadata says" in turned.notes[0]
    one = extract_pose(edge / "one_frame.mp4", model=pose_model)
    assert one.sequence is not None
    assert one.sequence.joints.shape == (1, 1, 33, 3)
    assert "single frame" in one.notes[0]


def test_tiny_clip_agrees_with_the_large_one(pose_model: Path, videos_dir: Path) -> None:
    tiny = extract_pose(videos_dir / "edge" / "tiny_96px.mp4", model=pose_model, max_persons=1)
    large = extract_pose(
        videos_dir / "edge" / "rotated90_metadata.mp4", model=pose_model, max_persons=1
    )
    assert tiny.sequence is not None
    assert large.sequence is not None
    apart = np.linalg.norm(tiny.sequence.joints - large.sequence.joints, axis=-1)
    assert np.median(apart) < 0.1  # metres
    assert "video is small" in tiny.notes[0]


def test_nobody_is_an_answer(pose_model: Path, videos_dir: Path) -> None:
    found = extract_pose(
        videos_dir / "clips" / "treadtv_output.mp4", model=pose_model, max_persons=1, draw=True
    )
    assert found.sequence is None
    assert found.image_joints.shape == (67, 0, 33, 2)
    assert found.notes == ("no person was found in the video",)
    assert found.overlay is not None
    assert found.overlay[8:12] == b"WEBP"


def made_extraction(overlay: bytes | None = None) -> PoseExtraction:
    rng = np.random.default_rng(0)
    return PoseExtraction(
        sequence=SkeletonSequence(
            joints=rng.normal(size=(4, 2, 33, 3)).astype(np.float32),
            visibility=rng.random((4, 2, 33)).astype(np.float32),
            fps=14.5,
            layout=MEDIAPIPE33,
        ),
        image_joints=rng.random((4, 2, 33, 2)).astype(np.float32),
        aspect=16 / 9,
        timestamps=np.arange(4) / 14.5,
        frames=FrameReport(read=8, used=4, fps=29.0, complete=False),
        notes=("a note",),
        timing_ms={"decode": 1.5, "pose": 2.5},
        overlay=overlay,
    )


@pytest.mark.parametrize("overlay", [None, b"RIFFpicture"])
def test_answers_travel_whole(overlay: bytes | None) -> None:
    sent = made_extraction(overlay)
    got = unpack_answer(pack_extraction(sent))
    assert got.sequence is not None
    assert sent.sequence is not None
    assert got.aspect == sent.aspect
    np.testing.assert_array_equal(got.sequence.joints, sent.sequence.joints)
    np.testing.assert_array_equal(got.sequence.visibility, sent.sequence.visibility)
    np.testing.assert_array_equal(got.timestamps, sent.timestamps)
    np.testing.assert_array_equal(got.image_joints, sent.image_joints)
    assert got.sequence.fps == 14.5
    assert (got.frames, got.notes, got.timing_ms) == (sent.frames, sent.notes, sent.timing_ms)
    assert got.overlay == overlay


def test_errors_travel_with_their_kind() -> None:
    with pytest.raises(SequenceError, match="too long"):
        unpack_answer(pack_error(SequenceError("too long")))
    with pytest.raises(RuntimeUnavailable, match="no model"):
        unpack_answer(pack_error(RuntimeUnavailable("no model")))


@pytest.mark.parametrize("source", [b"\x00content", Path("/a/b.mp4")])
def test_tasks_travel_whole(source: bytes | Path) -> None:
    task = Task(source=source, max_persons=3, draw=True, limits=VideoLimits(max_seconds=7.0))
    assert Task.unpack(*task.pack()) == task


def test_overlay_keeps_few_pictures_and_draws_people() -> None:
    image_module = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    strip = OverlayStrip()
    num_frames = 500
    for frame in range(num_frames):
        strip.add(frame, np.zeros((90, 160, 3), np.uint8))
    assert len(strip._pictures) <= 12
    joints = np.broadcast_to(body(0.5), (num_frames, 1, 33, 2)).astype(np.float32)
    drawn = strip.render(joints, np.ones((num_frames, 1, 33), np.float32))
    hidden = strip.render(joints, np.zeros((num_frames, 1, 33), np.float32))
    picture = image_module.open(io.BytesIO(drawn))
    assert picture.format == "WEBP"
    assert picture.size == (6 * 480, 270)
    assert np.asarray(picture).max() > 150
    assert np.asarray(image_module.open(io.BytesIO(hidden))).max() < 10


def test_package_imports_without_its_extra() -> None:
    code = (
        "import sys; sys.modules.update({'av': None, 'mediapipe': None, 'PIL': None})\n"
        "from pathlib import Path\n"
        "from c2vl_serve.pose import extract_pose\n"
        "from c2vl_serve.pose.estimator import PoseEstimator\n"
        "from c2vl_serve.errors import RuntimeUnavailable\n"
        "for call in (lambda: extract_pose(b'x', model=Path('m')),\n"
        "             lambda: PoseEstimator(Path('m'), num_poses=1)):\n"
        "    try: call()\n"
        "    except RuntimeUnavailable as error: assert \"'c2vl-serve[pose]'\" in str(error)\n"
        "    else: raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
