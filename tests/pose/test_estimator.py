from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.pose.estimator import PoseEstimator
from c2vl_serve.pose.video import VideoReader


def test_closed_and_backward_calls_are_refused(pose_model: Path) -> None:
    blank = np.zeros((64, 64, 3), np.uint8)
    with PoseEstimator(pose_model, num_poses=1) as estimator:
        assert estimator.estimate(blank, 0.5).num_poses == 0
        with pytest.raises(RuntimeError, match="frames in order"):
            estimator.estimate(blank, 0.2)
    with pytest.raises(RuntimeError, match="closed"):
        estimator.estimate(blank, 1.0)
    estimator.close()


def test_somebody_is_found_upright_and_centred(pose_model: Path, videos_dir: Path) -> None:
    with VideoReader(videos_dir / "edge" / "one_frame.mp4") as video:
        (frame,) = video.frames(15.0)
    with PoseEstimator(pose_model, num_poses=1) as estimator:
        found = estimator.estimate(frame.image, frame.time)
    assert found.world.shape == (1, 33, 3)
    np.testing.assert_allclose(found.world[0, [23, 24]].mean(axis=0), 0, atol=0.01)
    nose, ankles = found.world[0, 0, 1], found.world[0, [27, 28], 1].mean()
    assert nose < -0.3 < 0.3 < ankles  # y points down, metres
    assert ((found.image > 0) & (found.image < 1)).all()
    assert found.visibility.min() >= 0
    assert found.visibility.max() <= 1


def test_wrong_model_names_the_next_step(pose_model: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.task"
    wrong.write_bytes(b"not a model at all")
    with pytest.raises(RuntimeUnavailable, match="fetch-pose-model"):
        PoseEstimator(wrong, num_poses=1)
