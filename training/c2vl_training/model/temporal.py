"""A temporal network over whole skeletons: all streams of a frame together, then time alone.

Residual blocks of depthwise temporal convolution and channel mixing, after ConvNeXt (Liu et al.,
CVPR 2022, fig. 4) with one dimension instead of two. Frames in which nothing was seen take no
part in the pooling.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class TemporalConfig:
    """Sizes of a :class:`TemporalEncoder`; frozen into the checkpoint.

    Attributes:
        channels: width after the first layer.
        depth: number of blocks.
        kernel: frames that one depthwise convolution spans.
        dropout: probability in the channel mixing.
        drop_path: probability of skipping the deepest block, rising linearly from 0.
    """

    channels: int = 256
    depth: int = 5
    kernel: int = 7
    dropout: float = 0.1
    drop_path: float = 0.1


SMALL_TEMPORAL = TemporalConfig(channels=128, depth=4)  # a quarter of the parameters and work


class Block(nn.Module):
    """Depthwise temporal convolution, then mixing across channels, added to the input.

    Written with 2-D convolutions over ``T x 1``: channels-last, they train twice as fast on CPU.
    """

    def __init__(self, channels: int, config: TemporalConfig, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.temporal = nn.Conv2d(
            channels,
            channels,
            (config.kernel, 1),
            padding=(config.kernel // 2, 0),
            groups=channels,
        )
        self.norm = nn.BatchNorm2d(channels)
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.project = nn.Conv2d(2 * channels, channels, 1)
        self.dropout = nn.Dropout2d(config.dropout)  # whole channels: a small mask is cheap
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 0.1))

    def forward(self, x: Float[Tensor, "N D T 1"]) -> Float[Tensor, "N D T 1"]:
        """One residual step."""
        y = torch.relu(self.expand(self.norm(self.temporal(x))))
        y = self.scale * self.project(self.dropout(y))
        if self.training and self.drop_path > 0:
            keep = (torch.rand(len(x), 1, 1, 1) >= self.drop_path).to(y.dtype)
            y = y * keep / (1 - self.drop_path)
        return x + y


class TemporalEncoder(nn.Module):
    """Skeleton windows to one representation each, ``N C T V M`` -> ``N D``.

    Args:
        num_channels: C, of which the last is 1 where a joint was seen.
        num_joints: V.
        config: the sizes.
    """

    def __init__(self, num_channels: int, num_joints: int, config: TemporalConfig) -> None:
        super().__init__()
        D = config.channels
        self.input_norm = nn.BatchNorm2d(num_channels * num_joints)
        # Every second frame from three: half the work for all that follows.
        self.input = nn.Conv2d(num_channels * num_joints, D, (3, 1), (2, 1), (1, 0))
        self.blocks = temporal_blocks(config)
        self.norm = nn.BatchNorm2d(D)
        self.num_features = 2 * D

    def forward(self, x: Float[Tensor, "N C T V M"]) -> Float[Tensor, "N D"]:
        """Mean and maximum over the frames in which somebody was seen."""
        frames, seen = first_person(x)
        y = self.input(self.input_norm(frames) * seen)
        seen = seen_in_pairs(seen)
        return pooled_over_time(torch.relu(self.norm(self.blocks(y * seen))), seen)


def first_person(
    x: Float[Tensor, "N C T V M"],
) -> tuple[Float[Tensor, "N F T 1"], Float[Tensor, "N 1 T 1"]]:
    """All joints of a frame as one vector, ``F = C V``, and which frames somebody was seen in."""
    N, C, T, V, _ = x.shape
    frames = x[..., 0].permute(0, 1, 3, 2).reshape(N, C * V, T, 1)
    return frames, x[:, -1, :, :, 0].amax(dim=2).reshape(N, 1, T, 1)


def seen_in_pairs(seen: Float[Tensor, "N 1 T 1"]) -> Float[Tensor, "N 1 S 1"]:
    """Whether somebody was seen in either of each two frames."""
    N, _, T, _ = seen.shape
    return seen.reshape(N, 1, T // 2, 2).amax(dim=3, keepdim=True)


def temporal_blocks(config: TemporalConfig) -> nn.Sequential:
    """All blocks in order; the deeper one is, the likelier it is skipped in training."""
    rates = [config.drop_path * index / max(config.depth - 1, 1) for index in range(config.depth)]
    return nn.Sequential(*(Block(config.channels, config, rate) for rate in rates))


def pooled_over_time(
    y: Float[Tensor, "N D T 1"], seen: Float[Tensor, "N 1 T 1"]
) -> Float[Tensor, "N E"]:
    """Mean and maximum over the frames in which somebody was seen; nowhere negative."""
    y = y * seen
    mean = y.sum(dim=(2, 3)) / seen.sum(dim=(2, 3)).clamp(min=1)
    return torch.cat([mean, y.amax(dim=(2, 3))], dim=1)
