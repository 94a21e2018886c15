r"""C2VL: skeletons are pulled to their vision-language concepts, by targets that grow softer.

    L = sum_c lambda_c * 1/2 [CE(T[s>c], P[s>c]) + CE(T[c>s], P[c>s])],   c in {v, l, u}

``P`` is InfoNCE's (``infonce.py``), ``T`` the progressive blend (``targets.py``). With
``a_max = 0`` this is symmetric InfoNCE exactly. Chen et al., "Vision-Language Meets the
Skeleton" (arXiv 2405.20606; IEEE TMM 27, 2025): the abstract fixes the ideas, the formulas are
our reconstruction from them and from the published building blocks that each function names.
"""

from dataclasses import dataclass, field

from torch import nn

from c2vl_training.objectives.diagnostics import entropy
from c2vl_training.objectives.features import Features, Loss
from c2vl_training.objectives.infonce import both_ways, weighted_sum
from c2vl_training.objectives.schedules import Softening
from c2vl_training.objectives.targets import TargetRule
from c2vl_training.objectives.temperature import Temperature


@dataclass(frozen=True, kw_only=True, slots=True)
class C2VLConfig:
    """Everything that decides the loss; frozen into the checkpoint.

    Attributes:
        weights: ``lambda_c`` of each concept that may come.
        temperature: ``tau`` before training; it is learned, within [0.01, 0.5].
        softening: ``a_t``.
        targets: ``tau_q``, ``w`` and the guiding side.
    """

    weights: dict[str, float] = field(
        default_factory=lambda: {"vision": 1.0, "language": 1.0, "union": 1.0}
    )
    temperature: float = 0.07
    softening: Softening = field(default_factory=Softening)
    targets: TargetRule = field(default_factory=TargetRule)


class C2VL(nn.Module):
    """The whole loss over the concepts that a set has.

    Call it as ``loss = objective(online, progress, average=..., queued=...)``.
    """

    def __init__(self, config: C2VLConfig) -> None:
        super().__init__()
        self.config = config
        self.temperature = Temperature(config.temperature)

    def forward(
        self,
        online: Features,
        progress: float,
        *,
        average: Features | None = None,
        queued: Features | None = None,
    ) -> Loss:
        """The loss of a batch, and the entropy of its targets.

        Args:
            online: the batch, with gradient.
            progress: share of the run that is done, 0 to 1.
            average: the same batch from averaged weights; the soft targets come from it. Without
                it they come from ``online``, detached.
            queued: older samples from averaged weights, more keys for predictions and targets.

        Raises:
            C2VLError: for no concept or one without a weight, or a progress that is no share.
        """
        softness, tau = self.config.softening.at(progress), self.temperature()
        samples = (online if average is None else average).detached()
        keys, target_keys = online.followed_by(queued), samples.followed_by(queued)
        losses, measures = {}, {"temperature": tau.detach(), "softness": tau.new_tensor(softness)}
        for name in online.concepts:
            targets = self.config.targets.pair(samples, target_keys, name, tau.detach(), softness)
            losses[name] = both_ways(online, keys, name, tau, targets)
            measures[f"loss/{name}"] = losses[name].detach()
            measures[f"entropy/{name}"] = (entropy(targets[0]) + entropy(targets[1])) / 2
        return Loss(total=weighted_sum(losses, self.config.weights), measures=measures)
