"""Representations of whole clips: the mean over their windows, from a frozen encoder."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_serve.skeleton.sampling import cut_windows
from c2vl_training.data.pool import Pool

BATCH = 512  # windows a forward pass


class ClipWindows:
    """Every window of every clip of a pool, cut once as serving does, for any number of encoders.

    Args:
        pool: the clips.
        config: the preprocessing of the encoders that will come.
    """

    def __init__(self, pool: Pool, config: PreprocessingConfig) -> None:
        windows = [cut_windows(pool.sequence(clip), config).inputs for clip in range(len(pool))]
        self.inputs = np.concatenate(windows)
        self.clip = np.repeat(np.arange(len(pool)), [len(each) for each in windows])
        self.labels = pool.labels

    @torch.no_grad()
    def representations(self, encoder: Callable[[Tensor], Tensor]) -> Float32[np.ndarray, "N D"]:
        """One representation a clip; a module is put into evaluation mode."""
        if isinstance(encoder, nn.Module):
            encoder.eval()
        parts = [
            encoder(torch.from_numpy(self.inputs[start : start + BATCH])).float().numpy()
            for start in range(0, len(self.inputs), BATCH)
        ]
        values = np.concatenate(parts)
        total = np.zeros((len(self.labels), values.shape[1]), np.float64)
        np.add.at(total, self.clip, values)
        return (total / np.bincount(self.clip)[:, None]).astype(np.float32)
