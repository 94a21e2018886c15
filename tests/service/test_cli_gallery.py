"""``c2vl-serve gallery``: enrolled on the command line, answered, carried elsewhere, forgotten."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from c2vl_serve.cli import app
from c2vl_serve.errors import GalleryError, UnknownAction

from .test_gallery_routes import body


def test_add_list_export_import_remove(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2VL_BUNDLE", str(tiny_bundle))
    monkeypatch.setenv("C2VL_GALLERY", str(tmp_path / "gallery.sqlite"))
    files = []
    for seed in range(2):
        files.append(tmp_path / f"{seed}.json")
        files[-1].write_bytes(orjson.dumps(body(seed)))
    said = CliRunner().invoke(app, ["gallery", "add", "hop", *map(str, files)])
    assert "hop: 2 examples" in said.output
    assert "hop" in CliRunner().invoke(app, ["gallery", "list"]).output
    answer = CliRunner().invoke(app, ["predict", "--json", str(files[0])])
    assert "hop" in {each["label"] for each in orjson.loads(answer.output)["actions"]}

    CliRunner().invoke(app, ["gallery", "export", str(tmp_path / "carried.json")])
    CliRunner().invoke(app, ["gallery", "remove", "hop"])
    assert "hop" not in CliRunner().invoke(app, ["gallery", "list"]).output
    taken = CliRunner().invoke(app, ["gallery", "import", str(tmp_path / "carried.json")])
    assert "1 actions taken in" in taken.output


def test_what_cannot_be_done_is_said(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2VL_BUNDLE", str(tiny_bundle))
    monkeypatch.setenv("C2VL_GALLERY", str(tmp_path / "gallery.sqlite"))
    with pytest.raises(UnknownAction, match="no action 'hop' is enrolled"):
        CliRunner().invoke(app, ["gallery", "remove", "hop"], catch_exceptions=False)
    missing = ["gallery", "add", "hop", str(tmp_path / "missing.json")]
    with pytest.raises(GalleryError, match=r"missing\.json: cannot be read"):
        CliRunner().invoke(app, missing, catch_exceptions=False)
    assert not (tmp_path / "gallery.sqlite").exists()
