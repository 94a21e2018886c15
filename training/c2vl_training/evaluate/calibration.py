"""Calibration: a temperature so that scores are probabilities, and a threshold for unknowns."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from sklearn.metrics import log_loss, roc_auc_score

from c2vl_training.evaluate.clips import ClipLogits

TEMPERATURES = np.geomspace(0.2, 3.0, 57)
BINS = 15
PASSED = 0.1  # share of unknown clips that may be called recognised


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownThreshold:
    """Where "recognised" ends.

    Attributes:
        threshold: least best score of a recognised clip.
        known_accepted: share of known clips at or above it.
        unknown_rejected: share of unknown clips below it.
        auroc: how well the best score separates the two, 0.5 chance, 1 perfect.
    """

    threshold: float
    known_accepted: float
    unknown_rejected: float
    auroc: float


def fit_temperature(clips: ClipLogits, labels: np.ndarray, idle: int | None) -> float:
    """The temperature with the least log loss of whole clips (Guo et al., ICML 2017)."""
    losses = [
        log_loss(labels, scores, labels=np.arange(scores.shape[1]))
        for scores in (clips.scores(float(t), idle) for t in TEMPERATURES)
    ]
    return float(TEMPERATURES[int(np.argmin(losses))])


def expected_calibration_error(scores: Float64[np.ndarray, "N K"], labels: np.ndarray) -> float:
    """Mean gap between best score and accuracy over :data:`BINS` equal bins, weighted by clips.

    Guo et al., ICML 2017, eq. 3; 0 is perfect.
    """
    best, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    bins = np.minimum((best * BINS).astype(int), BINS - 1)
    gaps = [
        (bins == b).mean() * abs(best[bins == b].mean() - right[bins == b].mean())
        for b in np.unique(bins)
    ]
    return float(sum(gaps))


def choose_threshold(unknown: Float64[np.ndarray, " U"]) -> float:
    """The threshold that only :data:`PASSED` of the unknown clips reach.

    Where the two groups overlap little, the threshold that separates them best stands far up
    among the known clips and calls every second true answer unknown on noisier input.
    """
    return float(np.quantile(unknown, 1 - PASSED))


def judge_threshold(
    threshold: float,
    known: Float64[np.ndarray, " N"],
    unknown: Float64[np.ndarray, " U"],
) -> UnknownThreshold:
    """What a threshold does to clips, and how well best scores separate them at all."""
    truth = np.concatenate([np.ones(len(known)), np.zeros(len(unknown))])
    return UnknownThreshold(
        threshold=threshold,
        known_accepted=float((known >= threshold).mean()),
        unknown_rejected=float((unknown < threshold).mean()),
        auroc=float(roc_auc_score(truth, np.concatenate([known, unknown]))),
    )
