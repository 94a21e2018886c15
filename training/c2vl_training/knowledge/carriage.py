"""Carriage: how the whole body is held and gets about: posture, trunk, steps, travel, turns."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from c2vl_serve.skeleton.layout import BODY15
from c2vl_training.knowledge.body import FPS, Body
from c2vl_training.knowledge.paths import cycles, direction, turns

LEGS = ("l_knee", "r_knee", "l_ankle", "r_ankle")
LEAN = 38.0  # degrees of the trunk from upright: bent over
SLIGHT_LEAN = 23.0  # degrees, likewise, to be told at all
LYING = (58.0, 0.35)  # degrees, likewise, and height of the hips as in LOW
LOW = 0.78  # hips above the feet, of the legs' length: seated or crouching
SEAT_REACH = 0.12  # metres that a seated person's feet are in front of the hips
TRAVEL = 0.45  # metres
DIP = 0.14  # metres that the hips go down and up
HIPS_MOVE = 0.16  # metres up or down
TURN = 55.0  # degrees
TWIST = 45.0  # degrees of the shoulders against the hips
LUNGE = 0.5  # metres between the feet, front to back
STEP = 0.12  # metres that the feet pass each other by
NUM_STEPS = 3  # fewer are no gait
NUM_STEPS_BEYOND = 6  # from here on it is a walk and no lunge
KNEE_STEP = 0.10  # metres that the knees do, for feet that a depth camera smears
RUN_CADENCE = 2.1  # steps a second as counted here, where some are always lost
PLACE = 1.0  # metres of travel within which the height of the hips in the room is trusted


@dataclass(frozen=True, kw_only=True, slots=True)
class CarriageFacts:
    """What the body does as a whole.

    Attributes:
        postures: one after the other: ``standing``, ``sitting``, ``crouching``, ``bent``,
            ``lying``, or ``upright`` where the legs are not seen.
        hips: ``sink``, ``rise``, ``sink and rise``, ``rise and sink`` or empty: their height.
        dips: how often the hips go down and come up again.
        lean: ``forward``, ``back``, ``aside`` or empty; the furthest that the trunk leans.
        lunge: ``left`` or ``right`` foot far in front with bent knees, or empty.
        steps: how often the feet pass each other.
        running: whether the steps are those of a run.
        travel: direction of the way through the room, or empty.
        turn: ``left`` or ``right`` for a turn that lasts, ``there and back``, or empty.
        twist: whether the shoulders turn against the hips.
    """

    postures: tuple[str, ...]
    hips: str
    dips: int
    lean: str
    lunge: str
    steps: int
    running: bool
    travel: str
    turn: str
    twist: bool


def carriage_facts(body: Body) -> CarriageFacts:
    """Measure the body as a whole."""
    steps, running = _gait(body)
    feet = _feet_height(body)
    lunge = _lunge(body) if steps < NUM_STEPS_BEYOND else ""
    if lunge:  # out and back is no walk
        steps, running = 0, False
    return CarriageFacts(
        postures=posture_course(body),
        hips=_hips(body),
        dips=cycles(feet, DIP) if body.shows(*LEGS) and np.ptp(feet) >= DIP else 0,
        lean=_lean(body),
        lunge=lunge,
        steps=steps,
        running=running,
        travel=_travel(body),
        turn=_turn(body),
        twist=_twist(body),
    )


def lean_angle(body: Body) -> Float64[np.ndarray, " T"]:
    """Degrees of the trunk from upright in each frame."""
    trunk = body.joint("chest")
    return np.rad2deg(np.arccos(np.clip(trunk[:, 1] / np.linalg.norm(trunk, axis=-1), -1, 1)))


def _feet_height(body: Body) -> Float64[np.ndarray, " T"]:
    """Height of the lower foot seen from the hips, negative metres; rises when the hips dip."""
    return np.minimum(body.joint("l_ankle")[:, 1], body.joint("r_ankle")[:, 1])


def posture_course(body: Body) -> tuple[str, ...]:
    """The postures that last, in order; flickers are left out."""
    height = hips_height(body)
    names = [_posture(body, height, frame) for frame in range(len(body.joints))]
    runs: list[tuple[str, int]] = []
    for name in names:
        last = runs.pop() if runs and runs[-1][0] == name else (name, 0)
        runs.append((name, last[1] + 1))
    least = max(2, round(min(0.35 * FPS, len(names) / 6)))
    lasting = [name for name, length in runs if length >= least] or [
        max(runs, key=lambda r: r[1])[0]
    ]
    return tuple(name for k, name in enumerate(lasting) if k == 0 or lasting[k - 1] != name)


def _posture(body: Body, height: Float64[np.ndarray, " T"], frame: int) -> str:
    lean = lean_angle(body)[frame]
    if not body.shows(*LEGS):
        return "bent" if lean > LEAN else "upright"
    if lean > LYING[0] and height[frame] < LYING[1]:
        return "lying"
    if height[frame] < LOW:
        reach = (body.joint("l_ankle") + body.joint("r_ankle"))[frame, 2] / 2
        return "sitting" if reach > SEAT_REACH else "crouching"
    return "bent" if lean > LEAN else "standing"


def hips_height(body: Body) -> Float64[np.ndarray, " T"]:
    """Height of the hips above the middle of the feet, of the length of the straight legs."""
    feet = (body.joint("l_ankle") + body.joint("r_ankle")) / 2
    length = sum(
        np.linalg.norm(body.joint(f"{side}_{a}") - body.joint(f"{side}_{b}"), axis=-1)
        for side in "lr"
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    )
    return -feet[:, 1] / max(float(np.median(length)) / 2, 1e-9)


def _hips(body: Body) -> str:
    """How the height of the hips goes: through the room, or above the feet where that says more.

    Sources that pin the hips to the origin show it above the feet only; depth cameras lose the
    feet of somebody seated.
    """
    height = -_feet_height(body) if body.shows(*LEGS) else np.zeros(len(body.joints))
    # Of somebody walking, the slope of the camera would tell: there the feet are better.
    way = np.linalg.norm(body.travel[:, (0, 2)], axis=-1).max()
    if np.ptp(body.travel[:, 1]) >= HIPS_MOVE / 2 and way < PLACE:
        height = body.travel[:, 1]
    if np.ptp(height) < HIPS_MOVE:
        return ""
    net, span = float(height[-1] - height[0]), float(np.ptp(height))
    if abs(net) > 0.5 * span:
        return "rise" if net > 0 else "sink"
    middle = (height[0] + height[-1]) / 2
    return "sink and rise" if middle - height.min() > height.max() - middle else "rise and sink"


def _lean(body: Body) -> str:
    degrees = lean_angle(body)
    frame = int(degrees.argmax())
    if degrees[frame] < SLIGHT_LEAN:
        return ""
    x, _, z = body.joint("chest")[frame]
    if abs(x) > abs(z):
        return "aside"
    return "forward" if z > 0 else "back"


def _lunge(body: Body) -> str:
    if not body.shows(*LEGS):
        return ""
    apart = (body.joint("l_ankle") - body.joint("r_ankle"))[:, 2]
    frame = int(np.abs(apart).argmax())
    front = "l" if apart[frame] > 0 else "r"
    deep = hips_height(body).min() < LOW
    return {"l": "left", "r": "right"}[front] if abs(apart[frame]) > LUNGE and deep else ""


def _gait(body: Body) -> tuple[int, bool]:
    """Number of steps and whether they are running ones."""
    if not body.shows(*LEGS):
        return 0, False
    feet = body.joint("l_ankle") - body.joint("r_ankle")
    knees = body.joint("l_knee") - body.joint("r_knee")
    steps = max(turns(feet[:, 2], STEP), turns(feet[:, 1], STEP), turns(knees[:, 2], KNEE_STEP))
    return (steps, steps / body.duration > RUN_CADENCE) if steps >= NUM_STEPS else (0, False)


def _travel(body: Body) -> str:
    flat = body.travel * (1, 0, 1)
    furthest = int(np.linalg.norm(flat, axis=-1).argmax())
    if np.linalg.norm(flat[furthest]) < TRAVEL:
        return ""
    word = direction(flat[furthest])[0]
    return {"outward": "left", "inward": "right"}.get(word, word)


def _turn(body: Body) -> str:
    degrees = np.rad2deg(body.heading)
    net = float(degrees[-1] - degrees[0])
    if abs(net) >= TURN:
        return "left" if net > 0 else "right"
    return "there and back" if np.ptp(degrees) >= 1.5 * TURN else ""


def _twist(body: Body) -> bool:
    lines = []
    for part in ("hip", "shoulder"):
        left, right = (body.joints[:, BODY15.index(f"{s}_{part}")] for s in "lr")
        across = left - right
        lines.append(np.unwrap(np.arctan2(-across[:, 2], across[:, 0])))
    return bool(np.rad2deg(np.ptp(lines[1] - lines[0])) > TWIST)
