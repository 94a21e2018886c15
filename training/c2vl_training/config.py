"""TrainConfig: everything that decides a training run, frozen whole into its checkpoint."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from c2vl_serve.errors import C2VLError
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_training.data.batches import Sampling
from c2vl_training.model.classifier import STREAMS, Stream
from c2vl_training.model.encoders import EncoderConfig
from c2vl_training.model.temporal import SMALL_TEMPORAL, TemporalConfig
from c2vl_training.precision import Precision


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One network of those that answer as one.

    Attributes:
        encoder: sizes of the network.
        num_steps: optimiser steps.
        batch_size: windows a step.
        learning_rate: peak of a one-cycle schedule.
        stream: the only one that this network looks at; all of them by default.
    """

    encoder: EncoderConfig = field(default_factory=TemporalConfig)
    num_steps: int = 1600
    batch_size: int = 256
    learning_rate: float = 2e-3
    stream: Stream = "all"

    def shortened(self, share: float) -> "Member":
        """The same network with a share of its steps."""
        return replace(self, num_steps=max(1, round(self.num_steps * share)))


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """A supervised training run.

    Attributes:
        name: of the recipe, and of the bundle made from it.
        version: of the bundle.
        description: one or two sentences for the bundle's card.
        labels: for each set its classes and the label each one gets.
        hold_still: add the label for standing still, from held first frames.
        preprocessing: the one that serving will use.
        sampling: how windows are drawn and disturbed.
        members: networks that are trained from different seeds and answer as one.
        experts: recipes of one set each, whose networks are asked as well where a window looks
            like the recordings of their set.
        gate: the network that tells these recordings apart.
        head_dropout: probability of dropping a feature before the last layer.
        schedule_share: how much of the one-cycle schedule is run. The averaged weights need no
            cooling down, and a network that was cooled down is surer of the training sets' look.
        weight_decay: of AdamW.
        label_smoothing: share of the target spread over all labels.
        ema: decay of the averaged weights that are kept.
        precision: of the networks' arithmetic.
        seed: of all chance.
    """

    name: str
    version: str
    description: str
    labels: dict[str, dict[str, str]]
    hold_still: bool = True
    preprocessing: PreprocessingConfig = field(default_factory=PreprocessingConfig)
    sampling: Sampling = field(default_factory=Sampling)
    members: tuple[Member, ...] = (Member(),)
    experts: tuple["TrainConfig", ...] = ()
    gate: Member = field(default_factory=lambda: Member(encoder=SMALL_TEMPORAL, num_steps=150))
    head_dropout: float = 0.4
    schedule_share: float = 0.75
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    ema: float = 0.998
    precision: Precision = "bfloat16"
    seed: int = 0

    def shortened(self, share: float) -> "TrainConfig":
        """The same run with a share of its steps."""
        return replace(
            self,
            members=tuple(member.shortened(share) for member in self.members),
            experts=tuple(expert.shortened(share) for expert in self.experts),
            gate=self.gate.shortened(share),
        )

    def without(self, *set_names: str) -> "TrainConfig":
        """The same run without some sets, to measure what it is worth on them.

        Raises:
            C2VLError: when it does not have one of them, or has no other.
        """
        labels = {name: of_set for name, of_set in self.labels.items() if name not in set_names}
        if len(labels) != len(self.labels) - len(set(set_names)) or not labels:
            raise C2VLError(
                f"recipe {self.name!r} cannot leave out {', '.join(set_names)}; "
                f"it has {', '.join(self.labels)}, of which one at least must stay"
            )
        name = "-without-".join([self.name, *set_names])
        experts = tuple(expert for expert in self.experts if expert.name not in set_names)
        return replace(self, name=name, labels=labels, experts=experts)

    def without_experts(self) -> "TrainConfig":
        """The same run with the networks of all sets alone."""
        return replace(self, experts=())

    def fused_late(self) -> "TrainConfig":
        """The same run with a network for each stream in the place of each of its members."""
        members = tuple(
            replace(member, stream=stream) for member in self.members for stream in STREAMS
        )
        return replace(self, members=members)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, whole."""
        return {**asdict(self), "preprocessing": self.preprocessing.to_dict()}
