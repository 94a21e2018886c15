"""Queue: features of earlier batches, so that a small batch is told apart from many samples.

First in, first out, filled from averaged weights so that old entries still agree with new ones:
MoCo (He et al., CVPR 2020, sec. 3.2); skeletons and concepts of one sample share a place, as in
ALBEF (Li et al., NeurIPS 2021, sec. 3.2). Each entry remembers which clip it is.
"""

import torch
from torch import Tensor, nn

from c2vl_serve.errors import C2VLError
from c2vl_training.objectives.features import Features


class FeatureQueue(nn.Module):
    """The last ``size`` samples, kept in buffers so that a resumed run has them too.

    Args:
        size: number of places.
        num_features: D of skeleton and concepts.
        concepts: names of the concepts; none for a skeleton-only objective.
    """

    skeleton: Tensor
    ids: Tensor
    count: Tensor

    def __init__(self, size: int, num_features: int, concepts: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.size, self.concepts = size, concepts
        for name in ("skeleton", *(_buffer(concept) for concept in concepts)):
            self.register_buffer(name, torch.zeros(size, num_features))
        self.register_buffer("ids", torch.full((size,), -1))
        self.register_buffer("count", torch.tensor(0))  # samples that ever came in

    def entries(self) -> Features | None:
        """What is in the queue, copied; None while it is empty."""
        filled = min(int(self.count), self.size)
        if filled == 0:
            return None
        return Features(
            skeleton=self.skeleton[:filled].clone(),
            concepts={name: self._of(name)[:filled].clone() for name in self.concepts},
            ids=self.ids[:filled].clone(),
        )

    @torch.no_grad()
    def push(self, features: Features) -> None:
        """Take a batch in, over the oldest entries.

        Push after the loss: a batch that is already in the queue would meet itself.

        Raises:
            C2VLError: when the batch is larger than the queue or has other concepts.
        """
        N = len(features.ids)
        if self.size < N or set(features.concepts) != set(self.concepts):
            raise C2VLError(
                f"queue of {self.size} places for the concepts {sorted(self.concepts)} was given "
                f"{N} samples with {sorted(features.concepts)}; make it at least a batch long "
                "and name the same concepts"
            )
        places = (int(self.count) + torch.arange(N, device=self.ids.device)) % self.size
        self.skeleton[places] = features.skeleton.detach().to(self.skeleton.dtype)
        for name, concept in features.concepts.items():
            self._of(name)[places] = concept.detach().to(self.skeleton.dtype)
        self.ids[places] = features.ids
        self.count += N

    def _of(self, concept: str) -> Tensor:
        return self.get_buffer(_buffer(concept))


def _buffer(concept: str) -> str:
    return f"concept_{concept}"
