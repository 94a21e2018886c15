"""The gallery on the disk: it comes back, belongs to one encoder, and is whole or unchanged."""

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.bundle import MODEL, ModelBundle, load_bundle
from c2vl_serve.errors import (
    ActionConflict,
    BundleError,
    GalleryError,
    RuntimeUnavailable,
    UnknownAction,
)
from c2vl_serve.gallery_space import unit
from c2vl_serve.recognition.gallery_file import from_file, to_file
from c2vl_serve.recognition.gallery_store import MEMORY, GalleryStore, default_file


@pytest.fixture(scope="module")
def everyday() -> ModelBundle:
    return load_bundle("everyday")


@pytest.fixture
def retrained(everyday: ModelBundle) -> ModelBundle:
    """The same name and version with another network."""
    hashes = {**everyday.card.hashes, MODEL: "0" * 64}
    return replace(everyday, card=replace(everyday.card, hashes=hashes))


def examples(count: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32))


def test_what_was_enrolled_comes_back(everyday: ModelBundle, tmp_path: Path) -> None:
    path = tmp_path / "a" / "gallery.sqlite"
    store = GalleryStore(path, everyday)
    assert not path.parent.exists()  # nothing is left behind where nobody enrols
    store.add("jack", examples(2))
    store.add("hop", examples(1, seed=1))
    assert len(store.add("jack", examples(1, seed=2)).examples) == 3
    again = GalleryStore(path, everyday).gallery
    assert again.names == ("jack", "hop")
    expected = np.concatenate([examples(2), examples(1, seed=2)])
    np.testing.assert_array_equal(again.actions["jack"].examples, expected)


def test_forgotten_is_forgotten(everyday: ModelBundle, tmp_path: Path) -> None:
    store = GalleryStore(tmp_path / "g.sqlite", everyday)
    store.add("jack", examples(1))
    store.remove("jack")
    assert GalleryStore(tmp_path / "g.sqlite", everyday).gallery.names == ()
    with pytest.raises(UnknownAction, match="no action 'jack' is enrolled; enrolled are: none"):
        store.remove("jack")


def test_each_process_sees_the_others_changes(everyday: ModelBundle, tmp_path: Path) -> None:
    one, other = (GalleryStore(tmp_path / "g.sqlite", everyday) for _ in range(2))
    one.add("jack", examples(1))
    assert other.gallery.names == ("jack",)
    other.add("hop", examples(1))
    assert one.gallery.names == ("jack", "hop")


def test_another_encoder_refuses_it(
    everyday: ModelBundle, retrained: ModelBundle, tmp_path: Path
) -> None:
    path = tmp_path / "g.sqlite"
    GalleryStore(path, everyday).add("jack", examples(1))
    with pytest.raises(
        BundleError,
        match=r"g\.sqlite was enrolled with everyday@.*\(network 000000000000\.\.\.\) is served; "
        r".*serve that bundle, or choose another gallery and enrol the examples again",
    ):
        GalleryStore(path, retrained)
    assert default_file(everyday, tmp_path) != default_file(retrained, tmp_path)


def test_several_actions_are_taken_in_or_none(everyday: ModelBundle, tmp_path: Path) -> None:
    store = GalleryStore(tmp_path / "g.sqlite", everyday)
    with pytest.raises(ActionConflict, match="11 more were sent"):
        store.add_all({"jack": examples(1), "hop": examples(11)})
    assert store.gallery.names == ()
    assert GalleryStore(tmp_path / "g.sqlite", everyday).gallery.names == ()
    with pytest.raises(ActionConflict, match="the bundle knows 'wave' by itself"):
        store.add("wave", examples(1))


def test_memory_keeps_it_for_its_process(everyday: ModelBundle) -> None:
    store = GalleryStore(MEMORY, everyday)
    store.add("jack", examples(1))
    assert store.gallery.names == ("jack",)
    assert GalleryStore(MEMORY, everyday).gallery.names == ()


def test_files_that_are_no_gallery(everyday: ModelBundle, tmp_path: Path) -> None:
    path = tmp_path / "text.sqlite"
    path.write_text("not a database at all, however long it may be" * 50)
    with pytest.raises(BundleError, match=r"text\.sqlite is no gallery: .*C2VL_GALLERY"):
        GalleryStore(path, everyday)
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(BundleError, match="is a database but no gallery of format"):
        GalleryStore(tmp_path / "other.sqlite", everyday)


def test_a_place_that_cannot_be_written(everyday: ModelBundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    store = GalleryStore(tmp_path / "file" / "g.sqlite", everyday)
    assert store.gallery.names == ()
    with pytest.raises(RuntimeUnavailable, match=r"cannot be used: .*C2VL_GALLERY"):
        store.add("jack", examples(1))


def test_it_survives_being_killed(everyday: ModelBundle, tmp_path: Path) -> None:
    """A process that kills itself at once after the call returned."""
    code = (
        "import os, signal, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from c2vl_serve.bundle import load_bundle\n"
        "from c2vl_serve.recognition.gallery_store import GalleryStore\n"
        "store = GalleryStore(Path(sys.argv[1]), load_bundle('everyday'))\n"
        "store.add('jack', np.eye(1, 5, dtype=np.float32))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "g.sqlite"
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -9
    assert GalleryStore(path, everyday).gallery.names == ("jack",)


def test_a_file_carries_it_elsewhere(everyday: ModelBundle, tmp_path: Path) -> None:
    store = GalleryStore(tmp_path / "g.sqlite", everyday)
    store.add("jack", examples(3))
    content = to_file(store.gallery, store.origin)
    found = from_file(content, store.origin, width=5)
    np.testing.assert_array_equal(found["jack"], examples(3))
    other = GalleryStore(tmp_path / "other.sqlite", everyday)
    other.add_all(found)
    assert to_file(other.gallery, other.origin) == content


def test_files_that_cannot_be_taken_in(
    everyday: ModelBundle, retrained: ModelBundle, tmp_path: Path
) -> None:
    store = GalleryStore(MEMORY, everyday)
    store.add("jack", examples(1))
    content = json.loads(to_file(store.gallery, store.origin))
    other = GalleryStore(MEMORY, retrained).origin
    with pytest.raises(BundleError, match="the file was enrolled with everyday@"):
        from_file(json.dumps(content).encode(), other, width=5)
    with pytest.raises(GalleryError, match="has 5 numbers and length 1, expected 6 and 1"):
        from_file(json.dumps(content).encode(), store.origin, width=6)
    changed = ({"format": "x"}, *({"actions": [{"name": "a", "examples": e}]} for e in (["!"], [])))
    broken = (b"{", b"[]", b"{}", *(json.dumps({**content, **each}).encode() for each in changed))
    for data in broken:
        with pytest.raises(GalleryError, match="this is no gallery file"):
            from_file(data, store.origin, width=5)
