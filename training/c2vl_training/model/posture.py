"""A graph network that reads postures, and a temporal one that reads how they follow each other.

First each joint gathers along the body, with a short look before and behind, in layers that all
joints share; then the joints of a frame become one vector, and residual blocks of depthwise
temporal convolution look along time alone. What the graph layers share between joints they need
not learn for each place in the body: they see turned bodies better, and the temporal blocks are
cheap. Frames in which nothing was seen take no part.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from c2vl_training.model.graph import GraphConvolution, adjacency_of
from c2vl_training.model.temporal import (
    TemporalConfig,
    first_person,
    pooled_over_time,
    seen_in_pairs,
    temporal_blocks,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PostureConfig(TemporalConfig):
    """Sizes of a :class:`PostureEncoder`: those of its temporal part, and of the graph layers.

    Attributes:
        layout: name of the layout whose joints come in; see ``PreprocessingConfig.layout``.
        joint_channels: width of each joint in the graph layers.
        joint_depth: number of graph layers.
        joint_kernel: frames that a graph layer's depthwise convolution spans.
        channels: width of the temporal part.
    """

    channels: int = 192

    layout: str = "body15"
    joint_channels: int = 40
    joint_depth: int = 3
    joint_kernel: int = 5


# A student: a third of the work, 0.026 GFLOP a window of 64 frames.
SMALL_POSTURE = PostureConfig(channels=128, depth=4, joint_channels=24, joint_depth=2)


class JointBlock(nn.Module):
    """Each joint gathers along the body, then from its own past and future."""

    def __init__(self, channels: int, kernel: int, graph: Float[Tensor, "K V V"]) -> None:
        super().__init__()
        self.graph = GraphConvolution(channels, channels, graph)
        self.temporal = nn.Conv2d(
            channels, channels, (kernel, 1), padding=(kernel // 2, 0), groups=channels
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(
        self, x: Float[Tensor, "N C T V"], seen: Float[Tensor, "N 1 T 1"]
    ) -> Float[Tensor, "N C T V"]:
        """Two residual steps; frames that were not seen are zero before the one over time."""
        y = torch.relu(x + self.graph(x)) * seen.to(x.dtype)
        return torch.relu(y + self.norm(self.temporal(y)))


class PostureEncoder(nn.Module):
    """Skeleton windows to one representation each, ``N C T V M`` -> ``N D``.

    Args:
        num_channels: C, of which the last is 1 where a joint was seen.
        num_joints: V.
        config: the sizes.

    Raises:
        C2VLError: when ``config.layout`` does not have ``num_joints`` joints.
    """

    def __init__(self, num_channels: int, num_joints: int, config: PostureConfig) -> None:
        super().__init__()
        graph, width = adjacency_of(config.layout, num_joints), config.joint_channels
        D = config.channels
        self.input_norm = nn.BatchNorm2d(num_channels * num_joints)
        # Every second frame from three: half the work for all that follows.
        self.stem = nn.Conv2d(num_channels, width, (3, 1), (2, 1), (1, 0), bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        self.joints = nn.ModuleList(
            JointBlock(width, config.joint_kernel, graph) for _ in range(config.joint_depth)
        )
        self.posture = nn.Conv2d(width * num_joints, D, 1)
        self.blocks = temporal_blocks(config)
        self.norm = nn.BatchNorm2d(D)
        self.num_features = 2 * D

    def forward(self, x: Float[Tensor, "N C T V M"]) -> Float[Tensor, "N D"]:
        """Mean and maximum over the frames in which somebody was seen."""
        N, C, T, V, _ = x.shape
        frames, seen = first_person(x)
        frames = self.input_norm(frames) * seen
        y = self.stem(frames.reshape(N, C, V, T).permute(0, 1, 3, 2))
        seen = seen_in_pairs(seen)
        y = torch.relu(self.stem_norm(y))
        for joints in self.joints:
            y = joints(y, seen)
        y = self.posture(y.permute(0, 1, 3, 2).reshape(N, -1, T // 2, 1))
        for block in self.blocks:
            y = block(y * seen)
        return pooled_over_time(torch.relu(self.norm(y)), seen)
