"""Batches for a gate, which tells the recordings of some sets from each other and from the rest."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from c2vl_serve.skeleton.arrays import ModelInput
from c2vl_training.data.batches import Sampling, WindowSampler
from c2vl_training.data.labels import MIRRORED_LABELS
from c2vl_training.data.pool import Pool

ELSEWHERE = "elsewhere"
TEMPO = (0.95, 1.05)  # range of tempo changes: a set's recordings are known by their own frames


class GateSampler:
    """Half of each batch as recorded, half as a camera sees it; both depend on seed and step alone.

    A recorded window's label is its set, or :data:`ELSEWHERE` where the gate is not asked for
    that set. What a camera sees is from elsewhere, whichever set it was recorded for: otherwise
    video would be taken for a recording.
    """

    def __init__(
        self, pool: Pool, sampling: Sampling, set_names: tuple[str, ...], seed: int
    ) -> None:
        """Prepare the draw; labels are the places in ``set_names``, then elsewhere."""
        self.elsewhere = len(set_names)
        places = [
            set_names.index(name) if name in set_names else self.elsewhere
            for name in pool.set_names
        ]
        by_set = replace(
            pool, labels=np.array(places)[pool.sources], label_names=(*set_names, ELSEWHERE)
        )
        as_recorded = replace(
            sampling, balance=0.0, tilt_degrees=0.0, lose_travel=0.0, mirror=0.0, speed=TEMPO
        )
        self.recorded = WindowSampler(by_set, as_recorded, {}, seed)
        self.seen = WindowSampler(pool, sampling, MIRRORED_LABELS, seed)
        self.seed = seed

    def draw(self, size: int, step: int) -> tuple[ModelInput, Int64[np.ndarray, " N"]]:
        """``size`` windows as model input, and their labels."""
        half = size // 2
        rng = np.random.default_rng((self.seed, step, 2))
        by_camera = np.arange(size) >= half
        recorded, labels = self.recorded.windows(
            self.recorded.clips(half, step), rng, by_camera[:half]
        )
        seen, _ = self.seen.windows(self.seen.clips(size - half, step), rng, by_camera[half:])
        elsewhere = np.full(size - half, self.elsewhere, np.int64)
        return np.concatenate([recorded, seen]), np.concatenate([labels, elsewhere])
