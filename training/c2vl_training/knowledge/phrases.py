"""Phrases: facts put into words; each fact has a few wordings that mean the same.

A clause is a tuple of wordings of one fact, every one of them a verb phrase whose subject is the
person ("lifts the left hand"). `kinematic` chooses among them and joins them to sentences.
"""

from c2vl_training.knowledge.carriage import CarriageFacts
from c2vl_training.knowledge.facts import ArmFacts, LegFacts

Clause = tuple[str, ...]

LEVELS = {
    "overhead": "above the head",
    "head": "at head height",
    "shoulder": "at shoulder height",
    "chest": "at chest height",
    "waist": "at waist height",
    "thigh": "beside the thigh",
    "knee": "down at the knees",
    "floor": "down near the ground",
}
# What a hand does along its strongest direction, in three wordings.
HAND_VERBS: dict[str, Clause] = {
    "up": ("lifts {limb}", "raises {limb}", "brings {limb} up"),
    "down": ("lowers {limb}", "drops {limb}", "brings {limb} down"),
    "forward": ("pushes {limb} forward", "reaches forward with {limb}", "stretches {limb} ahead"),
    "back": ("pulls {limb} back", "draws {limb} back", "takes {limb} backwards"),
    "outward": (
        "swings {limb} outward",
        "moves {limb} out to the side",
        "opens {limb} away from the body",
    ),
    "inward": (
        "sweeps {limb} across the body",
        "brings {limb} inward across the chest",
        "moves {limb} across to the other side",
    ),
}
ALSO = {
    "up": "upwards",
    "down": "downwards",
    "forward": "to the front",
    "back": "to the back",
    "outward": "to the side",
    "inward": "across the body",
}
TO_AND_FRO: tuple[Clause, ...] = (
    (
        "waves {limb} from side to side",
        "swings {limb} to both sides in turn",
        "moves {limb} sideways",
    ),
    ("moves {limb} up and down", "pumps {limb} up and down", "lifts and lowers {limb}"),
    ("moves {limb} forward and back", "thrusts {limb} to and fro", "pushes {limb} out and back"),
)
POSTURES: dict[str, Clause] = {
    "standing": ("stands upright", "is standing", "stays on the feet"),
    "sitting": ("sits", "is seated", "stays sitting"),
    "crouching": ("crouches", "stays in a deep squat", "is down on bent knees"),
    "bent": ("is bent over", "leans far over", "holds the upper body down"),
    "lying": ("lies down flat", "is lying", "stays lying"),
    "upright": ("is upright", "keeps the upper body upright", "holds the trunk straight"),
}
CHANGES: dict[tuple[str, str], Clause] = {
    ("standing", "sitting"): ("sits down", "lowers the hips onto a seat", "takes a seat"),
    ("sitting", "standing"): ("stands up from sitting", "gets up from a seat", "rises to stand"),
    ("standing", "crouching"): (
        "squats down with bent knees",
        "lowers the body by bending both knees",
        "goes down into a crouch",
    ),
    ("crouching", "standing"): ("stands up from the squat", "rises again", "comes back up"),
    ("standing", "bent"): (
        "bends over forward towards the ground",
        "bows the upper body down",
        "leans down from the hips",
    ),
    ("bent", "standing"): ("straightens up again", "comes upright again", "raises the trunk"),
}
HIPS: dict[str, Clause] = {
    "sink": ("lowers the hips and stays low", "ends lower than at the start, hips going down"),
    "rise": ("raises the hips and stays up", "ends higher than at the start, hips going up"),
    "sink and rise": ("lowers the hips and comes up again", "goes down and up again"),
    "rise and sink": ("goes up and comes down again", "hops up and lands"),
}
TIMES = ("", "once", "twice", "three times", "four times", "five times", "six times")
MANY_TIMES = "many times"
MIN_CYCLES = 2  # of a hand; once there and back is told by its strokes
MAX_STROKES = 4  # told of a hand
HANGING = ("thigh", "knee", "floor")  # levels of a hand that does nothing
KICK_LIFT = 0.25  # metres of one foot above the other
SPEEDS = ((0.9, ("slowly", "gently")), (2.2, ("at an even speed", "without haste")))
FASTER = ((4.0, ("quickly", "briskly")), (float("inf"), ("very fast", "with great force")))


