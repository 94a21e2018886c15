"""Texts of a bundle: what may stand in texts.npz, how one is found, and what is like it."""

from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import BundleError
from c2vl_serve.texts import TextVocabulary, nearest, read_texts, write_texts


def vocabulary(*texts: str, temperature: float = 0.1) -> TextVocabulary:
    return TextVocabulary(
        texts=texts,
        embeddings=np.eye(len(texts), 4, dtype=np.float32),
        temperature=temperature,
    )


def test_round_trip(tmp_path: Path) -> None:
    write_texts(tmp_path / "texts.npz", vocabulary("sit down", "winken mit Grüßen"))
    back = read_texts(tmp_path / "texts.npz")
    assert back.texts == ("sit down", "winken mit Grüßen")
    assert back.temperature == 0.1
    np.testing.assert_array_equal(back.embeddings, np.eye(2, 4, dtype=np.float32))


def test_a_text_is_found_whatever_its_case() -> None:
    assert vocabulary("sit down", "Bow").find("bow") == 1
    assert vocabulary("sit down", "Bow").find("bows") is None


def test_the_nearest_texts_come_first() -> None:
    known = ("wave", "sit down", "stand up", "Wave both hands", "jump")
    assert nearest("WAVES", known, 2) == ("wave", "Wave both hands")
    assert len(nearest("zzz", known, 3)) == 3


@pytest.mark.parametrize(
    ("texts", "temperature", "message"),
    [
        ((), 0.1, "0 texts with 0 embeddings"),
        (("a, b",), 0.1, "the text 'a, b'"),
        ((" a",), 0.1, "the text ' a'"),
        (("",), 0.1, "the text ''"),
        (("Bow", "bow"), 0.1, "a text more than once"),
        (("bow",), 0.0, "the temperature 0.0; expected more than 0"),
        (("bow",), float("nan"), "the temperature nan"),
    ],
)
def test_texts_that_cannot_be_asked_for(
    texts: tuple[str, ...], temperature: float, message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        vocabulary(*texts, temperature=temperature)


def test_embeddings_are_of_unit_length() -> None:
    with pytest.raises(BundleError, match=r"of length 0\.5 to 0\.5; expected length 1"):
        TextVocabulary(texts=("bow",), embeddings=np.array([[0.5, 0]], np.float32), temperature=0.1)


def test_a_file_that_holds_no_texts(tmp_path: Path) -> None:
    path = tmp_path / "texts.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(BundleError, match="holds no texts: .*export the bundle again"):
        read_texts(path)
    np.savez(path, texts=np.array(["a"], dtype=object), allow_pickle=True)
    with pytest.raises(BundleError, match="holds no texts"):
        read_texts(path)
