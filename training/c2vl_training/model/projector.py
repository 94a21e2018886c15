"""Projectors into the space that skeletons and concepts share, and the copy of averaged weights.

    windows    -> encoder -> Projector     -> s
    embeddings (frozen)   -> ConceptHeads  -> v, l, u

The projector is thrown away after pretraining, unless the language head is kept for text
zero-shot; linear and kNN evaluation read the encoder before it.
"""

import copy
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from c2vl_serve.errors import C2VLError

Model = TypeVar("Model", bound=nn.Module)

UNION = "union"  # the concept made of all others


class Projector(nn.Module):
    """Representation to unit-norm features: two layers (SimCLR, Chen et al., ICML 2020, sec. 4.2).

    Args:
        num_features: D of the encoder.
        num_projected: P of the shared space.
        num_hidden: width between the two layers; as the encoder's where None.
    """

    def __init__(
        self, num_features: int, num_projected: int = 128, num_hidden: int | None = None
    ) -> None:
        super().__init__()
        num_hidden = num_hidden or num_features
        # Without the normalisation all skeletons begin as nearly one direction, and two views of
        # a clip never come to be told from those of others.
        self.layers = nn.Sequential(
            nn.Linear(num_features, num_hidden, bias=False),
            nn.BatchNorm1d(num_hidden),
            nn.ReLU(),
            nn.Linear(num_hidden, num_projected),
        )

    def forward(self, representation: Float[Tensor, "N D"]) -> Float[Tensor, "N P"]:
        """``s``, in float32."""
        return functional.normalize(self.layers(representation).float(), dim=1)


class ConceptHeads(nn.Module):
    """Frozen embeddings to unit-norm concepts; from two sources or more also their union.

    One linear layer a concept: small, so that what the embeddings say stays as it is.

    Args:
        widths: for each source (``vision``, ``language``) the width of its embeddings.
        num_projected: P of the shared space.
        centres: for each source what all its embeddings have in common; it is taken away first.
            Sentences about movement are so alike (cosines of 0.94 to 0.98) that their
            self-similarity says little before. None takes nothing away.
    """

    def __init__(
        self,
        widths: dict[str, int],
        num_projected: int = 128,
        centres: dict[str, Float[Tensor, " E"]] | None = None,
    ) -> None:
        super().__init__()
        if not widths or UNION in widths:
            raise C2VLError(
                f"concept heads were given the sources {sorted(widths)}; expected one or more, "
                f"none called {UNION!r}, which is made from the others; rename or add one"
            )
        self.sources, self.widths = tuple(widths), dict(widths)
        sizes = dict(widths)
        if len(widths) > 1:
            sizes[UNION] = sum(widths.values())
        self.heads = nn.ModuleDict(
            {name: nn.Linear(width, num_projected) for name, width in sizes.items()}
        )
        for name, width in widths.items():
            centre = torch.zeros(width) if centres is None else centres[name].clone()
            self.register_buffer(f"centre_{name}", centre)

    @property
    def concepts(self) -> tuple[str, ...]:
        """Names of what comes out, in order."""
        return tuple(self.heads)

    def forward(
        self, embeddings: dict[str, Float[Tensor, "N _"]]
    ) -> dict[str, Float[Tensor, "N P"]]:
        """``v``, ``l`` and ``u``, in float32; the embeddings' own lengths do not matter.

        Raises:
            C2VLError: when the embeddings are not of the sources that there are heads for.
        """
        if set(embeddings) != set(self.sources):
            raise C2VLError(
                f"concept heads got embeddings of {sorted(embeddings)}; expected those of "
                f"{sorted(self.sources)}; embed the others too, or build the heads without them"
            )
        inputs = {name: self._centred(name, embeddings[name]) for name in self.sources}
        if UNION in self.heads:
            inputs[UNION] = torch.cat([inputs[name] for name in self.sources], dim=1)
        return {
            name: functional.normalize(head(inputs[name]).float(), dim=1)
            for name, head in self.heads.items()
        }

    def _centred(self, name: str, embeddings: Float[Tensor, "N E"]) -> Float[Tensor, "N E"]:
        own = functional.normalize(embeddings.float(), dim=1) - self.get_buffer(f"centre_{name}")
        return functional.normalize(own, dim=1)


def averaged_copy(model: Model) -> Model:
    """A copy that :func:`follow` moves; never trained itself."""
    return copy.deepcopy(model).requires_grad_(False)


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """``average = decay * average + (1 - decay) * model``, batch statistics included.

    The momentum encoder of MoCo (He et al., CVPR 2020, eq. 2). Counters are copied.

    Args:
        average: made by :func:`averaged_copy`.
        model: the same network, in training.
        decay: 0 copies, 1 stays.
    """
    for kept, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(value, 1 - decay)
        else:
            kept.copy_(value)
