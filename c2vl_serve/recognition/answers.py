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
class PersonAnswer:
    """What one person did over the whole sequence, and window by window where asked for."""

    id: int
    actions: tuple[ActionScore, ...]
    recognised: bool
    windows: tuple[WindowAnswer, ...] = ()


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
