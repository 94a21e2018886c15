"""Inspect: what sentences and their embeddings hold, and how far they tell classes apart.

Classes and subjects are read here to measure with; nothing of this goes back into the knowledge.
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from c2vl_serve.errors import C2VLError
from c2vl_training.knowledge.sentences import Description
from c2vl_training.knowledge.store import KnowledgeEmbeddings

WORD = re.compile(r"[a-z0-9']+")


@dataclass(frozen=True, kw_only=True, slots=True)
class TextFigures:
    """What is in a file of sentences.

    Attributes:
        num_samples: with sentences.
        per_sample: fewest, mean and most sentences.
        num_distinct: different sentences.
        num_words: different words.
        entropy: of the sentences, bits; ``log2`` of how many there were, were all as frequent.
        duplicates: share of samples whose sentences are, all of them, those of another sample.
    """

    num_samples: int
    per_sample: tuple[int, float, int]
    num_distinct: int
    num_words: int
    entropy: float
    duplicates: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SpaceFigures:
    """How the embeddings of samples (the mean of their sentences) lie.

    Attributes:
        cosine_inside: mean cosine of two samples of one class.
        cosine_between: of two classes.
        nearest: share of samples whose nearest one of another subject is of their class.
        chance: the same for a random sample of another subject, in the mean.
        by_class: ``nearest`` of each class.
    """

    cosine_inside: float
    cosine_between: float
    nearest: float
    chance: float
    by_class: dict[str, float]


def text_figures(samples: tuple[Description, ...]) -> TextFigures:
    """Count what is said.

    Raises:
        C2VLError: when nothing is said at all.
    """
    if not samples:
        raise C2VLError("there are no sentences to inspect; describe some samples first")
    numbers = [len(sample.sentences) for sample in samples]
    sentences = Counter(s for sample in samples for s in sample.sentences)
    texts = Counter(sample.sentences for sample in samples)
    share = np.array(list(sentences.values())) / sentences.total()
    return TextFigures(
        num_samples=len(samples),
        per_sample=(min(numbers), float(np.mean(numbers)), max(numbers)),
        num_distinct=len(sentences),
        num_words=len({word for s in sentences for word in WORD.findall(s.casefold())}),
        entropy=float(-(share * np.log2(share)).sum()),
        duplicates=sum(n for n in texts.values() if n > 1) / len(samples),
    )


def space_figures(samples: tuple[Description, ...], knowledge: KnowledgeEmbeddings) -> SpaceFigures:
    """Measure how far the embeddings tell classes apart: 1-NN, leaving one subject out.

    Args:
        samples: those to measure on; leave test clips out of it.
        knowledge: their embeddings.

    Raises:
        C2VLError: when there are fewer than two subjects or classes, or embeddings are missing.
    """
    classes = np.array([sample.class_name for sample in samples])
    subjects = np.array([str(sample.subject) for sample in samples])
    if len(np.unique(subjects)) < 2 or len(np.unique(classes)) < 2:
        raise C2VLError(
            f"samples have {len(np.unique(subjects))} subjects and {len(np.unique(classes))} "
            "classes; nearest neighbours need two of each"
        )
    pooled = sample_means(knowledge.of(tuple(sample.sample_id for sample in samples)))
    cosine = pooled @ pooled.T
    same = classes[:, None] == classes
    others = subjects[:, None] != subjects
    apart = ~np.eye(len(classes), dtype=bool)
    right = classes[np.where(others, cosine, -2).argmax(axis=1)] == classes
    return SpaceFigures(
        cosine_inside=_mean(cosine, same & apart),
        cosine_between=_mean(cosine, ~same),
        nearest=float(right.mean()),
        chance=float(((same & others).sum(axis=1) / others.sum(axis=1)).mean()),
        by_class={str(name): float(right[classes == name].mean()) for name in np.unique(classes)},
    )


def sample_means(knowledge: KnowledgeEmbeddings) -> Float[np.ndarray, "N D"]:
    """The mean over each sample's sentences, unit norm again."""
    mean = knowledge.embeddings.sum(axis=1) / knowledge.counts[:, None]
    return mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)


def _mean(values: Float[np.ndarray, "N N"], chosen: Bool[np.ndarray, "N N"]) -> float:
    return float(values[chosen].mean()) if chosen.any() else float("nan")
