"""The JSON object of a skeleton: a file's content and the service's ``application/json`` body.

It takes and gives parsed dictionaries; who parses (``json`` here, ``orjson`` in the service) is
the caller's choice.
"""

import base64
import binascii
import math
from typing import Any, get_args

import numpy as np
from jaxtyping import Shaped

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.formats.assemble import assemble, check_shape
from c2vl_serve.skeleton.formats.nested import describe, nested_array
from c2vl_serve.skeleton.formats.options import FieldError, ReadOptions
from c2vl_serve.skeleton.layout import (
    LAYOUTS,
    SkeletonLayout,
    Up,
    layout_by_name,
    layout_from_dict,
)
from c2vl_serve.skeleton.sequence import SkeletonSequence

KEYS = ("joints", "layout", "fps", "visibility", "up", "shape", "encoding", "person_ids")

_JOINTS_FORM = "T x V x C or T x M x V x C (or a flat list with its shape)"
_VISIBILITY_FORM = "T x V or T x M x V, one value a joint"


def sequence_from_dict(body: object, options: ReadOptions) -> SkeletonSequence:
    """A sequence from ``{"joints": ..., "layout": ..., "fps": ...}``.

    ``joints`` is nested lists, a flat list with ``shape``, or base64 of little-endian float32
    with ``shape`` and ``"encoding": "base64"``; ``visibility`` is optional and takes the same
    forms. ``layout`` is a name or a layout's description; ``up`` overrides its up axis.

    Raises:
        FieldError: with a JSON pointer to what is wrong.
    """
    if not isinstance(body, dict):
        raise FieldError(
            "", f"the body is {describe(body)}; expected an object with joints, layout and fps"
        )
    fields = {key: value for key, value in body.items() if value is not None}
    for key in fields:
        if key not in KEYS:
            raise FieldError(
                f"/{key[:40]}", f"unknown key {key[:40]!r}; known are {', '.join(KEYS)}"
            )
    own = layout_from_reference(fields["layout"], options) if "layout" in fields else None
    layout = options.chosen_layout(own, _up(fields.get("up")))
    fps = options.chosen_fps(_fps(fields.get("fps")))
    if "joints" not in fields:
        raise FieldError("/joints", f"joints are missing; expected {_JOINTS_FORM}")
    joints, visibility = _arrays(fields, layout, options)
    return assemble(
        joints,
        layout=layout,
        fps=fps,
        options=options,
        visibility=visibility,
        person_ids=_person_ids(fields.get("person_ids"), joints.shape),
    )


def sequence_to_dict(sequence: SkeletonSequence) -> dict[str, Any]:
    """The object that :func:`sequence_from_dict` reads back unchanged."""
    return {
        "layout": layout_reference(sequence.layout),
        "fps": sequence.fps,
        "person_ids": list(sequence.person_ids),
        "joints": sequence.joints.tolist(),
        "visibility": sequence.visibility.tolist(),
    }


def layout_reference(layout: SkeletonLayout) -> str | dict[str, Any]:
    """The name of a built-in layout, or the description of any other."""
    if LAYOUTS.get(layout.name) == layout:
        return layout.name
    parents = [None if parent == -1 else layout.joints[parent] for parent in layout.parents]
    return {
        "name": layout.name,
        "joints": dict(zip(layout.joints, parents, strict=True)),
        "up": layout.up,
    }


def layout_from_reference(value: object, options: ReadOptions) -> SkeletonLayout:
    """The layout behind a name or a description.

    Raises:
        FieldError: when the name is unknown, or the description is not a layout.
    """
    try:
        if isinstance(value, str):
            return layout_by_name(value[:80])
        if isinstance(value, dict):
            _check_description(value, options)
            return layout_from_dict(value)
    except FieldError:
        raise
    except SequenceError as error:
        raise FieldError("/layout", str(error)) from error
    raise FieldError(
        "/layout",
        f"layout is {describe(value)}; expected one of {', '.join(sorted(LAYOUTS))}, or an object "
        "with name and joints",
    )


def _check_description(description: dict[str, Any], options: ReadOptions) -> None:
    """What ``layout_from_dict`` takes for granted: few joints, parents that are names."""
    joints = description.get("joints")
    if isinstance(joints, dict):
        if len(joints) > options.limits.joints:
            raise FieldError(
                "/layout/joints",
                f"layout has {len(joints)} joints; at most {options.limits.joints} are accepted",
            )
        for joint, parent in joints.items():
            if not isinstance(parent, str | None):
                raise FieldError(
                    "/layout/joints",
                    f"the parent of joint {joint[:40]!r} is {describe(parent)}; expected the name "
                    "of a joint, or null for the root",
                )
    if "up" in description:
        _up(description["up"], "/layout/up")


