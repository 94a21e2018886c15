"""Kinematic descriptions: sentences about a clip, computed from the skeleton and nothing else.

The label-free stand-in for a multimodal model where a clip has no pictures. Sentences say which
limbs move and how, heights, bends, speed, symmetry, posture and locomotion. They depend on the
movement only, never on camera, body size, frame rate, class or name of the clip.
"""

from dataclasses import dataclass

import numpy as np

from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.knowledge.body import Body, body_of
from c2vl_training.knowledge.carriage import LEGS, CarriageFacts, carriage_facts
from c2vl_training.knowledge.facts import (
    SIDES,
    ArmFacts,
    LegFacts,
    arm_facts,
    hands_meet,
    leg_facts,
    limb_path,
    together,
)
from c2vl_training.knowledge.moments import moment_sentences
from c2vl_training.knowledge.paths import extent
from c2vl_training.knowledge.phrases import (
    Clause,
    adverbs,
    arm_clauses,
    carriage_clauses,
    gait_clause,
    held_clause,
    knees_clause,
    leg_clauses,
    posture_clause,
    times,
)

MAX_SENTENCES = 16  # a sample: as many as the frames that the published texts describe
NUM_SUMMARIES = 2  # of them tell everything
SUBJECTS = ("The person", "Someone", "A person", "One person")
STILL_EXTENT = 0.10  # metres that hands and feet of somebody standing still stay within


@dataclass(frozen=True, kw_only=True, slots=True)
class MotionFacts:
    """Everything that is said about a clip, but for single moments.

    Attributes:
        arms: those that are seen, the one that moves most first.
        legs: likewise; both or none.
        carriage: posture, trunk, steps and travel.
        hands: ``together``, ``alternating`` or ``apart``.
        meetings: how often the hands come together.
        still: nothing moves.
    """

    arms: tuple[ArmFacts, ...]
    legs: tuple[LegFacts, ...]
    carriage: CarriageFacts
    hands: str
    meetings: int
    still: bool


def motion_facts(body: Body) -> MotionFacts:
    """Measure a body's movement."""
    shown = [s for s in SIDES if body.shows(*(f"{s[0]}_{part}" for part in ("elbow", "wrist")))]
    sizes = {side: extent(limb_path(body, "wrist", "shoulder", side)) for side in shown}
    order = sorted(shown, key=lambda side: -sizes[side])
    legs = tuple(leg_facts(body, side) for side in SIDES) if body.shows(*LEGS) else ()
    carriage = carriage_facts(body)
    feet = [extent(limb_path(body, "ankle", "hip", side)) for side in SIDES] if legs else []
    resting = max([*sizes.values(), *feet, extent(body.joint("chest"))]) < STILL_EXTENT
    return MotionFacts(
        arms=tuple(arm_facts(body, side, max(sizes.values())) for side in order),
        legs=legs,
        carriage=carriage,
        hands=together(body) if len(shown) == 2 else "apart",
        meetings=hands_meet(body) if len(shown) == 2 else 0,
        still=resting and not (carriage.travel or carriage.turn or carriage.hips),
    )


def kinematic_sentences(
    sequence: SkeletonSequence, *, seed: int = 0, most: int = MAX_SENTENCES
) -> tuple[str, ...]:
    """Up to ``most`` different sentences about a one-person sequence.

    First summaries that tell everything in different words, then one or two facts each, then
    where the hands are at four moments, then the facts in other words.

    The seed chooses the words. Give all clips of a cache the same one: were each clip worded at
    random, two clips of one action would have less in common than two actions in the same words
    (it costs the nearest-neighbour accuracy of the embedded sentences 11 to 20 points).

    Example::

        kinematic_sentences(sequence)[1]
        # "Someone stays on the feet, uses one arm, the left one, raises the left hand, ..."

    Raises:
        SequenceError: for several persons, 2-D joints, or a trunk that is hardly ever seen.
    """
    body = body_of(sequence)
    facts = motion_facts(body)
    clauses = all_clauses(facts)
    whole = [_sentence(clauses, seed + k) for k in range(NUM_SUMMARIES)]
    moments = moment_sentences(body, tuple(arm.side for arm in facts.arms if arm.moves))
    room = MAX_SENTENCES - len(whole) - len(moments)
    parts = [[clauses[k] for k in part] for part in np.array_split(range(len(clauses)), room)]
    single = [_sentence(part, seed) for part in parts if part]
    reworded = [_sentence([clause], seed + 1) for clause in clauses]
    return tuple(dict.fromkeys([*whole, *single, *moments, *reworded]))[:most]


def all_clauses(facts: MotionFacts) -> list[Clause]:
    """Everything there is to say: the body as a whole, the legs, then the arms."""
    posture = posture_clause(facts.carriage)
    if facts.still:
        return [posture, ("stays still", "does not move", "keeps hands and feet at rest")]
    clauses = [c for c in (gait_clause(facts.carriage), posture) if c is not None]
    clauses += carriage_clauses(facts.carriage)
    return clauses + _leg_clauses(facts) + _arm_clauses(facts)


def _leg_clauses(facts: MotionFacts) -> list[Clause]:
    """Nothing for legs that walk: the gait tells it."""
    if facts.carriage.steps or not facts.legs:
        return []
    left, right = facts.legs
    both = knees_clause(facts.legs)
    return ([both] if both else []) + leg_clauses(left, right) + leg_clauses(right, left)


def _arm_clauses(facts: MotionFacts) -> list[Clause]:
    """How the arms share the work, then both as one or the one that moves most first."""
    moving = [arm for arm in facts.arms if arm.moves]
    held = [held_clause(arm) for arm in facts.arms if arm.held and not arm.moves]
    if not moving:
        return [*held, ("keeps both arms quiet", "hardly moves the arms")] if facts.arms else []
    clauses = [_sharing(moving, facts.hands)]
    if facts.meetings and len(moving) == 2:
        often = times(facts.meetings)
        clauses.append(
            (f"brings both hands together {often}", f"puts the hands together {often} in front")
        )
    clauses.append(tuple(f"moves {word}" for word in adverbs(moving[0].speed)))
    if len(moving) == 2 and facts.hands == "together":
        return clauses + arm_clauses(moving[0], "both") + held
    return clauses + [c for arm in moving for c in arm_clauses(arm, arm.side)] + held


def _sharing(moving: list[ArmFacts], hands: str) -> Clause:
    """One side only, both together, in turn, or one more than the other."""
    side = moving[0].side
    if len(moving) == 1:
        return (f"moves the {side} arm only", f"uses one arm, the {side} one")
    return {
        "together": ("uses both arms together", "moves both arms alike"),
        "alternating": ("moves the two arms in turn", "swings the arms alternately"),
    }.get(hands, (f"moves both arms, the {side} one more", f"leads with the {side} arm"))


def _sentence(clauses: list[Clause], version: int) -> str:
    """One sentence of all clauses in one of their wordings."""
    subject = SUBJECTS[version % len(SUBJECTS)]
    said = [clause[version % len(clause)] for clause in clauses]
    listed = ", ".join(said[:-1])
    return f"{subject} {listed} and {said[-1]}." if listed else f"{subject} {said[-1]}."
