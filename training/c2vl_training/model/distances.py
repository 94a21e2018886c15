"""A temporal network that is told how far joints are from each other, and never where they are.

Distances between joints, their heights, and how these change stay the same however the body is
turned about the vertical (after the joint collection distances of DD-Net, Yang et al., MMAsia
2019, sec. 3.1). What other networks see depends on where the body was found to face, which goes
wrong from some sides; this one errs elsewhere, and is there to stand beside them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from c2vl_serve.errors import C2VLError
from c2vl_training.model.graph import layout_of
from c2vl_training.model.temporal import (
    TemporalConfig,
    first_person,
    pooled_over_time,
    seen_in_pairs,
    temporal_blocks,
)

# Where preprocessing puts them: joint, bone and motion streams of three channels, and a mask.
JOINTS, MOTION, SEEN = slice(0, 3), slice(6, 9), 9
SMALLEST = 1e-6  # square metres: the root of 0 has no slope


@dataclass(frozen=True, kw_only=True, slots=True)
class DistanceConfig(TemporalConfig):
    """Sizes of a :class:`DistanceEncoder`.

    Attributes:
        layout: name of the layout whose joints come in; see ``PreprocessingConfig.layout``.
    """

    channels: int = 128
    depth: int = 4
    layout: str = "body15"


class DistanceEncoder(nn.Module):
    """Skeleton windows to one representation each, ``N C T V M`` -> ``N D``.

    Args:
        num_channels: C, of all streams and of the mask.
        num_joints: V.
        config: the sizes.

    Raises:
        C2VLError: when the input has other streams, or ``config.layout`` other joints.
    """

    first: Tensor
    second: Tensor
    lefts: Tensor
    rights: Tensor

    def __init__(self, num_channels: int, num_joints: int, config: DistanceConfig) -> None:
        super().__init__()
        _check_streams(num_channels)
        layout = layout_of(config.layout, num_joints)
        self.root = layout.root
        pairs = torch.triu_indices(num_joints, num_joints, offset=1)
        self.register_buffer("first", pairs[0], persistent=False)
        self.register_buffer("second", pairs[1], persistent=False)
        for side in ("left", "right"):
            ends = [layout.index(f"{side[0]}_{joint}") for joint in ("hip", "shoulder")]
            self.register_buffer(f"{side}s", torch.tensor(ends), persistent=False)
        D, measured = config.channels, pairs.shape[1] + num_joints
        num_measures = 2 * measured + 3 + num_joints
        self.input_norm = nn.BatchNorm2d(num_measures)
        # Every second frame from three: half the work for all that follows.
        self.input = nn.Conv2d(num_measures, D, (3, 1), (2, 1), (1, 0))
        self.blocks = temporal_blocks(config)
        self.norm = nn.BatchNorm2d(D)
        self.num_features = 2 * D

    def forward(self, x: Float[Tensor, "N C T V M"]) -> Float[Tensor, "N D"]:
        """Mean and maximum over the frames in which somebody was seen."""
        _, seen = first_person(x)
        y = self.input(self.input_norm(self.measures(x)) * seen)
        seen = seen_in_pairs(seen)
        for block in self.blocks:
            y = block(y * seen)
        return pooled_over_time(torch.relu(self.norm(y)), seen)

    def measures(self, x: Float[Tensor, "N C T V M"]) -> Float[Tensor, "N F T 1"]:
        """What is the same from every side: 0 where a joint that it needs was not seen.

        Distances of all pairs of joints and heights above the root, how both changed since the
        frame before, the root's way over the ground and up, how far hips and shoulders turned,
        and which joints were seen.
        """
        joints, seen = x[:, JOINTS, :, :, 0], x[:, SEEN, :, :, 0]
        there = torch.cat([seen[..., self.first] * seen[..., self.second], seen], dim=2)
        between = joints[..., self.first] - joints[..., self.second]
        distances = (between.square().sum(dim=1) + SMALLEST).sqrt()
        now = torch.cat([distances, joints[:, 1]], dim=2) * there
        travel = x[:, MOTION, :, self.root, 0]
        ground = (travel[:, 0].square() + travel[:, 2].square() + SMALLEST).sqrt()
        parts = [
            now,
            _since(now, there),
            torch.stack([ground, travel[:, 1], self._turn(joints, seen)], dim=2),
            seen,
        ]
        return torch.cat(parts, dim=2).transpose(1, 2)[..., None]

    def _turn(
        self, joints: Float[Tensor, "N 3 T V"], seen: Float[Tensor, "N T V"]
    ) -> Float[Tensor, "N T"]:
        """How the line across the body turned about the vertical, times its length squared."""
        across = joints[..., self.lefts].sum(dim=3) - joints[..., self.rights].sum(dim=3)
        trunk = torch.cat([seen[..., self.lefts], seen[..., self.rights]], dim=2).amin(dim=2)
        x, z = across[:, 0] * trunk, across[:, 2] * trunk
        turned = x[:, :-1] * z[:, 1:] - z[:, :-1] * x[:, 1:]
        return torch.cat([torch.zeros_like(x[:, :1]), turned], dim=1)


def _since(now: Float[Tensor, "N T F"], there: Float[Tensor, "N T F"]) -> Float[Tensor, "N T F"]:
    """Change since the frame before, where both are known; 0 in the first frame."""
    change = (now[:, 1:] - now[:, :-1]) * there[:, 1:] * there[:, :-1]
    return torch.cat([torch.zeros_like(now[:, :1]), change], dim=1)


def _check_streams(num_channels: int) -> None:
    if num_channels != SEEN + 1:
        raise C2VLError(
            f"a distance encoder gets {num_channels} channels; expected {SEEN + 1}: joint, bone "
            "and motion streams, and what was seen; preprocess to these, with stream 'all'"
        )
