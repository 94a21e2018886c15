"""Classifier: an encoder and one linear layer over its representation."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from c2vl_training.model.encoders import EncoderConfig, build_encoder


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierConfig:
    """What a classifier is built from."""

    num_channels: int
    num_joints: int
    num_labels: int
    encoder: EncoderConfig
    dropout: float = 0.4


class Classifier(nn.Module):
    """Skeleton windows to logits and representation."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.encoder = build_encoder(config.num_channels, config.num_joints, config.encoder)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(self.encoder.num_features, config.num_labels)

    def forward(
        self, x: Float[Tensor, "N C T V M"]
    ) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N D"]]:
        """Logits over the labels, and the representation they are read from."""
        representation = self.encoder(x)
        return self.head(self.dropout(representation)), representation
