"""Experts: small networks that know one set's recordings each, and a gate that tells these apart.

A mixture of experts with a learned gate (Jacobs et al., Neural Computation 1991). The gate says
how far a window looks like the recordings of each expert's set, or like none of them. An expert
then moves the logits of the networks that know all sets: among its own labels towards its own
opinion, and down for labels that its set does not have.

Recordings of depth cameras and mocap know the body's way through the room, poses from one camera's
video do not: without any travel the gate is not asked, and no expert has a say.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from c2vl_training.model.classifier import Classifier, ClassifierConfig
from c2vl_training.model.encoders import Encoder

# Of PreprocessingConfig's travel, a frame. Single-camera landmarks stay below 0.0007, as their
# rounding and their pinned hips do; recordings of people who stand still are above 0.002.
LEAST_TRAVEL = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertConfig:
    """What one expert is built from.

    Attributes:
        set_name: whose recordings it knows.
        labels: for each of its logits the index of the label among all labels.
        networks: they answer as one.
    """

    set_name: str
    labels: tuple[int, ...]
    networks: tuple[ClassifierConfig, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertsConfig:
    """What :class:`Experts` are built from.

    Attributes:
        gate: one logit an expert, in their order, and a last one for what is none of theirs.
        experts: one a set.
        num_labels: K, of the logits to move.
        travel_channel: the first of the three input channels that hold the motion of joints.
        root: index of the joint whose motion is the body's way through the room.
        idle: index of the label for standing still, which every set has; None without.
        weight: of an expert's opinion among its own labels; the rest is the others'.
        penalty: by how much the logits of labels sink that its set does not have.
    """

    gate: ClassifierConfig
    experts: tuple[ExpertConfig, ...]
    num_labels: int
    travel_channel: int
    root: int
    idle: int | None = None
    weight: float = 0.5
    penalty: float = 2.0


class _Expert(nn.Module):
    """How the logits over all labels should move if a window is one of this expert's set."""

    own: Tensor
    place: Tensor
    foreign: Tensor

    def __init__(self, config: ExpertConfig, shared: ExpertsConfig) -> None:
        super().__init__()
        self.networks = nn.ModuleList(Classifier(each) for each in config.networks)
        own = torch.tensor(config.labels)
        place = shared.weight * functional.one_hot(own, shared.num_labels).float()
        foreign = torch.full((shared.num_labels,), -shared.penalty)
        foreign[own] = 0
        if shared.idle is not None:
            foreign[shared.idle] = 0
        self.register_buffer("own", own, persistent=False)
        self.register_buffer("place", place, persistent=False)
        self.register_buffer("foreign", foreign, persistent=False)

    def forward(
        self, x: Float[Tensor, "N C T V M"], logits: Float[Tensor, "N K"]
    ) -> Float[Tensor, "N K"]:
        """The move, ``N K``; a constant added to either's logits does not change it."""
        opinion = torch.stack([network(x)[0] for network in self.networks]).mean(dim=0)
        own = logits.index_select(1, self.own)
        # Both as shares of the set's labels: the expert is not asked how likely these are at all.
        change = functional.log_softmax(opinion, dim=1) - functional.log_softmax(own, dim=1)
        return change @ self.place + self.foreign


class Experts(nn.Module):
    """Logits of networks that know all sets, moved by those that know one.

    Shares are picked, put to zero and summed by operators that an int8 export neither rounds nor
    looks for the range of: that of one share alone may be nothing.
    """

    asked: Tensor

    def __init__(self, config: ExpertsConfig) -> None:
        super().__init__()
        self.travel_channel, self.root = config.travel_channel, config.root
        self.gate = Classifier(config.gate)
        self.register_buffer("asked", torch.arange(len(config.experts)), persistent=False)
        self.experts = nn.ModuleList(_Expert(each, config) for each in config.experts)

    @property
    def networks(self) -> list[tuple[Classifier, ...]]:
        """Those of each expert, in order."""
        return [
            tuple(each for each in expert.networks if isinstance(each, Classifier))
            for expert in self.experts
            if isinstance(expert, _Expert)
        ]

    @property
    def encoders(self) -> list[list[Encoder]]:
        """Those of each expert's networks, in order."""
        return [[each.encoder for each in networks] for networks in self.networks]

    def shares(self, x: Float[Tensor, "N C T V M"]) -> Float[Tensor, "N S"]:
        """How far each window looks like each expert's set; what lacks to 1 is none of them."""
        looks_like = self.gate(x)[0].softmax(dim=1).index_select(1, self.asked)
        motion = x[:, self.travel_channel : self.travel_channel + 3]
        travel = motion[:, :, :, self.root].abs().amax(dim=(1, 2, 3))
        return torch.where(travel[:, None] > LEAST_TRAVEL, looks_like, 0.0)

    def forward(
        self, x: Float[Tensor, "N C T V M"], logits: Float[Tensor, "N K"]
    ) -> Float[Tensor, "N K"]:
        """The moved logits."""
        moves = torch.stack([expert(x, logits) for expert in self.experts], dim=1)
        return logits + (self.shares(x)[:, None] @ moves)[:, 0]


def experts_of(
    config: ExpertsConfig, gate: Classifier, networks: tuple[tuple[Classifier, ...], ...]
) -> Experts:
    """Trained networks, those of each expert together, as one module in evaluation mode."""
    experts = Experts(config)
    parts = {"gate": gate} | {
        f"experts.{expert}.networks.{index}": network
        for expert, trained in enumerate(networks)
        for index, network in enumerate(trained)
    }
    experts.load_state_dict(
        {
            f"{place}.{name}": value
            for place, part in parts.items()
            for name, value in part.state_dict().items()
        }
    )
    return experts.eval()
