"""``c2vl-train knowledge``, as a person types it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from c2vl_serve.errors import C2VLError, SequenceError
from c2vl_training.knowledge.cli import app
from c2vl_training.knowledge.open_set import open_set, training_ids
from c2vl_training.knowledge.sentences import read_descriptions
from c2vl_training.knowledge.store import read_knowledge
from tests.training.knowledge.made_clips import write_clip
from tests.training.knowledge.made_models import save_bert, save_clip, save_lmm
from tests.training.made_sets import write_made_utd
from tests.training.readers.made_files import write_ntu


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_describe_embed_inspect(tmp_path: Path) -> None:
    write_made_utd(tmp_path)
    sentences, out = tmp_path / "made.jsonl", tmp_path / "made.safetensors"
    told = run("describe", "utd_mhad", "--data", tmp_path, "--out", sentences)
    assert "18 clips described" in told
    model = save_bert(tmp_path / "bert")
    assert "18 clips embedded" in run("embed", sentences, "--out", out, "--model", model)
    assert read_knowledge(out).embeddings.shape == (18, 16, 16)
    shown = run(
        "inspect", sentences, "--embeddings", out, "--train-of", "utd_mhad", "--data", tmp_path,
        "--examples", 1,
    )  # fmt: skip
    assert "12 samples (0 skipped in the file)" in shown
    assert "one subject out:" in shown
    assert "The person stands upright" in shown


def test_class_texts_and_clip_text(tmp_path: Path) -> None:
    write_made_utd(tmp_path)
    sentences, out = tmp_path / "made.jsonl", tmp_path / "made.safetensors"
    run("describe", "utd_mhad", "--data", tmp_path, "--source", "class-texts", "--out", sentences)
    run("embed", sentences, "--out", out, "--tower", "clip-text", "--model", save_clip(tmp_path))
    assert read_knowledge(out).counts.tolist() == [1] * 18
    texts = tmp_path / "texts.txt"
    texts.write_text("jogging in place,He runs. He sweats a lot.")
    with pytest.raises(C2VLError, match="no text about class 'right arm swipe to the left'"):
        run(
            "describe", "utd_mhad", "--data", tmp_path, "--source", "class-texts",
            "--texts", texts, "--out", tmp_path / "b.jsonl",
        )  # fmt: skip


def test_a_model_and_the_image_tower_look_at_clips(tmp_path: Path) -> None:
    write_made_utd(tmp_path)
    first = open_set("utd_mhad", tmp_path).entries[0].sample_id
    write_clip(tmp_path / "clips" / f"{first}.avi", 4)
    sentences, out = tmp_path / "made.jsonl", tmp_path / "made.safetensors"
    told = run(
        "describe", "utd_mhad", "--data", tmp_path, "--source", "lmm", "--out", sentences,
        "--videos", tmp_path / "clips", "--model", save_lmm(tmp_path / "lmm"),
    )  # fmt: skip
    assert "17 skipped" in told
    assert len(read_descriptions(sentences).samples) == 1
    run(
        "embed", sentences, "--out", out, "--tower", "clip-image",
        "--videos", tmp_path / "clips", "--model", save_clip(tmp_path / "clip"),
    )  # fmt: skip
    assert read_knowledge(out).counts.tolist() == [4]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    write_made_utd(tmp_path)
    out = tmp_path / "made.jsonl"
    with pytest.raises(C2VLError, match="source lmm needs --videos"):
        run("describe", "utd_mhad", "--data", tmp_path, "--source", "lmm", "--out", out)
    with pytest.raises(SequenceError, match="say --data FOLDER"):
        run("describe", "utd_mhad", "--out", out)
    with pytest.raises(SequenceError, match="'unheard' is no known set"):
        run("describe", "unheard", "--out", out)
    run("describe", "utd_mhad", "--data", tmp_path, "--source", "class-texts", "--out", out)
    with pytest.raises(C2VLError, match="clip-image needs --model"):
        run("embed", out, "--out", tmp_path / "a", "--tower", "clip-image")
    with pytest.raises(C2VLError, match="--train-of needs --data"):
        run("inspect", out, "--train-of", "utd_mhad")


def test_training_ids_are_those_of_the_protocol(tmp_path: Path) -> None:
    write_made_utd(tmp_path)
    train = training_ids("utd_mhad", tmp_path)
    recordings = open_set("utd_mhad", tmp_path)
    assert {e.subject for e in recordings.entries if e.sample_id in train} == {1, 7}
    with pytest.raises(SequenceError, match="'unheard' is no known set"):
        training_ids("unheard", tmp_path)


def test_a_path_is_opened_as_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(SequenceError, match="holds no folders"):
        open_set(str(tmp_path), None)
    write_ntu(tmp_path, ("S001C001P001R001A023",))
    opened = open_set(str(tmp_path), None)
    assert [entry.class_name for entry in opened.entries] == ["hand waving"]
