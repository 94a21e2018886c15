"""Made-up unit-norm features, and the loops that every cross-modal objective is checked against."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from c2vl_training.objectives.features import Features

CONCEPTS = ("vision", "language", "union")


def made_features(
    num_samples: int, seed: int, concepts: tuple[str, ...] = CONCEPTS, first_id: int = 0
) -> Features:
    """Random samples in 8 dimensions, each a clip of its own."""
    generator = torch.Generator().manual_seed(seed)

    def draw() -> Tensor:
        return functional.normalize(torch.randn(num_samples, 8, generator=generator), dim=1)

    return Features(
        skeleton=draw(),
        concepts={name: draw() for name in concepts},
        ids=torch.arange(first_id, first_id + num_samples),
    )


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


def softmax_rows(queries: Tensor, keys: Tensor, tau: float) -> list[list[float]]:
    """``softmax_j(q_i . k_j / tau)``, number by number."""
    return [
        softmax([sum(float(a) * float(b) for a, b in zip(q, k, strict=True)) / tau for k in keys])
        for q in queries
    ]


def slow_cross_entropy(targets: list[list[float]], predicted: list[list[float]]) -> float:
    rows = zip(targets, predicted, strict=True)
    return -sum(
        sum(t * math.log(p) for t, p in zip(*row, strict=True) if t > 0) for row in rows
    ) / len(targets)


def eye(size: int) -> list[list[float]]:
    return [[float(i == j) for j in range(size)] for i in range(size)]
