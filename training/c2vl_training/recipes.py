"""Recipes: a training run is a function that returns its whole configuration."""

from collections.abc import Callable
from dataclasses import replace

from c2vl_training.config import Member, TrainConfig
from c2vl_training.data.augment import CameraModel
from c2vl_training.data.batches import Sampling
from c2vl_training.data.labels import EVERYDAY_LABELS
from c2vl_training.model.distances import DistanceConfig
from c2vl_training.model.posture import SMALL_POSTURE, PostureConfig
from c2vl_training.model.temporal import SMALL_TEMPORAL, TemporalConfig

# Whole postures in time; joints that gather along the body, then time (decision 19).
MEMBERS = (
    Member(encoder=TemporalConfig(), num_steps=1200),
    Member(encoder=PostureConfig(), num_steps=900),
)
# A set alone has some hundred clips: smaller networks, smaller batches, a minute for each.
ONE_SET_POSTURE = Member(encoder=SMALL_POSTURE, num_steps=600, batch_size=64)
ONE_SET_DISTANCES = Member(encoder=DistanceConfig(), num_steps=600, batch_size=64)
ONE_SET_MEMBERS = (
    Member(encoder=SMALL_TEMPORAL, num_steps=600, batch_size=64),
    ONE_SET_POSTURE,
)


def everyday() -> TrainConfig:
    """The default bundle: all sets together, disturbed as a single camera would.

    The recipes of one set are its experts, which are asked as well where a window looks like the
    recordings of their set: of UTD-MHAD and MSR Action3D the posture network alone.
    """
    experts = (
        replace(utd_mhad(), members=(ONE_SET_POSTURE,)),
        nw_ucla(),
        replace(msr_action3d(), members=(ONE_SET_POSTURE,)),
    )
    return replace(_all_sets(), members=MEMBERS, experts=experts)


def _all_sets() -> TrainConfig:
    return TrainConfig(
        name="everyday",
        version="1.0.0",
        description=(
            "Everyday actions, gestures and sports of one person, from any 3-D skeleton or from "
            "video. Learned from six research sets; what it does not know it may call unrecognised."
        ),
        labels=EVERYDAY_LABELS,
    )


def _one_set(name: str) -> TrainConfig:
    """One set alone on its own protocol, with a milder camera."""
    return replace(
        _all_sets(),
        name=name,
        description=f"{name.replace('_', ' ')} alone, on its usual protocol.",
        labels={name: EVERYDAY_LABELS[name]},
        hold_still=False,
        sampling=Sampling(camera=CameraModel(probability=0.3), cut=0.2),
        members=ONE_SET_MEMBERS,
        ema=0.99,
    )


def utd_mhad() -> TrainConfig:
    """UTD-MHAD cross-subject: train 1, 3, 5, 7; test the others."""
    return _one_set("utd_mhad")


def nw_ucla() -> TrainConfig:
    """NW-UCLA cross-view: train views 1 and 2, test view 3.

    With two posture networks, which see turned bodies best (decision 18), and one of distances,
    which does not ask where a body faces (decision 23).
    """
    members = (ONE_SET_POSTURE, ONE_SET_POSTURE, ONE_SET_DISTANCES)
    return replace(_one_set("nw_ucla"), members=members)


def msr_action3d() -> TrainConfig:
    """MSR Action3D cross-subject over the usual 557 clips: train odd, test even subjects.

    Without mirrors, which cost it four points (decision 15).
    """
    recipe = _one_set("msr_action3d")
    return replace(recipe, sampling=replace(recipe.sampling, mirror=0.0))


RECIPES: dict[str, Callable[[], TrainConfig]] = {
    recipe.__name__: recipe for recipe in (everyday, utd_mhad, nw_ucla, msr_action3d)
}
