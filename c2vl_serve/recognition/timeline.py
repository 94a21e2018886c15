"""The timeline: which stretches of a person's sequence get an answer of their own."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_serve.skeleton.sampling import (
    MIN_SEEN_FRAMES,
    WindowChoice,
    choose_windows,
    window_starts,
)

MAX_SPANS = 1200  # entries of one person: ten minutes every half second


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """One timeline entry before recognition: from ``start`` to ``end`` seconds."""

    start: float
    end: float
    windows: WindowChoice


def spans(
    present: Bool[np.ndarray, " T"],
    config: PreprocessingConfig,
    window: float | None,
    stride: float | None,
) -> tuple[Span, ...]:
    """Timeline entries of one person, from the frames at the model's rate that show anything.

    None at all where neither ``window`` nor ``stride`` was asked for and the sequence is no
    longer than the model's window. Stretches without the person are left out.

    Raises:
        SequenceError: for lengths that are not positive, or far too many entries.
    """
    num_frames = len(present)
    if window is None and stride is None and num_frames <= config.num_frames:
        return ()
    length = _frames("window", window or config.window_seconds, config)
    step = _frames("stride", stride or length / config.fps / 2, config)
    starts = window_starts(num_frames, length, step)
    if len(starts) > MAX_SPANS:
        raise SequenceError(
            f"a stride of {step / config.fps:.2f} s cuts {num_frames / config.fps:.0f} s into "
            f"{len(starts)} windows; expected at most {MAX_SPANS}: ask for a longer stride"
        )
    entries = []
    for start in starts:
        stop = min(start + length, num_frames)
        windows = choose_windows(present[start:stop], config, offset=start)
        if windows.seen_frames.max() >= MIN_SEEN_FRAMES:
            entries.append(Span(start=start / config.fps, end=stop / config.fps, windows=windows))
    return tuple(entries)


def _frames(what: str, seconds: float, config: PreprocessingConfig) -> int:
    if not 0 < seconds < 3600:
        raise SequenceError(f"{what} is {seconds} s; expected more than 0 and less than 3600 s")
    return max(round(seconds * config.fps), 1)
