"""What a pretraining run is decided by: its configuration, and the knowledge about its clips."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_training.data.augment import CameraModel
from c2vl_training.data.batches import Sampling
from c2vl_training.knowledge.store import joined, read_knowledge
from c2vl_training.model.encoders import EncoderConfig
from c2vl_training.model.temporal import TemporalConfig
from c2vl_training.objectives.c2vl import C2VLConfig
from c2vl_training.objectives.text_dropout import dropped_embeddings, mean_embeddings
from c2vl_training.precision import Precision


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig:
    """Everything that decides a pretraining run; frozen whole into its checkpoint.

    Attributes:
        name: of the recipe.
        objective: ``c2vl`` pulls skeletons to their concepts (InfoNCE where ``a_max`` is 0);
            ``skeleton`` pulls two augmented windows of a clip together.
        c2vl: of the first objective.
        skeleton_weight: of the second objective beside the first, between a window of the clip
            and another one as the averaged network sees it; that one's features then guide
            the first objective too.
        preprocessing: the one that serving will use.
        sampling: how windows are drawn; nothing in it may mirror a clip whose text names sides.
        encoder: sizes of the network that is kept.
        num_projected: width of the shared space.
        centre: take away what all embeddings of a source have in common.
        queue: samples of earlier batches that a batch is compared with as well.
        momentum: decay of the averaged weights.
        num_steps: optimiser steps.
        batch_size: clips a step.
        learning_rate: peak of a one-cycle schedule.
        weight_decay: of AdamW.
        precision: of the encoder's arithmetic.
        seed: of all chance.
    """

    name: str
    objective: Literal["c2vl", "skeleton"] = "c2vl"
    c2vl: C2VLConfig = field(default_factory=C2VLConfig)
    skeleton_weight: float = 0.0
    preprocessing: PreprocessingConfig = field(default_factory=PreprocessingConfig)
    sampling: Sampling = field(
        default_factory=lambda: Sampling(mirror=0.0, camera=CameraModel(probability=0.3))
    )
    encoder: EncoderConfig = field(default_factory=TemporalConfig)
    num_projected: int = 128
    centre: bool = True
    queue: int = 1024
    momentum: float = 0.99
    num_steps: int = 400
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    precision: Precision = "bfloat16"
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, whole."""
        return {**asdict(self), "preprocessing": self.preprocessing.to_dict()}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Knowledge:
    """Frozen embeddings of a pool's clips, by source (``vision``, ``language``).

    Attributes:
        embeddings: up to S sentences or frames a clip.
        given: False for padding.
    """

    embeddings: dict[str, Float[Tensor, "N S E"]]
    given: dict[str, Bool[Tensor, "N S"]]

    @classmethod
    def of_files(cls, files: dict[str, list[Path]], ids: tuple[str, ...]) -> "Knowledge":
        """Of these clips, from one or more files a source.

        Raises:
            C2VLError: when a file cannot be used, or lacks a clip.
        """
        read = {
            source: joined([read_knowledge(path) for path in paths]).of(ids)
            for source, paths in files.items()
        }
        return cls(
            embeddings={source: torch.from_numpy(each.embeddings) for source, each in read.items()},
            given={source: torch.from_numpy(each.given) for source, each in read.items()},
        )

    @property
    def widths(self) -> dict[str, int]:
        """E of each source."""
        return {name: value.shape[-1] for name, value in self.embeddings.items()}

    def centres(self) -> dict[str, Float[Tensor, " E"]]:
        """The mean over the clips of each source's unit-norm embeddings."""
        return {
            name: normalize(mean_embeddings(value, self.given[name]), dim=1).mean(dim=0)
            for name, value in self.embeddings.items()
        }

    def of(self, clips: Tensor, generator: torch.Generator) -> dict[str, Float[Tensor, "B E"]]:
        """Embeddings of a batch, each the mean of a random part of what there is."""
        return {
            name: dropped_embeddings(value[clips], self.given[name][clips], generator)
            for name, value in self.embeddings.items()
        }
