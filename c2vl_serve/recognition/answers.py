"""What recognition answers: plain frozen values, turned into JSON by the service's schemas."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionScore:
    """One label with its calibrated score in 0..1."""

    label: str
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowAnswer:
    """What one person did from ``start`` to ``end`` (seconds)."""

    start: float
    end: float
    actions: tuple[ActionScore, ...]
    recognised: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentAnswer:
    """One action without a break, from ``start`` to ``end`` (seconds)."""

    start: float
    end: float
    label: str
    score: float
    recognised: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonAnswer:
    """What one person did over the whole sequence, and over its course where there is a timeline.

    Attributes:
        windows: may overlap.
        segments: do not; made from windows, see :mod:`c2vl_serve.recognition.segments`.
    """

    id: int
    actions: tuple[ActionScore, ...]
    recognised: bool
    windows: tuple[WindowAnswer, ...] = ()
    segments: tuple[SegmentAnswer, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Recognition:
    """The answer for a sequence: the clearest person's actions first, then everyone's.

    Attributes:
        timing_ms: milliseconds spent in ``preprocess`` and ``inference``.
    """

    actions: tuple[ActionScore, ...]
    recognised: bool
    persons: tuple[PersonAnswer, ...]
    notes: tuple[str, ...]
    timing_ms: dict[str, float]
