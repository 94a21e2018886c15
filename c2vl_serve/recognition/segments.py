"""From overlapping windows to segments: what a person did, from when to when.

Each moment's scores are the mean over the windows that cover it. The labels of all moments are
then chosen together: each second counts with the logarithm of its label's score, and each change
of label costs :data:`CHANGE_COST` (Viterbi, "Error bounds for convolutional codes", 1967, on a
chain whose every change is equally likely). Without the cost, one unsure window in the middle of
an action would cut it in three.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

# Windows as short as the actions of everyday: in longer ones, short actions run together.
SEGMENT_WINDOW = 2.0  # seconds
SEGMENT_STRIDE = 0.5  # seconds
MAX_SEGMENT_WINDOWS = 600  # of a person; longer sequences get a wider stride
# Nats times seconds. docs/timeline.md compares it with none.
CHANGE_COST = 1.0

_LEAST_SCORE = 1e-9  # a score of 0 forbids nothing for ever


class Segment(NamedTuple):
    """One action without a break: ``start`` and ``end`` in seconds, ``label`` by its index."""

    start: float
    end: float
    label: int
    score: float


def segments(
    times: Float64[np.ndarray, "N 2"],
    scores: Float64[np.ndarray, "N K"],
    *,
    change_cost: float = CHANGE_COST,
) -> list[Segment]:
    """The segments of one person, in order and without overlap.

    A time that no window covers belongs to none; segments on both sides of it stay apart.

    Args:
        times: first and last moment of each window, seconds.
        scores: probabilities of the K labels in each window.
        change_cost: of each change of label; 0 takes the best label of each moment.
    """
    edges, means = _moments(times, scores)
    found: list[Segment] = []
    is_covered = np.isfinite(means[:, 0])
    breaks = np.flatnonzero(np.diff(is_covered)) + 1
    for cells in np.split(np.arange(len(means)), breaks):
        if len(cells) and is_covered[cells[0]]:
            found += _merged(edges[cells[0] : cells[-1] + 2], means[cells], change_cost)
    return found


def _moments(
    times: Float64[np.ndarray, "N 2"], scores: Float64[np.ndarray, "N K"]
) -> tuple[Float64[np.ndarray, " E"], Float64[np.ndarray, "D K"]]:
    """Edges of the shortest stretches between window ends, and each stretch's mean scores.

    A stretch that no window covers has NaN.
    """
    edges = np.unique(times)
    total = np.zeros((len(edges) - 1, scores.shape[1]))
    count = np.zeros((len(edges) - 1, 1))
    for (first, last), window_scores in zip(np.searchsorted(edges, times), scores, strict=True):
        total[first:last] += window_scores
        count[first:last] += 1
    return edges, np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _merged(
    edges: Float64[np.ndarray, " E"], means: Float64[np.ndarray, "D K"], change_cost: float
) -> list[Segment]:
    """Segments of stretches without a gap between them."""
    seconds = np.diff(edges)
    labels = _best_labels(seconds, means, change_cost)
    changes = np.flatnonzero(np.diff(labels)) + 1
    found = []
    for cells in np.split(np.arange(len(labels)), changes):
        label = int(labels[cells[0]])
        score = float(np.average(means[cells, label], weights=seconds[cells]))
        found.append(
            Segment(
                start=float(edges[cells[0]]),
                end=float(edges[cells[-1] + 1]),
                label=label,
                score=min(max(score, 0.0), 1.0),
            )
        )
    return found


def _best_labels(
    seconds: Float64[np.ndarray, " D"], means: Float64[np.ndarray, "D K"], change_cost: float
) -> Int[np.ndarray, " D"]:
    """The labels that make the sum of ``seconds * log(score)`` less the changes' cost greatest."""
    gains = seconds[:, None] * np.log(np.maximum(means, _LEAST_SCORE))
    D, K = gains.shape
    came_from = np.zeros((D, K), np.int64)
    total = gains[0]
    for cell in range(1, D):
        best = int(total.argmax())
        changed = total[best] - change_cost
        came_from[cell] = np.where(total >= changed, np.arange(K), best)
        total = np.maximum(total, changed) + gains[cell]
    labels = np.empty(D, np.int64)
    labels[-1] = total.argmax()
    for cell in range(D - 1, 0, -1):
        labels[cell - 1] = came_from[cell, labels[cell]]
    return labels
