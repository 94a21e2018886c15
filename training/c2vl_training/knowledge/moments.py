"""Moments: where the hands are early, in the middle and late in a clip, as sentences.

Strokes tell how a hand moves; these tell where it is on the way, which survives a shaky tracker
better. A stand-in for what a multimodal model says of single frames.
"""

import numpy as np

from c2vl_training.knowledge.body import Body
from c2vl_training.knowledge.facts import BENT, SIDES, Side, angle, hand_level, limb_path
from c2vl_training.knowledge.phrases import LEVELS

# Share of the clip, and how it is called; the very ends show how clips were cut, not the action.
MOMENTS = ((0.15, "At the start"), (0.38, "Early on"), (0.62, "Later"), (0.85, "At the end"))
CLOSE = 0.2  # metres from the shoulder's vertical


def moment_sentences(body: Body, sides: tuple[Side, ...]) -> list[str]:
    """One sentence a moment about the hands of these sides; none for none."""
    if not sides:
        return []
    last = len(body.joints) - 1
    return [f"{name} {_hands(body, sides, round(share * last))}." for share, name in MOMENTS]


def hand_place(body: Body, side: Side, frame: int) -> str:
    """Height of a hand, and whether it is in front, aside, across, behind or close."""
    out, _, forward = limb_path(body, "wrist", "shoulder", side)[frame]
    if np.hypot(out, forward) < CLOSE:
        where = "close to the body"
    elif abs(out) > abs(forward):
        where = "out to the side" if out > 0 else "across the body"
    else:
        where = "in front" if forward > 0 else "behind the body"
    parts = (body.joint(f"{side[0]}_{part}")[[frame]] for part in ("shoulder", "elbow", "wrist"))
    bent = " with the elbow bent" if float(angle(*parts)[0]) < BENT else ""
    return f"{LEVELS[hand_level(body, side, frame)]} {where}{bent}"


def _hands(body: Body, sides: tuple[Side, ...], frame: int) -> str:
    places = {side: hand_place(body, side, frame) for side in SIDES if side in sides}
    if len(places) == 2 and len(set(places.values())) == 1:
        return f"both hands are {places['left']}"
    return " and ".join(f"the {side} hand is {place}" for side, place in places.items())
