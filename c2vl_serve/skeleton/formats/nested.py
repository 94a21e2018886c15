"""Nested lists of numbers, as JSON gives them -> an array, with every way to be wrong named.

``numpy.asarray`` would turn text into numbers, ``true`` into 1 and raggedness into objects;
here each level is checked whole (a few set operations in C) and the fault is searched for only
when there is one.
"""

from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Float64

from c2vl_serve.skeleton.formats.options import FieldError

_NUMBERS = {int, float}


def nested_array(
    value: object, *, pointer: str, depths: tuple[int, ...], expected: str
) -> Float64[np.ndarray, "..."]:
    """The float64 array that equally long nested lists of numbers spell.

    Args:
        value: what a JSON parser made of the field.
        pointer: JSON pointer to the field, for messages.
        depths: how deep it may be nested.
        expected: the words for that in a message, such as ``T x V x C``.

    Raises:
        FieldError: for anything but lists of numbers, all alike; it points at the first fault.
    """
    field = pointer.removeprefix("/")
    if not isinstance(value, list):
        raise FieldError(pointer, f"{field} is {describe(value)}; expected a list: {expected}")
    level: list[Any] = value
    shape = [len(level)]
    while level and isinstance(level[0], list):
        if len(shape) == max(depths):
            raise FieldError(pointer, f"{field} is nested too deep; expected {expected}")
        _check_alike(level, shape, pointer)
        shape.append(len(level[0]))
        level = list(chain.from_iterable(level))
    _check_numbers(level, shape, pointer)
    if len(shape) not in depths:
        raise FieldError(
            pointer,
            f"{field} is nested {len(shape)} deep ({' x '.join(map(str, shape))}); "
            f"expected {expected}",
        )
    try:
        return np.fromiter(level, np.float64, len(level)).reshape(shape)
    except OverflowError as error:
        raise FieldError(pointer, f"{field} holds a number too large for a float") from error


def describe(value: object) -> str:
    """A JSON value in a few words; never more than a glimpse of it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f"the text {value[:20] + ('...' if len(value) > 20 else '')!r}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    return f"the number {value:g}" if isinstance(value, float) else f"a {type(value).__name__}"


def _check_alike(level: list[Any], shape: list[int], pointer: str) -> None:
    """All entries of ``level`` must be lists of one length."""
    if set(map(type, level)) == {list} and len(set(map(len, level))) == 1:
        return
    length = len(level[0])
    index, fault = next(
        (index, entry)
        for index, entry in enumerate(level)
        if not isinstance(entry, list) or len(entry) != length
    )
    place = _place(index, shape, pointer)
    raise FieldError(
        place,
        f"{place[1:]} is {describe(fault)}; expected a list of {length} like the entries before "
        "it: all frames need the same persons and joints",
    )


def _check_numbers(level: list[Any], shape: list[int], pointer: str) -> None:
    """All entries of the innermost ``level`` must be numbers."""
    if set(map(type, level)) <= _NUMBERS:
        return
    index, fault = next(
        (index, entry) for index, entry in enumerate(level) if type(entry) not in _NUMBERS
    )
    place = _place(index, shape, pointer)
    hint = "; send 0 with visibility 0 for a joint that was not seen" if fault is None else ""
    raise FieldError(place, f"{place[1:]} is {describe(fault)}; expected a number{hint}")


def _place(index: int, shape: list[int], pointer: str) -> str:
    """JSON pointer to the entry at flat ``index`` of the level that has this ``shape``."""
    steps = []
    for length in reversed(shape):
        index, step = divmod(index, length)
        steps.append(str(step))
    return "/".join([pointer, *reversed(steps)])