def _arrays(
    fields: dict[str, Any], layout: SkeletonLayout, options: ReadOptions
) -> tuple[Shaped[np.ndarray, "..."], Shaped[np.ndarray, "..."] | None]:
    """``joints`` and ``visibility`` in whichever of the three forms they came."""
    value, seen = fields["joints"], fields.get("visibility")
    encoding = fields.get("encoding")
    if encoding not in (None, "base64"):
        raise FieldError(
            "/encoding",
            f"encoding is {describe(encoding)}; expected 'base64' (of little-endian float32)",
        )
    if "shape" not in fields:
        if encoding or isinstance(value, str):
            raise FieldError(
                "/shape", "base64 joints need their shape; add shape as [T, M, V, C] or [T, V, C]"
            )
        if isinstance(value, list) and len(value) > options.limits.frames:
            check_shape((len(value), layout.num_joints, 3), layout, options.limits)
        joints = nested_array(value, pointer="/joints", depths=(3, 4), expected=_JOINTS_FORM)
        return joints, _nested_visibility(seen)
    shape = _shape(fields["shape"])
    check_shape(shape, layout, options.limits)
    joints = _packed(value, shape, "/joints", encoding)
    if seen is None:
        return joints, None
    if isinstance(seen, list) and seen and isinstance(seen[0], list):
        return joints, _nested_visibility(seen)
    return joints, _packed(seen, shape[:-1], "/visibility", encoding)


def _nested_visibility(value: object) -> Shaped[np.ndarray, "..."] | None:
    if value is None:
        return None
    return nested_array(value, pointer="/visibility", depths=(2, 3), expected=_VISIBILITY_FORM)


def _packed(
    value: object, shape: tuple[int, ...], pointer: str, encoding: object
) -> Shaped[np.ndarray, "..."]:
    """A flat list or base64 text as an array of ``shape``; counted before it is reshaped."""
    field = pointer.removeprefix("/")
    if encoding == "base64":
        flat = _from_base64(value, pointer)
    else:
        flat = nested_array(
            value,
            pointer=pointer,
            depths=(1,),
            expected="a flat list of numbers, as shape is given",
        )
    if flat.size != math.prod(shape):
        raise FieldError(
            pointer,
            f"{field} holds {flat.size} numbers; shape {list(shape)} needs {math.prod(shape)}",
        )
    return flat.reshape(shape)


def _from_base64(value: object, pointer: str) -> Shaped[np.ndarray, "..."]:
    field = pointer.removeprefix("/")
    if not isinstance(value, str):
        raise FieldError(
            pointer, f"{field} is {describe(value)}; expected base64 text, as encoding is 'base64'"
        )
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FieldError(pointer, f"{field} is not base64: {error}") from error
    if len(raw) % 4:
        raise FieldError(
            pointer, f"{field} decodes to {len(raw)} bytes; float32 takes a multiple of 4"
        )
    return np.frombuffer(raw, "<f4")


def _shape(value: object) -> tuple[int, ...]:
    """``[T, V, C]`` or ``[T, M, V, C]``, as positive whole numbers of a sane size."""
    fits = isinstance(value, list) and all(type(n) is int and 0 <= n < 2**31 for n in value)
    if not (fits and isinstance(value, list) and len(value) in (3, 4)):
        raise FieldError(
            "/shape",
            f"shape is {str(value)[:60]}; expected [T, M, V, C] or [T, V, C], whole numbers",
        )
    return tuple(value)


def _fps(value: object) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float):
        raise FieldError("/fps", f"fps is {describe(value)}; expected frames per second, as 30")
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError as error:
        raise FieldError("/fps", "fps is too large for a float") from error


def _up(value: object, pointer: str = "/up") -> Up | None:
    if value is None:
        return None
    for up in get_args(Up):
        if value == up:
            return up
    raise FieldError(pointer, f"up is {describe(value)}; expected one of {', '.join(get_args(Up))}")


def _person_ids(value: object, shape: tuple[int, ...]) -> tuple[int, ...]:
    if value is None:
        return ()
    num_persons = shape[1] if len(shape) == 4 else 1
    whole = isinstance(value, list) and all(type(n) is int and abs(n) < 2**63 for n in value)
    if not (whole and isinstance(value, list) and len(value) == len(set(value)) == num_persons):
        raise FieldError(
            "/person_ids",
            f"person_ids is {describe(value)}; expected {num_persons} distinct whole numbers, "
            "one a person",
        )
    return tuple(value)
