"""Gallery: actions enrolled from a few examples, recognised beside the bundle's own, untrained.

An example is one embedding. Examples and windows are placed in the bundle's
:class:`GallerySpace`, where an action's prototype is the mean direction of its examples. A window's
cosine to a prototype becomes odds against everything the bundle says by itself, so that all scores
of a window sum to 1.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Float64

from c2vl_serve.errors import ActionConflict, GalleryError, UnknownAction
from c2vl_serve.gallery_space import PLAIN, GallerySpace, Prototype

MAX_EXAMPLES = 10  # of one action
MAX_ACTIONS = 200
MAX_NAME = 64  # characters
NAME_MARKS = " -_'()&+."  # allowed in names beside letters and digits; commas separate labels


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EnrolledAction:
    """One action of a gallery.

    Attributes:
        name: as it will be answered.
        examples: embeddings of unit length, one an example.
    """

    name: str
    examples: Float32[np.ndarray, "E D"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Gallery:
    """Enrolled actions at one moment; never changed, so that any thread may use it.

    Attributes:
        actions: by name.
        space: the bundle's, where they are compared.
    """

    actions: Mapping[str, EnrolledAction] = field(default_factory=dict)
    space: GallerySpace = PLAIN

    @property
    def names(self) -> tuple[str, ...]:
        """Of all actions, in the order of their columns."""
        return tuple(self.actions)

    def scores(
        self, representation: Float32[np.ndarray, "N D"], threshold: float
    ) -> Float64[np.ndarray, "N G"]:
        """How likely each window shows each action; what is missing to 1 is everything else.

        Args:
            representation: of windows, of any length.
            threshold: the bundle's, which a cosine at the boundary reaches.
        """
        expected = np.array([prototype.expected for prototype in self.prototypes], np.float64)
        return self.space.scale.scores(self.cosines(representation), expected, threshold)

    def cosines(self, representation: Float32[np.ndarray, "N D"]) -> Float64[np.ndarray, "N G"]:
        """How alike each window is to each action's prototype, -1 to 1."""
        if not self.actions:
            return np.empty((len(representation), 0))
        directions = np.stack([prototype.direction for prototype in self.prototypes])
        return self.space.placed(representation).astype(np.float64) @ directions.T

    @cached_property
    def prototypes(self) -> tuple[Prototype, ...]:
        """Of all actions, in the bundle's space; found once, not for each request."""
        return tuple(self.space.prototype(each.examples) for each in self.actions.values())

    def action(self, name: str) -> EnrolledAction:
        """The action of this name.

        Raises:
            UnknownAction: naming what is enrolled.
        """
        if name not in self.actions:
            known = ", ".join(self.names[:20]) or "none"
            raise UnknownAction(
                f"no action {name[:MAX_NAME]!r} is enrolled; enrolled are: {known}; enrol it with "
                "an example first"
            )
        return self.actions[name]

    def check_room(self, name: str, count: int) -> None:
        """Refuse what would not fit.

        Raises:
            ActionConflict: when the action or the gallery would be too full, or there is an
                action that differs in upper and lower case only.
        """
        enrolled = self.actions.get(name)
        has = 0 if enrolled is None else len(enrolled.examples)
        if has + count > MAX_EXAMPLES:
            raise ActionConflict(
                f"action {name!r} has {has} examples, {count} more were sent; at most "
                f"{MAX_EXAMPLES} are kept: delete the action and enrol its best examples"
            )
        if enrolled is None and len(self.actions) >= MAX_ACTIONS:
            raise ActionConflict(
                f"the gallery holds {len(self.actions)} actions, as many as it can; delete one "
                f"before {name!r} is enrolled"
            )
        twins = [other for other in self.names if other.casefold() == name.casefold()]
        if twins and enrolled is None:
            raise ActionConflict(
                f"action {name!r} differs from {twins[0]!r} in upper and lower case only; add the "
                f"example to {twins[0]!r}, or choose another name"
            )


def checked_name(name: str, labels: tuple[str, ...]) -> str:
    """The name in its composed Unicode form, if an action may be called so.

    Args:
        name: as sent.
        labels: of the bundle, which an enrolled action may not take.

    Raises:
        GalleryError: when it is empty, too long, or has other characters than names have.
        ActionConflict: when it is a label of the bundle.
    """
    name = unicodedata.normalize("NFC", name)
    odd = sorted({c for c in name if not (c.isalnum() or c in NAME_MARKS)})
    if not 0 < len(name) <= MAX_NAME or odd or name != name.strip():
        raise GalleryError(
            f"the name {name[:MAX_NAME]!r} has {len(name)} characters"
            f"{f', {odd[0]!r} among them' if odd else ''}; expected 1 to {MAX_NAME} letters, "
            f"digits and {NAME_MARKS.strip()}, without spaces around: choose another name"
        )
    if name.casefold() in {label.casefold() for label in labels}:
        raise ActionConflict(
            f"the bundle knows {name!r} by itself; enrol the action under another name, such as "
            f"'my {name}'"
        )
    return name
