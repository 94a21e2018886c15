"""Ensemble: several classifiers, trained from different seeds, that answer as one.

Members agree on what the data taught them and disagree on what it did not; the mean keeps the
first (Lakshminarayanan et al., NeurIPS 2017).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from c2vl_training.model.classifier import Classifier, ClassifierConfig
from c2vl_training.model.encoders import Encoder
from c2vl_training.model.experts import Experts, ExpertsConfig


class Ensemble(nn.Module):
    """Skeleton windows to the mean of the members' logits, and all their representations.

    Where there are experts, they move the logits; representations are the members' alone.
    """

    def __init__(
        self, configs: tuple[ClassifierConfig, ...], experts: ExpertsConfig | None = None
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(Classifier(config) for config in configs)
        self.experts = None if experts is None else Experts(experts)

    @property
    def encoders(self) -> list[Encoder]:
        """The members' encoders, in order."""
        return [member.encoder for member in self.members if isinstance(member, Classifier)]

    def without_experts(self) -> "Ensemble":
        """The same members alone; they are shared, not copied."""
        alone = Ensemble(())
        alone.members = self.members
        return alone.eval()

    def forward(
        self, x: Float[Tensor, "N C T V M"]
    ) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N D"]]:
        """Logits over the labels, and the members' representations side by side."""
        each, representations = zip(*(member(x) for member in self.members), strict=True)
        logits = torch.stack(each).mean(dim=0)
        if self.experts is not None:
            logits = self.experts(x, logits)
        return logits, torch.cat(representations, dim=1)


def ensemble_of(
    configs: tuple[ClassifierConfig, ...],
    members: list[Classifier],
    experts: Experts | None = None,
) -> Ensemble:
    """Trained classifiers as one model, in evaluation mode."""
    ensemble = Ensemble(configs)
    for place, member in zip(ensemble.members, members, strict=True):
        place.load_state_dict(member.state_dict())
    ensemble.experts = experts
    return ensemble.eval()
