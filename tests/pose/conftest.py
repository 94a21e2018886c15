"""Small videos made on the spot, the real ones where they are, and the pose model where it is."""

import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.pose import find_pose_model
from c2vl_serve.pose.estimator import FramePoses, PoseEstimator

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'c2vl-serve[pose]'")

MakeVideo = Callable[..., Path]

# A standing person in a picture, x and y in parts of the picture's height, hips at the origin.
_BODY = np.array(
    [(0, -0.32), *[(0.01 * i, -0.33) for i in (1, 2, 3, -1, -2, -3)], (0.03, -0.32), (-0.03, -0.32)]
    + [(0.01, -0.3), (-0.01, -0.3), (0.08, -0.24), (-0.08, -0.24), (0.1, -0.12), (-0.1, -0.12)]
    + [(0.11, 0), (-0.11, 0)] * 4
    + [(0.05, 0), (-0.05, 0), (0.05, 0.18), (-0.05, 0.18), (0.05, 0.35), (-0.05, 0.35)]
    + [(0.05, 0.37), (-0.05, 0.37), (0.07, 0.37), (-0.07, 0.37)],
    np.float32,
)  # fmt: skip


def body(x: float, y: float = 0.5, size: float = 1.0) -> np.ndarray:
    """33 2 joints of somebody at (x, y)."""
    return np.array([x, y], np.float32) + size * _BODY


def poses(*bodies: np.ndarray, visibility: float = 0.9) -> FramePoses:
    """One frame's poses; the world joints tell the bodies' places, to follow them by."""
    image = np.stack(bodies) if bodies else np.zeros((0, 33, 2), np.float32)
    world = np.concatenate([image, np.zeros_like(image[..., :1])], axis=-1)
    return FramePoses(
        world=world.astype(np.float32),
        image=image.astype(np.float32),
        visibility=np.full(image.shape[:2], visibility, np.float32),
    )


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """Write a video whose frame i is grey level 8 i, with a white upper half."""

    def make(
        name: str,
        *,
        times: list[float] | None = None,
        num_frames: int = 20,
        fps: int = 10,
        size: tuple[int, int] = (64, 48),
        codec: str = "mpeg4",
        rotation: int = 0,
        pixel: Fraction | None = None,
        gop: int = 5,
    ) -> Path:
        path = tmp_path / name
        times = [i / fps for i in range(num_frames)] if times is None else times
        with av.open(path, "w") as container:
            stream = container.add_stream(codec, rate=fps)
            stream.width, stream.height = size
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.gop_size = gop
            clock = fps if path.suffix == ".avi" else 1000  # AVI counts frames
            stream.codec_context.time_base = Fraction(1, clock)
            if pixel is not None:
                stream.codec_context.sample_aspect_ratio = pixel
            if rotation:
                stream.set_display_rotation(rotation)
            for i, time in enumerate(times):
                image = np.full((size[1], size[0], 3), 8 * i % 200, np.uint8)
                image[: size[1] // 2] = 255
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = round(clock * time), Fraction(1, clock)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make


@pytest.fixture
def sound_only(tmp_path: Path) -> Path:
    """Half a second of silence."""
    path = tmp_path / "silence.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(8000))
    return path


@pytest.fixture(scope="session")
def videos_dir(data_dir: Path) -> Path:
    path = data_dir / "videos"
    if not path.is_dir():
        pytest.skip(f"the real videos are not here: {path}")
    return path


@pytest.fixture(scope="session")
def pose_model() -> Path:
    """The fetched model; tests that run MediaPipe skip where either is absent."""
    pytest.importorskip("mediapipe", reason="MediaPipe is not installed")
    try:
        model = find_pose_model()
        PoseEstimator(model, num_poses=1).close()
    except RuntimeUnavailable as error:
        pytest.skip(str(error))
    return model
