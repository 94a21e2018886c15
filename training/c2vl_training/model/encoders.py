"""Encoders by their sizes: every one takes ``N C T V M`` and gives ``N D``."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from c2vl_serve.errors import C2VLError
from c2vl_training.model.distances import DistanceConfig, DistanceEncoder
from c2vl_training.model.graph import GraphConfig, GraphEncoder
from c2vl_training.model.posture import PostureConfig, PostureEncoder
from c2vl_training.model.temporal import TemporalConfig, TemporalEncoder

EncoderConfig: TypeAlias = TemporalConfig | GraphConfig | PostureConfig | DistanceConfig
Encoder: TypeAlias = TemporalEncoder | GraphEncoder | PostureEncoder | DistanceEncoder

ENCODERS: dict[str, type[EncoderConfig]] = {
    "temporal": TemporalConfig,
    "graph": GraphConfig,
    "posture": PostureConfig,
    "distances": DistanceConfig,
}


def build_encoder(num_channels: int, num_joints: int, config: EncoderConfig) -> Encoder:
    """The encoder that ``config`` gives the sizes of."""
    if isinstance(config, GraphConfig):
        return GraphEncoder(num_channels, num_joints, config)
    if isinstance(config, PostureConfig):
        return PostureEncoder(num_channels, num_joints, config)
    if isinstance(config, DistanceConfig):
        return DistanceEncoder(num_channels, num_joints, config)
    return TemporalEncoder(num_channels, num_joints, config)


def encoder_config(values: Mapping[str, Any]) -> EncoderConfig:
    """Sizes that a checkpoint kept, told apart by their names.

    Raises:
        C2VLError: when they are no known encoder's.
    """
    for kind in ENCODERS.values():
        if set(values) == set(kind.__dataclass_fields__):
            return kind(**values)
    raise C2VLError(
        f"encoder has the sizes {sorted(values)}; known encoders: {sorted(ENCODERS)}; "
        "read the checkpoint with the version that wrote it"
    )
