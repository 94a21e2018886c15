"""A graph network: each joint gathers from its neighbours, then from its own past and future.

Blocks of a graph convolution over the layout's exact adjacency with a learnable offset, and a
temporal convolution in four branches, after ST-GCN++ (Duan et al., PYSKL, ACM MM 2022, sec. 3)
and CTR-GCN (Chen et al., ICCV 2021). Persons are folded into the batch and averaged. What was
not seen takes no part: frames without a person are zero before each temporal convolution and
left out of the pooling, persons who never appear are left out of the mean.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from c2vl_serve.errors import C2VLError
from c2vl_serve.skeleton.graph import adjacency
from c2vl_serve.skeleton.layout import SkeletonLayout, layout_by_name

NUM_STAGES = 3  # each twice as wide as the one before, at half its frame rate
NUM_BRANCHES = 4  # of the temporal convolution: two dilated, one maximum, one straight through
DILATIONS = (1, 2)  # frames
KERNEL = 5  # frames


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphConfig:
    """Sizes of a :class:`GraphEncoder`; the defaults are the teacher's. Frozen into the checkpoint.

    Attributes:
        layout: name of the layout whose joints come in; see ``PreprocessingConfig.layout``.
        channels: width of the first stage, a multiple of 4.
        blocks_per_stage: blocks in each of the three stages.
        stem_stride: 2 halves the frame rate before the first block, and all work with it.
        dropout: probability of dropping a channel before the branches are mixed.
        drop_path: probability of skipping the deepest block, rising linearly from 0.
    """

    layout: str = "body15"
    channels: int = 64
    blocks_per_stage: int = 3
    stem_stride: int = 1
    dropout: float = 0.1
    drop_path: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a width that the branches cannot share."""
        if self.channels <= 0 or self.channels % NUM_BRANCHES:
            raise C2VLError(
                f"graph encoder has channels={self.channels}; expected a positive multiple of "
                f"{NUM_BRANCHES}, one share for each temporal branch; choose another width"
            )


# A student: an eleventh of the teacher's work, 0.2 GFLOP for 2 persons x 64 frames x 15 joints.
COMPACT = GraphConfig(channels=32, blocks_per_stage=2, stem_stride=2)


class GraphConvolution(nn.Module):
    r"""Gather by each subset of the adjacency, then mix: ``y = W [A_1 x, A_2 x, A_3 x]``.

    Equal to ``sum_k W_k x (A_k + B_k)`` (2s-AGCN, Shi et al., CVPR 2019, eq. 3, whose ``B_k``
    is the learnable offset). Gathering comes first because the three results then lie side by
    side, and one matrix product mixes them all.
    """

    adjacency: Tensor

    def __init__(self, num_channels: int, num_out: int, graph: Float[Tensor, "K V V"]) -> None:
        super().__init__()
        self.register_buffer("adjacency", graph, persistent=False)
        self.offset = nn.Parameter(torch.zeros_like(graph))
        self.mix = nn.Conv2d(len(graph) * num_channels, num_out, 1, bias=False)
        self.norm = nn.BatchNorm2d(num_out)

    def forward(self, x: Float[Tensor, "N C T V"]) -> Float[Tensor, "N D T V"]:
        """One convolution over the graph, normalised; the ReLU is the block's."""
        N, C, T, V = x.shape
        graph = (self.adjacency + self.offset).permute(1, 0, 2).reshape(-1, V)  # (to, subset) V
        gathered = torch.matmul(graph, x.permute(0, 2, 3, 1))  # N T (to, subset) C
        return self.norm(self.mix(gathered.reshape(N, T, V, -1).permute(0, 3, 1, 2)))


