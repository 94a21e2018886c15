"""Pretraining: an encoder learns from knowledge about its clips, or from the clips alone.

    windows -> encoder -> projector ------------------+
                                                      +-> objective
    embeddings (frozen) -> text dropout -> heads -----+

No class is read. A run can be killed at any time and goes on to the same result; its averaged
encoder is what evaluation and fine-tuning start from.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from c2vl_serve.errors import C2VLError
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_training.data.augment import CameraModel
from c2vl_training.data.batches import Sampling, WindowSampler
from c2vl_training.data.pool import Pool
from c2vl_training.model.encoders import Encoder, EncoderConfig, build_encoder
from c2vl_training.model.projector import ConceptHeads, Projector, averaged_copy, follow
from c2vl_training.model.temporal import TemporalConfig
from c2vl_training.objectives.c2vl import C2VL, C2VLConfig
from c2vl_training.objectives.diagnostics import effective_rank
from c2vl_training.objectives.features import Features, Loss
from c2vl_training.objectives.queue import FeatureQueue
from c2vl_training.objectives.skeleton_contrastive import SkeletonContrastive
from c2vl_training.objectives.text_dropout import dropped_embeddings
from c2vl_training.state import write_state

logger = logging.getLogger(__name__)

SAVE_EVERY = 50  # steps
MEASURE_EVERY = 10  # steps
MAX_GRADIENT_NORM = 5.0
WARMUP = 0.1  # share of the run in which the learning rate rises


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig:
    """Everything that decides a pretraining run; frozen whole into its checkpoint.

    Attributes:
        name: of the recipe.
        objective: ``c2vl`` pulls skeletons to their concepts (InfoNCE where ``a_max`` is 0);
            ``skeleton`` pulls two augmented windows of a clip together.
        c2vl: of the first objective.
        preprocessing: the one that serving will use.
        sampling: how windows are drawn; nothing in it may mirror a clip whose text names sides.
        encoder: sizes of the network that is kept.
        num_projected: width of the shared space.
        queue: samples of earlier batches that a batch is compared with as well.
        momentum: decay of the averaged weights.
        num_steps: optimiser steps.
        batch_size: clips a step.
        learning_rate: peak of a one-cycle schedule.
        weight_decay: of AdamW.
        seed: of all chance.
    """

    name: str
    objective: Literal["c2vl", "skeleton"] = "c2vl"
    c2vl: C2VLConfig = field(default_factory=C2VLConfig)
    preprocessing: PreprocessingConfig = field(default_factory=PreprocessingConfig)
    sampling: Sampling = field(
        default_factory=lambda: Sampling(mirror=0.0, camera=CameraModel(probability=0.3))
    )
    encoder: EncoderConfig = field(default_factory=TemporalConfig)
    num_projected: int = 128
    queue: int = 1024
    momentum: float = 0.99
    num_steps: int = 400
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
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

    @property
    def widths(self) -> dict[str, int]:
        """E of each source."""
        return {name: value.shape[-1] for name, value in self.embeddings.items()}

    def of(self, clips: Tensor, generator: torch.Generator) -> dict[str, Float[Tensor, "B E"]]:
        """Embeddings of a batch, each the mean of a random part of what there is."""
        return {
            name: dropped_embeddings(value[clips], self.given[name][clips], generator)
            for name, value in self.embeddings.items()
        }


@dataclass(frozen=True, slots=True)
class PretrainProgress:
    """One step is done."""

    step: int
    num_steps: int
    loss: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pretrained:
    """What a run leaves: averaged weights in evaluation mode, and its measures.

    Attributes:
        encoder: what is kept.
        projector: from its representation to the shared space.
        heads: from embeddings to the shared space; None without knowledge.
        measures: by name, each averaged over :data:`MEASURE_EVERY` steps.
    """

    encoder: Encoder
    projector: Projector
    heads: ConceptHeads | None
    measures: dict[str, list[float]]


class _Networks(nn.Module):
    """All that is averaged together."""

    def __init__(self, config: PretrainConfig, knowledge: Knowledge | None) -> None:
        super().__init__()
        self.encoder = build_encoder(
            config.preprocessing.num_channels, config.preprocessing.num_joints, config.encoder
        )
        self.projector = Projector(self.encoder.num_features, config.num_projected)
        self.heads = (
            None if knowledge is None else ConceptHeads(knowledge.widths, config.num_projected)
        )

    def forward(
        self, x: Float[Tensor, "N C T V M"], embeddings: dict[str, Tensor], ids: Tensor
    ) -> Features:
        """Windows and embeddings in the shared space."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            representation = self.encoder(x)
        concepts = self.heads(embeddings) if self.heads is not None else {}
        return Features(skeleton=self.projector(representation.float()), concepts=concepts, ids=ids)


def pretrain(
    config: PretrainConfig,
    pool: Pool,
    knowledge: Knowledge | None = None,
    *,
    state_file: Path | None = None,
    on_step: Callable[[PretrainProgress], None] | None = None,
) -> Pretrained:
    """Train an encoder on ``pool`` without its labels.

    Args:
        config: the whole run.
        pool: clips to learn from; their labels are taken away first.
        knowledge: of these clips in their order; needed by ``c2vl``.
        state_file: where the unfinished run is kept; an existing one is continued.
        on_step: called after each step.

    Raises:
        C2VLError: when the objective needs knowledge and there is none, or it is of other clips.
    """
    _check(config, pool, knowledge)
    torch.manual_seed(config.seed)
    run = _Run(config, pool.unlabelled(), knowledge)
    if state_file is not None and state_file.exists():
        run.restore(torch.load(state_file, weights_only=True))
        logger.info("continuing at step %d of %d", run.step, config.num_steps)
    while run.step < config.num_steps:
        loss = run.advance()
        if on_step is not None:
            on_step(PretrainProgress(run.step, config.num_steps, loss))
        if state_file is not None and (run.step % SAVE_EVERY == 0 or run.step == config.num_steps):
            write_state(run.state(), state_file)
    kept = run.average.eval()
    return Pretrained(
        encoder=kept.encoder, projector=kept.projector, heads=kept.heads, measures=run.measures
    )


