"""Class texts: the three kinds of files, and the real ones."""

from pathlib import Path

import pytest

from c2vl_serve.errors import C2VLError
from c2vl_training.data.readers.class_names import NTU_CLASSES
from c2vl_training.knowledge.class_texts import names_as_texts, read_class_texts


def test_the_three_kinds_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "parts.txt").write_text("throw;head turns; arm goes, then stops .\n")
    (tmp_path / "sentences.txt").write_text("throw,He throws, far. He waits! Ends\n\n")
    (tmp_path / "synonyms.txt").write_text("Throw,hurl, lob")
    names = ("parts.txt", "sentences.txt", "synonyms.txt")
    texts = read_class_texts(*(tmp_path / name for name in names))
    assert texts.of("THROW ") == (
        "throw: head turns.",
        "throw: arm goes, then stops.",
        "He throws, far.",
        "He waits!",
        "Throw: hurl.",
        "Throw: lob.",
    )
    assert texts.files == names


def test_an_unknown_class_names_some_known_ones(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("throw,hurl, lob\nsit down,be seated")
    with pytest.raises(C2VLError, match=r"no text about class 'run' in a.txt; .* such as sit down"):
        read_class_texts(tmp_path / "a.txt").of("run")


def test_files_that_hold_no_texts(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("throw,hurl\nrun\n")
    with pytest.raises(C2VLError, match="names.txt, line 2: 'run' has no text"):
        read_class_texts(tmp_path / "names.txt")
    with pytest.raises(C2VLError, match="cannot be read"):
        read_class_texts(tmp_path / "missing.txt")


def test_names_alone_are_texts() -> None:
    assert names_as_texts(("draw x",)).of("Draw X") == ("A person is doing this: draw x.",)


@pytest.mark.parametrize("kind", ["pasta", "sentence", "synonym"])
def test_the_published_files_tell_of_every_class(kind: str, data_dir: Path) -> None:
    path = data_dir / "captions" / f"{kind}_openai_t01.txt"
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    texts = read_class_texts(path)
    assert len(texts.sentences) == 120
    for name in NTU_CLASSES:
        assert all(len(sentence.split()) >= 2 for sentence in texts.of(name))
    if kind == "pasta":
        assert texts.of("drink water")[1] == "drink water: hand grasps cup."
