r"""Distillation: a compact student learns what a teacher network makes of the same windows.

    L = alpha * mean(1 - cos(W f_student, f_teacher))
      + beta * tau^2 KL(softmax(z_teacher / tau) || softmax(z_student / tau))
      + gamma * CE(labels, z_student + log prior)

Logits as in Hinton et al. (arXiv 1503.02531, sec. 2); features through a linear adapter as in
FitNets (Romero et al., ICLR 2015), with the cosine that made the distance independent of
scale. Labels and logits are optional: with features alone a student learns from a teacher that
was only pretrained, on clips nobody labelled. The prior is how often each label is drawn: what
that teaches stays out of the student's logits, as out of the teacher's (``supervised.LabelLoss``).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from c2vl_serve.errors import C2VLError
from c2vl_training.objectives.features import Loss


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillationConfig:
    """Weights of the three parts; frozen into the checkpoint.

    Attributes:
        feature_weight: ``alpha``.
        logit_weight: ``beta``.
        label_weight: ``gamma``.
        temperature: ``tau`` of the logits.
    """

    feature_weight: float = 1.0
    logit_weight: float = 1.0
    label_weight: float = 0.5
    temperature: float = 4.0


def feature_distance(
    student: Float[Tensor, "N D"], teacher: Float[Tensor, "N D"]
) -> Float[Tensor, ""]:
    """``mean(1 - cos)``: 0 where the directions agree, 2 where they are opposite."""
    teacher = teacher.detach().float()
    return 1 - functional.cosine_similarity(student.float(), teacher, dim=1).mean()


def logit_divergence(
    student: Float[Tensor, "N K"], teacher: Float[Tensor, "N K"], tau: float
) -> Float[Tensor, ""]:
    """``tau^2 KL(teacher || student)`` in nats a sample; tau^2 keeps the gradient's size."""
    wanted = (teacher.detach().float() / tau).log_softmax(dim=1)
    given = (student.float() / tau).log_softmax(dim=1)
    return tau**2 * functional.kl_div(given, wanted, reduction="batchmean", log_target=True)


class Distillation(nn.Module):
    """The loss, with the adapter from the student's width to the teacher's.

    The adapter is thrown away after training; where the widths agree it starts as the identity.

    Args:
        num_student: D of the student's representation.
        num_teacher: D of the teacher's.
        config: the weights.
    """

    def __init__(self, num_student: int, num_teacher: int, config: DistillationConfig) -> None:
        super().__init__()
        self.config = config
        self.adapter = nn.Linear(num_student, num_teacher, bias=False)
        if num_student == num_teacher:
            nn.init.eye_(self.adapter.weight)

    def forward(
        self,
        student: Float[Tensor, "N D"],
        teacher: Float[Tensor, "N E"],
        *,
        student_logits: Float[Tensor, "N K"] | None = None,
        teacher_logits: Float[Tensor, "N K"] | None = None,
        labels: Int64[Tensor, " N"] | None = None,
        log_prior: Float[Tensor, " K"] | None = None,
    ) -> Loss:
        """The loss of a batch; a part whose material is absent is left out.

        Args:
            student: representations, with gradient.
            teacher: representations of the same windows.
            student_logits: needed for ``teacher_logits`` and ``labels``.
            teacher_logits: over the same labels as the student's.
            labels: the truth, -1 for a clip without a label.
            log_prior: logarithm of how often each label is drawn; none where equally often.

        Raises:
            C2VLError: when the teacher's logits or labels come without the student's logits.
        """
        config = self.config
        if student_logits is None and (teacher_logits is not None or labels is not None):
            raise C2VLError(
                "distillation got the teacher's logits or labels but no logits of the student; "
                "expected both; pass student_logits, or the features alone"
            )
        parts = {"features": config.feature_weight * self._feature_part(student, teacher)}
        if student_logits is not None and teacher_logits is not None:
            divergence = logit_divergence(student_logits, teacher_logits, config.temperature)
            parts["logits"] = config.logit_weight * divergence
        if student_logits is not None and labels is not None:
            drawn = student_logits if log_prior is None else student_logits + log_prior
            parts["labels"] = config.label_weight * _label_part(drawn, labels)
        measures = {f"loss/{name}": part.detach() for name, part in parts.items()}
        return Loss(total=torch.stack(list(parts.values())).sum(), measures=measures)

    def _feature_part(
        self, student: Float[Tensor, "N D"], teacher: Float[Tensor, "N E"]
    ) -> Float[Tensor, ""]:
        with torch.autocast(student.device.type, enabled=False):
            return feature_distance(self.adapter(student.float()), teacher)


def _label_part(logits: Float[Tensor, "N K"], labels: Int64[Tensor, " N"]) -> Float[Tensor, ""]:
    """Cross-entropy over the labelled clips; 0, not NaN, where none is."""
    summed = functional.cross_entropy(logits.float(), labels, ignore_index=-1, reduction="sum")
    return summed / (labels >= 0).sum().clamp(min=1)