def times(count: int) -> str:
    """A number of repetitions in words."""
    return TIMES[count] if count < len(TIMES) else MANY_TIMES


def adverbs(speed: float) -> Clause:
    """How fast a hand or foot goes; metres a second."""
    return next(words for limit, words in SPEEDS + FASTER if speed < limit)


def limb_name(side: str, part: str) -> str:
    """``the left hand``, or ``both hands`` where side is ``both``."""
    plural = {"hand": "hands", "foot": "feet", "elbow": "elbows", "arm": "arms", "knee": "knees"}
    return f"both {plural[part]}" if side == "both" else f"the {side} {part}"


def stroke_clause(strokes: tuple[tuple[str, ...], ...], side: str) -> Clause:
    """The first strokes of a hand in order, as one clause in three wordings."""
    hand, again = limb_name(side, "hand"), "them" if side == "both" else "it"
    wordings = []
    for version in range(3):
        parts = []
        for position, words in enumerate(strokes[:MAX_STROKES]):
            said = HAND_VERBS[words[0]][version].format(limb=again if position else hand)
            parts.append(" ".join([said, *(ALSO[word] for word in words[1:2])]))
        wordings.append(", then ".join(parts))
    return tuple(wordings)


def arm_clauses(arm: ArmFacts, side: str) -> list[Clause]:
    """What an arm that moves does, the most telling first; ``side`` may be ``both``."""
    hand = limb_name(side, "hand")
    clauses: list[Clause] = []
    if arm.circling:
        clauses.append(circle_clause(arm, side))
    if arm.cycles >= MIN_CYCLES:
        clauses.append(
            tuple(f"{w.format(limb=hand)} {times(arm.cycles)}" for w in TO_AND_FRO[arm.axis])
        )
    if arm.strokes:
        clauses.append(stroke_clause(arm.strokes, side))
    elif not clauses:
        clauses.append((f"moves {hand} a little", f"shifts {hand} slightly"))
    clauses += height_clauses(arm, hand)
    if elbow := elbow_clause(arm, side):
        clauses.append(elbow)
    if arm.near_head:
        clauses.append((f"brings {hand} to the head", f"has {hand} close to the face"))
    if arm.crosses and side != "both":
        clauses.append(
            (f"reaches across the body with {hand}", f"has {hand} over on the other side")
        )
    return clauses


def circle_clause(arm: ArmFacts, side: str) -> Clause:
    """A circle in front of the body; its sense as the person sees it."""
    hand = limb_name(side, "hand")
    if side == "both":
        return (f"draws circles with {hand}", f"circles {hand}")
    # Outward over up to inward: anticlockwise for the right hand, clockwise for the left.
    sense = "clockwise" if (arm.circling > 0) == (side == "left") else "anticlockwise"
    return (f"draws a circle {sense} with {hand}", f"moves {hand} round {sense} in a circle")


def height_clauses(arm: ArmFacts, hand: str) -> list[Clause]:
    """How high the hand gets, and how low where that is lower than it hangs."""
    start, top, bottom, end = arm.levels
    high = LEVELS[top]
    clauses: list[Clause]
    if top in HANGING:
        clauses = [(f"keeps {hand} down beside the body", f"has {hand} hanging low")]
    elif end == top != start:
        clauses = [(f"ends with {hand} {high}", f"leaves {hand} {high}")]
    else:
        clauses = [(f"has {hand} {high} at the highest", f"gets {hand} up {high}")]
    if bottom in ("knee", "floor"):
        low = LEVELS[bottom]
        clauses.append((f"reaches {low} with {hand}", f"has {hand} {low} at the lowest"))
    return clauses


