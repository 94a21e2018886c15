"""Classifier: an encoder and one linear layer over its representation.

Streams meet early, as channels of one encoder; or late: each has a classifier of its own, and
their logits are averaged (2s-AGCN, Shi et al., CVPR 2019, sec. 3.4, adds their scores).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from c2vl_serve.errors import C2VLError
from c2vl_training.model.encoders import EncoderConfig, build_encoder

Stream = Literal["all", "joint", "bone", "motion"]
STREAMS: tuple[Stream, ...] = ("joint", "bone", "motion")  # as preprocessing orders the channels


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierConfig:
    """What a classifier is built from.

    Attributes:
        num_channels: C of the input.
        num_joints: V of the input.
        num_labels: K.
        encoder: its sizes.
        dropout: probability of dropping a feature before the last layer.
        stream: the one that is looked at; all of them meet early otherwise.
    """

    num_channels: int
    num_joints: int
    num_labels: int
    encoder: EncoderConfig
    dropout: float = 0.4
    stream: Stream = "all"


class Classifier(nn.Module):
    """Skeleton windows to logits and representation."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.channels = stream_channels(config.stream, config.num_channels)
        self.encoder = build_encoder(len(self.channels), config.num_joints, config.encoder)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(self.encoder.num_features, config.num_labels)

    def forward(
        self, x: Float[Tensor, "N C T V M"]
    ) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N D"]]:
        """Logits over the labels, and the representation they are read from."""
        if len(self.channels) < x.shape[1]:
            x = torch.cat([x[:, c : c + 1] for c in self.channels], dim=1)
        representation = self.encoder(x)
        return self.head(self.dropout(representation)), representation


def stream_channels(stream: Stream, num_channels: int) -> tuple[int, ...]:
    """The input channels of a stream, and the last one, which tells what was seen.

    Raises:
        C2VLError: when the input does not have this stream.
    """
    if stream == "all":
        return tuple(range(num_channels))
    first = 3 * STREAMS.index(stream)
    if num_channels != 3 * len(STREAMS) + 1:
        raise C2VLError(
            f"stream {stream!r} was asked for from an input of {num_channels} channels; expected "
            f"{3 * len(STREAMS) + 1}: {', '.join(STREAMS)}, and what was seen; preprocess to these"
        )
    return (*range(first, first + 3), num_channels - 1)