class TemporalBranches(nn.Module):
    """Two dilated convolutions, a maximum and a straight path over time, then mixed.

    The temporal modelling module of CTR-GCN (Chen et al., ICCV 2021), with the branches' first
    1x1 layers computed as one.
    """

    def __init__(self, channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.share, self.stride = channels // NUM_BRANCHES, stride
        self.reduce = nn.Conv2d(channels, channels, 1, bias=False)
        self.reduce_norm = nn.BatchNorm2d(channels)
        self.dilated = nn.ModuleList(
            nn.Conv2d(
                self.share,
                self.share,
                (KERNEL, 1),
                stride=(stride, 1),
                padding=(dilation * (KERNEL - 1) // 2, 0),
                dilation=(dilation, 1),
                bias=False,
            )
            for dilation in DILATIONS
        )
        self.branch_norm = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout2d(dropout)  # whole channels: a small mask is cheap
        self.mix = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(
        self, x: Float[Tensor, "N D T V"], seen: Float[Tensor, "N 1 T 1"]
    ) -> Float[Tensor, "N D S V"]:
        """Every ``stride``-th frame, from those around it that were seen."""
        y = _masked(torch.relu(self.reduce_norm(self.reduce(x))), seen)
        parts = torch.split(y, self.share, dim=1)
        branches = [conv(part) for conv, part in zip(self.dilated, parts, strict=False)]
        branches.append(functional.max_pool2d(parts[2], (3, 1), (self.stride, 1), (1, 0)))
        branches.append(parts[3][:, :, :: self.stride])
        y = torch.relu(self.branch_norm(torch.cat(branches, dim=1)))
        return self.norm(self.mix(self.dropout(y)))


class GraphBlock(nn.Module):
    """Over the graph, then over time, added to the input."""

    def __init__(
        self,
        widths: tuple[int, int],
        stride: int,
        graph: Float[Tensor, "K V V"],
        dropout: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        num_in, num_out = widths
        self.stride, self.drop_path, self.same_width = stride, drop_path, num_in == num_out
        self.graph = GraphConvolution(num_in, num_out, graph)
        self.temporal = TemporalBranches(num_out, stride, dropout)
        self.shortcut: nn.Module = nn.Identity()
        if not self.same_width or stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(num_in, num_out, 1, (stride, 1), bias=False), nn.BatchNorm2d(num_out)
            )

    def forward(
        self, x: Float[Tensor, "N C T V"], seen: Float[Tensor, "N 1 T 1"]
    ) -> tuple[Float[Tensor, "N D S V"], Float[Tensor, "N 1 S 1"]]:
        """One residual step, and which of its frames were seen."""
        y = self.graph(x)
        y = self.temporal(torch.relu(y + x if self.same_width else y), seen)
        if self.training and self.drop_path > 0:
            keep = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.drop_path
            y = y * keep.to(y.dtype) / (1 - self.drop_path)
        seen = _thinned(seen, self.stride)
        return _masked(torch.relu(y + self.shortcut(x)), seen), seen


class GraphEncoder(nn.Module):
    """Skeleton windows to one representation each, ``N C T V M`` -> ``N D``.

    Args:
        num_channels: C, of which the last is 1 where a joint was seen.
        num_joints: V.
        config: the sizes.

    Raises:
        C2VLError: when ``config.layout`` does not have ``num_joints`` joints.
    """

    def __init__(self, num_channels: int, num_joints: int, config: GraphConfig) -> None:
        super().__init__()
        graph = adjacency_of(config.layout, num_joints)
        self.stem_stride = config.stem_stride
        self.input_norm = nn.BatchNorm2d(num_channels * num_joints)
        self.stem = nn.Conv2d(
            num_channels, config.channels, (3, 1), (config.stem_stride, 1), (1, 0), bias=False
        )
        self.stem_norm = nn.BatchNorm2d(config.channels)
        self.blocks = nn.ModuleList(_blocks(config, graph))
        self.num_features = 2 * config.channels * 2 ** (NUM_STAGES - 1)

    def forward(self, x: Float[Tensor, "N C T V M"]) -> Float[Tensor, "N D"]:
        """Mean over the persons present of the mean and maximum over the frames they are in."""
        N, C, T, V, M = x.shape
        persons = x.permute(0, 4, 1, 2, 3).reshape(N * M, C, T, V)
        seen = persons[:, -1:].amax(dim=3, keepdim=True)
        present = seen.amax(dim=(1, 2, 3))
        if self.training:
            features = self._of_present(persons, seen, present)
        else:
            features = self._of_persons(persons, seen)
        present = present.reshape(N, M, 1)
        summed = (features.reshape(N, M, -1) * present).sum(dim=1)
        return summed / present.sum(dim=1).clamp(min=1)

    def _of_present(
        self,
        persons: Float[Tensor, "P C T V"],
        seen: Float[Tensor, "P 1 T 1"],
        present: Float[Tensor, " P"],
    ) -> Float[Tensor, "P D"]:
        """In training, padding is not computed at all: it would enter the batch statistics."""
        rows = present.nonzero().flatten()
        if len(rows) == 0:
            return persons.new_zeros(len(persons), self.num_features)
        features = self._of_persons(persons[rows], seen[rows])
        return features.new_zeros(len(persons), self.num_features).index_copy(0, rows, features)

    def _of_persons(
        self, persons: Float[Tensor, "P C T V"], seen: Float[Tensor, "P 1 T 1"]
    ) -> Float[Tensor, "P D"]:
        P, C, T, V = persons.shape
        flat = persons.permute(0, 1, 3, 2).reshape(P, C * V, T, 1)
        flat = self.input_norm(flat) * seen
        y = self.stem(flat.reshape(P, C, V, T).permute(0, 1, 3, 2))
        seen = _thinned(seen, self.stem_stride)
        y = _masked(torch.relu(self.stem_norm(y)), seen)
        for block in self.blocks:
            y, seen = block(y, seen)
        return _pooled(y, seen)


def adjacency_of(layout_name: str, num_joints: int) -> Float[Tensor, "K V V"]:
    """The exact adjacency of the layout that an encoder's sizes name.

    Raises:
        C2VLError: when it does not have ``num_joints`` joints.
    """
    return torch.from_numpy(adjacency(layout_of(layout_name, num_joints)))


def layout_of(layout_name: str, num_joints: int) -> SkeletonLayout:
    """The layout that an encoder's sizes name.

    Raises:
        C2VLError: when it does not have ``num_joints`` joints.
    """
    layout = layout_by_name(layout_name)
    if layout.num_joints != num_joints:
        raise C2VLError(
            f"encoder gets {num_joints} joints but layout {layout_name!r} has "
            f"{layout.num_joints}; name the preprocessing's layout in the encoder's sizes"
        )
    return layout


def _blocks(config: GraphConfig, graph: Float[Tensor, "K V V"]) -> list[GraphBlock]:
    """All blocks in order; the first of each later stage doubles the width at half the rate."""
    depth = NUM_STAGES * config.blocks_per_stage
    blocks, width = [], config.channels
    for index in range(depth):
        first = index > 0 and index % config.blocks_per_stage == 0
        out = 2 * width if first else width
        rate = config.drop_path * index / max(depth - 1, 1)
        blocks.append(GraphBlock((width, out), 1 + first, graph, config.dropout, rate))
        width = out
    return blocks


def _thinned(seen: Float[Tensor, "N 1 T 1"], stride: int) -> Float[Tensor, "N 1 S 1"]:
    """Whether one of each ``stride`` frames was seen; an odd last frame stands for itself."""
    if stride == 1:
        return seen
    return functional.max_pool2d(seen, (stride, 1), ceil_mode=True)


def _masked(
    y: Float[Tensor, "N D T V"], seen: Float[Tensor, "N 1 T 1"]
) -> Float[Tensor, "N D T V"]:
    """Zero in frames that were not seen; stays bfloat16 where ``y`` is."""
    return y * seen.to(y.dtype)


def _pooled(y: Float[Tensor, "P D T V"], seen: Float[Tensor, "P 1 T 1"]) -> Float[Tensor, "P E"]:
    """Mean and maximum over the frames that were seen; joints are averaged first."""
    frames = y.float().mean(dim=3, keepdim=True)  # zero where unseen, nowhere negative
    mean = frames.sum(dim=(2, 3)) / seen.sum(dim=(2, 3)).clamp(min=1)
    return torch.cat([mean, frames.amax(dim=(2, 3))], dim=1)
