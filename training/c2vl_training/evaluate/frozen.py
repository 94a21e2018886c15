"""Protocols on a frozen encoder: what its representation is worth without further training.

Names as in the field: linear evaluation, kNN evaluation (k = 1, cosine, before the projector),
semi-supervised (a share of the labels), few-shot (prototypes) and text zero-shot.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from c2vl_serve.errors import C2VLError

Representations = Float[np.ndarray, "N D"]
Labels = Int64[np.ndarray, " N"]

INVERSE_PENALTY = 0.01  # sklearn's C; the same for every encoder, chosen on no test split
MAX_ITERATIONS = 1000
SEMI_SHARE, FEW_SHOTS = 0.1, 5  # of the labels; examples a class
DRAWS = 5  # of these, whose mean is the number


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Split:
    """Representations and labels of a protocol's two parts."""

    train: Representations
    train_labels: Labels
    test: Float[np.ndarray, "Q D"]
    test_labels: Int64[np.ndarray, " Q"]

    def __post_init__(self) -> None:
        """Refuse a part without clips."""
        if not len(self.train_labels) or not len(self.test_labels):
            raise C2VLError(
                f"split has {len(self.train_labels)} training and {len(self.test_labels)} test "
                "clips; expected some of both; look at the set's protocol"
            )


def linear(split: Split) -> float:
    """Top-1 in percent of a linear classifier on standardised representations."""
    return 100 * float(_fitted(split).score(split.test, split.test_labels))


def linear_scores(split: Split, num_labels: int) -> Float64[np.ndarray, "Q K"]:
    """The linear classifier's probability of each label; 0 for one that has no training clip."""
    classifier = _fitted(split)
    scores = np.zeros((len(split.test), num_labels))
    scores[:, classifier.classes_] = classifier.predict_proba(split.test)
    return scores


def _fitted(split: Split) -> Pipeline:
    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(C=INVERSE_PENALTY, max_iter=MAX_ITERATIONS)
    )
    with warnings.catch_warnings():
        # Said where there is about one clip a class, as in semi-supervised protocols.
        warnings.filterwarnings("ignore", message="The number of unique classes")
        return classifier.fit(split.train, split.train_labels)


def nearest(split: Split) -> float:
    """Top-1 in percent of the nearest training clip by cosine."""
    neighbours = KNeighborsClassifier(n_neighbors=1, metric="cosine", algorithm="brute")
    neighbours.fit(split.train, split.train_labels)
    return 100 * float(neighbours.score(split.test, split.test_labels))


def semi(split: Split, share: float, seed: int) -> float:
    """Linear evaluation with a share of the labels, at least one clip a class.

    Raises:
        C2VLError: when the share is not between 0 and 1.
    """
    return linear(_with_train(split, share_of_labels(split.train_labels, share, seed)))


def share_of_labels(labels: Labels, share: float, seed: int) -> Int64[np.ndarray, " S"]:
    """A random share of each class's clips, at least one of each.

    Raises:
        C2VLError: when the share is not between 0 and 1.
    """
    if not 0 < share <= 1:
        raise C2VLError(f"share of labels is {share:g}; expected above 0 and at most 1, as 0.05")
    rng = np.random.default_rng(seed)
    chosen = [
        rng.choice(clips, max(1, round(share * len(clips))), replace=False)
        for clips in _clips_of_classes(labels)
    ]
    return np.concatenate(chosen)


def few_shot(split: Split, shots: int, seed: int) -> float:
    """Nearest mean of ``shots`` examples a class, by cosine.

    Prototypical networks (Snell et al., NeurIPS 2017, eq. 1), with the cosine.

    Raises:
        C2VLError: when there are fewer examples of a class.
    """
    rng, prototypes = np.random.default_rng(seed), []
    for clips in _clips_of_classes(split.train_labels):
        if not 1 <= shots <= len(clips):
            raise C2VLError(
                f"{shots} examples a class were asked for and one class has {len(clips)}; "
                f"ask for 1 to {len(clips)}"
            )
        chosen = _unit(split.train[rng.choice(clips, shots, replace=False)])
        prototypes.append(chosen.mean(axis=0))
    classes = np.unique(split.train_labels)
    return _top1(split.test, np.stack(prototypes), classes, split.test_labels)


def all_protocols(split: Split, seed: int) -> dict[str, float]:
    """Top-1 in percent by each protocol that needs examples only.

    Args:
        split: both parts.
        seed: of the labels and examples that are drawn, :data:`DRAWS` times each.
    """
    draws = [seed * DRAWS + draw for draw in range(DRAWS)]
    numbers = {
        "linear": linear(split),
        "knn": nearest(split),
        "semi10": float(np.mean([semi(split, SEMI_SHARE, draw) for draw in draws])),
    }
    if min(len(clips) for clips in _clips_of_classes(split.train_labels)) >= FEW_SHOTS:
        few = [few_shot(split, FEW_SHOTS, draw) for draw in draws]
        numbers["fewshot5"] = float(np.mean(few))
    return numbers


def zero_shot(
    projected: Float[np.ndarray, "N P"],
    labels: Labels,
    class_concepts: Float[np.ndarray, "K P"],
) -> float:
    """Top-1 in percent of the nearest class text in the shared space.

    Args:
        projected: skeletons after the projector.
        labels: index into ``class_concepts`` of each.
        class_concepts: class texts after the language head.
    """
    return _top1(projected, class_concepts, np.arange(len(class_concepts)), labels)


def _clips_of_classes(labels: Labels) -> list[np.ndarray]:
    return [np.flatnonzero(labels == name) for name in np.unique(labels)]


def _with_train(split: Split, chosen: np.ndarray) -> Split:
    return Split(
        train=split.train[chosen],
        train_labels=split.train_labels[chosen],
        test=split.test,
        test_labels=split.test_labels,
    )


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def _top1(
    values: np.ndarray, prototypes: np.ndarray, classes: np.ndarray, labels: np.ndarray
) -> float:
    nearest_class = classes[(_unit(values) @ _unit(prototypes).T).argmax(axis=1)]
    return 100 * float((nearest_class == labels).mean())
