"""Supervised training: a pool and a config in, averaged weights and their history out.

A run can be killed at any time: its state is written beside and renamed every few steps, and a
new call with the same folder goes on to the same result. Windows depend on seed and step alone.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from c2vl_serve.errors import C2VLError
from c2vl_serve.skeleton.arrays import ModelInput
from c2vl_training.config import Member, TrainConfig
from c2vl_training.data.batches import WindowSampler
from c2vl_training.data.labels import MIRRORED_LABELS
from c2vl_training.data.pool import Pool
from c2vl_training.model.classifier import Classifier, ClassifierConfig
from c2vl_training.model.encoders import Encoder
from c2vl_training.model.projector import averaged_copy, follow
from c2vl_training.precision import arithmetic
from c2vl_training.state import write_state

logger = logging.getLogger(__name__)

SAVE_EVERY = 100  # steps
HISTORY_EVERY = 10  # steps
MAX_GRADIENT_NORM = 5.0
WARMUP = 0.1  # share of the schedule in which the learning rate rises

Draw = Callable[[int, int], tuple[ModelInput, Int64[np.ndarray, " N"]]]


@dataclass(slots=True)
class History:
    """What a run went through, averaged over :data:`HISTORY_EVERY` steps."""

    steps: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Progress:
    """One step is done."""

    step: int
    num_steps: int
    loss: float
    accuracy: float


def classifier_config(config: TrainConfig, member: Member, num_labels: int) -> ClassifierConfig:
    """The network that a member of a training configuration is."""
    return ClassifierConfig(
        num_channels=config.preprocessing.num_channels,
        num_joints=config.preprocessing.num_joints,
        num_labels=num_labels,
        encoder=member.encoder,
        dropout=config.head_dropout,
        stream=member.stream,
    )


class LabelLoss(nn.Module):
    """Cross-entropy with the labels.

    They are not drawn equally often: what that teaches stays out of the logits (logit
    adjustment, Menon et al., ICLR 2021, eq. 10).

    Args:
        log_prior: logarithm of how often each label is drawn.
        smoothing: share of the target spread over all labels.
    """

    log_prior: Tensor

    def __init__(self, log_prior: Float[Tensor, " K"], smoothing: float) -> None:
        super().__init__()
        self.register_buffer("log_prior", log_prior)
        self.smoothing = smoothing

    def forward(
        self,
        x: Float[Tensor, "N C T V M"],
        logits: Float[Tensor, "N K"],
        representation: Float[Tensor, "N D"],
        labels: Int64[Tensor, " N"],
    ) -> Float[Tensor, ""]:
        """The loss of a batch; windows and representation are for other objectives."""
        return functional.cross_entropy(
            logits + self.log_prior, labels, label_smoothing=self.smoothing
        )


def train(
    config: TrainConfig,
    member: Member,
    pool: Pool,
    *,
    start: Encoder | None = None,
    objective: nn.Module | None = None,
    num_labels: int | None = None,
    draw: Draw | None = None,
    state_file: Path | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> tuple[Classifier, History]:
    """Train on every clip of ``pool``.

    Args:
        config: the whole run.
        member: which of its networks.
        pool: labelled clips only.
        start: a pretrained encoder to fine-tune; from scratch without.
        objective: called as :class:`LabelLoss`, which it is otherwise.
        num_labels: of the network's logits; as many as the pool has without.
        draw: a batch of a given size for a given step; windows of the pool without.
        state_file: where the unfinished run is kept; an existing one is continued.
        on_step: called after each step.

    Returns:
        The averaged weights in evaluation mode, and the history.

    Raises:
        C2VLError: when ``start`` has other sizes than the member.
    """
    torch.manual_seed(config.seed)
    num_labels = num_labels or len(pool.label_names)
    model = Classifier(classifier_config(config, member, num_labels))
    if start is not None:
        _begin_with(model.encoder, start)
    # Twice as fast on CPU; torch's stubs lack this overload.
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    sampler = WindowSampler(pool, config.sampling, MIRRORED_LABELS, config.seed)
    if objective is None:
        objective = LabelLoss(torch.from_numpy(sampler.log_prior()), config.label_smoothing)
    draw = draw or sampler.draw
    run = _Run(config, member, model, objective)
    if state_file is not None and state_file.exists():
        run.restore(torch.load(state_file, weights_only=True))
        logger.info("continuing at step %d of %d", run.step, member.num_steps)
    while run.step < member.num_steps:
        # Not drawn ahead in a thread: torch's own threads then wait for each other (2x slower).
        windows, labels = draw(member.batch_size, run.step)
        progress = run.advance(torch.from_numpy(windows), torch.from_numpy(labels))
        if on_step is not None:
            on_step(progress)
        due = run.step % SAVE_EVERY == 0 or run.step == member.num_steps
        if state_file is not None and due:
            write_state(run.state(), state_file)
    return run.average.eval(), run.history


def _begin_with(encoder: nn.Module, start: nn.Module) -> None:
    try:
        encoder.load_state_dict(start.state_dict())
    except RuntimeError as error:
        raise C2VLError(
            f"the pretrained encoder has other sizes than the network to fine-tune: {error}; "
            "give the member the encoder's own sizes"
        ) from error


class _Run:
    """Everything that changes during training, so that it can be saved and restored."""

    def __init__(
        self,
        config: TrainConfig,
        member: Member,
        model: Classifier,
        objective: nn.Module,
    ) -> None:
        self.config, self.num_steps = config, member.num_steps
        self.model, self.objective, self.step = model, objective, 0
        self.average = averaged_copy(model)
        self.optimiser = torch.optim.AdamW(
            self._parameters(), lr=member.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser,
            member.learning_rate,
            total_steps=max(20, round(member.num_steps / config.schedule_share)),
            pct_start=WARMUP,
        )
        self.history = History()
        self.recent: list[tuple[float, float]] = []

    def _parameters(self) -> list[nn.Parameter]:
        return [*self.model.parameters(), *self.objective.parameters()]

    def advance(self, x: Tensor, labels: Tensor) -> Progress:
        """One optimiser step, then the averaged weights follow."""
        self.model.train()
        with arithmetic(self.config.precision):
            logits, representation = self.model(x)
        logits = logits.float()
        loss = self.objective(x, logits, representation.float(), labels)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        # Faster in the beginning, when the average is still the start.
        follow(self.average, self.model, min(self.config.ema, self.step / (self.step + 10)))
        accuracy = (logits.argmax(dim=1) == labels).float().mean().item()
        self._remember(loss.item(), accuracy)
        return Progress(self.step, self.num_steps, loss.item(), accuracy)

    def _remember(self, loss: float, accuracy: float) -> None:
        self.recent.append((loss, accuracy))
        if len(self.recent) == HISTORY_EVERY:
            losses, accuracies = zip(*self.recent, strict=True)
            self.history.steps.append(self.step)
            self.history.loss.append(sum(losses) / HISTORY_EVERY)
            self.history.accuracy.append(sum(accuracies) / HISTORY_EVERY)
            self.recent.clear()

    def state(self) -> dict[str, Any]:
        """All of it, for ``torch.save``; taken between two history entries."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "objective": self.objective.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "chance": torch.get_rng_state(),
            "history": [self.history.steps, self.history.loss, self.history.accuracy],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.objective.load_state_dict(state["objective"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["chance"])
        self.history = History(*state["history"])
