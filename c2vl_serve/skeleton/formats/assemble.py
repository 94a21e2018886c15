"""A raw array and what is known about it -> a checked SkeletonSequence; every reader ends here."""

import math

import numpy as np
from jaxtyping import Float32, Shaped

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.formats.options import FieldError, ReadOptions, SequenceLimits
from c2vl_serve.skeleton.layout import SkeletonLayout
from c2vl_serve.skeleton.sequence import ALL_VISIBLE, SkeletonSequence


def check_shape(shape: tuple[int, ...], layout: SkeletonLayout, limits: SequenceLimits) -> None:
    """Refuse a joints shape that is not ``T V C`` or ``T M V C``, is empty, or is too large.

    Raises:
        FieldError: naming what was got and expected.
    """
    if len(shape) not in (3, 4):
        raise FieldError(
            "/joints",
            f"joints have {len(shape)} dimensions, shape {shape}; expected T x V x C "
            "(one person) or T x M x V x C",
        )
    T, M, V, C = shape if len(shape) == 4 else (shape[0], 1, *shape[1:])
    if 0 in shape:
        raise FieldError("/joints", f"joints are empty, shape {shape}; send at least one frame")
    if limits.frames < T:
        raise FieldError(
            "/joints",
            f"sequence has {T} frames; at most {limits.frames} are accepted: send it in parts",
        )
    if limits.persons < M:
        raise FieldError(
            "/joints",
            f"sequence has {M} persons; at most {limits.persons} are accepted: choose among them",
        )
    if layout.num_joints != V:
        raise FieldError(
            "/joints",
            f"sequence has {V} joints but layout {layout.name!r} has {layout.num_joints}; "
            f"got shape {shape}, read as T x {'M x ' if len(shape) == 4 else ''}V x C: name the "
            "layout that the joints are in",
        )
    if C not in (2, 3):
        raise FieldError(
            "/joints", f"joints have {C} coordinates; expected 2 (x, y) or 3 (x, y, z)"
        )


def assemble(
    joints: Shaped[np.ndarray, "..."],
    *,
    layout: SkeletonLayout,
    fps: float,
    options: ReadOptions,
    visibility: Shaped[np.ndarray, "..."] | None = None,
    person_ids: tuple[int, ...] = (),
) -> SkeletonSequence:
    """A sequence from numbers of any real type, byte order or memory order.

    Args:
        joints: ``T V C`` or ``T M V C``.
        layout: of the V joints.
        fps: frames per second, already chosen.
        options: its limits are applied.
        visibility: ``T V`` or ``T M V`` in 0..1.
        person_ids: one a person.

    Raises:
        FieldError: when the numbers are not a usable sequence.
    """
    check_shape(joints.shape, layout, options.limits)
    seconds = joints.shape[0] / fps
    if seconds > options.limits.seconds:
        raise FieldError(
            "/fps",
            f"{joints.shape[0]} frames at {fps:g} fps last {seconds:.0f} s; at most "
            f"{options.limits.seconds:g} s are accepted: correct fps or send it in parts",
        )
    if joints.ndim == 3:
        joints = joints[:, None]
    seen = ALL_VISIBLE if visibility is None else _visibility(visibility, joints.shape[:3])
    try:
        return SkeletonSequence(
            joints=as_float32(joints),
            visibility=seen,
            fps=fps,
            layout=layout,
            person_ids=person_ids,
        )
    except SequenceError as error:
        raise FieldError("/joints", str(error)) from error


def as_float32(array: Shaped[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """The same numbers as contiguous float32; what does not fit becomes infinite, thus refused."""
    if array.dtype == np.float32:
        return np.ascontiguousarray(array)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def _visibility(
    visibility: Shaped[np.ndarray, "..."], expected: tuple[int, ...]
) -> Float32[np.ndarray, "..."]:
    single = expected[1] == 1 and visibility.shape == (expected[0], expected[2])
    if visibility.shape != expected and not single:
        raise FieldError(
            "/visibility",
            f"visibility has shape {visibility.shape}; expected {expected}, one value a joint",
        )
    values = as_float32(visibility.reshape(expected))
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low + high) and low >= 0 and high <= 1):
        raise FieldError("/visibility", "visibility holds values outside 0..1")
    return values
