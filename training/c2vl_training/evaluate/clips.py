"""Answers for whole clips, cut into windows and summed up exactly as serving does it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import nn

from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_serve.skeleton.sampling import Windows, cut_windows, probabilities, summed_up
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.pool import Pool

BATCH = 1024  # windows a forward pass


@dataclass(frozen=True, slots=True, eq=False)
class ClipLogits:
    """Window logits of a set of clips, kept so that calibration need not run the model again.

    Attributes:
        windows: of each clip.
        logits: of each clip's windows, ``N K``.
    """

    windows: tuple[Windows, ...]
    logits: tuple[np.ndarray, ...]

    def scores(self, temperature: float, idle: int | None) -> Float64[np.ndarray, "N K"]:
        """One calibrated distribution a clip."""
        return np.stack(
            [
                summed_up(probabilities(logits, temperature), windows.seen_frames, idle)
                for windows, logits in zip(self.windows, self.logits, strict=True)
            ]
        )


@torch.no_grad()
def clip_logits(
    model: nn.Module, sequences: list[SkeletonSequence], config: PreprocessingConfig
) -> ClipLogits:
    """Logits for all windows of one-person sequences that are at the model's rate."""
    windows = tuple(cut_windows(sequence, config) for sequence in sequences)
    inputs = np.concatenate([each.inputs for each in windows])
    parts = [
        model(torch.from_numpy(inputs[start : start + BATCH]))[0].numpy()
        for start in range(0, len(inputs), BATCH)
    ]
    stops = np.cumsum([len(each.inputs) for each in windows])[:-1]
    return ClipLogits(windows, tuple(np.split(np.concatenate(parts), stops)))


def sequences_of(pool: Pool) -> list[SkeletonSequence]:
    """The pool's clips, one person each."""
    return [pool.sequence(clip) for clip in range(len(pool))]


def among_own_labels(
    scores: Float64[np.ndarray, "N K"], pool: Pool, labels: Mapping[str, Mapping[str, str]]
) -> Float64[np.ndarray, "N K"]:
    """The scores, less those for labels that a clip's set does not have, as its protocol asks.

    Args:
        scores: over all labels.
        pool: whose clips they are of.
        labels: for each set its classes and the label each one gets.
    """
    of_sets = [labels.get(name, {}).values() for name in pool.set_names]
    own = np.array([np.isin(pool.label_names, [*names]) for names in of_sets])
    return np.where(own[pool.sources], scores, 0.0)


def accuracy_per_set(
    scores: Float64[np.ndarray, "N K"], pool: Pool
) -> dict[str, dict[str, float | int]]:
    """Top-1 over all labels in percent, and number of clips, of each set in the pool.

    Where some clips are training clips as well, also how many, and top-1 on the others.
    """
    right = scores.argmax(axis=1) == pool.labels
    result: dict[str, dict[str, float | int]] = {}
    for index, name in enumerate(pool.set_names):
        chosen = pool.sources == index
        if chosen.any():
            result[name] = {"clips": int(chosen.sum()), "top1": _percent(right[chosen])}
        others = chosen & ~pool.copied
        if copies := int(chosen.sum() - others.sum()):
            result[name]["copies"] = copies
            if others.any():
                result[name]["top1_without_copies"] = _percent(right[others])
    return result


def _percent(right: Bool[np.ndarray, " N"]) -> float:
    return round(100 * float(right.mean()), 2)
