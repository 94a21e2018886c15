"""Staging: a folder appears whole or not at all, and nobody's folder is lost."""

import errno
import os
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the export extra is not installed")

from c2vl_export.staging import check_place, staged
from c2vl_serve.errors import BundleError

MARK = "bundle.json"


def write(folder: Path, text: str, *, replace: bool = False) -> None:
    with staged(folder, mark=MARK, replace=replace) as beside:
        (beside / MARK).write_text(text)


def left(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_new_folder_and_its_parents(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b", "new")
    assert (tmp_path / "a" / "b" / MARK).read_text() == "new"
    assert left(tmp_path / "a") == ["b"]
    assert os.stat(tmp_path / "a" / "b").st_mode & 0o777 == 0o755


def test_an_empty_folder_is_a_place(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    write(tmp_path / "b", "new")
    assert left(tmp_path / "b") == [MARK]


def break_off(folder: Path) -> None:
    with staged(folder, mark=MARK, replace=True) as beside:
        (beside / MARK).write_text("half")
        raise ValueError("mine")


def test_an_error_inside_keeps_the_old_and_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path / "b", "old")
    with pytest.raises(ValueError, match="mine"):
        break_off(tmp_path / "b")
    assert (tmp_path / "b" / MARK).read_text() == "old"
    assert left(tmp_path) == ["b"]


def test_the_old_one_goes_only_when_asked(tmp_path: Path) -> None:
    write(tmp_path / "b", "old")
    with pytest.raises(BundleError, match="exists already; replace it with --force"):
        write(tmp_path / "b", "new")
    write(tmp_path / "b", "new", replace=True)
    assert (tmp_path / "b" / MARK).read_text() == "new"
    assert left(tmp_path) == ["b"]


@pytest.mark.parametrize("replace", [True, False])
def test_a_strangers_folder_or_file_is_never_replaced(tmp_path: Path, replace: bool) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("photos", "file"):
        with pytest.raises(BundleError, match=f"no {MARK}, so it is not ours to replace"):
            check_place(tmp_path / name, mark=MARK, replace=replace)
    assert left(tmp_path / "photos") == ["me.jpg"]


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(BundleError, match=r"cannot write .*b: No space left on device; free space"),
        staged(tmp_path / "b", mark=MARK, replace=False),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert left(tmp_path) == []


def test_a_read_only_place_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(BundleError, match="cannot write .*b: Read-only file system"):
        write(tmp_path / "b", "new")


def test_a_place_below_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError, match=r"cannot write .*file/b: "):
        write(tmp_path / "file" / "b", "new")


def test_the_old_one_comes_back_when_the_last_rename_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "b", "old")
    rename = Path.rename

    def fail_for_new(self: Path, target: Path) -> Path:
        if target == tmp_path / "b" and (self / MARK).read_text() == "new":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_new)
    with pytest.raises(BundleError, match="cannot write"):
        write(tmp_path / "b", "new", replace=True)
    assert (tmp_path / "b" / MARK).read_text() == "old"
    assert left(tmp_path) == ["b"]
