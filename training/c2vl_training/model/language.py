"""LanguageHead: from a classifier's representation to the space of text embeddings.

With it a bundle can be asked for texts it has no label for: the texts whose embeddings lie nearest
to the concept of a window are the answer (CLIP, Radford et al., ICML 2021, sec. 3.1.2). The texts
are embedded before, so that serving needs no text tower.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from torch import Tensor, nn

from c2vl_serve.errors import BundleError

SMALLEST = 1e-6  # that half floats can tell from 0


class LanguageHead(nn.Module):
    """Representation to concept: two layers, then unit length.

    Args:
        num_features: D of the representation, of all members together.
        num_embedding: E of the texts' embeddings.
        num_hidden: width between the two layers.
    """

    def __init__(self, num_features: int, num_embedding: int, num_hidden: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(num_features, num_hidden),
            nn.GELU(),
            nn.Linear(num_hidden, num_embedding),
        )

    def forward(self, representation: Float[Tensor, "N D"]) -> Float[Tensor, "N E"]:
        """The concept of each window, of unit length."""
        x = self.layers(representation)
        # Brought to 1 at most first: squares must not leave the range of half floats.
        x = x / x.abs().amax(dim=1, keepdim=True).clamp(min=SMALLEST)
        return x / x.square().sum(dim=1, keepdim=True).sqrt().clamp(min=SMALLEST)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Language:
    """What a checkpoint knows of texts.

    Attributes:
        head: gives the concept of a representation, in evaluation mode.
        texts: that can be asked for.
        embeddings: of unit length, one a text.
        temperature: cosines are divided by it before the softmax.
        encoder: the sentence encoder that made the embeddings.
    """

    head: nn.Module
    texts: tuple[str, ...]
    embeddings: Float32[np.ndarray, "K E"]
    temperature: float
    encoder: str

    def __post_init__(self) -> None:
        """Refuse texts and embeddings that do not belong together.

        Raises:
            BundleError: saying how many there are of each.
        """
        if len(self.texts) != len(self.embeddings):
            raise BundleError(
                f"the language part has {len(self.texts)} texts and {len(self.embeddings)} "
                "embeddings; expected as many of each: embed the texts again"
            )


class WithLanguage(nn.Module):
    """A model of logits and representation that gives the concept besides; what is exported."""

    def __init__(self, model: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.model, self.head = model, head

    def forward(
        self, x: Float[Tensor, "N C T V M"]
    ) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N D"], Float[Tensor, "N E"]]:
        """Logits, representation and concept of each window."""
        logits, representation = self.model(x)
        return logits, representation, self.head(representation)


def stored_head(weights: dict[str, Tensor]) -> LanguageHead:
    """The head that these weights belong to, in evaluation mode.

    Raises:
        BundleError: when they are no such head's.
    """
    try:
        first, last = weights["layers.0.weight"], weights["layers.2.weight"]
        head = LanguageHead(first.shape[1], len(last), num_hidden=len(first))
        head.load_state_dict(weights)
    except (KeyError, RuntimeError) as error:
        raise BundleError(
            f"the checkpoint's language head does not fit: {error}; train it again"
        ) from error
    return head.eval()
