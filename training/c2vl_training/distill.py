"""Distillation in its course: a compact student learns from a teacher on the same windows.

A teacher with logits over the student's labels teaches both logits and features; one that was
only pretrained teaches features, and then no label is needed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from c2vl_serve.errors import C2VLError
from c2vl_training.config import Member, TrainConfig
from c2vl_training.data.batches import WindowSampler
from c2vl_training.data.labels import MIRRORED_LABELS
from c2vl_training.data.pool import Pool
from c2vl_training.model.classifier import Classifier
from c2vl_training.objectives.distillation import Distillation, DistillationConfig
from c2vl_training.precision import Precision, arithmetic
from c2vl_training.supervised import History, Progress, classifier_config, train


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Teacher:
    """A network that is learned from.

    Attributes:
        network: windows to logits and representation; or to the representation alone.
        labels: of its logits; empty where there are none.
    """

    network: nn.Module
    labels: tuple[str, ...] = ()

    @torch.no_grad()
    def says(
        self, x: Float[Tensor, "N C T V M"]
    ) -> tuple[Float[Tensor, "N K"] | None, Float[Tensor, "N D"]]:
        """Logits, or None, and representation."""
        self.network.eval()
        if self.labels:
            logits, representation = self.network(x)
            return logits, representation
        return None, self.network(x)


class TeacherLoss(nn.Module):
    """The objective of :func:`c2vl_training.supervised.train` that learns from a teacher.

    Args:
        teacher: whose weights stay as they are, and out of this module's.
        num_student: D of the student's representation.
        num_teacher: D of the teacher's.
        config: weights of the parts.
        precision: of the teacher's arithmetic.
        log_prior: how often each label is drawn, where the truth is looked at as well.
    """

    log_prior: Tensor | None

    def __init__(
        self,
        teacher: Teacher,
        num_student: int,
        num_teacher: int,
        config: DistillationConfig,
        *,
        precision: Precision,
        log_prior: Float[Tensor, " K"] | None,
    ) -> None:
        super().__init__()
        self.teacher, self.precision = teacher, precision
        self.register_buffer("log_prior", log_prior)
        self.distillation = Distillation(num_student, num_teacher, config)

    def forward(
        self,
        x: Float[Tensor, "N C T V M"],
        logits: Float[Tensor, "N K"],
        representation: Float[Tensor, "N D"],
        labels: Int64[Tensor, " N"],
    ) -> Float[Tensor, ""]:
        """The loss of a batch."""
        with arithmetic(self.precision):
            teacher_logits, taught = self.teacher.says(x)
        loss = self.distillation(
            representation,
            taught,
            student_logits=logits,
            teacher_logits=teacher_logits,
            labels=None if self.log_prior is None else labels,
            log_prior=self.log_prior,
        )
        return loss.total


def distill(
    config: TrainConfig,
    member: Member,
    pool: Pool,
    *,
    teacher: Teacher,
    weights: DistillationConfig,
    with_labels: bool = False,
    state_file: Path | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> tuple[Classifier, History]:
    """Train a student; where the teacher has no logits, only its encoder has learned.

    Args:
        config: how windows are drawn and preprocessed, as the teacher's.
        member: the student.
        pool: clips; their labels are read only ``with_labels``.
        teacher: to learn from.
        weights: of the parts of the loss.
        with_labels: learn from the truth as well.
        state_file: where the unfinished run is kept; an existing one is continued.
        on_step: called after each step.

    Raises:
        C2VLError: when teacher and pool have other labels.
    """
    if teacher.labels and teacher.labels != pool.label_names:
        raise C2VLError(
            f"the teacher knows {len(teacher.labels)} labels, the clips have "
            f"{len(pool.label_names)} others; distil on the sets that it was trained on"
        )
    num_labels = len(pool.label_names)
    if not with_labels:
        pool = pool.unlabelled()  # or windows would be drawn by label
    student = Classifier(classifier_config(config, member, num_labels))
    sizes = config.preprocessing
    x = torch.zeros(1, sizes.num_channels, sizes.num_frames, sizes.num_joints, 1)
    torch.manual_seed(config.seed)  # of the adapter
    objective = TeacherLoss(
        teacher,
        student.encoder.num_features,
        teacher.says(x)[1].shape[1],
        weights,
        precision=config.precision,
        log_prior=_log_prior(config, pool) if with_labels else None,
    )
    return train(
        config,
        member,
        pool,
        objective=objective,
        num_labels=num_labels,
        state_file=state_file,
        on_step=on_step,
    )


def _log_prior(config: TrainConfig, pool: Pool) -> Float[Tensor, " K"]:
    sampler = WindowSampler(pool, config.sampling, MIRRORED_LABELS, config.seed)
    return torch.from_numpy(sampler.log_prior())
