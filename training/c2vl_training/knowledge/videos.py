"""Frames of a clip for the models that look at pictures: evenly spaced, upright, RGB."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from c2vl_serve.errors import RuntimeUnavailable, SequenceError

SUFFIXES = (".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v")
ENDINGS = ("", "_rgb", "_color")  # that sets put behind a sample's name

Frame = UInt8[np.ndarray, "_ _ 3"]  # of any size


def find_clip(folder: Path, sample_id: str) -> Path:
    """The video of a sample: its id as a path below the folder, with an ending that sets use.

    Raises:
        SequenceError: when there is none; such a sample has no pictures to look at.
    """
    for ending in ENDINGS:
        for suffix in SUFFIXES:
            path = folder / f"{sample_id}{ending}{suffix}"
            if path.is_file():
                return path
    raise SequenceError(
        f"sample {sample_id!r} has no video below {folder}; expected {sample_id}.avi, "
        f"{sample_id}_rgb.avi or another of {', '.join(SUFFIXES)}"
    )


def clip_frames(path: Path, num_frames: int) -> list[Frame]:
    """Up to ``num_frames`` upright RGB frames, each from the middle of an equal part of the clip.

    A clip that is damaged gives the frames that decode.

    Raises:
        SequenceError: when nothing decodes.
        RuntimeUnavailable: when PyAV is not installed.
    """
    av = _load_av()
    try:
        total = _num_packets(av, path)
        wanted = {int((k + 0.5) * total / num_frames) for k in range(num_frames)}
        frames = _decoded(av, path, wanted)
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise SequenceError(
            f"video {path} cannot be read: {error}; convert it to mp4, or leave it out"
        ) from error
    if not frames:
        raise SequenceError(f"video {path} has no frame that decodes; leave it out")
    return frames


def _num_packets(av: ModuleType, path: Path) -> int:
    """Frames that the clip should have; counting packets decodes nothing."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return sum(1 for packet in container.demux(stream) if packet.size)


def _decoded(av: ModuleType, path: Path, wanted: set[int]) -> list[Frame]:
    frames = []
    with av.open(str(path)) as container:
        try:
            for index, frame in enumerate(container.decode(container.streams.video[0])):
                if index in wanted:
                    frames.append(_upright(frame))
        except av.error.FFmpegError:
            if not frames:
                raise
    return frames


def _upright(frame: Any) -> Frame:
    """The picture turned as its display matrix asks."""
    picture: Frame = np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90) % 4)
    return np.ascontiguousarray(picture)


def _load_av() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise RuntimeUnavailable(
            "videos cannot be read: the package 'av' is not installed; "
            "install it with: pip install 'c2vl-serve[knowledge]'"
        ) from error
    return av