def _check(config: PretrainConfig, pool: Pool, knowledge: Knowledge | None) -> None:
    if config.objective == "skeleton":
        if knowledge is not None:
            raise C2VLError(
                "objective 'skeleton' was given knowledge; expected none; use objective 'c2vl', "
                "or leave the knowledge out"
            )
        return
    if knowledge is None:
        raise C2VLError(
            "objective 'c2vl' has no knowledge; expected embeddings of every clip; make them "
            "with `c2vl-train knowledge describe` and `embed`"
        )
    for name, value in knowledge.embeddings.items():
        if len(value) != len(pool):
            raise C2VLError(
                f"{name} embeddings are of {len(value)} clips, the pool has {len(pool)}; "
                "embed the same sets again"
            )


class _Run:
    """Everything that changes during pretraining, so that it can be saved and restored."""

    def __init__(self, config: PretrainConfig, pool: Pool, knowledge: Knowledge | None) -> None:
        self.config, self.knowledge, self.step = config, knowledge, 0
        self.sampler = WindowSampler(pool, config.sampling, {}, config.seed)
        networks = _Networks(config, knowledge)
        # Twice as fast on CPU; torch's stubs lack this overload.
        self.networks = networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = averaged_copy(self.networks)
        self.c2vl = C2VL(config.c2vl)
        self.skeleton = SkeletonContrastive()
        concepts = () if networks.heads is None else networks.heads.concepts
        self.queue = FeatureQueue(config.queue, config.num_projected, concepts)
        self.optimiser = torch.optim.AdamW(self._groups(), lr=config.learning_rate)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser,
            config.learning_rate,
            total_steps=max(config.num_steps, 20),
            pct_start=WARMUP,
        )
        self.measures: dict[str, list[float]] = {}
        self.recent: list[dict[str, float]] = []

    def _groups(self) -> list[dict[str, Any]]:
        """A temperature does not decay."""
        return [
            {
                "params": list(self.networks.parameters()),
                "weight_decay": self.config.weight_decay,
            },
            {"params": list(self.c2vl.parameters()), "weight_decay": 0.0},
        ]

    def advance(self) -> float:
        """One optimiser step, then averaged weights and queue follow."""
        clips = self.sampler.clips(self.config.batch_size, self.step)
        ids = torch.from_numpy(clips)
        self.networks.train()
        self.average.train()  # batch statistics of the same batch, as the networks see them
        if self.config.objective == "skeleton":
            loss, average, online = self._two_views(clips, ids)
        else:
            loss, average, online = self._to_concepts(clips, ids)
        self.optimiser.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.networks.parameters(), MAX_GRADIENT_NORM)
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        follow(self.average, self.networks, min(self.config.momentum, self.step / (self.step + 10)))
        self.queue.push(average)
        self._remember(loss, online)
        return loss.total.item()

    def _view(self, clips: np.ndarray, number: int) -> Tensor:
        rng = np.random.default_rng((self.config.seed, self.step, number))
        return torch.from_numpy(self.sampler.windows(clips, rng)[0])

    def _to_concepts(self, clips: np.ndarray, ids: Tensor) -> tuple[Loss, Features, Features]:
        assert self.knowledge is not None
        x = self._view(clips, 1)
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        embeddings = self.knowledge.of(ids, generator)
        online = self.networks(x, embeddings, ids)
        with torch.no_grad():
            average = self.average(x, embeddings, ids)
        progress = self.step / self.config.num_steps
        return (
            self.c2vl(online, progress, average=average, queued=self.queue.entries()),
            average,
            online,
        )

    def _two_views(self, clips: np.ndarray, ids: Tensor) -> tuple[Loss, Features, Features]:
        first = self.networks(self._view(clips, 1), {}, ids)
        second = self.networks(self._view(clips, 2), {}, ids)
        queued = self.queue.entries()
        return (
            self.skeleton(first.skeleton, second.skeleton, ids, queued=queued),
            second.detached(),
            first,
        )

    def _remember(self, loss: Loss, online: Features) -> None:
        values = {name: float(value) for name, value in loss.measures.items()}
        values["loss"] = loss.total.item()
        values["rank"] = float(effective_rank(online.skeleton.detach()))
        self.recent.append(values)
        if len(self.recent) == MEASURE_EVERY:
            for name in values:
                mean = sum(each[name] for each in self.recent) / MEASURE_EVERY
                self.measures.setdefault(name, []).append(mean)
            self.recent.clear()

    def _parts(self) -> dict[str, Any]:
        return {
            "networks": self.networks,
            "average": self.average,
            "c2vl": self.c2vl,
            "queue": self.queue,
            "optimiser": self.optimiser,
            "schedule": self.schedule,
        }

    def state(self) -> dict[str, Any]:
        """All of it, for ``torch.save``."""
        return {
            "step": self.step,
            "parts": {name: part.state_dict() for name, part in self._parts().items()},
            "chance": torch.get_rng_state(),
            "measures": self.measures,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self.step = state["step"]
        for name, part in self._parts().items():
            part.load_state_dict(state["parts"][name])
        torch.set_rng_state(state["chance"])
        self.measures = state["measures"]
