"""A gallery's space travels: training leaves it in the checkpoint, export in the bundle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the export extra is not installed")

from c2vl_export.package import write_bundle  # noqa: E402
from c2vl_serve.bundle import SPACE, load_bundle  # noqa: E402
from c2vl_serve.errors import BundleError  # noqa: E402
from c2vl_serve.gallery_space import GalleryScale, GallerySpace, Whitening, unit  # noqa: E402
from c2vl_serve.recognition.gallery_store import MEMORY, GalleryStore  # noqa: E402
from c2vl_training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint  # noqa: E402
from tests.export.made_checkpoint import tiny_checkpoint  # noqa: E402

SCALE = GalleryScale(lowest=0.2, highest=0.6, width=0.03)


def with_space(num_features: int | None = None) -> Checkpoint:
    """The tiny checkpoint with a made-up space, of its own width unless given."""
    checkpoint = tiny_checkpoint()
    width = sum(member.encoder.num_features for member in checkpoint.model.members)
    rng = np.random.default_rng(0)
    whitening = Whitening(
        mean=rng.normal(size=num_features or width).astype(np.float32),
        directions=rng.normal(size=(num_features or width, 4)).astype(np.float32),
    )
    return replace(checkpoint, gallery_space=GallerySpace(whitening=whitening, scale=SCALE))


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return with_space()


@pytest.fixture(scope="module")
def bundle_folder(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "space"
    write_bundle(checkpoint, folder)
    return folder


def same(one: GallerySpace, other: GallerySpace) -> bool:
    assert one.whitening is not None
    assert other.whitening is not None
    return (
        one.scale == other.scale
        and np.array_equal(one.whitening.mean, other.whitening.mean)
        and np.array_equal(one.whitening.directions, other.whitening.directions)
    )


def test_the_checkpoint_keeps_it(checkpoint: Checkpoint, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "space.safetensors", checkpoint)
    back = read_checkpoint(tmp_path / "space.safetensors")
    assert back.gallery_space is not None
    assert checkpoint.gallery_space is not None
    assert same(back.gallery_space, checkpoint.gallery_space)


def test_a_plain_checkpoint_has_none(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "plain.safetensors", tiny_checkpoint())
    assert read_checkpoint(tmp_path / "plain.safetensors").gallery_space is None


def test_the_bundle_carries_it_hashed(checkpoint: Checkpoint, bundle_folder: Path) -> None:
    bundle = load_bundle(bundle_folder)
    assert checkpoint.gallery_space is not None
    assert same(bundle.gallery_space, checkpoint.gallery_space)
    assert SPACE in bundle.card.hashes


def test_a_changed_file_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    write_bundle(checkpoint, tmp_path / "b")
    with (tmp_path / "b" / SPACE).open("ab") as file:
        file.write(b"0")
    with pytest.raises(BundleError, match=r"gallery\.npz has SHA-256"):
        load_bundle(tmp_path / "b")


def test_a_plain_bundle_compares_plain_cosines(tmp_path: Path) -> None:
    write_bundle(tiny_checkpoint(), tmp_path / "plain")
    bundle = load_bundle(tmp_path / "plain")
    assert bundle.gallery_space.whitening is None
    assert not (tmp_path / "plain" / SPACE).exists()


def test_a_space_of_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="for representations of 7 numbers, its network gives"):
        write_bundle(with_space(num_features=7), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_the_store_compares_in_it(checkpoint: Checkpoint, bundle_folder: Path) -> None:
    bundle = load_bundle(bundle_folder)
    assert bundle.gallery_space.whitening is not None
    width = len(bundle.gallery_space.whitening.mean)
    examples = unit(np.random.default_rng(1).normal(size=(2, width)).astype(np.float32))
    store = GalleryStore(MEMORY, bundle)
    store.add("jack", examples)
    placed = bundle.gallery_space.placed(examples)
    mean = unit(placed.mean(axis=0))
    np.testing.assert_allclose(store.gallery.cosines(examples)[:, 0], placed @ mean, atol=1e-5)
    store.close()
