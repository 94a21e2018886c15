"""What a path of one joint does: its strokes, how often it goes to and fro, whether it circles.

Paths are ``T 3`` in metres with the axes outward, up and forward of the limb's own side, so that
a movement of the left arm and its mirror image of the right arm are the same path.
"""

import numpy as np
from jaxtyping import Float64

Path3 = Float64[np.ndarray, "T 3"]

DIRECTIONS = (("outward", "inward"), ("up", "down"), ("forward", "back"))  # +, - of each axis
NAMED_SHARE = 0.5  # of a stroke's length, from which on an axis is named
TOLERANCE = 0.12  # metres that a path may leave a straight stroke
MIN_STROKE = 0.18  # metres
MIN_SWING = 0.07  # metres that a joint must come back for a turn to count
SWING_SHARE = 0.3  # of the path's whole range, likewise
CIRCLE_ROUNDNESS = 0.45  # 1 for a circle, 0.79 for a square, 0 for a line there and back
CIRCLE_AREA = 0.02  # square metres


def extent(path: Path3) -> float:
    """Diagonal of the box that holds the path, metres."""
    return float(np.linalg.norm(np.ptp(path, axis=0)))


def corners(path: Path3, tolerance: float = TOLERANCE) -> list[int]:
    """Frames at which the path bends: Ramer-Douglas-Peucker, first and last included."""
    kept, spans = {0, len(path) - 1}, [(0, len(path) - 1)]
    while spans:
        start, stop = spans.pop()
        if stop - start < 2:
            continue
        away = _distances(path[start + 1 : stop], path[start], path[stop])
        if away.max() > tolerance:
            corner = start + 1 + int(away.argmax())
            kept.add(corner)
            spans += [(start, corner), (corner, stop)]
    return sorted(kept)


def _distances(
    points: Path3, start: Float64[np.ndarray, " 3"], stop: Float64[np.ndarray, " 3"]
) -> Float64[np.ndarray, " T"]:
    """Distance of each point from the stretch between start and stop."""
    along = stop - start
    length = float(along @ along)
    share = (
        np.clip((points - start) @ along / length, 0, 1) if length > 0 else np.zeros(len(points))
    )
    return np.linalg.norm(points - start - share[:, None] * along, axis=-1)


def strokes(path: Path3) -> tuple[tuple[str, ...], ...]:
    """The path as straight strokes in order, each by its directions, the strongest first.

    Strokes shorter than :data:`MIN_STROKE` are left out; one that goes on like the one before is
    part of it.
    """
    frames = corners(path)
    named: list[tuple[str, ...]] = []
    for start, stop in zip(frames[:-1], frames[1:], strict=True):
        way = path[stop] - path[start]
        if np.linalg.norm(way) >= MIN_STROKE:
            words = direction(way)
            if not named or named[-1] != words:
                named.append(words)
    return tuple(named)


def direction(way: Float64[np.ndarray, " 3"]) -> tuple[str, ...]:
    """Names of the axes that a way goes along, the strongest first."""
    share = way / max(float(np.linalg.norm(way)), 1e-9)
    order = [int(axis) for axis in np.argsort(-np.abs(share), kind="stable")]
    chosen = [axis for axis in order if abs(share[axis]) >= NAMED_SHARE] or order[:1]
    return tuple(DIRECTIONS[axis][int(share[axis] < 0)] for axis in chosen)


def turns(values: Float64[np.ndarray, " T"], swing: float) -> int:
    """How often a value turns round, counting only turns after which it comes back by ``swing``."""
    count, heading = 0, 0
    low = high = float(values[0])
    for value in values.tolist():
        low, high = min(low, value), max(high, value)
        if heading >= 0 and high - value >= swing:
            count, heading, low = count + (heading > 0), -1, value
        elif heading <= 0 and value - low >= swing:
            count, heading, high = count + (heading < 0), 1, value
    return count


def cycles(values: Float64[np.ndarray, " T"], min_swing: float = MIN_SWING) -> int:
    """How often a value goes there and back; 1 for a single excursion, 0 for a one-way change."""
    return (turns(values, max(min_swing, SWING_SHARE * float(np.ptp(values)))) + 1) // 2


def busiest_axis(path: Path3) -> tuple[int, int]:
    """The axis with most to and fro (the widest of several), and how often.

    Axes are 0 outward, 1 up, 2 forward.
    """
    counts = [cycles(path[:, axis]) for axis in range(3)]
    axis = max(range(3), key=lambda axis: (counts[axis], float(np.ptp(path[:, axis]))))
    return axis, counts[axis]


def circling(path: Path3) -> int:
    """+1 or -1 when the path goes round in the frontal plane, 0 when it does not.

    +1 is from outward over up to inward. Roundness is ``4 pi area / perimeter^2`` (the
    isoperimetric quotient) of the part in the upper half, which leaves out lifting and lowering.
    """
    flat = path[path[:, 1] >= path[:, 1].min() + np.ptp(path[:, 1]) / 2, :2]
    if len(flat) < 4:
        return 0
    closing = np.roll(flat, -1, axis=0)
    area = float((flat[:, 0] * closing[:, 1] - flat[:, 1] * closing[:, 0]).sum() / 2)
    perimeter = float(np.linalg.norm(closing - flat, axis=-1).sum())
    round_enough = 4 * np.pi * abs(area) >= CIRCLE_ROUNDNESS * perimeter**2
    return int(np.sign(area)) if round_enough and abs(area) >= CIRCLE_AREA else 0
