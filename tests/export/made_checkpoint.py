"""Networks that were never trained, whole in all else: one for made-up windows, one for a set."""

from typing import Any

import torch

from c2vl_serve.skeleton.layout import layout_by_name
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_training.checkpoint import Checkpoint
from c2vl_training.data.labels import STILL_LABEL, label_names, label_sources
from c2vl_training.model.classifier import ClassifierConfig
from c2vl_training.model.distances import DistanceConfig
from c2vl_training.model.encoders import EncoderConfig
from c2vl_training.model.ensemble import Ensemble
from c2vl_training.model.experts import ExpertConfig, ExpertsConfig
from c2vl_training.model.graph import GraphConfig
from c2vl_training.model.posture import PostureConfig
from c2vl_training.model.temporal import TemporalConfig
from tests.training.made_sets import CONFIG, UTD_LABELS

CARD: dict[str, Any] = {
    "name": "tiny",
    "version": "0.0.1",
    "description": "A network that was never trained.",
    "label_sources": {"a": ["x:a"], "b": ["x:b"], "c": ["x:c"]},
    "idle_label": None,
    "accuracy": {},
    "calibration": {
        "temperature": 1.0,
        "expected_calibration_error": 0.0,
        "threshold": 0.5,
        "fitted_on": "nothing",
        "known_accepted": 0.0,
        "unknown_rejected": 0.0,
    },
    "training": {"recipe": "none"},
    "licences": ["ours"],
}


def tiny_checkpoint() -> Checkpoint:
    """Two members, one of each encoder, an expert for two of the three labels, and its gate."""
    return made_checkpoint(PreprocessingConfig(), ("a", "b", "c"), CARD)


def utd_checkpoint() -> Checkpoint:
    """One that claims to have learned from the made-up UTD set."""
    labels = label_names(UTD_LABELS, hold_still=True)
    card = {
        **CARD,
        "label_sources": label_sources(UTD_LABELS, hold_still=True),
        "idle_label": STILL_LABEL,
        "accuracy": {"utd_mhad": {"protocol": "made up", "clips": 6, "top1": 50.0}},
    }
    return made_checkpoint(CONFIG, labels, card)


def made_checkpoint(
    preprocessing: PreprocessingConfig, labels: tuple[str, ...], card: dict[str, Any]
) -> Checkpoint:
    """Random weights from one seed, with batch norms that do something."""
    torch.manual_seed(0)

    def network(encoder: EncoderConfig, num_labels: int) -> ClassifierConfig:
        return ClassifierConfig(
            num_channels=preprocessing.num_channels,
            num_joints=preprocessing.num_joints,
            num_labels=num_labels,
            encoder=encoder,
        )

    posture = PostureConfig(channels=16, depth=2, joint_channels=8)
    graph = GraphConfig(channels=8, blocks_per_stage=1, stem_stride=2)
    temporal = TemporalConfig(channels=16, depth=2)
    distances = DistanceConfig(channels=16, depth=2)
    configs = (network(posture, len(labels)), network(graph, len(labels)))
    experts = ExpertsConfig(
        gate=network(temporal, 2),
        experts=(
            ExpertConfig(
                set_name="x", labels=(2, 0), networks=(network(temporal, 2), network(distances, 2))
            ),
        ),
        num_labels=len(labels),
        travel_channel=6,
        root=layout_by_name(preprocessing.layout).root,
    )
    model = Ensemble(configs, experts)
    window = (preprocessing.num_channels, preprocessing.num_frames, preprocessing.num_joints, 1)
    with torch.no_grad():
        model.train()(torch.randn(32, *window, generator=torch.Generator().manual_seed(0)))
    return Checkpoint(
        model=model.eval(),
        model_configs=configs,
        preprocessing=preprocessing,
        labels=labels,
        card=card,
        experts=experts,
    )
