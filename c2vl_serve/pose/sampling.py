"""Choose frames by time, not by count, so that every video reaches the pose network alike."""

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

# A video's last frame may be nearest to a tick beyond its end. It is left out where it is both
# far from that tick and close to the sample before, in parts of a period.
_FAR_FROM_TICK = 0.25
_CLOSE_TO_LAST = 0.75


def nearest_to_ticks(
    items: Iterable[tuple[float, Item]], fps: float
) -> Iterator[tuple[float, Item]]:
    """For each tick of ``fps`` ticks a second, the one item that is nearest to it in time.

    No item is given twice: a source slower than ``fps`` comes through whole, at its own times.
    Holds one item at a time.

    Args:
        items: ``(seconds, item)``, seconds strictly increasing from 0.
        fps: ticks a second, > 0.
    """
    best: tuple[float, Item] | None = None
    best_tick = -1
    given: float | None = None
    for time, item in items:
        tick = math.ceil(time * fps - 0.5 - 1e-6)  # half-way belongs to the earlier tick
        if best is not None and tick != best_tick:
            given = best[0]
            yield best
            best = None
        if best is None or abs(time * fps - tick) < abs(best[0] * fps - tick):
            best, best_tick = (time, item), tick
    if best is None:
        return
    is_far = abs(best[0] * fps - best_tick) > _FAR_FROM_TICK
    if not is_far or given is None or (best[0] - given) * fps >= _CLOSE_TO_LAST:
        yield best
