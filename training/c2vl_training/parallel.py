"""Several processes train one network: each its share of the batch, all of them one result.

Started by ``torchrun``. Statistics of normalisation, features that an objective compares, and
gradients go over all shares, so that the result is that of one process with the whole batch, up
to the order of sums and, where a network drops at random, up to its chance.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

from c2vl_serve.errors import C2VLError


class _Summed(torch.autograd.Function):
    """The sum over all processes; so is its gradient, as each of them has the whole loss."""

    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation with the mean and variance of all processes' shares together."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions after the channels."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise; in training with the statistics of the whole batch."""
        if not self.training:
            return super().forward(input)
        x = input.float()
        others = [0, *range(2, x.dim())]
        count = x.new_full((self.num_features,), x.numel() / self.num_features)
        moments = torch.stack([count, x.sum(others), x.square().sum(others)])
        count, total, squares = _Summed.apply(moments)  # type: ignore[no-untyped-call]
        mean = total / count
        variance = (squares / count - mean.square()).clamp(min=0)
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        shape = [1, -1, *[1] * (x.dim() - 2)]
        scale = self.weight * (variance + self.eps).rsqrt()
        y = (x - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)
        return y.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


@dataclass(frozen=True, kw_only=True, slots=True)
class Processes:
    """Which of how many processes this one is.

    Attributes:
        rank: 0 for the one that writes files and shows progress.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """True for the process that writes."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch.

        Raises:
            C2VLError: when it cannot be divided.
        """
        if len(batch) % self.count:
            raise C2VLError(
                f"a batch of {len(batch)} cannot be shared by {self.count} processes; "
                "choose a multiple"
            )
        return batch.chunk(self.count)[self.rank]

    def gathered(self, share: Float[Tensor, "N D"]) -> Float[Tensor, "B D"]:
        """All shares in order; gradients find the way back."""
        if self.count == 1:
            return share
        places = [torch.zeros_like(share)] * self.count
        places[self.rank] = share
        return _Summed.apply(torch.cat(places))  # type: ignore[no-untyped-call]

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every process gets the mean gradient, and so takes the same step."""
        if self.count == 1:
            return
        for parameter in parameters:
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= self.count

    def prepared(self, module: nn.Module) -> nn.Module:
        """The module with normalisation over all shares; weights and names stay."""
        if self.count > 1:
            _share_statistics(module)
        return module

    def own_chance(self, seed: int) -> None:
        """Chance that differs between processes, for what a network drops at random."""
        if self.rank > 0:
            torch.manual_seed(seed * 1_009 + self.rank)


ALONE = Processes()


@contextmanager
def joined() -> Iterator[Processes]:
    """The processes that ``torchrun`` started, or this one alone."""
    if "RANK" not in os.environ:
        yield ALONE
        return
    dist.init_process_group("gloo")
    try:
        yield Processes(rank=dist.get_rank(), count=dist.get_world_size())
        dist.barrier()  # who leaves first would take connections away from the others
    finally:
        dist.destroy_process_group()


def _share_statistics(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            shared = SharedBatchNorm(child.num_features, child.eps, child.momentum)
            shared.weight, shared.bias = child.weight, child.bias
            shared.load_state_dict(child.state_dict())
            setattr(module, name, shared)
        else:
            _share_statistics(child)
