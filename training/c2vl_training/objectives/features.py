"""Features: what an objective compares, the unit-norm skeletons and concepts of some samples."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Features:
    """Samples in the shared space: a batch, its copy from averaged weights, or a queue.

    Attributes:
        skeleton: ``s``, one unit vector a sample.
        concepts: ``c`` by name (``vision``, ``language``, ``union``), one unit vector a sample.
        ids: which clip each sample is; two samples of one id are positives of each other.
    """

    skeleton: Float[Tensor, "N D"]
    concepts: dict[str, Float[Tensor, "N D"]] = field(default_factory=dict)
    ids: Int64[Tensor, " N"]

    def detached(self) -> "Features":
        """The same numbers, through which no gradient flows."""
        return Features(
            skeleton=self.skeleton.detach(),
            concepts={name: concept.detach() for name, concept in self.concepts.items()},
            ids=self.ids,
        )

    def followed_by(self, queued: "Features | None") -> "Features":
        """These samples, then the queued ones: the keys that each sample is compared with."""
        if queued is None:
            return self
        return Features(
            skeleton=torch.cat([self.skeleton, queued.skeleton]),
            concepts={
                name: torch.cat([concept, queued.concepts[name]])
                for name, concept in self.concepts.items()
            },
            ids=torch.cat([self.ids, queued.ids]),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Loss:
    """What an objective returns.

    Attributes:
        total: to be minimised.
        measures: detached numbers for the log, such as ``entropy/language`` in nats.
    """

    total: Float[Tensor, ""]
    measures: dict[str, Float[Tensor, ""]]
