"""One layout to another, by joint names, saying what is approximated.

A target joint that the source has is copied. Any other is a weighted sum of source joints
after the recipes below, or missing (visibility 0). Axes follow the layouts: the result's up
axis is the target's, by a proper rotation, so left and right never swap.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Int

from c2vl_serve.skeleton.layout import SkeletonLayout, Up
from c2vl_serve.skeleton.sequence import SkeletonSequence, check_finite

Recipe = tuple[tuple[float, str], ...]

# Tried in order; the parts may themselves be derived. "?_" stands for l_ and for r_.
_RECIPES: dict[str, tuple[Recipe, ...]] = {
    "pelvis": (((0.5, "l_hip"), (0.5, "r_hip")), ((1.0, "hip_center"),)),
    "chest": (((0.5, "l_shoulder"), (0.5, "r_shoulder")), ((1.0, "shoulder_center"),)),
    "hip_center": (((0.5, "l_hip"), (0.5, "r_hip")),),
    "shoulder_center": (((1.0, "neck"),), ((0.5, "l_shoulder"), (0.5, "r_shoulder"))),
    "spine": (((1.0, "spine_3"),), ((0.6, "hip_center"), (0.4, "shoulder_center"))),
    "neck": (((0.8, "shoulder_center"), (0.2, "head")),),
    "head": (
        ((0.6, "head_top"), (0.4, "neck")),
        ((0.5, "l_ear"), (0.5, "r_ear")),
        ((1.0, "nose"),),
    ),
    "nose": (((1.0, "head"),),),
    "?_hand": (
        ((1 / 3, "?_wrist"), (1 / 3, "?_index"), (1 / 3, "?_pinky")),
        ((1.0, "?_hand_tip"),),
        # No hand at all: straight on from the forearm, about a hand's half length.
        ((1.3, "?_wrist"), (-0.3, "?_elbow")),
    ),
    "?_foot": (((1.0, "?_foot_index"),),),
    "?_foot_index": (((1.0, "?_foot"),),),
}

_TO_Y_UP: dict[Up, tuple[tuple[int, int, int], ...]] = {
    "+y": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-y": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "+z": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "-z": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Conversion:
    """A prepared conversion: where joints come from, the rotation, and what it approximates.

    Attributes:
        likest: of each target joint the source joint that it is, or is made of among others;
            any where it cannot be had.
        made: target joints that are no copies, and the source joints and weights that make
            them; none where it cannot be had.
        rotation: 3 x 3, source axes to target axes; None where they are the same.
        approximated: target joints made from others.
        missing: target joints without a source.
        notes: a sentence for whoever reads the answer.
    """

    likest: Int[np.ndarray, " V"]
    made: tuple[tuple[int, tuple[tuple[int, float], ...]], ...]
    rotation: Float32[np.ndarray, "3 3"] | None
    approximated: tuple[str, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def _weights(joint: str, source: SkeletonLayout, asked: frozenset[str]) -> dict[str, float] | None:
    """Weights over the source's joints that make ``joint``; None where no recipe applies."""
    if joint in source.joints:
        return {joint: 1.0}
    side = joint[:2] if joint[:2] in ("l_", "r_") else ""
    for recipe in _RECIPES.get("?_" + joint[2:] if side else joint, ()):
        total: dict[str, float] = {}
        for factor, part in recipe:
            name = part.replace("?_", side)
            found = None if name in asked else _weights(name, source, asked | {joint})
            if found is None:
                break
            for key, weight in found.items():
                total[key] = total.get(key, 0.0) + factor * weight
        else:
            return total
    return None


@lru_cache(maxsize=64)
def conversion(source: SkeletonLayout, target: SkeletonLayout) -> Conversion:
    """Work out how ``source`` becomes ``target``; cached, both are values."""
    recipes = [_weights(joint, source, frozenset()) for joint in target.joints]
    parts = [
        tuple(sorted((source.index(name), weight) for name, weight in (recipe or {}).items()))
        for recipe in recipes
    ]
    is_copy = [joint in source.joints for joint in target.joints]
    approximated, missing = (
        tuple(
            joint
            for joint, copied, made_of in zip(target.joints, is_copy, parts, strict=True)
            if not copied and bool(made_of) is can_be_had
        )
        for can_be_had in (True, False)
    )
    to_source = np.array(_TO_Y_UP[source.up], np.float32)
    to_target = np.array(_TO_Y_UP[target.up], np.float32)
    return Conversion(
        likest=np.array([made_of[0][0] if made_of else 0 for made_of in parts]),
        made=tuple((row, parts[row]) for row in range(len(parts)) if not is_copy[row]),
        rotation=None if source.up == target.up else to_target.T @ to_source,
        approximated=approximated,
        missing=missing,
        notes=_notes(source, target, approximated, missing),
    )


def convert(
    sequence: SkeletonSequence, target: SkeletonLayout
) -> tuple[SkeletonSequence, tuple[str, ...]]:
    """The sequence in another layout, and a note for each thing that is not exact.

    A target joint is as visible as the least visible joint it is made of.

    Returns:
        ``T M V_target C`` sequence, and notes such as
        ``layout coco17 converted to kinect20: hip_center, spine approximated``.
    """
    source = sequence.layout
    if source == target:
        return sequence, ()
    plan = conversion(source, target)
    joints = _weighted(sequence.joints, plan)
    if plan.rotation is not None:
        C = joints.shape[-1]
        joints = joints @ plan.rotation[:C, :C].T
    check_finite(joints, target)  # a recipe may reach beyond float32
    visibility = _least_visible(sequence.visibility, plan)
    return sequence.derived(joints=joints, visibility=visibility, layout=target), plan.notes


def _weighted(
    joints: Float32[np.ndarray, "T M U C"], plan: Conversion
) -> Float32[np.ndarray, "T M V C"]:
    """The target's joints; most are copies, so that no product with a matrix of zeros is taken."""
    weighted = joints.take(plan.likest, axis=2)
    for row, parts in plan.made:
        weighted[:, :, row] = 0
        for source, weight in parts:
            weighted[:, :, row] += weight * joints[:, :, source]
    return weighted


def _least_visible(
    visibility: Float32[np.ndarray, "T M U"], plan: Conversion
) -> Float32[np.ndarray, "T M V"]:
    least = visibility.take(plan.likest, axis=2)
    for row, parts in plan.made:
        if not parts:
            least[:, :, row] = 0
        for source, _ in parts[1:]:
            np.minimum(least[:, :, row], visibility[:, :, source], out=least[:, :, row])
    return least


def _notes(
    source: SkeletonLayout,
    target: SkeletonLayout,
    approximated: tuple[str, ...],
    missing: tuple[str, ...],
) -> tuple[str, ...]:
    changes = []
    if approximated:
        changes.append(f"{', '.join(approximated)} approximated")
    if missing:
        changes.append(f"{', '.join(missing)} missing")
    what = "; ".join(changes) or "exact"
    return (f"layout {source.name} converted to {target.name}: {what}",)
