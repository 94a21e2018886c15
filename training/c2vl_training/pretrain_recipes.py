"""Recipes of pretraining: one row each of the comparison, same encoder, same budget."""

from collections.abc import Callable
from dataclasses import replace

from c2vl_training.data.augment import CameraModel
from c2vl_training.data.batches import Sampling
from c2vl_training.objectives.c2vl import C2VLConfig
from c2vl_training.objectives.schedules import Softening
from c2vl_training.objectives.targets import TargetRule
from c2vl_training.pretrain_config import PretrainConfig


def c2vl() -> PretrainConfig:
    """The whole method: both softened targets, growing softer linearly."""
    return PretrainConfig(name="c2vl")


def _with(name: str, softening: Softening, targets: TargetRule) -> PretrainConfig:
    return replace(c2vl(), name=name, c2vl=C2VLConfig(softening=softening, targets=targets))


def hard_targets() -> PretrainConfig:
    """Every skeleton its own text and no other: symmetric InfoNCE."""
    return _with("hard_targets", Softening(a_max=0.0), TargetRule())


def intra_modal() -> PretrainConfig:
    """Softened by self-similarity alone."""
    return _with("intra_modal", Softening(), TargetRule(self_similarity_share=1.0))


def cross_consistency() -> PretrainConfig:
    """Softened by the other direction's predictions alone."""
    return _with("cross_consistency", Softening(), TargetRule(self_similarity_share=0.0))


def skeleton_only() -> PretrainConfig:
    """No knowledge: two views of a clip, with the augmentations that are usual for it."""
    return replace(
        c2vl(),
        name="skeleton_only",
        objective="skeleton",
        sampling=Sampling(mirror=0.5, cut_recorded=0.3, camera=CameraModel(probability=0.5)),
    )


def c2vl_views() -> PretrainConfig:
    """The whole method on windows as varied as the baseline's, less mirrors: texts name sides."""
    return replace(
        c2vl(),
        name="c2vl_views",
        sampling=replace(skeleton_only().sampling, mirror=0.0),
    )


def c2vl_and_skeletons() -> PretrainConfig:
    """The same windows, of which two of one clip are pulled together as well."""
    return replace(c2vl_views(), name="c2vl_and_skeletons", skeleton_weight=1.0)


PRETRAIN_RECIPES: dict[str, Callable[[], PretrainConfig]] = {
    recipe.__name__: recipe
    for recipe in (
        c2vl,
        hard_targets,
        intra_modal,
        cross_consistency,
        skeleton_only,
        c2vl_views,
        c2vl_and_skeletons,
    )
}
