r"""Skeleton-only contrastive learning, the baseline without any knowledge: two views of a clip.

    L = -1/2N sum_i log( exp(z_i . z_p(i) / tau) / sum_{k in K(i)} exp(z_i . z_k / tau) )

``z_p(i)`` is the other view. Without a queue, ``K(i)`` is all other views of the batch: NT-Xent,
SimCLR (Chen et al., ICML 2020, eq. 1). With a queue of averaged features it also has those:
MoCo (He et al., CVPR 2020, eq. 1), as AS-CL and CrosSCLR use it for skeletons. Other samples of
the same clip are in no ``K(i)``: a positive is never a negative.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from c2vl_training.objectives.features import Features, Loss
from c2vl_training.objectives.infonce import similarities


class SkeletonContrastive(nn.Module):
    """NT-Xent over two differently disturbed views, with more negatives from a queue.

    Args:
        temperature: ``tau``, fixed.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(
        self,
        first: Float[Tensor, "N D"],
        second: Float[Tensor, "N D"],
        ids: Int64[Tensor, " N"],
        *,
        queued: Features | None = None,
    ) -> Loss:
        """The loss of a batch.

        Args:
            first: unit-norm projections of one view of each sample.
            second: of the other view.
            ids: which clip each sample is.
            queued: older samples, with no concepts.
        """
        views, view_ids = torch.cat([first, second]), torch.cat([ids, ids])
        keys, key_ids = views, view_ids
        if queued is not None:
            keys = torch.cat([views, queued.skeleton])
            key_ids = torch.cat([view_ids, queued.ids])
        logits = similarities(views, keys, self.temperature)
        other = _other_view(len(ids), views.device)
        logits = logits.masked_fill(_same_clip(view_ids, key_ids, other), -torch.inf)
        loss = functional.cross_entropy(logits, other)
        found = (logits.detach().argmax(dim=1) == other).float().mean()
        return Loss(total=loss, measures={"loss/views": loss.detach(), "found/views": found})


def _other_view(count: int, device: torch.device) -> Int64[Tensor, " P"]:
    """Where each of the ``2 * count`` views finds its partner."""
    return torch.arange(2 * count, device=device).roll(count)


def _same_clip(
    ids: Int64[Tensor, " P"], key_ids: Int64[Tensor, " K"], other: Int64[Tensor, " P"]
) -> Tensor:
    """True for keys of the query's own clip, itself included, but not for its other view."""
    same = ids[:, None] == key_ids
    same[torch.arange(len(ids), device=ids.device), other] = False
    return same
