"""Video in, upright RGB frames with their times out; the first stage of `extraction`.

Whatever is wrong with a file ends here in one of two ways: a SequenceError that says what to send
instead, or the frames that could be read with ``complete=False`` and a note.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from c2vl_serve.errors import SequenceError
from c2vl_serve.pose.container import END_TOLERANCE, OpenedVideo, VideoLimits, load_av
from c2vl_serve.pose.sampling import nearest_to_ticks

if TYPE_CHECKING:
    import av

logger = logging.getLogger(__name__)

# The networks see crops of 224 and 256 pixels: 960 still gives a person who fills a quarter of
# the picture about that many.
POSE_IMAGE_SIDE = 960  # pixels, longest side
SMALL_IMAGE_SIDE = 160  # pixels, longest side: below it a whole body is smaller than the crops

_DEFAULT_RATE = 30.0  # frames per second, where a file states neither rate nor times
_WIDEST_PIXEL = 4  # a sample aspect ratio beyond 4:1 is a broken header


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameReport:
    """What became of a video's frames.

    Attributes:
        read: frames decoded.
        used: frames handed to the pose network.
        fps: the video's own rate, frames per second; 0 where one frame leaves it unknown.
        complete: False where the video is damaged or ends before its header says.
    """

    read: int
    used: int
    fps: float
    complete: bool


class VideoFrame(NamedTuple):
    """One upright picture; ``time`` in seconds from the first frame."""

    time: float
    image: UInt8[np.ndarray, "H W 3"]


@dataclass(slots=True)
class _Progress:
    """What has been seen of a video so far; times in seconds from the first frame."""

    read: int = 0
    used: int = 0
    broken: int = 0
    first_broken: float = 0.0
    start: float = 0.0  # of the first frame, on the file's own clock
    last: float = 0.0
    turns: int = 0  # quarter turns that the display matrix asks for, counter-clockwise
    size: tuple[int, int] = (0, 0)  # pixels of the upright picture: width, height
    notes: list[str] = field(default_factory=list)


class VideoReader:
    """Reads one video, forwards, once; memory does not grow with its length.

    Example::

        with VideoReader(Path("jump.mp4")) as video:
            for time, image in video.frames(fps=15):
                ...
            video.report()

    Args:
        source: a file's path, or its content.
        limits: what is refused.
        image_side: larger pictures are scaled down to this longest side, in pixels.

    Raises:
        SequenceError: it is empty, no video, has no picture track, or is beyond the limits.
        RuntimeUnavailable: PyAV is not installed.
    """

    def __init__(
        self,
        source: bytes | Path,
        *,
        limits: VideoLimits | None = None,
        image_side: int = POSE_IMAGE_SIDE,
    ) -> None:
        self._errors = (load_av().error.FFmpegError, OSError)  # PyAV raises both
        self._limits = limits or VideoLimits()
        self._image_side = image_side
        self._progress = _Progress()
        self._video = OpenedVideo(source, self._limits)

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._video.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the answer should know; complete once the frames were read."""
        return tuple(self._progress.notes)

    def frames(self, fps: float) -> Iterator[VideoFrame]:
        """The frames nearest to ``fps`` ticks a second, each at most once.

        Raises:
            SequenceError: no frame could be decoded, or a limit was passed on the way.
        """
        for time, frame in nearest_to_ticks(self._timed_frames(), fps):
            try:
                picture = self._picture(frame)
            except self._errors as error:  # no such colours
                self._note_broken(error)
                continue
            self._progress.used += 1
            yield VideoFrame(time, picture)
        self._conclude()

    def report(self) -> FrameReport:
        """What became of the frames; to be asked after :meth:`frames` has ended."""
        return FrameReport(
            read=self._progress.read,
            used=self._progress.used,
            fps=self._rate(),
            complete=not (self._progress.broken or self._missing_seconds()),
        )

    def _rate(self) -> float:
        progress = self._progress
        measured = (progress.read - 1) / progress.last if progress.last > 0 else 0.0
        stated = self._video.rate or measured
        # Browsers' webm states the rate of its clock. Damage leaves frames out, but not most.
        return stated if not measured or 0.5 < stated / measured < 2 else measured

    def _missing_seconds(self) -> float:
        """Seconds that the header promises and the frames did not fill; 0 where none."""
        promised = self._video.promised_seconds
        if promised is None:
            return 0.0
        period = 1 / (self._rate() or _DEFAULT_RATE)
        missing = promised - (self._progress.last + period)
        return missing if missing > max(END_TOLERANCE, 3 * period) else 0.0

    def _timed_frames(self) -> Iterator[tuple[float, "av.VideoFrame"]]:
        """Every frame that decodes, with strictly increasing seconds from the first one."""
        progress = self._progress
        for frame in self._decoded_frames():
            self._limits.check_size(frame.width, frame.height)
            if progress.read == 0:
                progress.start = _stamp(frame) or 0.0
            else:
                progress.last = self._time_after_last(frame)
            progress.read += 1
            self._limits.check_length(progress.last)
            self._limits.check_count(progress.read)
            yield progress.last, frame

    def _time_after_last(self, frame: "av.VideoFrame") -> float:
        progress = self._progress
        stamp = _stamp(frame)
        time = stamp - progress.start if stamp is not None else progress.last
        # AVI states no presentation times for reordered frames, and FFmpeg's stand-ins go back
        # and forth. Frames leave the decoder in order: the next one is a step further on.
        if time <= progress.last:
            time = progress.last + 1 / (self._video.rate or _DEFAULT_RATE)
        return time

    def _decoded_frames(self) -> Iterator["av.VideoFrame"]:
        """Frames in presentation order, passing over packets that do not decode."""
        packets = self._video.container.demux(self._video.stream)
        while True:
            try:
                packet = next(packets, None)
            except self._errors as error:
                self._note_broken(error)
                yield from self._decode(None)  # what the decoder still holds
                return
            if packet is None:
                return
            yield from self._decode(packet)

    def _decode(self, packet: Any) -> Iterator["av.VideoFrame"]:
        try:
            frames = self._video.stream.decode(packet)
        except EOFError:  # after the last frame
            return
        except self._errors as error:
            self._note_broken(error)
            return
        for frame in frames:
            if frame.is_corrupt:
                self._note_broken(None)
            yield frame

    def _note_broken(self, error: Exception | None) -> None:
        progress = self._progress
        if not progress.broken:
            progress.first_broken = progress.last
            logger.info("video is damaged", extra={"second": progress.last, "cause": str(error)})
        progress.broken += 1

    def _picture(self, frame: "av.VideoFrame") -> UInt8[np.ndarray, "H W 3"]:
        """Square pixels, scaled down, turned upright."""
        ratio = Fraction(self._video.stream.sample_aspect_ratio or 1)
        if not 1 / _WIDEST_PIXEL <= ratio <= _WIDEST_PIXEL:
            ratio = Fraction(1)
        wider, taller = max(ratio, Fraction(1)), max(1 / ratio, Fraction(1))
        width, height = float(frame.width * wider), float(frame.height * taller)
        scale = min(1.0, self._image_side / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = frame.reformat(*size, format="rgb24", interpolation="AREA")
        self._progress.turns = turns = _quarter_turns(frame)
        upright = np.rot90(small.to_ndarray(), k=turns)
        self._progress.size = (upright.shape[1], upright.shape[0])
        return np.ascontiguousarray(upright)

    def _conclude(self) -> None:
        progress = self._progress
        if not progress.used:
            raise SequenceError(
                "no frame of the video could be decoded (codec "
                f"{self._video.stream.codec_context.name!r}); the file is damaged or incomplete, "
                "send the whole file"
            )
        if progress.broken:
            progress.notes.append(
                f"video is damaged from {progress.first_broken:.1f} s on; what could not be "
                f"decoded was passed over ({progress.broken} packets or frames)"
            )
        if self._missing_seconds():
            progress.notes.append(
                f"video ends at {progress.last:.1f} s although its header promises "
                f"{self._video.promised_seconds:.1f} s; it was cut short"
            )
        if progress.turns:
            progress.notes.append(
                f"video is turned by {90 * progress.turns} degrees, as its metadata says"
            )
        if max(progress.size) < SMALL_IMAGE_SIDE:
            width, height = progress.size
            progress.notes.append(
                f"video is small ({width} x {height} pixels): joints are found less exactly"
            )
        if progress.read == 1:
            progress.notes.append("video has a single frame: a posture can be seen, no motion")


def _stamp(frame: "av.VideoFrame") -> float | None:
    """Seconds on the file's own clock, or None where the file has no time for the frame."""
    time = frame.time
    return time if time is not None and math.isfinite(time) else None


def _quarter_turns(frame: "av.VideoFrame") -> int:
    """How often the display matrix turns the picture by 90 degrees, counter-clockwise."""
    try:
        return round(frame.rotation / 90) % 4
    except ValueError:  # a matrix of nonsense has no angle
        return 0