def elbow_clause(arm: ArmFacts, side: str) -> Clause | None:
    """What the elbow does, where it tells anything."""
    elbow, whole = limb_name(side, "elbow"), limb_name(side, "arm")
    said: dict[str, Clause] = {
        "bends": (f"bends {elbow}", f"folds {whole} at the elbow"),
        "straightens": (f"straightens {elbow}", f"stretches {whole} out"),
        "pumps": (f"bends and straightens {elbow} repeatedly", f"works {elbow} again and again"),
        "bent": (f"keeps {elbow} bent", f"holds {whole} bent"),
        "straight": (f"keeps {whole} straight", f"holds {whole} unbent"),
    }
    return said.get(arm.elbow)


def held_clause(arm: ArmFacts) -> Clause:
    """A hand that stays up or in front."""
    hand, level = limb_name(arm.side, "hand"), LEVELS[arm.levels[1]]
    return (f"holds {hand} still {level}", f"keeps {hand} {level}")


def leg_clauses(leg: LegFacts, other: LegFacts) -> list[Clause]:
    """What a leg does of its own: kicks and lifts; bent knees of both are told by the carriage."""
    foot, knee = limb_name(leg.side, "foot"), limb_name(leg.side, "knee")
    clauses: list[Clause] = []
    if leg.moves and leg.lift > KICK_LIFT and leg.lift > other.lift + 0.1:
        way = "out to the side" if leg.outward > max(0.3, leg.forward) else "forward"
        clauses.append(
            (
                f"kicks {foot} {way}",
                f"lifts {foot} off the ground and swings the leg {way}",
                f"throws {foot} {way} while standing on the other leg",
            )
        )
    if leg.moves and leg.knee_bends and not other.knee_bends:
        clauses.append((f"bends {knee}", f"flexes {knee}"))
    return clauses


def knees_clause(legs: tuple[LegFacts, ...]) -> Clause | None:
    """Both knees bending."""
    if legs and all(leg.knee_bends for leg in legs):
        return ("bends both knees", "flexes the knees")
    return None


def posture_clause(facts: CarriageFacts) -> Clause:
    """The postures one after the other."""
    course = facts.postures
    if len(course) == 1:
        return POSTURES[course[0]]
    steps = [
        CHANGES.get(pair, tuple(f"then {w}" for w in POSTURES[pair[1]]))
        for pair in zip(course[:-1], course[1:], strict=True)
    ][:3]
    return tuple(" and ".join(step[version] for step in steps) for version in range(3))


def gait_clause(facts: CarriageFacts) -> Clause | None:
    """Steps and the way through the room."""
    if facts.steps:
        verb, other = ("jogs", "runs") if facts.running else ("walks", "steps")
        if facts.travel:
            way = {"forward": "forward", "back": "backwards"}.get(
                facts.travel, f"to the {facts.travel}"
            )
            return (
                f"{verb} {way} through the room",
                f"{other} {way}, from one place to another",
                f"travels {way} on alternating feet",
            )
        return (
            f"{verb} on the spot, lifting the feet in turn",
            f"{other} in place with alternating knees",
            f"{verb} without leaving the place",
        )
    if facts.travel:
        way = {"forward": "forward", "back": "back"}.get(facts.travel, f"to the {facts.travel}")
        return (f"shifts the whole body {way}", f"moves {way} by a step")
    return None


def carriage_clauses(facts: CarriageFacts) -> list[Clause]:
    """Turns, twists, leaning, lunges and repeated dips."""
    clauses: list[Clause] = []
    if facts.lunge:
        clauses.append(
            (
                f"steps into a lunge with the {facts.lunge} foot in front",
                f"puts the {facts.lunge} foot far forward and bends the knee",
            )
        )
    if facts.dips >= 2:
        clauses.append((f"bends the knees and rises {times(facts.dips)}",))
    if facts.hips:
        clauses.append(HIPS[facts.hips])
    if facts.turn:
        to = facts.turn if facts.turn == "there and back" else f"to the {facts.turn}"
        clauses.append((f"turns the body {to}", f"turns round {to}"))
    if facts.twist:
        clauses.append(("twists the shoulders against the hips", "rotates the upper body"))
    if facts.lean and "bent" not in facts.postures and "lying" not in facts.postures:
        clauses.append((f"leans {facts.lean}", f"tilts the upper body {facts.lean}"))
    return clauses
