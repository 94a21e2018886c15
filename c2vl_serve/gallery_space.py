"""GallerySpace: where enrolled actions are compared, as ``gallery.npz`` keeps it.

Representations are compared by cosine: as they are, or centred and whitened first, so that no
direction counts for more only because all clips spread along it. Which of the two, and how near is
near, training finds out for each encoder.
"""

import zipfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from c2vl_serve.errors import BundleError


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryScale:
    """How a cosine becomes a score. The defaults are for plain cosines, and strict.

    An action's boundary is the cosine whose score is just the bundle's threshold, so that
    "recognised" asks as much of an enrolled action as of a label. It is what the action's own
    examples let expect of one more: low where they differ in camera and person, high where they
    are alike.

    Attributes:
        lowest: of all boundaries.
        highest: of all boundaries, and that of an action with one example.
        width: cosine over which the odds change by a factor of e.
    """

    lowest: float = 0.86
    highest: float = 0.9
    width: float = 0.01

    def __post_init__(self) -> None:
        """Refuse a scale that cannot be used.

        Raises:
            BundleError: saying what is wrong.
        """
        if not (-1 < self.lowest <= self.highest < 1 and 0 < self.width < np.inf):
            raise _wrong(f"{self}", "-1 < lowest <= highest < 1 and a width above 0")

    def boundaries(self, expected: Float64[np.ndarray, " G"]) -> Float64[np.ndarray, " G"]:
        """The boundaries of actions of which one more example would have these cosines."""
        return np.clip(expected, self.lowest, self.highest)

    def scores(
        self,
        cosines: Float64[np.ndarray, "N G"],
        expected: Float64[np.ndarray, " G"],
        threshold: float,
    ) -> Float64[np.ndarray, "N G"]:
        """How likely each action is; what is missing to 1 is everything else.

        Args:
            cosines: of windows with prototypes.
            expected: see :class:`Prototype`.
            threshold: the bundle's, which a cosine at the boundary reaches.
        """
        beyond = (cosines - self.boundaries(expected)) / self.width
        logits = beyond + np.log(threshold / (1 - threshold))
        # The softmax over all actions and one more, "everything else", whose logit is 0.
        highest = logits.max(axis=1, keepdims=True, initial=0)
        weights = np.exp(logits - highest)
        return weights / (np.exp(-highest) + weights.sum(axis=1, keepdims=True))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prototype:
    """What a few examples have in common.

    Attributes:
        direction: their mean, of length 1 (prototypical networks, Snell et al., 2017, eq. 1).
        expected: the cosine that one more example would have with it, if it were as like the
            others as they are like each other; infinite for a single one, which tells nothing.
    """

    direction: Float32[np.ndarray, " W"]
    expected: float

    @classmethod
    def of(cls, placed: Float32[np.ndarray, "E W"]) -> "Prototype":
        """From examples of length 1."""
        E, mean = len(placed), placed.mean(axis=0)
        length = float(np.linalg.norm(mean))
        if E == 1 or length == 0:
            return cls(direction=unit(mean), expected=np.inf)
        # The squared length of the mean is (1 + (E - 1) alike) / E.
        alike = (E * length**2 - 1) / (E - 1)
        return cls(direction=unit(mean), expected=alike / length)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Whitening:
    """What is done to a representation of length 1 before it is compared.

    Attributes:
        mean: taken away first.
        directions: one a column, each divided by how far it spreads.
    """

    mean: Float32[np.ndarray, " D"]
    directions: Float32[np.ndarray, "_ W"]  # D rows, which a file may not have

    def __post_init__(self) -> None:
        """Refuse what cannot be applied.

        Raises:
            BundleError: saying what is wrong.
        """
        if len(self.mean) != len(self.directions):
            raise _wrong(
                f"a mean of {len(self.mean)} numbers and directions of {len(self.directions)}",
                "as many in both",
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.directions).all()):
            raise _wrong("numbers that are not finite", "finite ones")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GallerySpace:
    """Where representations are compared, and how near is near.

    Attributes:
        whitening: what is done first; None for plain cosines.
        scale: from cosines to scores.
    """

    whitening: Whitening | None = None
    scale: GalleryScale = field(default_factory=GalleryScale)

    def placed(self, representation: Float32[np.ndarray, "*N D"]) -> Float32[np.ndarray, "*N W"]:
        """Representations of any length, here and of length 1: their products are cosines."""
        directed = unit(representation)
        if self.whitening is None:
            return directed
        return unit((directed - self.whitening.mean) @ self.whitening.directions)

    def prototype(self, examples: Float32[np.ndarray, "E D"]) -> Prototype:
        """What examples have in common."""
        return Prototype.of(self.placed(examples))


PLAIN = GallerySpace()  # of bundles that say nothing of it


def unit(vectors: Float32[np.ndarray, "*N D"]) -> Float32[np.ndarray, "*N D"]:
    """Vectors brought to length 1; those without direction stay 0."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)


def write_gallery_space(path: Path, space: GallerySpace) -> None:
    """Write ``gallery.npz``; without whitening it holds the scale alone."""
    arrays: dict[str, Any] = {} if space.whitening is None else asdict(space.whitening)
    np.savez(path, **arrays, **asdict(space.scale))


def read_gallery_space(path: Path) -> GallerySpace:
    """Read ``gallery.npz``.

    Raises:
        BundleError: when it is not such a file, or cannot be used.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            whitened = "mean" in arrays or "directions" in arrays
            return GallerySpace(
                whitening=Whitening(
                    mean=arrays["mean"].astype(np.float32),
                    directions=arrays["directions"].astype(np.float32),
                )
                if whitened
                else None,
                scale=GalleryScale(
                    **{each.name: float(arrays[each.name]) for each in fields(GalleryScale)}
                ),
            )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise BundleError(
            f"{path} holds no gallery space: {error}; export the bundle again"
        ) from error


def _wrong(got: str, expected: str) -> BundleError:
    return BundleError(
        f"the gallery space has {got}; expected {expected}: run `c2vl-train gallery` on the "
        "checkpoint and export it again"
    )
