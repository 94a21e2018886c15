"""Diagnostics: whether the targets are soft in fact, and whether the features have collapsed."""

import torch
from jaxtyping import Float
from torch import Tensor


@torch.no_grad()
def entropy(targets: Float[Tensor, "N K"]) -> Float[Tensor, ""]:
    """Mean entropy of the rows in nats: 0 for hard targets, ``log K`` where all keys are equal.

    Its exponential is the number of keys that a row counts as positives.
    """
    return torch.special.entr(targets.float()).sum(dim=1).mean()


@torch.no_grad()
def effective_rank(features: Float[Tensor, "N D"]) -> Float[Tensor, ""]:
    """How many directions the features use: 1 where all are parallel, at most ``min(N, D)``.

    The exponential of the entropy of the singular values, each divided by their sum (Roy and
    Vetterli, EUSIPCO 2007, definition 1). Not centred, as there: a large common part counts as
    a collapse. Zero features have rank 0.
    """
    with torch.autocast(features.device.type, enabled=False):
        values = torch.linalg.svdvals(features.float())
    total = values.sum()
    if total == 0:
        return total
    return torch.special.entr(values / total).sum().exp()
