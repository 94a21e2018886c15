r"""InfoNCE, both ways: each skeleton finds its concept among all, and each concept its skeleton.

    P[s>c]_ij = softmax_j(s_i . c_j / tau)          P[c>s]_ij = softmax_j(c_i . s_j / tau)
    L = sum_c lambda_c * 1/2 [CE(I, P[s>c]) + CE(I, P[c>s])]
    CE(T, P) = -mean_i sum_j T_ij log P_ij

van den Oord et al. 2018 (arXiv 1807.03748, eq. 4), symmetric as in CLIP (Radford et al., ICML
2021, fig. 3). With a queue, j runs over the batch and the queue, and I is shared between all
keys of the same clip, as in ALBEF's retrieval, so that a positive is never a negative.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from c2vl_serve.errors import C2VLError
from c2vl_training.objectives.features import Features, Loss
from c2vl_training.objectives.temperature import Temperature


def similarities(
    queries: Float[Tensor, "N D"], keys: Float[Tensor, "K D"], tau: Float[Tensor, ""] | float
) -> Float[Tensor, "N K"]:
    """``q_i . k_j / tau``, in float32 even where the network runs in bfloat16."""
    with torch.autocast(queries.device.type, enabled=False):
        return queries.float() @ keys.float().T / tau


def identity(ids: Int64[Tensor, " N"], key_ids: Int64[Tensor, " K"]) -> Float[Tensor, "N K"]:
    """``I``: the whole weight on the keys of the same clip, in equal shares.

    The identity matrix where every clip occurs once. Rows sum to 1 where each query's clip is
    among the keys.
    """
    same = (ids[:, None] == key_ids).float()
    return same / same.sum(dim=1, keepdim=True).clamp(min=1)


def cross_entropy(targets: Float[Tensor, "N K"], logits: Float[Tensor, "N K"]) -> Float[Tensor, ""]:
    """``CE(T, softmax(logits)) = -mean_i sum_j T_ij log P_ij``, in nats."""
    return -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()


def both_ways(
    online: Features,
    keys: Features,
    concept: str,
    tau: Float[Tensor, ""],
    targets: tuple[Float[Tensor, "N K"], Float[Tensor, "N K"]],
) -> Float[Tensor, ""]:
    """``1/2 [CE(T[s>c], P[s>c]) + CE(T[c>s], P[c>s])]`` of one concept.

    Args:
        online: the batch, which asks.
        keys: the batch again, then the queue.
        concept: its name.
        tau: the predictions' temperature.
        targets: ``T[s>c]`` and ``T[c>s]``.
    """
    forth = similarities(online.skeleton, keys.concepts[concept], tau)
    back = similarities(online.concepts[concept], keys.skeleton, tau)
    return (cross_entropy(targets[0], forth) + cross_entropy(targets[1], back)) / 2


def weighted_sum(
    losses: dict[str, Float[Tensor, ""]], weights: dict[str, float]
) -> Float[Tensor, ""]:
    """``sum_c lambda_c L_c``.

    Raises:
        C2VLError: when there is no concept, or one without a weight.
    """
    if not losses or not set(losses) <= set(weights):
        raise C2VLError(
            f"the objective was given the concepts {sorted(losses)}; expected one or more of "
            f"{sorted(weights)}, which have a weight; embed the clips or add a weight"
        )
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()


class InfoNCE(nn.Module):
    """The symmetric contrastive loss with hard targets.

    Args:
        weights: ``lambda_c`` of each concept.
        temperature: ``tau`` before training.
    """

    def __init__(self, weights: dict[str, float], temperature: float = 0.07) -> None:
        super().__init__()
        self.weights = dict(weights)
        self.temperature = Temperature(temperature)

    def forward(
        self,
        online: Features,
        progress: float = 0.0,
        *,
        average: Features | None = None,
        queued: Features | None = None,
    ) -> Loss:
        """The loss of a batch.

        Args:
            online: the batch, with gradient.
            progress: not used: hard targets stay as they are.
            average: not used; here so that all cross-modal objectives are called alike.
            queued: older samples from averaged weights, more keys to tell apart.

        Raises:
            C2VLError: for no concept, or one without a weight.
        """
        keys, tau = online.followed_by(queued), self.temperature()
        targets = identity(online.ids, keys.ids)
        losses = {
            name: both_ways(online, keys, name, tau, (targets, targets)) for name in online.concepts
        }
        measures = {f"loss/{name}": loss.detach() for name, loss in losses.items()}
        return Loss(
            total=weighted_sum(losses, self.weights),
            measures={**measures, "temperature": tau.detach()},
        )
