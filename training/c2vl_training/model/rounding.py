"""Weights in whole steps: a trained network that needs a quarter of the room, and stays itself.

Each row of a large weight, what makes one output channel, is rounded to whole multiples of its own
step, 127 of them either way (Jacob et al., CVPR 2018, sec. 3, for weights alone). The network still
computes with floats, and whatever is measured or calibrated afterwards is true of what ships; files
may hold the integers and the steps, which give the same floats again (:func:`in_steps`).
"""

from typing import TypeVar

import torch
from jaxtyping import Float, Int8
from torch import Tensor, nn

LARGE = 1024  # numbers; smaller weights are not worth two tensors in a file
MOST = 127  # steps either way: what eight bits hold
STEP_BITS = 16  # of a step's mantissa: its multiples are exact in the 24 bits of a float

Network = TypeVar("Network", bound=nn.Module)


@torch.no_grad()
def rounded(network: Network) -> Network:
    """The network itself, with every large weight rounded; twice is the same as once."""
    for weight in network.parameters():
        if _is_large(weight):
            steps, step = _nearest(weight)
            weight.copy_(from_steps(steps, step))
    return network


def in_steps(weight: Tensor) -> tuple[Int8[Tensor, "D ..."], Float[Tensor, " D"]] | None:
    """The integers and the steps that give exactly this weight; None where none do."""
    if not _is_large(weight):
        return None
    steps, step = _nearest(weight)
    return (steps, step) if torch.equal(from_steps(steps, step), weight) else None


def from_steps(steps: Int8[Tensor, "D ..."], step: Float[Tensor, " D"]) -> Float[Tensor, "D ..."]:
    """The weight that these integers and steps are."""
    return steps.float() * step.view(-1, *[1] * (steps.ndim - 1))


def _is_large(weight: Tensor) -> bool:
    return weight.dtype == torch.float32 and weight.ndim > 1 and weight.numel() >= LARGE


def _nearest(weight: Tensor) -> tuple[Int8[Tensor, "D ..."], Float[Tensor, " D"]]:
    largest = weight.detach().flatten(1).abs().amax(dim=1)
    # Rounded up, so that the largest is 127 steps at most.
    mantissa, exponent = torch.frexp(largest / MOST)
    step = torch.ldexp((mantissa * 2**STEP_BITS).ceil() / 2**STEP_BITS, exponent)
    divisor = torch.where(step > 0, step, 1).view(-1, *[1] * (weight.ndim - 1))
    return (weight.detach() / divisor).round().to(torch.int8), step
