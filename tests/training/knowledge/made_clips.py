"""Tiny videos whose frames are told by their brightness."""

from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av", reason="the knowledge extra is not installed")

BRIGHTER = 8  # levels a frame


def write_clip(path: Path, num_frames: int = 24, *, rate: int = 12) -> Path:
    """A grey clip that gets brighter by :data:`BRIGHTER` each frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(num_frames):
            picture = np.full((48, 64, 3), BRIGHTER * index + 16, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path
