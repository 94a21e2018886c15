"""A frozen encoder out of a file: one that was pretrained, or all networks of a checkpoint."""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_training.checkpoint import read_checkpoint
from c2vl_training.pretrained import PRETRAINED, PretrainedFile, read_pretrained


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrozenFile:
    """What a protocol measures, and how it came about.

    Attributes:
        encoder: windows to representations.
        preprocessing: of its input.
        recipe: that it was made by.
        seed: of that run.
        num_steps: of that run; of its first network where there are several.
    """

    encoder: nn.Module
    preprocessing: PreprocessingConfig
    recipe: str
    seed: int
    num_steps: int


class _Represented(nn.Module):
    """A classifier without its logits."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Float[Tensor, "N C T V M"]) -> Float[Tensor, "N D"]:
        """The representation before the last layer; of several networks, side by side."""
        representation: Tensor = self.classifier(x)[1]
        return representation


def read_frozen(path: Path) -> FrozenFile:
    """Read either kind of file.

    Raises:
        BundleError: when it is neither.
    """
    if PRETRAINED.wrote(path):
        return of_pretrained(read_pretrained(path))
    checkpoint = read_checkpoint(path)
    training = checkpoint.card["training"]
    return FrozenFile(
        encoder=_Represented(checkpoint.model),
        preprocessing=checkpoint.preprocessing,
        recipe=training["recipe"],
        seed=training["seed"],
        num_steps=training["members"][0]["num_steps"],
    )


def of_pretrained(file: PretrainedFile) -> FrozenFile:
    """The encoder of a file that was read already."""
    run = file.run["config"]
    return FrozenFile(
        encoder=file.encoder,
        preprocessing=file.preprocessing,
        recipe=run["name"],
        seed=run["seed"],
        num_steps=run["num_steps"],
    )
