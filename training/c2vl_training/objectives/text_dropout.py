"""Text dropout: a clip's embedding is the mean of a random 1..k of its sentences each step.

No single noisy sentence is then learned by heart, and the mean of all is what evaluation and the
kept targets see. The same pooling serves the frames of a clip.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from c2vl_serve.errors import C2VLError


def mean_embeddings(
    embeddings: Float[Tensor, "N S E"], given: Bool[Tensor, "N S"]
) -> Float[Tensor, "N E"]:
    """The mean over the sentences (or frames) of each sample; for evaluation.

    Args:
        embeddings: frozen ones, padded to S a sample.
        given: False for padding.

    Raises:
        C2VLError: when a sample has no sentence.
    """
    _check_every_sample_has_one(given)
    weights = given.to(embeddings.dtype)[..., None]
    return (embeddings * weights).sum(dim=1) / weights.sum(dim=1)


def dropped_embeddings(
    embeddings: Float[Tensor, "N S E"],
    given: Bool[Tensor, "N S"],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "N E"]:
    """The mean over a random 1..k of a sample's k sentences, each number equally likely.

    Args:
        embeddings: frozen ones, padded to S a sample.
        given: False for padding.
        generator: of the chance, on the embeddings' device.

    Raises:
        C2VLError: when a sample has no sentence.
    """
    _check_every_sample_has_one(given)
    device = embeddings.device
    num_given = given.sum(dim=1)
    chance = torch.rand(len(given), generator=generator, device=device)
    num_kept = 1 + (chance * num_given).long().clamp(max=num_given - 1)
    order = torch.rand(given.shape, generator=generator, device=device)
    rank = order.masked_fill(~given, 2).argsort(dim=1).argsort(dim=1)  # padding comes last
    return mean_embeddings(embeddings, rank < num_kept[:, None])


def _check_every_sample_has_one(given: Bool[Tensor, "N S"]) -> None:
    empty = (~given.any(dim=1)).nonzero().flatten()
    if len(empty):
        raise C2VLError(
            f"{len(empty)} of {len(given)} samples have no sentence (first: sample "
            f"{int(empty[0])} of the batch); expected at least one each; describe those clips "
            "or leave them out"
        )
