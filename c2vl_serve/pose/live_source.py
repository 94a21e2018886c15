"""Where live pictures come from: a webcam, an address (RTSP, HTTP), or a file.

A file waits for who reads it. A camera does not: a thread keeps its newest picture, and what
nobody took in time is gone.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from c2vl_serve.errors import RuntimeUnavailable, SequenceError
from c2vl_serve.pose.container import VideoLimits, load_av
from c2vl_serve.pose.video import POSE_IMAGE_SIDE, VideoFrame, VideoReader

_CONNECT_SECONDS = 10.0
_READ_SECONDS = 10.0
_FOR_EVER = VideoLimits(max_seconds=1e9)


@runtime_checkable
class LiveSource(Protocol):
    """Pictures in order.

    Attributes:
        is_live: whether it goes on by itself, so that pictures may be missed.
        num_dropped: pictures that nobody took in time.
    """

    is_live: bool
    num_dropped: int

    def frames(self, fps: float) -> Iterator[VideoFrame]:
        """At most ``fps`` pictures a second, until the source ends."""
        ...

    def close(self) -> None:
        """Let go of the source."""
        ...


def open_source(source: str) -> LiveSource:
    """Open a webcam by its number, an address with ``://``, or a file.

    Raises:
        SequenceError: it cannot be opened.
        RuntimeUnavailable: what is needed for it is not installed.
    """
    if source.isdecimal():
        return CameraSource(lambda: _webcam(int(source)))
    if "://" in source:
        return CameraSource(lambda: _address(source))
    return FileSource(Path(source))


class FileSource:
    """A file, read no faster than it is looked at."""

    is_live = False
    num_dropped = 0

    def __init__(self, path: Path) -> None:
        self._video = VideoReader(path, limits=_FOR_EVER)

    def frames(self, fps: float) -> Iterator[VideoFrame]:
        """The pictures nearest to ``fps`` ticks a second."""
        return self._video.frames(fps)

    def close(self) -> None:
        """Close the file."""
        self._video.close()


class CameraSource:
    """Pictures of which only the newest is kept, stamped with the time that they came.

    Args:
        pictures: opens the camera, in a thread of its own, and gives picture after picture.

    Raises:
        SequenceError: it cannot be opened, or gives no picture.
    """

    is_live = True

    def __init__(self, pictures: Callable[[], Iterator[UInt8[np.ndarray, "H W 3"]]]) -> None:
        self.num_dropped = 0
        self._changed = threading.Condition()
        self._newest: VideoFrame | None = None
        self._has_ended = False
        self._is_closed = False
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(pictures,), daemon=True)
        self._thread.start()
        with self._changed:
            self._changed.wait_for(self._has_news)
            if self._fault is not None:
                raise self._fault

    def frames(self, fps: float) -> Iterator[VideoFrame]:
        """The newest picture whenever one is asked for, at most ``fps`` a second."""
        due = 0.0
        while (frame := self._take(due)) is not None:
            due = frame.time + 1 / fps - 0.25 / fps  # cameras are not punctual
            yield frame

    def close(self) -> None:
        """Stop reading; the camera is let go with its next picture."""
        self._is_closed = True
        self._thread.join(2.0)

    def _take(self, due: float) -> VideoFrame | None:
        """The newest picture that was taken at ``due`` or later; None when there will be none."""
        with self._changed:
            while not self._has_ended or self._newest is not None:
                self._changed.wait_for(self._has_news)
                frame, self._newest = self._newest, None
                if frame is not None and frame.time >= due:
                    return frame
            if self._fault is not None:
                raise self._fault
            return None

    def _has_news(self) -> bool:
        return self._newest is not None or self._has_ended

    def _run(self, pictures: Callable[[], Iterator[UInt8[np.ndarray, "H W 3"]]]) -> None:
        begun: float | None = None
        try:
            for image in pictures():
                now = time.monotonic()
                begun = now if begun is None else begun
                self._put(VideoFrame(now - begun, image))
                if self._is_closed:
                    break
        except Exception as error:  # told to whoever reads
            self._fault = error
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def _put(self, frame: VideoFrame) -> None:
        with self._changed:
            self.num_dropped += self._newest is not None
            self._newest = frame
            self._changed.notify_all()


def _webcam(index: int) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    cv2 = load_cv2()
    camera = cv2.VideoCapture(index)
    try:
        if not camera.isOpened():
            raise SequenceError(
                f"webcam {index} cannot be opened; check that it is plugged in, that no other "
                "program uses it, and that you may read it (on Linux: the group 'video')"
            )
        while (read := camera.read())[0]:
            yield _small(cv2, cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    finally:
        camera.release()


def _address(address: str) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    av = load_av()
    options = {"rtsp_transport": "tcp"} if address.startswith("rtsp") else {}
    try:
        container = av.open(address, options=options, timeout=(_CONNECT_SECONDS, _READ_SECONDS))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SequenceError(
            f"{address} cannot be opened: {error}; check the address and that it can be reached"
        ) from error
    with closing(container):
        if not container.streams.video:
            raise SequenceError(f"{address} has no video stream; expected a camera or a video")
        try:
            for frame in container.decode(container.streams.video[0]):
                scale = min(1.0, POSE_IMAGE_SIDE / max(frame.width, frame.height))
                size = round(frame.width * scale), round(frame.height * scale)
                yield frame.reformat(*size, format="rgb24", interpolation="AREA").to_ndarray()
        except (av.error.FFmpegError, OSError) as error:
            raise SequenceError(f"{address} broke off: {error}; start again") from error


def load_cv2() -> ModuleType:
    """OpenCV, which MediaPipe brings.

    Raises:
        RuntimeUnavailable: it is not installed, or a library that it needs.
    """
    try:
        import cv2
    except ImportError as error:
        raise RuntimeUnavailable(
            f"webcams and windows need OpenCV, which is not usable ({error}); "
            "install it with: pip install 'c2vl-serve[pose]'"
        ) from error
    return cv2


def _small(cv2: Any, image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    height, width = image.shape[:2]
    scale = min(1.0, POSE_IMAGE_SIDE / max(height, width))
    if scale == 1:
        return image
    size = round(width * scale), round(height * scale)
    small: np.ndarray = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small
