"""Open a video file from a stranger: what it is, what it promises, whether it is too large."""

import io
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from c2vl_serve.errors import RuntimeUnavailable, SequenceError

if TYPE_CHECKING:
    import av.container
    import av.video

END_TOLERANCE = 0.3  # seconds; headers and last frames disagree by this much in sound files
_FASTEST_BELIEVABLE_RATE = 1000  # frames per second; a stated rate above is a time base in disguise


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoLimits:
    """What a video may ask of the reader.

    Attributes:
        max_seconds: longest video.
        max_side: longest side of the coded picture, in pixels.
        max_fps: a video may hold ``max_seconds * max_fps`` frames, however they are spread.
    """

    max_seconds: float = 120.0
    max_side: int = 4096
    max_fps: float = 60.0

    def check_size(self, width: int, height: int) -> None:
        """Refuse a picture with too long a side (pixels).

        Raises:
            SequenceError: naming the size and the limit; as do the other checks.
        """
        if max(width, height) > self.max_side:
            raise SequenceError(
                f"video is {width} x {height} pixels; at most {self.max_side} a side "
                "are accepted, scale it down"
            )

    def check_length(self, seconds: float) -> None:
        """Refuse a video that is too long."""
        if seconds > self.max_seconds + END_TOLERANCE:
            raise SequenceError(
                f"video is {seconds:.1f} s long; at most {self.max_seconds:g} s are "
                "accepted, cut it into pieces"
            )

    def check_count(self, num_frames: int) -> None:
        """Refuse more frames than the longest video has at the highest rate."""
        max_frames = int(self.max_seconds * self.max_fps)
        if num_frames > max_frames:
            raise SequenceError(
                f"video has more than {max_frames:,} frames ({self.max_seconds:g} s at "
                f"{self.max_fps:g} frames per second); shorten it or lower its frame rate"
            )


def load_av() -> ModuleType:
    """PyAV, which only the extra `pose` installs.

    Raises:
        RuntimeUnavailable: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise RuntimeUnavailable(
            "videos cannot be read: the package 'av' is not installed; "
            "install it with: pip install 'c2vl-serve[pose]'"
        ) from error
    return av


class OpenedVideo:
    """A file that FFmpeg opened, and the one video stream in it that is used.

    Attributes:
        container: PyAV's container.
        stream: the first video stream that can be decoded and is no cover picture.

    Raises:
        SequenceError: the file is empty, no video, has no pictures, or its header states a size
            or length beyond the limits.
        RuntimeUnavailable: PyAV is not installed.
    """

    def __init__(self, source: bytes | Path, limits: VideoLimits) -> None:
        self._av = load_av()
        self._file, size, head = _open_file(source)
        try:
            self.container = self._open_container(size, head)
        except BaseException:
            self._file.close()
            raise
        try:
            self.stream = self._choose_stream()
            self._check_header(limits)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self.container.close()
        self._file.close()

    @property
    def rate(self) -> float | None:
        """Frames per second by the header, or None where it states nothing believable."""
        stated = self.stream.average_rate
        if stated is None or not 0 < stated <= _FASTEST_BELIEVABLE_RATE:
            return None
        return float(stated)

    @property
    def promised_seconds(self) -> float | None:
        """Length by the header, or None where nothing binding is stated."""
        stream, container = self.stream, self.container
        if container.format.name == "avi" and stream.frames and self.rate:
            return stream.frames / self.rate  # FFmpeg bends an AVI's duration to the file's size
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        tag = _seconds_of_tag(stream.metadata.get("DURATION", ""))
        if tag is not None:
            return tag
        # For formats without a header FFmpeg guesses from the bit rate: no promise.
        if "matroska" in container.format.name and container.duration is not None:
            return container.duration / int(self._av.time_base)
        return None

    def _open_container(self, size: int, head: bytes) -> "av.container.InputContainer":
        try:
            # A playlist (HLS, DASH, concat) names other files and addresses, which FFmpeg would
            # go and read with our rights. With no protocol allowed only this file is read.
            container: av.container.InputContainer = self._av.open(
                self._file,
                "r",
                options={"protocol_whitelist": "none"},
                metadata_errors="replace",  # titles come in any encoding
            )
        except (self._av.error.FFmpegError, OSError) as error:  # PyAV raises both
            hint = "it is no video that FFmpeg knows; send mp4, mkv, webm, avi or mov"
            if head[4:8] == b"ftyp":
                hint = (
                    "it looks like an mp4 without its index (moov), as left by a recording or "
                    "upload that was cut short; send the whole file"
                )
            raise SequenceError(
                f"video cannot be opened ({size:,} bytes, {error.strerror}): {hint}"
            ) from error
        return container

    def _choose_stream(self) -> "av.video.VideoStream":
        cover = self._av.stream.Disposition.attached_pic
        for stream in self.container.streams.video:
            if not stream.disposition & cover and stream.codec_context is not None:
                return stream
        held = ", ".join(sorted({stream.type for stream in self.container.streams})) or "nothing"
        raise SequenceError(
            f"file has no video stream that can be decoded (it holds: {held}); "
            "expected a video with pictures"
        )

    def _check_header(self, limits: VideoLimits) -> None:
        context = self.stream.codec_context
        limits.check_size(context.width, context.height)
        limits.check_length(self.promised_seconds or 0.0)
        context.options = {"max_pixels": str(limits.max_side**2)}
        context.thread_count = 1  # a pose worker is given one core


def _seconds_of_tag(tag: str) -> float | None:
    """Matroska states a stream's length in a tag such as ``00:01:02.500000000``."""
    hours, _, rest = tag.partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        return None


def _open_file(source: bytes | Path) -> tuple[io.BufferedIOBase, int, bytes]:
    """The file, its size in bytes and its first 12 bytes."""
    try:
        file: io.BufferedIOBase = (
            io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        )
    except OSError as error:
        raise SequenceError(
            f"video cannot be opened: {source!s}: {error.strerror}; check the path"
        ) from error
    head = file.read(12)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size == 0:
        file.close()
        raise SequenceError("video is empty (0 bytes); expected a video file")
    return file, size, head
