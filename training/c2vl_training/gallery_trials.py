"""Trials of a gallery: enrol an action that was never seen from a few clips, and look at the rest.

A trial tells which cosines the action's other clips, other actions never seen, and known actions
have with its prototype. From many of them a scale is chosen (:mod:`c2vl_training.gallery_fit`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from c2vl_serve.gallery_space import GalleryScale, GallerySpace, Prototype

SHOTS = (1, 2, 3, 5)  # examples
DRAWS = 4  # of the examples of each action


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ActionViews:
    """Clips of actions, each as recorded and as made-up cameras see it.

    Attributes:
        vectors: representations.
        actions: name of what each shows.
        clips: which clip each is a view of.
        recorded: False for those that a made-up camera sees.
        rejected: whether the bundle says "not recognised" by itself.
    """

    vectors: Float32[np.ndarray, "N D"]
    actions: np.ndarray
    clips: Int64[np.ndarray, " N"]
    recorded: Bool[np.ndarray, " N"]
    rejected: Bool[np.ndarray, " N"]

    def where(self, chosen: Bool[np.ndarray, " N"]) -> "ActionViews":
        """Those for which ``chosen`` is True."""
        return ActionViews(**{name: getattr(self, name)[chosen] for name in self.__slots__})


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trial:
    """One action enrolled from one draw of examples.

    Attributes:
        expected: see :class:`~c2vl_serve.gallery_space.Prototype`.
        own: sorted cosines of its other clips with the prototype.
        known: the same of clips of the bundle's labels.
        unknown: the same of other actions never seen, of those that the bundle rejects by itself.
        num_unknown: of these actions' clips, rejected or not.
    """

    expected: float
    own: Float64[np.ndarray, " A"]
    known: Float64[np.ndarray, " B"]
    unknown: Float64[np.ndarray, " C"]
    num_unknown: int


def for_choosing(actions: np.ndarray) -> np.ndarray:
    """Every second action never seen: these choose a scale, the others measure it."""
    return np.unique(actions)[::2]


def trials(
    unknown: ActionViews, known: Float32[np.ndarray, "M D"], space: GallerySpace, seed: int
) -> list[Trial]:
    """Enrol each action a few times, among clips as recorded and among those seen by cameras."""
    rng = np.random.default_rng(seed)
    placed, others = space.placed(unknown.vectors), space.placed(known)
    return [
        _trial(unknown, group, placed, others, examples)
        for group in (unknown.recorded, ~unknown.recorded)
        for action in np.unique(unknown.actions)
        for examples in _draws(unknown, group & (unknown.actions == action), rng)
    ]


def _draws(
    views: ActionViews, own: Bool[np.ndarray, " N"], rng: np.random.Generator
) -> Iterator[Int64[np.ndarray, " E"]]:
    """Views of different clips, as far as something is left to be found."""
    clips = np.unique(views.clips[own])
    for shots in SHOTS:
        for _ in range(DRAWS if shots < len(clips) else 0):
            drawn = rng.permutation(clips)[:shots]
            of_each = [np.flatnonzero(own & (views.clips == clip)) for clip in drawn]
            yield np.array([rng.choice(views_of) for views_of in of_each])


def _trial(
    views: ActionViews,
    group: Bool[np.ndarray, " N"],
    placed: Float32[np.ndarray, "N W"],
    known: Float32[np.ndarray, "M W"],
    examples: Int64[np.ndarray, " E"],
) -> Trial:
    prototype = Prototype.of(placed[examples])
    cosines = placed.astype(np.float64) @ prototype.direction
    own = group & (views.actions == views.actions[examples[0]])
    others = group & (views.actions != views.actions[examples[0]])
    return Trial(
        expected=prototype.expected,
        own=np.sort(cosines[own & ~np.isin(views.clips, views.clips[examples])]),
        known=np.sort(known.astype(np.float64) @ prototype.direction),
        unknown=np.sort(cosines[others & views.rejected]),
        num_unknown=int(others.sum()),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """What a scale does to clips; means over trials, 0 to 1.

    Attributes:
        found: of the enrolled action's clips.
        kept: of known actions' clips, that are not taken for it.
        rejected: of other actions never seen, that are still not recognised.
        rejected_before: without the enrolled action.
    """

    found: float
    kept: float
    rejected: float
    rejected_before: float


def shares(run: list[Trial], scale: GalleryScale) -> Shares:
    """The shares of all trials under one scale."""
    boundaries = scale.boundaries(np.array([trial.expected for trial in run]))
    rows = [
        (
            1 - np.searchsorted(trial.own, boundary) / len(trial.own),
            np.searchsorted(trial.known, boundary) / len(trial.known),
            np.searchsorted(trial.unknown, boundary) / trial.num_unknown,
            len(trial.unknown) / trial.num_unknown,
        )
        for trial, boundary in zip(run, boundaries, strict=True)
    ]
    found, kept, rejected, before = (float(mean) for mean in np.mean(rows, axis=0))
    return Shares(found=found, kept=kept, rejected=rejected, rejected_before=before)
