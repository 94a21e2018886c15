"""What all tests share: where the real data lies, and small made-up skeletons."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.skeleton.layout import KINECT20, SkeletonLayout
from c2vl_serve.skeleton.sequence import SkeletonSequence

# A standing adult in kinect20's order, facing -z; x, y in metres.
STANDING = np.array(
    [
        (0, 0), (0, 0.07), (0, 0.42), (0, 0.62),
        (-0.18, 0.36), (-0.23, 0.10), (-0.25, -0.13), (-0.25, -0.20),
        (0.18, 0.36), (0.23, 0.10), (0.25, -0.13), (0.25, -0.20),
        (-0.09, -0.07), (-0.10, -0.49), (-0.10, -0.85), (-0.10, -0.88),
        (0.09, -0.07), (0.10, -0.49), (0.10, -0.85), (0.10, -0.88),
    ],
    np.float32,
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Tests, and processes they start, neither see nor change what somebody enrolled here."""
    data_home = tempfile.mkdtemp(prefix="c2vl-tests-")
    os.environ["XDG_DATA_HOME"] = data_home
    config.add_cleanup(lambda: shutil.rmtree(data_home, ignore_errors=True))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--data",
        default=str(Path(__file__).parents[2] / "shared" / "data"),
        help="folder of the real skeleton sets and videos (default: ../shared/data)",
    )


@pytest.fixture(scope="session")
def data_dir(request: pytest.FixtureRequest) -> Path:
    """The real data; tests that need it skip where it is absent."""
    path = Path(request.config.getoption("--data")).resolve()
    if not path.is_dir():
        pytest.skip(f"the real data is not here: {path} (give --data)")
    return path


def waving(
    num_frames: int = 60, fps: float = 30.0, layout: SkeletonLayout = KINECT20
) -> SkeletonSequence:
    """Somebody standing 2.5 m away who waves the right arm."""
    time = np.arange(num_frames, dtype=np.float32) / fps
    joints = np.zeros((num_frames, 1, 20, 3), np.float32)
    joints[:, 0, :, :2] = STANDING
    joints[:, 0, :, 2] = 2.5
    swing = 0.2 * np.sin(2 * np.pi * time)
    for reach, name in enumerate(("r_elbow", "r_wrist", "r_hand"), start=1):
        joints[:, 0, KINECT20.index(name), 0] = 0.25 + swing * reach / 2
        joints[:, 0, KINECT20.index(name), 1] = 0.36 + 0.18 * reach
    return SkeletonSequence(joints=joints, fps=fps, layout=layout)


@pytest.fixture
def wave() -> SkeletonSequence:
    """Two seconds of waving at 30 fps in kinect20."""
    return waving()
