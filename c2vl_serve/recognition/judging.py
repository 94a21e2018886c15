"""Judges: from a network's outputs to scores over names, and what a whole sequence's scores mean.

LabelJudge    the bundle's labels, and the actions of a gallery beside them
TextJudge     texts of the bundle's vocabulary, by the network's concept
"""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from c2vl_serve.bundle import BundleCard, ModelBundle
from c2vl_serve.errors import LabelError
from c2vl_serve.recognition.gallery import Gallery
from c2vl_serve.recognition.runtime import Outputs
from c2vl_serve.skeleton.sampling import probabilities
from c2vl_serve.texts import TextVocabulary, nearest

MORE_LIKELY_THAN_NOT = 0.5  # texts have no threshold of their own
MAX_ASKED = 100  # labels in one question


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Verdict:
    """What may be said of a stretch: names with their scores, and whether any can be meant."""

    names: tuple[str, ...]
    scores: Float64[np.ndarray, " K"]
    recognised: bool


@runtime_checkable
class Judge(Protocol):
    """Scores windows over its names."""

    @property
    def names(self) -> tuple[str, ...]:
        """One a column of the scores."""
        ...

    @property
    def idle(self) -> int | None:
        """Column of standing still, which counts only where it fills the time."""
        ...

    @property
    def threshold(self) -> float:
        """Least score that can be meant."""
        ...

    def scores(self, outputs: Outputs) -> Float64[np.ndarray, "N K"]:
        """One distribution a window."""
        ...

    def verdict(self, summed: Float64[np.ndarray, " K"]) -> Verdict:
        """What one distribution for all windows of a stretch means."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelJudge:
    """The classifier's labels, and enrolled actions on the same scale.

    Attributes:
        card: of the bundle.
        gallery: enrolled actions; their share is taken from all labels alike.
        asked: names that alone compete; all where empty.
    """

    card: BundleCard
    gallery: Gallery = field(default_factory=Gallery)
    asked: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The labels, then the enrolled actions."""
        return (*self.card.labels, *self.gallery.names)

    @property
    def idle(self) -> int | None:
        """Column of the bundle's idle label."""
        return self.card.idle

    @property
    def threshold(self) -> float:
        """The bundle's."""
        return self.card.calibration.threshold

    def scores(self, outputs: Outputs) -> Float64[np.ndarray, "N K"]:
        """The calibrated softmax, as far as enrolled actions leave it."""
        own = probabilities(outputs.logits, self.card.calibration.temperature)
        if not self.gallery.actions:
            return own
        enrolled = self.gallery.scores(outputs.representation, self.threshold)
        rest = 1 - enrolled.sum(axis=1, keepdims=True)
        return np.concatenate([own * rest, enrolled], axis=1)

    def verdict(self, summed: Float64[np.ndarray, " K"]) -> Verdict:
        """Recognised where the best score reaches the threshold, or that of all names asked for."""
        if self.asked:
            return _among(self.names, summed, self.asked, self.threshold)
        is_known = bool(summed.max() >= self.threshold)
        return Verdict(names=self.names, scores=summed, recognised=is_known)


@dataclass(frozen=True, kw_only=True, slots=True)
class TextJudge:
    """Texts by the cosine of their embeddings with a window's concept (CLIP's zero-shot, eq. 1).

    All texts of the vocabulary share the probability; those asked for compete for their part.
    """

    vocabulary: TextVocabulary
    asked: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All texts of the vocabulary."""
        return self.vocabulary.texts

    @property
    def idle(self) -> int | None:
        """Texts have none."""
        return None

    @property
    def threshold(self) -> float:
        """That of what is more likely than not."""
        return MORE_LIKELY_THAN_NOT

    def scores(self, outputs: Outputs) -> Float64[np.ndarray, "N K"]:
        """The softmax over the cosines with all texts."""
        assert outputs.concept is not None  # a bundle with texts has it, which verify() saw
        cosines = outputs.concept @ self.vocabulary.embeddings.T
        return probabilities(cosines, self.vocabulary.temperature)

    def verdict(self, summed: Float64[np.ndarray, " K"]) -> Verdict:
        """Recognised where it is more likely one of the texts asked for than any other."""
        return _among(self.names, summed, self.asked, self.threshold)


def judge_of(
    bundle: ModelBundle, gallery: Gallery | None = None, labels: tuple[str, ...] = ()
) -> LabelJudge | TextJudge:
    """Who answers: the classifier and the gallery, unless texts are asked for that neither knows.

    Args:
        bundle: whose labels and texts may be asked for.
        gallery: enrolled actions.
        labels: names that alone compete, whatever their case; all where empty.

    Raises:
        LabelError: naming the text that is not known, and those most like it.
    """
    judge = LabelJudge(card=bundle.card, gallery=gallery or Gallery())
    if not labels:
        return judge
    if len(labels) > MAX_ASKED:
        raise LabelError(
            f"labels names {len(labels)} texts; expected at most {MAX_ASKED}: ask for fewer"
        )
    own = _found(labels, judge.names)
    if None not in own:
        return LabelJudge(card=judge.card, gallery=judge.gallery, asked=_distinct(own))
    texts = () if bundle.texts is None else bundle.texts.texts
    found = _found(labels, texts)
    if bundle.texts is None or None in found:
        known = texts or judge.names
        missing = [
            label for label, a, b in zip(labels, own, found, strict=True) if a is None and b is None
        ]
        raise _not_known(missing[0] if missing else labels[0], known, bundle)
    return TextJudge(vocabulary=bundle.texts, asked=_distinct(found))


def _found(asked: tuple[str, ...], known: tuple[str, ...]) -> list[str | None]:
    """For each text the known one that it names, whatever its case."""
    by_fold = {name.casefold(): name for name in known}
    return [by_fold.get(text.casefold()) for text in asked]


def _distinct(found: list[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in found if name is not None))


def _not_known(text: str, known: tuple[str, ...], bundle: ModelBundle) -> LabelError:
    card = bundle.card
    why = (
        f"bundle {card.identity} carries no texts, so only its labels and enrolled actions can be "
        "asked for"
        if bundle.texts is None
        else f"bundle {card.identity} carries {len(known)} texts, and no sentence encoder to add "
        "others; labels outside them cannot be mixed with them"
    )
    near = ", ".join(repr(each) for each in nearest(text[:100], known))
    return LabelError(f"labels names {text[:100]!r}, which is not known: {why}; nearest: {near}")


def _among(
    names: tuple[str, ...],
    summed: Float64[np.ndarray, " K"],
    asked: tuple[str, ...],
    threshold: float,
) -> Verdict:
    """The distribution over the names asked for, given that it is one of them."""
    part = summed[[names.index(name) for name in asked]]
    share = float(part.sum())
    scores = part / share if share > 0 else np.full(len(asked), 1 / len(asked))
    return Verdict(names=asked, scores=scores, recognised=share >= threshold)
