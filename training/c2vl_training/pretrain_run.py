"""One pretraining run in its course: networks, averaged weights, queue, optimiser, measures."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from c2vl_training.data.batches import WindowSampler
from c2vl_training.data.pool import Pool
from c2vl_training.model.encoders import build_encoder
from c2vl_training.model.projector import ConceptHeads, Projector, averaged_copy, follow
from c2vl_training.objectives.c2vl import C2VL
from c2vl_training.objectives.diagnostics import effective_rank
from c2vl_training.objectives.features import Features, Loss
from c2vl_training.objectives.queue import FeatureQueue
from c2vl_training.objectives.skeleton_contrastive import SkeletonContrastive
from c2vl_training.parallel import Processes
from c2vl_training.precision import arithmetic
from c2vl_training.pretrain_config import Knowledge, PretrainConfig

MEASURE_EVERY = 10  # steps
MAX_GRADIENT_NORM = 5.0
WARMUP = 0.1  # share of the run in which the learning rate rises


class Networks(nn.Module):
    """All that is averaged together."""

    def __init__(self, config: PretrainConfig, knowledge: Knowledge | None) -> None:
        super().__init__()
        self.encoder = build_encoder(
            config.preprocessing.num_channels, config.preprocessing.num_joints, config.encoder
        )
        self.projector = Projector(self.encoder.num_features, config.num_projected)
        self.precision = config.precision
        self.heads = None if knowledge is None else _heads(config, knowledge)

    def forward(
        self, x: Float[Tensor, "N C T V M"], embeddings: dict[str, Tensor], ids: Tensor
    ) -> Features:
        """Windows and embeddings in the shared space."""
        with arithmetic(self.precision):
            representation = self.encoder(x)
        concepts = self.heads(embeddings) if self.heads is not None else {}
        return Features(skeleton=self.projector(representation.float()), concepts=concepts, ids=ids)


def _heads(config: PretrainConfig, knowledge: Knowledge) -> ConceptHeads:
    centres = knowledge.centres() if config.centre else None
    return ConceptHeads(knowledge.widths, config.num_projected, centres)


class PretrainRun:
    """Everything that changes during pretraining, so that it can be saved and restored."""

    def __init__(
        self,
        config: PretrainConfig,
        pool: Pool,
        knowledge: Knowledge | None,
        processes: Processes,
    ) -> None:
        self.config, self.knowledge, self.processes, self.step = config, knowledge, processes, 0
        self.sampler = WindowSampler(pool, config.sampling, {}, config.seed)
        networks = Networks(config, knowledge)
        processes.prepared(networks)
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
        processes.own_chance(config.seed)

    def _groups(self) -> list[dict[str, Any]]:
        """A temperature does not decay."""
        return [
            {
                "params": list(self.networks.parameters()),
                "weight_decay": self.config.weight_decay,
            },
            {"params": list(self.c2vl.parameters()), "weight_decay": 0.0},
        ]

    def advance(self) -> dict[str, float]:
        """One optimiser step, then averaged weights and queue follow; its measures."""
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
        self.processes.average_gradients([*self.networks.parameters(), *self.c2vl.parameters()])
        nn.utils.clip_grad_norm_(self.networks.parameters(), MAX_GRADIENT_NORM)
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        follow(self.average, self.networks, min(self.config.momentum, self.step / (self.step + 10)))
        self.queue.push(average)
        return self._remember(loss, online)

    def _view(self, clips: np.ndarray, number: int) -> Tensor:
        rng = np.random.default_rng((self.config.seed, self.step, number))
        return torch.from_numpy(self.sampler.windows(clips, rng)[0])

    def _features(
        self, networks: Networks, x: Tensor, embeddings: dict[str, Tensor], ids: Tensor
    ) -> Features:
        """The whole batch in the shared space, of which this process computes its share."""
        share, gathered = self.processes.share, self.processes.gathered
        own = networks(share(x), {name: share(e) for name, e in embeddings.items()}, share(ids))
        return Features(
            skeleton=gathered(own.skeleton),
            concepts={name: gathered(concept) for name, concept in own.concepts.items()},
            ids=ids,
        )

    def _to_concepts(self, clips: np.ndarray, ids: Tensor) -> tuple[Loss, Features, Features]:
        assert self.knowledge is not None
        x = self._view(clips, 1)
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        embeddings = self.knowledge.of(ids, generator)
        online = self._features(self.networks, x, embeddings, ids)
        weight, queued = self.config.skeleton_weight, self.queue.entries()
        with torch.no_grad():
            seen = self._view(clips, 2) if weight > 0 else x
            average = self._features(self.average, seen, embeddings, ids)
        progress = self.step / self.config.num_steps
        loss = self.c2vl(online, progress, average=average, queued=queued)
        if weight > 0:
            views = self.skeleton(online.skeleton, average.skeleton, ids, queued=queued)
            loss = Loss(
                total=loss.total + weight * views.total,
                measures={**loss.measures, **views.measures},
            )
        return loss, average, online

    def _two_views(self, clips: np.ndarray, ids: Tensor) -> tuple[Loss, Features, Features]:
        first = self._features(self.networks, self._view(clips, 1), {}, ids)
        with torch.no_grad():  # keys change slowly (MoCo), or the queue's would be outdated
            second = self._features(self.average, self._view(clips, 2), {}, ids)
        queued = self.queue.entries()
        return (
            self.skeleton(first.skeleton, second.skeleton, ids, queued=queued),
            second,
            first,
        )

    def _remember(self, loss: Loss, online: Features) -> dict[str, float]:
        values = {name: float(value) for name, value in loss.measures.items()}
        values["loss"] = loss.total.item()
        values["rank"] = float(effective_rank(online.skeleton.detach()))
        self.recent.append(values)
        if len(self.recent) == MEASURE_EVERY:
            for name in values:
                mean = sum(each[name] for each in self.recent) / MEASURE_EVERY
                self.measures.setdefault(name, []).append(mean)
            self.recent.clear()
        return values

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
        self.processes.own_chance(self.config.seed + self.step)
        self.measures = state["measures"]
