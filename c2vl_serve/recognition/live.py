"""LiveWindows: frames come in as they are recorded, windows go out as soon as they are whole.

The windows are those of a timeline over the same frames (:mod:`c2vl_serve.recognition.timeline`),
but no more frames are kept than one window needs.
"""

from dataclasses import dataclass, replace

import numpy as np

from c2vl_serve.errors import SequenceError
from c2vl_serve.recognition.timeline import frames_in
from c2vl_serve.skeleton.convert import convert
from c2vl_serve.skeleton.layout import LAYOUTS, SkeletonLayout
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_serve.skeleton.resampling import at_positions, num_ticks
from c2vl_serve.skeleton.sampling import MIN_SEEN_FRAMES
from c2vl_serve.skeleton.sequence import SkeletonSequence


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LiveWindow:
    """One window, ready to be recognised.

    Attributes:
        index: 0 for the first of the stream, one more for each.
        start: seconds from the stream's first frame, as is ``end``.
        end: where the window ends.
        sequence: all persons, in the model's layout and at its rate.
    """

    index: int
    start: float
    end: float
    sequence: SkeletonSequence

    def seen(self, config: PreprocessingConfig) -> SkeletonSequence:
        """The window with only those persons visible who are seen long enough to be recognised."""
        visibility = self.sequence.visibility
        frames = np.any(visibility >= config.min_visibility, axis=-1).sum(axis=0)
        kept = np.where((frames >= MIN_SEEN_FRAMES)[:, None], visibility, np.float32(0))
        return replace(self.sequence, visibility=kept)


class LiveWindows:
    """Cuts an endless sequence into windows; not safe to use from several threads.

    Args:
        layout: of the frames that come.
        fps: frames per second that come.
        config: of the model.
        window: seconds; the model's own window unless given.
        stride: seconds between the starts of two windows; half a window unless given.

    Raises:
        SequenceError: for lengths that are not positive.
    """

    def __init__(
        self,
        *,
        layout: SkeletonLayout,
        fps: float,
        config: PreprocessingConfig,
        window: float | None = None,
        stride: float | None = None,
    ) -> None:
        self._layout = layout
        self._fps = fps
        self._config = config
        self._length = frames_in("window", window or config.window_seconds, config)
        self._step = frames_in("stride", stride or self._length / config.fps / 2, config)
        self._num_received = 0  # frames, at the rate that they come
        self._last: SkeletonSequence | None = None  # frame received, in the model's layout
        self._kept: SkeletonSequence | None = None  # frames at the model's rate
        self._num_known = 0  # frames at the model's rate, dropped ones too
        self._next_start = 0
        self._num_windows = 0

    @property
    def num_received(self) -> int:
        """Frames that came so far."""
        return self._num_received

    @property
    def num_windows(self) -> int:
        """Windows that were whole so far."""
        return self._num_windows

    @property
    def window_seconds(self) -> float:
        """How long a window is, in whole frames of the model."""
        return self._length / self._config.fps

    @property
    def stride_seconds(self) -> float:
        """How long after the last window the next one starts."""
        return self._step / self._config.fps

    def push(self, frames: SkeletonSequence) -> list[LiveWindow]:
        """Take the next frames; the windows that end with them, in order.

        Raises:
            SequenceError: they are not like the frames before; nothing is taken then.
        """
        self._check(frames)
        converted, _ = convert(frames, LAYOUTS[self._config.layout])
        self._keep(self._at_model_rate(converted))
        self._num_received += frames.num_frames
        self._last = converted.frames(converted.num_frames - 1, converted.num_frames)
        windows = []
        while self._next_start + self._length <= self._num_known:
            windows.append(self._window(self._next_start, self._length))
            self._next_start += self._step
        self._forget()
        return windows

    def finish(self) -> list[LiveWindow]:
        """The window that ends with the stream, unless it is out already; no frames follow."""
        start = max(self._num_known - self._length, 0)
        if self._num_known == 0 or start + self._step == self._next_start:
            return []
        self._next_start = start + self._step
        return [self._window(start, min(self._length, self._num_known))]

    def _check(self, frames: SkeletonSequence) -> None:
        if (frames.layout, frames.fps) != (self._layout, self._fps):
            raise SequenceError(
                f"frames are in layout {frames.layout.name!r} at {frames.fps:g} fps but the stream "
                f"began in {self._layout.name!r} at {self._fps:g} fps; begin another stream"
            )
        if frames.joints.shape[-1] != 3:
            raise SequenceError(
                "joints are 2-D (x, y) but live recognition needs 3-D (x, y, z); lift them first"
            )
        if self._last is not None and frames.num_persons != self._last.num_persons:
            raise SequenceError(
                f"frames show {frames.num_persons} persons but the stream began with "
                f"{self._last.num_persons}; give who is missing visibility 0"
            )

    def _at_model_rate(self, frames: SkeletonSequence) -> SkeletonSequence | None:
        """The model's frames that are known now and were not before; None where there is none."""
        first, fps = self._num_received, self._config.fps
        if self._last is not None:
            first, frames = first - 1, _joined(self._last, frames)
        known = num_ticks(first + frames.num_frames, self._fps, fps)
        ticks = np.arange(self._num_known, known)
        if len(ticks) == 0:
            return None
        return at_positions(frames, np.maximum(ticks * (self._fps / fps) - first, 0), fps)

    def _keep(self, frames: SkeletonSequence | None) -> None:
        if frames is not None:
            self._kept = frames if self._kept is None else _joined(self._kept, frames)
            self._num_known += frames.num_frames

    def _window(self, start: int, length: int) -> LiveWindow:
        assert self._kept is not None
        first = self._num_known - self._kept.num_frames
        window = LiveWindow(
            index=self._num_windows,
            start=start / self._config.fps,
            end=(start + length) / self._config.fps,
            sequence=self._kept.frames(start - first, start - first + length),
        )
        self._num_windows += 1
        return window

    def _forget(self) -> None:
        """Keep what the next window may need: the last one may end with any frame."""
        if self._kept is not None:
            kept, T = self._kept, self._kept.num_frames
            self._kept = kept.frames(max(T - self._length, 0), T)


def _joined(one: SkeletonSequence, other: SkeletonSequence) -> SkeletonSequence:
    return replace(
        other,
        joints=np.concatenate([one.joints, other.joints]),
        visibility=np.concatenate([one.visibility, other.visibility]),
    )
