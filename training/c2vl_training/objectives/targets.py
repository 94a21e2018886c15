r"""Targets: how far a batch's samples are to be told apart, from hard to soft as training goes on.

    A[c]_ij = softmax_j(c_i . c_j / tau_q)                     intra-modal self-similarity
    B[s>c]  = P~[c>s],   B[c>s] = P~[s>c]                      inter-modal cross-consistency
    T_t     = (1 - a_t) I + a_t (w A + (1 - w) B)              progressive blend

The two ideas and their progressive control are C2VL's (Chen et al., arXiv 2405.20606, abstract);
the formulas are our reconstruction of it. A guides as in SoftCLIP (Gao et al., AAAI 2024), B
swaps the direction as in Andonian et al. (CVPR 2022), the blend is PS-KD's (Kim et al., ICCV
2021, sec. 3). Everything here is detached: nothing flows through a target.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from c2vl_training.objectives.features import Features
from c2vl_training.objectives.infonce import identity, similarities

Side = Literal["key", "query"]


@torch.no_grad()
def self_similarity(
    features: Float[Tensor, "N D"], keys: Float[Tensor, "K D"], tau_q: float
) -> Float[Tensor, "N K"]:
    """``A``: how alike the samples are within one modality; identical ones get equal weight."""
    return similarities(features, keys, tau_q).softmax(dim=1)


@torch.no_grad()
def cross_consistency(
    concepts: Float[Tensor, "N D"], keys: Float[Tensor, "K D"], tau: Float[Tensor, ""] | float
) -> Float[Tensor, "N K"]:
    """``B``: what the other direction predicts.

    Args:
        concepts: the modality of the guided direction's keys, here asking.
        keys: the modality of the guided direction's queries, here answering.
        tau: the predictions' own temperature.
    """
    return similarities(concepts, keys, tau).softmax(dim=1)


def blend(
    hard: Float[Tensor, "N K"],
    similar: Float[Tensor, "N K"],
    consistent: Float[Tensor, "N K"],
    softness: float,
    share: float,
) -> Float[Tensor, "N K"]:
    """``T_t = (1 - a_t) I + a_t (w A + (1 - w) B)``.

    Args:
        hard: ``I``.
        similar: ``A``.
        consistent: ``B``.
        softness: ``a_t``.
        share: ``w``.
    """
    return (1 - softness) * hard + softness * (share * similar + (1 - share) * consistent)


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetRule:
    """How the two soft targets are made and mixed.

    Attributes:
        self_similarity_temperature: ``tau_q``.
        self_similarity_share: ``w``: 1 is self-similarity alone, 0 cross-consistency alone.
        guide: whose self-similarity guides a direction: its keys' (``s>c`` follows ``A[c]``) or,
            as in SoftCLIP, its queries'.
    """

    self_similarity_temperature: float = 0.1
    self_similarity_share: float = 0.5
    guide: Side = "key"

    @torch.no_grad()
    def pair(
        self,
        samples: Features,
        keys: Features,
        concept: str,
        tau: Float[Tensor, ""] | float,
        softness: float,
    ) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N K"]]:
        """``T[s>c]`` and ``T[c>s]`` of one concept.

        Args:
            samples: the batch, from averaged weights where there are any.
            keys: the batch again, then the queue.
            concept: which one.
            tau: the predictions' temperature.
            softness: ``a_t``.
        """
        s, c = (
            (samples.skeleton, keys.skeleton),
            (samples.concepts[concept], keys.concepts[concept]),
        )
        hard = identity(samples.ids, keys.ids)
        similar = [self_similarity(*f, self.self_similarity_temperature) for f in (c, s)]
        if self.guide == "query":
            similar.reverse()
        consistent = [cross_consistency(a, b, tau) for a, b in ((c[0], s[1]), (s[0], c[1]))]
        share = self.self_similarity_share
        forth, back = (
            blend(hard, a, b, softness, share) for a, b in zip(similar, consistent, strict=True)
        )
        return forth, back
