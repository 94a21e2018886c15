"""Facts: what a body does, as plain values that `phrases` puts into words.

Everything is measured within the body (`body.py`): heights against its own head, shoulders and
hips, directions against its own front, lengths in metres of a body of average size.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from c2vl_training.knowledge.body import FPS, Body
from c2vl_training.knowledge.paths import (
    busiest_axis,
    circling,
    cycles,
    extent,
    strokes,
)

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")
OUTWARD = {"left": 1.0, "right": -1.0}  # x of a limb's own outward direction

ARM_MOVES = 0.20  # metres of extent around the shoulder
ARM_SHARE = 0.45  # of the wider arm's extent, below which an arm only comes along
LEG_MOVES = 0.22  # metres of extent around the hip
NEAR_HEAD = 0.24  # metres between wrist and head
NEAR_HANDS = 0.17  # metres between the wrists
HELD_HAND = 0.06  # metres above the elbow's height, or more in front: a hand that does not hang
BENT = 105.0  # degrees of the elbow's inner angle
ELBOW_CHANGE = 40.0  # degrees; less is no movement of the elbow
ELBOW_STILL = 120.0  # degrees, below which an elbow that does not move is held bent
ELBOW_SWING = 30.0  # degrees that count as bending once more
KNEE_BENT, KNEE_CHANGE = 135.0, 25.0  # degrees
SYMMETRIC = 0.5  # correlation of the hands' speeds


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmFacts:
    """What one arm does.

    Attributes:
        side: the person's own.
        moves: whether it moves of itself, not only with the body.
        strokes: straight strokes of the hand around the shoulder, each by its directions.
        levels: height of the hand at the start, at its highest, its lowest and at the end.
        axis: along which it goes to and fro most: 0 outward, 1 up, 2 forward.
        cycles: how often it does.
        circling: +1 from outward over up to inward, -1 the other way, 0 not.
        elbow: ``bends``, ``straightens``, ``pumps`` (both), ``bent`` or ``straight`` throughout,
            or empty where it bends just a little.
        near_head: the hand comes to the head.
        crosses: the hand comes over to the other side of the body.
        held: the hand is held up or in front most of the time.
        speed: highest speed of the hand, metres a second.
    """

    side: Side
    moves: bool
    strokes: tuple[tuple[str, ...], ...]
    levels: tuple[str, str, str, str]
    axis: int
    cycles: int
    circling: int
    elbow: str
    near_head: bool
    crosses: bool
    held: bool
    speed: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LegFacts:
    """What one leg does.

    Attributes:
        side: the person's own.
        moves: whether the foot moves around the hip.
        strokes: straight strokes of the foot around the hip.
        lift: how far the foot rises above the other one, metres.
        forward: how far the foot gets in front of the other one, metres.
        outward: how far the foot gets out to its side beyond the hip, metres.
        knee_bends: whether the knee bends and by how much, degrees; 0 where it does not.
    """

    side: Side
    moves: bool
    strokes: tuple[tuple[str, ...], ...]
    lift: float
    forward: float
    outward: float
    knee_bends: float


def limb_path(body: Body, end: str, origin: str, side: Side) -> Float64[np.ndarray, "T 3"]:
    """The way of one joint around another: outward, up, forward."""
    name = side[0] + "_"
    way = body.joint(name + end) - body.joint(name + origin)
    return way * (OUTWARD[side], 1, 1)


def angle(
    a: Float64[np.ndarray, "T 3"], b: Float64[np.ndarray, "T 3"], c: Float64[np.ndarray, "T 3"]
) -> Float64[np.ndarray, " T"]:
    """Inner angle at ``b`` in degrees, 180 for a straight limb."""
    u, v = a - b, c - b
    lengths = np.linalg.norm(u, axis=-1) * np.linalg.norm(v, axis=-1)
    return np.rad2deg(np.arccos(np.clip((u * v).sum(axis=-1) / np.maximum(lengths, 1e-9), -1, 1)))


def hand_level(body: Body, side: Side, frame: int) -> str:
    """Height of a hand against the body's own landmarks in a frame."""
    height = {name: float(body.joint(name)[frame, 1]) for name in ("head", "chest", "pelvis")}
    hand = float(body.joint(f"{side[0]}_wrist")[frame, 1])
    knees = float(max(body.joint("l_knee")[frame, 1], body.joint("r_knee")[frame, 1]))
    if hand > height["head"] + 0.08:
        return "overhead"
    if hand > height["chest"] + 0.12:
        return "head"
    if hand > height["chest"] - 0.10:
        return "shoulder"
    if hand > height["pelvis"] + 0.16:
        return "chest"
    if hand > height["pelvis"] - 0.02:
        return "waist"
    if hand > knees + 0.10 or not body.shows("l_knee", "r_knee"):
        return "thigh"
    return "knee" if hand > knees - 0.12 else "floor"


