"""One-euro filtering of a person's joints, for when MediaPipe does not do it itself.

Casiez, Roussel and Vogel, "1 € Filter: A Simple Speed-based Low-pass Filter for Noisy Input in
Interactive Systems" (CHI 2012): a low-pass filter whose cut-off rises with speed, so that a still
joint is steady and a fast one does not lag.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64


@dataclass(frozen=True, kw_only=True, slots=True)
class OneEuro:
    """The filter's constants.

    Attributes:
        min_cutoff: cut-off of a value at rest, in hertz.
        beta: hertz gained for each unit a second of speed.
        speed_cutoff: cut-off for the speed itself, in hertz.
    """

    min_cutoff: float
    beta: float
    speed_cutoff: float = 1.0

    def smooth(
        self, values: Float32[np.ndarray, "T ..."], times: Float64[np.ndarray, " T"]
    ) -> Float32[np.ndarray, "T ..."]:
        """Each of the values over time, filtered forwards; ``times`` in seconds, increasing."""
        out = np.array(values, np.float64)
        speed = np.zeros(out.shape[1:])
        for t in range(1, len(out)):
            period = float(times[t] - times[t - 1])
            raw = (values[t] - out[t - 1]) / period
            speed += _weight(np.float64(self.speed_cutoff), period) * (raw - speed)
            weight = _weight(self.min_cutoff + self.beta * np.abs(speed), period)
            out[t] = out[t - 1] + weight * (values[t] - out[t - 1])
        return out.astype(np.float32)


def _weight(
    cutoff: Float64[np.ndarray, "..."] | np.float64, period: float
) -> Float64[np.ndarray, "..."]:
    """Weight of the new value in exponential smoothing, equations 4 and 5 of the paper."""
    turn = 2 * np.pi * cutoff * period
    return np.asarray(turn / (turn + 1))


# For joints in metres: a hand at rest is held still to millimetres, one at 0.5 m/s passes whole.
WORLD_FILTER = OneEuro(min_cutoff=0.1, beta=40.0)
# For joints as parts of the person's height in the picture.
IMAGE_FILTER = OneEuro(min_cutoff=0.05, beta=80.0)
