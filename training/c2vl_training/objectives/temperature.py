"""Temperature: the learnable one that divides similarities before a softmax."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

MIN_TEMPERATURE = 0.01
MAX_TEMPERATURE = 0.5


class Temperature(nn.Module):
    """``tau``, learned through its logarithm and held in [0.01, 0.5].

    The logarithm as in CLIP (Radford et al., ICML 2021, sec. 2.3); the parameter itself is put
    back into its range, as ALBEF does (Li et al., NeurIPS 2021), so that it can come off a bound
    again: a clamp in the formula would leave it without a gradient there. Keep it out of weight
    decay, which would pull it to 1.

    Args:
        initial: the value before training.
    """

    def __init__(self, initial: float = 0.07) -> None:
        super().__init__()
        self.logarithm = nn.Parameter(torch.tensor(math.log(initial)))

    def forward(self) -> Float[Tensor, ""]:
        """``tau``, with its gradient."""
        with torch.no_grad():
            self.logarithm.clamp_(math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE))
        return self.logarithm.exp()
