r"""Schedules: how fast hard targets give way to soft ones, ``a_t = a_max * schedule(t / t_total)``.

All rise from 0 at the start of the run to 1, and take the share of the run that is done.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from c2vl_serve.errors import C2VLError

MAX_SOFTNESS = 0.8  # above it the soft targets feed on themselves


def linear(progress: float) -> float:
    """``t / t_total``, as in PS-KD (Kim et al., ICCV 2021, sec. 3)."""
    return progress


def cosine(progress: float) -> float:
    """``(1 - cos(pi t / t_total)) / 2``: slow at both ends, half-way at half time.

    The cosine annealing of SGDR (Loshchilov and Hutter, ICLR 2017, eq. 5), rising.
    """
    return (1 - math.cos(math.pi * progress)) / 2


def first_epoch(progress: float, ramp: float) -> float:
    """``min(1, t / t_epoch)``: all of it after one epoch.

    So ALBEF's code ramps its momentum distillation (Li et al., NeurIPS 2021, sec. 3.3).

    Args:
        progress: share of the run that is done.
        ramp: share of the run that its first epoch takes.
    """
    return min(1.0, progress / ramp)


@dataclass(frozen=True, kw_only=True, slots=True)
class Softening:
    """How soft the targets are at each moment of a run.

    Attributes:
        a_max: weight of the soft targets in the end, 0 (hard targets throughout) to 0.8.
        schedule: a name of :data:`SCHEDULES`.
        ramp: share of the run in which ``first_epoch`` rises; give it 1 / epochs.
    """

    a_max: float = 0.8
    schedule: str = "linear"
    ramp: float = 0.01

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        if not 0 <= self.a_max <= MAX_SOFTNESS:
            raise C2VLError(
                f"a_max is {self.a_max}; expected 0 (hard targets) to {MAX_SOFTNESS}; lower it"
            )
        if self.schedule not in SCHEDULES:
            raise C2VLError(f"unknown schedule {self.schedule!r}; known are {', '.join(SCHEDULES)}")
        if not 0 < self.ramp <= 1:
            raise C2VLError(
                f"ramp is {self.ramp}; expected a share of the run above 0 and at most 1; "
                "give 1 / epochs"
            )

    def at(self, progress: float) -> float:
        """``a_t`` when ``progress`` of the run is done.

        Raises:
            C2VLError: when ``progress`` is not a share, 0 to 1.
        """
        if not 0 <= progress <= 1:
            raise C2VLError(
                f"progress is {progress}; expected the share of the run that is done, 0 to 1; "
                "divide the step by the number of steps"
            )
        return self.a_max * SCHEDULES[self.schedule](progress, self.ramp)


SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "linear": lambda progress, _: linear(progress),
    "cosine": lambda progress, _: cosine(progress),
    "first_epoch": first_epoch,
}