def arm_facts(body: Body, side: Side, widest: float) -> ArmFacts:
    """Measure one arm; ``widest`` is the larger extent of the two arms, metres."""
    name = side[0] + "_"
    path = limb_path(body, "wrist", "shoulder", side)
    hand = body.joint(name + "wrist")
    size = extent(path)
    axis, count = busiest_axis(path)
    rise = hand[:, 1] - body.joint("chest")[:, 1]
    above_feet = hand[:, 1] - np.minimum(body.joint("l_ankle"), body.joint("r_ankle"))[:, 1]
    legs = body.shows("l_ankle", "r_ankle")
    lowest = int((above_feet if legs else rise).argmin())  # of somebody bending, nearest the floor
    frames = (0, int(rise.argmax()), lowest, len(path) - 1)
    levels = tuple(hand_level(body, side, frame) for frame in frames)
    held = (path[:, 2] > 0.22) | (hand[:, 1] > body.joint(name + "elbow")[:, 1] + HELD_HAND)
    return ArmFacts(
        side=side,
        moves=size >= ARM_MOVES and size >= ARM_SHARE * widest,
        strokes=strokes(path),
        levels=(levels[0], levels[1], levels[2], levels[3]),
        axis=axis,
        cycles=count,
        circling=circling(path),
        elbow=_elbow(body, name),
        near_head=bool((np.linalg.norm(hand - body.joint("head"), axis=-1) < NEAR_HEAD).any()),
        crosses=bool((hand[:, 0] * OUTWARD[side] < -0.04).any()),
        held=bool(held.mean() > 0.6),
        speed=top_speed(path),
    )


def _elbow(body: Body, name: str) -> str:
    bend = angle(*(body.joint(name + part) for part in ("shoulder", "elbow", "wrist")))
    if np.ptp(bend) < ELBOW_CHANGE:
        return "bent" if np.median(bend) < ELBOW_STILL else "straight"
    if bend.min() > BENT:
        return ""
    if cycles(bend, ELBOW_SWING) > 1:
        return "pumps"
    ends = (bend[0] + bend[-1]) / 2
    return "straightens" if bend.max() - ends > ends - bend.min() else "bends"


def leg_facts(body: Body, side: Side) -> LegFacts:
    """Measure one leg."""
    name, other = side[0] + "_", "r_" if side == "left" else "l_"
    path = limb_path(body, "ankle", "hip", side)
    foot, twin = body.joint(name + "ankle"), body.joint(other + "ankle")
    bend = angle(*(body.joint(name + part) for part in ("hip", "knee", "ankle")))
    bends = float(np.max(bend) - np.min(bend)) if bend.min() < KNEE_BENT else 0.0
    return LegFacts(
        side=side,
        moves=extent(path) >= LEG_MOVES,
        strokes=strokes(path),
        lift=float((foot - twin)[:, 1].max()),
        forward=float((foot - twin)[:, 2].max()),
        outward=float((path[:, 0] - np.median(path[:, 0])).max()),
        knee_bends=bends if bends >= KNEE_CHANGE else 0.0,
    )


def top_speed(path: Float64[np.ndarray, "T 3"]) -> float:
    """Highest speed that is kept for two frames, metres a second."""
    if len(path) < 3:
        return 0.0
    return float(np.linalg.norm(path[2:] - path[:-2], axis=-1).max() * FPS / 2)


def together(body: Body) -> str:
    """How the two hands go: ``together``, ``alternating`` or ``apart`` (each its own way)."""
    left, right = (np.diff(limb_path(body, "wrist", "shoulder", side), axis=0) for side in SIDES)
    size = float(np.sqrt((left**2).sum() * (right**2).sum()))
    likeness = float((left * right).sum()) / size if size > 0 else 0.0
    if likeness >= SYMMETRIC:
        return "together"
    return "alternating" if likeness <= -SYMMETRIC / 2 else "apart"


def hands_meet(body: Body) -> int:
    """How often the hands come together; 0 where they never do."""
    gap = np.linalg.norm(body.joint("l_wrist") - body.joint("r_wrist"), axis=-1)
    return max(1, cycles(-gap, 0.12)) if gap.min() < NEAR_HANDS else 0
