"""The language part: a head that learns texts, measured on labels that it did not learn from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_serve.errors import C2VLError  # noqa: E402
from c2vl_training.knowledge.action_phrases import ACTION_PHRASES  # noqa: E402
from c2vl_training.language import (  # noqa: E402
    LanguageConfig,
    Seen,
    concepts_of,
    fitted_temperature,
    held_out,
    read_texts,
    text_embeddings,
    train_head,
    vocabulary,
)

CONFIG = LanguageConfig(num_steps=100, learning_rate=3e-3, num_folds=4)
K, E, D = 8, 6, 10


@dataclass(frozen=True)
class Lengths:
    """A tower whose embedding tells how often each vowel occurs."""

    name: str = "vowels"

    def encode(self, sentences: list[str]) -> np.ndarray:
        counts = np.array([[1 + s.count(c) for c in "aeiou"] for s in sentences], np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def embeddings() -> np.ndarray:
    rows = np.random.default_rng(0).standard_normal((K, E)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def seen(embeddings: np.ndarray) -> Seen:
    """Representations that hold the meaning of their text, turned into another space."""
    rng = np.random.default_rng(1)
    turn = rng.standard_normal((E, D)).astype(np.float32)
    labels = np.repeat(np.arange(K), 30)
    noise = 0.1 * rng.standard_normal((len(labels), D)).astype(np.float32)
    return Seen(values=embeddings[labels] @ turn + noise, labels=labels)


def test_the_head_says_the_text_of_what_it_sees(seen: Seen, embeddings: np.ndarray) -> None:
    head = train_head(seen, embeddings, CONFIG)
    concepts = concepts_of(head, seen)
    np.testing.assert_allclose(np.linalg.norm(concepts, axis=1), 1, atol=1e-4)
    assert ((concepts @ embeddings.T).argmax(axis=1) == seen.labels).mean() > 0.95
    assert 0.01 <= fitted_temperature(head, seen, embeddings) <= 0.5


def test_labels_left_out_are_found_where_meaning_carries(
    seen: Seen, embeddings: np.ndarray
) -> None:
    figures = held_out(seen, seen, embeddings, CONFIG)
    assert figures.chance == pytest.approx(50)  # two labels a fold
    assert figures.among_held_out > 65
    assert figures.known > 90
    blind = Seen(values=np.random.default_rng(2).permutation(seen.values), labels=seen.labels)
    assert held_out(blind, blind, embeddings, CONFIG).known < 60


def test_a_text_is_the_mean_of_its_wordings() -> None:
    (row,) = text_embeddings(("hop",), Lengths())
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)
    assert not np.allclose(row, Lengths().encode(["hop"])[0])


def test_a_vocabulary_has_every_text_once_and_no_comma() -> None:
    assert vocabulary(("wave", "sit down"), ("Wave", " hop, then run ", "")) == (
        "wave", "sit down", "hop then run",
    )  # fmt: skip


def test_our_own_phrases_can_be_asked_for() -> None:
    assert vocabulary((), ACTION_PHRASES) == ACTION_PHRASES
    assert len(ACTION_PHRASES) > 80


def test_a_missing_file_of_texts_is_said(tmp_path: Path) -> None:
    with pytest.raises(C2VLError, match="cannot be read: .*one action phrase a line"):
        read_texts(tmp_path / "absent.txt")
    (tmp_path / "texts.txt").write_text("hop\n\n run \n", encoding="utf-8")
    assert read_texts(tmp_path / "texts.txt") == ("hop", "run")
