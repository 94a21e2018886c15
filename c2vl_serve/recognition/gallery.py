"""Gallery: actions enrolled from a few examples, recognised beside the bundle's own, untrained.

An example is one embedding. The prototype of an action is the mean of its examples (prototypical
networks, Snell et al., NeurIPS 2017, eq. 1), of unit length. A window's cosine to a prototype
becomes odds against everything the bundle says by itself, so that all scores of a window sum to 1.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Float64, Int64

from c2vl_serve.errors import ActionConflict, GalleryError, UnknownAction

MAX_EXAMPLES = 10  # of one action
MAX_ACTIONS = 200
MAX_NAME = 64  # characters
NAME_MARKS = " -_'()&+."  # allowed in names beside letters and digits; commas separate labels


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryScale:
    """How a cosine becomes a score; ``benchmarks/gallery.py`` chose boundary and slack.

    Attributes:
        boundary: the cosine with a prototype of many examples whose score is just the bundle's
            threshold, so that "recognised" asks as much of an enrolled action as of a label.
        slack: how much lower the boundary is for one example, half of it for two, and so on: the
            fewer examples, the farther their mean lies from what it stands for.
        width: cosine over which the odds change by a factor of e; set by hand.
    """

    boundary: float = 0.925
    slack: float = 0.04
    width: float = 0.01

    def boundaries(self, num_examples: Int64[np.ndarray, " G"]) -> Float64[np.ndarray, " G"]:
        """The boundary of actions with so many examples."""
        return self.boundary - self.slack / num_examples

    def scores(
        self,
        cosines: Float64[np.ndarray, "N G"],
        num_examples: Int64[np.ndarray, " G"],
        threshold: float,
    ) -> Float64[np.ndarray, "N G"]:
        """How likely each action is; what is missing to 1 is everything else.

        Args:
            cosines: of windows with prototypes.
            num_examples: that each prototype is the mean of.
            threshold: the bundle's, which a cosine at the boundary reaches.
        """
        beyond = (cosines - self.boundaries(num_examples)) / self.width
        logits = beyond + np.log(threshold / (1 - threshold))
        # The softmax over all actions and one more, "everything else", whose logit is 0.
        highest = logits.max(axis=1, keepdims=True, initial=0)
        weights = np.exp(logits - highest)
        return weights / (np.exp(-highest) + weights.sum(axis=1, keepdims=True))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EnrolledAction:
    """One action of a gallery.

    Attributes:
        name: as it will be answered.
        examples: embeddings of unit length, one an example.
    """

    name: str
    examples: Float32[np.ndarray, "E D"]

    @property
    def prototype(self) -> Float32[np.ndarray, " D"]:
        """The mean of the examples, of unit length."""
        return unit(self.examples.mean(axis=0))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Gallery:
    """Enrolled actions at one moment; never changed, so that any thread may use it."""

    actions: Mapping[str, EnrolledAction] = field(default_factory=dict)
    scale: GalleryScale = field(default_factory=GalleryScale)

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
        counts = np.array([len(action.examples) for action in self.actions.values()], np.int64)
        return self.scale.scores(self.cosines(representation), counts, threshold)

    def cosines(self, representation: Float32[np.ndarray, "N D"]) -> Float64[np.ndarray, "N G"]:
        """How alike each window is to each action's prototype, -1 to 1."""
        if not self.actions:
            return np.empty((len(representation), 0))
        prototypes = np.stack([action.prototype for action in self.actions.values()])
        return unit(representation).astype(np.float64) @ prototypes.T

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


def unit(vectors: Float32[np.ndarray, "*N D"]) -> Float32[np.ndarray, "*N D"]:
    """Vectors brought to length 1; those without direction stay 0."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
