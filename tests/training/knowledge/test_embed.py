"""Embedding a set: rows, padding, resuming; that keys stay keys; what inspect measures."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import C2VLError
from c2vl_training.knowledge import embed as embedding
from c2vl_training.knowledge.embed import embed_frames, embed_sentences
from c2vl_training.knowledge.inspect import sample_means, space_figures, text_figures
from c2vl_training.knowledge.sentences import Description, Descriptions
from c2vl_training.knowledge.store import KnowledgeEmbeddings, read_knowledge, write_knowledge
from c2vl_training.knowledge.towers import load_clip
from c2vl_training.knowledge.videos import clip_frames
from tests.training.knowledge.made_clips import write_clip
from tests.training.knowledge.made_models import save_clip


@dataclass(slots=True)
class Letters:
    """A tower whose embedding is how often each of four letters occurs."""

    name: str = "letters"
    read: list[str] = field(default_factory=list)
    fail_after: int = 99

    def encode(self, sentences: list[str]) -> np.ndarray:
        if len(self.read) >= self.fail_after:
            raise KeyboardInterrupt
        self.read += sentences
        counts = np.array([[1 + s.count(c) for c in "abcd"] for s in sentences], np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def sample(number: int, *sentences: str) -> Description:
    return Description(
        sample_id=f"A{number:03d}",
        class_name="even" if number % 2 == 0 else "odd",
        subject=number // 2,
        sentences=sentences,
    )


SAMPLES = tuple(
    sample(k, "shared.", ("aa " if k % 2 == 0 else "dd ") + "b" * k, *["c"] * (k % 3))
    for k in range(8)
)
DESCRIPTIONS = Descriptions(made_with={"source": "made"}, samples=SAMPLES, skipped={})


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "PART", 3)


def test_rows_are_the_sentences_of_each_sample(tmp_path: Path, small_parts: None) -> None:
    seen: list[int] = []
    path = tmp_path / "a" / "made.safetensors"
    made = embed_sentences(DESCRIPTIONS, Letters(), path, seen.append)
    read = read_knowledge(path)
    assert seen == [3, 6, 8]
    assert read.embeddings.shape == (8, 16, 4)
    assert read.made_with == made.made_with
    assert read.made_with["tower"] == "letters"
    for row, described in enumerate(SAMPLES):
        count = len(described.sentences)
        assert read.counts[row] == count
        np.testing.assert_array_equal(
            read.embeddings[row, :count], Letters().encode(list(described.sentences))
        )
        assert not read.embeddings[row, count:].any()
    np.testing.assert_array_equal(read.given.sum(axis=1), read.counts)
    assert list(path.parent.iterdir()) == [path]


def test_no_sentence_is_embedded_twice_and_no_key_ever(tmp_path: Path, small_parts: None) -> None:
    tower = Letters()
    embed_sentences(DESCRIPTIONS, tower, tmp_path / "made.safetensors")
    assert len(tower.read) == len(set(tower.read))
    assert set(tower.read) == {s for described in SAMPLES for s in described.sentences}
    assert not any(d.sample_id in s for d in SAMPLES for s in tower.read)


def test_other_keys_and_classes_give_the_same_embeddings(tmp_path: Path) -> None:
    renamed = tuple(
        replace(d, sample_id=f"other {k}", class_name="?") for k, d in enumerate(SAMPLES)
    )
    first = embed_sentences(DESCRIPTIONS, Letters(), tmp_path / "a.safetensors")
    second = embed_sentences(
        replace(DESCRIPTIONS, samples=renamed), Letters(), tmp_path / "b.safetensors"
    )
    np.testing.assert_array_equal(first.embeddings, second.embeddings)


def test_an_interrupted_run_goes_on(tmp_path: Path, small_parts: None) -> None:
    path = tmp_path / "made.safetensors"
    with pytest.raises(KeyboardInterrupt):
        embed_sentences(DESCRIPTIONS, Letters(fail_after=3), path)
    assert not path.exists()
    rest = Letters()
    made = embed_sentences(DESCRIPTIONS, rest, path)
    assert SAMPLES[0].sentences[1] not in rest.read
    whole = embed_sentences(DESCRIPTIONS, Letters(), tmp_path / "whole.safetensors")
    np.testing.assert_array_equal(made.embeddings, whole.embeddings)


def test_half_done_work_on_other_sentences_is_not_taken(tmp_path: Path, small_parts: None) -> None:
    path = tmp_path / "made.safetensors"
    with pytest.raises(KeyboardInterrupt):
        embed_sentences(DESCRIPTIONS, Letters(fail_after=3), path)
    changed = (replace(SAMPLES[0], sentences=("ccc",)), *SAMPLES[1:])
    made = embed_sentences(replace(DESCRIPTIONS, samples=changed), Letters(), path)
    np.testing.assert_array_equal(made.embeddings[0, 0], Letters().encode(["ccc"])[0])


def test_at_most_sixteen_sentences_count(tmp_path: Path) -> None:
    many = replace(SAMPLES[0], sentences=tuple("a" * k for k in range(1, 25)))
    made = embed_sentences(
        replace(DESCRIPTIONS, samples=(many,)), Letters(), tmp_path / "a.safetensors"
    )
    assert made.counts.tolist() == [16]


def test_nothing_to_embed_is_told(tmp_path: Path) -> None:
    with pytest.raises(C2VLError, match="no sample to embed"):
        embed_sentences(replace(DESCRIPTIONS, samples=()), Letters(), tmp_path / "a.safetensors")


def test_frames_go_through_the_image_tower(tmp_path: Path) -> None:
    ids = ("a", "b")
    for number, name in enumerate(ids):
        write_clip(tmp_path / "clips" / f"{name}.avi", 20 - 15 * number)
    towers = load_clip(save_clip(tmp_path / "model"))
    made = embed_frames(ids, tmp_path / "clips", towers, tmp_path / "a.safetensors")
    assert made.counts.tolist() == [16, 5]
    np.testing.assert_array_equal(
        made.embeddings[1, :5], towers.encode_frames(clip_frames(tmp_path / "clips/b.avi", 16))
    )


def knowledge() -> KnowledgeEmbeddings:
    rows = np.zeros((3, 2, 2), np.float32)
    rows[:, 0] = [(1, 0), (0, 1), (0.6, 0.8)]
    rows[0, 1] = (0, 1)
    return KnowledgeEmbeddings(
        sample_ids=("a", "b", "c"),
        embeddings=rows,
        counts=np.array([2, 1, 1]),
        made_with={"source": "made"},
    )


def test_rows_of_chosen_samples_in_their_order() -> None:
    chosen = knowledge().of(("c", "a", "c"[:0] + "b"))
    assert chosen.sample_ids == ("c", "a", "b")
    np.testing.assert_array_equal(chosen.counts, [1, 2, 1])
    np.testing.assert_array_equal(chosen.given, [[True, False], [True, True], [True, False]])
    with pytest.raises(C2VLError, match="lacks 1 of 2 samples, such as 'z'"):
        knowledge().of(("a", "z"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k: {"sample_ids": ("a", "b", "b")}, "3 rows for 2 distinct samples"),
        (lambda k: {"counts": np.array([2, 0, 1])}, r"counts outside 1\.\.2"),
        (lambda k: {"embeddings": k.embeddings * 2}, "not of unit norm"),
        (lambda k: {"counts": np.array([2, 2, 1])}, "not of unit norm"),
    ],
)
def test_knowledge_that_contradicts_itself_is_refused(
    change: Callable[[KnowledgeEmbeddings], dict[str, object]], message: str
) -> None:
    with pytest.raises(C2VLError, match=message):
        replace(knowledge(), **change(knowledge()))


def test_files_of_another_kind_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(C2VLError, match="cannot be read"):
        read_knowledge(path)
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(1)}, path)
    with pytest.raises(C2VLError, match="has format None; expected 'c2vl-knowledge-1'"):
        read_knowledge(path)
    write_knowledge(path, knowledge())
    assert read_knowledge(path).sample_ids == ("a", "b", "c")


def test_pooled_is_the_mean_of_unit_norm() -> None:
    pooled = sample_means(knowledge())
    np.testing.assert_allclose(pooled, [[0.5**0.5, 0.5**0.5], [0, 1], [0.6, 0.8]], atol=1e-6)


def test_text_figures_by_hand() -> None:
    samples = (sample(0, "A b.", "C."), sample(1, "A b.", "C."), sample(2, "D, a?"))
    figures = text_figures(samples)
    assert figures.num_samples == 3
    assert figures.per_sample == (1, pytest.approx(5 / 3), 2)
    assert (figures.num_distinct, figures.num_words) == (3, 4)
    assert figures.entropy == pytest.approx(2 * 0.4 * np.log2(2.5) + 0.2 * np.log2(5))
    assert figures.duplicates == pytest.approx(2 / 3)
    with pytest.raises(C2VLError, match="no sentences to inspect"):
        text_figures(())


def test_space_figures_against_a_slow_search(tmp_path: Path) -> None:
    made = embed_sentences(DESCRIPTIONS, Letters(), tmp_path / "a.safetensors")
    figures = space_figures(SAMPLES, made)
    pooled = sample_means(made)
    inside, between, right = [], [], []
    for i, one in enumerate(SAMPLES):
        others = []
        for j, other in enumerate(SAMPLES):
            cosine = float(pooled[i] @ pooled[j])
            if i != j:
                (inside if one.class_name == other.class_name else between).append(cosine)
            if one.subject != other.subject:
                others.append((cosine, other.class_name))
        right.append(max(others)[1] == one.class_name)
    assert figures.cosine_inside == pytest.approx(np.mean(inside))
    assert figures.cosine_between == pytest.approx(np.mean(between))
    assert figures.nearest == pytest.approx(np.mean(right))
    assert figures.chance == pytest.approx(0.5)
    assert set(figures.by_class) == {"even", "odd"}


def test_one_subject_cannot_be_left_out(tmp_path: Path) -> None:
    made = embed_sentences(DESCRIPTIONS, Letters(), tmp_path / "a.safetensors")
    with pytest.raises(C2VLError, match="1 subjects and 2 classes"):
        space_figures(SAMPLES[:2], made)
