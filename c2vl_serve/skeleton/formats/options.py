"""What a reader is told besides the bytes: layout, rate, up axis and how large is too large."""

from dataclasses import dataclass, replace

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.layout import LAYOUTS, SkeletonLayout, Up


class FieldError(SequenceError):
    """A SequenceError that knows which field of the input is at fault.

    Attributes:
        pointer: JSON pointer (RFC 6901) to the field, such as ``/joints/3``.
    """

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceLimits:
    """The largest sequence that is read; checked before memory is taken.

    Attributes:
        frames: T at most.
        persons: M at most.
        joints: V at most, for layouts that an input describes itself.
        seconds: duration at most, so that a tiny ``fps`` cannot stretch a resampled sequence.
        fps: frames per second at most.
    """

    frames: int = 20_000
    persons: int = 10
    joints: int = 256
    seconds: float = 3600.0
    fps: float = 1000.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadOptions:
    """What the caller says about an input; it wins over what the input says about itself.

    Attributes:
        layout: the joints' layout, needed where the input does not name one.
        fps: frames per second, needed where the input does not say.
        up: the axis that points up, instead of the layout's usual one.
        limits: how large a sequence may be.
    """

    layout: SkeletonLayout | None = None
    fps: float | None = None
    up: Up | None = None
    limits: SequenceLimits = SequenceLimits()

    def chosen_layout(self, own: SkeletonLayout | None, own_up: Up | None = None) -> SkeletonLayout:
        """The caller's layout, else the input's ``own``, with the up axis that was asked for.

        Raises:
            FieldError: when neither names a layout.
        """
        layout = self.layout or own
        if layout is None:
            raise FieldError(
                "/layout",
                "the input does not say which layout its joints are in; say it with "
                f"layout=NAME, one of {', '.join(sorted(LAYOUTS))}",
            )
        up = self.up or own_up
        return replace(layout, up=up) if up else layout

    def chosen_fps(self, own: float | None) -> float:
        """The caller's frames per second, else the input's ``own``.

        Raises:
            FieldError: when neither says, or the value is not a usable rate.
        """
        fps = self.fps if self.fps is not None else own
        if fps is None:
            raise FieldError(
                "/fps",
                "the input does not say its frames per second; say it with fps=NUMBER, such as "
                "fps=30 (tempo is part of an action)",
            )
        if not 0 < fps <= self.limits.fps:
            raise FieldError(
                "/fps", f"fps is {fps:g}; expected more than 0 and at most {self.limits.fps:g}"
            )
        return float(fps)
