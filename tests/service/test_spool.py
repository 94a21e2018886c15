"""Large videos lie in a private file until they are answered; small ones in memory."""

import io
import os
import stat
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from c2vl_serve.service.predictor import Predictor
from c2vl_serve.service.problems import Problem
from c2vl_serve.service.spool import MAX_IN_MEMORY, Spool, remove_leftovers

LARGE = b"no video at all" * (MAX_IN_MEMORY // 10)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_few_bytes_stay_in_memory(folder: Path) -> None:
    with ExitStack() as spooled:
        spool = Spool(spooled)
        for part in (b"one", b"", b"two"):
            spool.write(part)
        assert spool.content() == b"onetwo"
        assert list(folder.iterdir()) == []


def test_many_lie_in_a_file_of_this_user_alone_until_the_end(folder: Path) -> None:
    with ExitStack() as spooled:
        spool = Spool(spooled)
        spool.write(LARGE[:1000])
        spool.copy(io.BytesIO(LARGE[1000:]))
        path = spool.content()
        assert isinstance(path, Path)
        assert path.parent == folder
        assert path.read_bytes() == LARGE
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(folder.iterdir()) == []


def test_what_a_killed_service_left_goes_and_what_is_in_use_stays(folder: Path) -> None:
    an_hour_ago = time.time() - 3600
    left, fresh, foreign = (
        folder / name for name in ("c2vl-upload-left", "c2vl-upload-new", "c2vl-export-other")
    )
    for path in (left, fresh, foreign):
        path.write_bytes(LARGE)
        if path != fresh:
            os.utime(path, (an_hour_ago, an_hour_ago))
    with ExitStack() as spooled:
        spool = Spool(spooled)
        spool.write(LARGE)
        held = spool.content()
        assert isinstance(held, Path)
        os.utime(held, (an_hour_ago, an_hour_ago))
        assert remove_leftovers() == 1
        assert set(folder.iterdir()) == {held, fresh, foreign}


def test_a_full_disk_is_a_problem_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "missing"))
    with ExitStack() as spooled, pytest.raises(Problem, match="no room to keep") as caught:
        Spool(spooled).write(LARGE)
    assert caught.value.status == 503


@pytest.mark.parametrize("as_form", [True, False])
def test_a_request_hands_on_the_file_and_leaves_none(
    client: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch, as_form: bool
) -> None:
    seen: list[bytes | Path] = []
    watch = Predictor.watch

    def looked_at(self: Predictor, source: bytes | Path, *rest: object) -> object:
        seen.append(source)
        assert isinstance(source, Path)
        assert source.read_bytes() == LARGE
        return watch(self, source, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Predictor, "watch", looked_at)
    if as_form:
        answer = client.post("/predict", files={"file": ("x.mp4", LARGE)})
    else:
        answer = client.post("/predict", content=LARGE, headers={"content-type": "video/mp4"})
    assert answer.status_code == 503  # this service takes no videos
    assert len(seen) == 1
    assert list(folder.iterdir()) == []


def test_a_large_skeleton_file_is_still_read_as_one(client: TestClient, folder: Path) -> None:
    text = b'{"joints": [' + b" " * MAX_IN_MEMORY + b"]}"
    answer = client.post("/predict", files={"file": ("x.json", text)})
    assert answer.status_code == 422
    assert list(folder.iterdir()) == []
