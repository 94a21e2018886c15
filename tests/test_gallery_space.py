"""The gallery's space: what examples let expect of one more, and what its file may hold."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2vl_serve.errors import BundleError
from c2vl_serve.gallery_space import (
    GalleryScale,
    GallerySpace,
    Prototype,
    Whitening,
    read_gallery_space,
    unit,
    write_gallery_space,
)


def whitening() -> Whitening:
    """From 6 numbers to 4."""
    rng = np.random.default_rng(0)
    return Whitening(
        mean=rng.normal(size=6).astype(np.float32),
        directions=rng.normal(size=(6, 4)).astype(np.float32),
    )


def test_round_trip(tmp_path: Path) -> None:
    scale = GalleryScale(lowest=0.3, highest=0.7, width=0.04)
    write_gallery_space(tmp_path / "gallery.npz", GallerySpace(whitening=whitening(), scale=scale))
    back = read_gallery_space(tmp_path / "gallery.npz")
    assert back.scale == scale
    assert back.whitening is not None
    np.testing.assert_array_equal(back.whitening.mean, whitening().mean)
    np.testing.assert_array_equal(back.whitening.directions, whitening().directions)


def test_a_scale_alone_is_of_plain_cosines(tmp_path: Path) -> None:
    scale = GalleryScale(lowest=0.8, highest=0.9, width=0.02)
    write_gallery_space(tmp_path / "gallery.npz", GallerySpace(scale=scale))
    back = read_gallery_space(tmp_path / "gallery.npz")
    assert (back.whitening, back.scale) == (None, scale)


def test_what_is_no_such_file_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "gallery.npz", mean=np.zeros(3))
    with pytest.raises(BundleError, match=r"holds no gallery space: .*export the bundle again"):
        read_gallery_space(tmp_path / "gallery.npz")


def test_what_cannot_be_applied_is_refused() -> None:
    with pytest.raises(BundleError, match="a mean of 5 numbers and directions of 6"):
        Whitening(mean=np.zeros(5, np.float32), directions=np.zeros((6, 2), np.float32))
    with pytest.raises(BundleError, match="numbers that are not finite"):
        Whitening(mean=np.full(2, np.nan, np.float32), directions=np.zeros((2, 2), np.float32))
    with pytest.raises(BundleError, match="lowest <= highest < 1 and a width above 0"):
        GalleryScale(lowest=0.5, highest=0.4)
    with pytest.raises(BundleError, match="width above 0"):
        GalleryScale(width=0.0)


def test_without_whitening_products_are_plain_cosines() -> None:
    a, b = np.array([3, 4], np.float32), np.array([5, 0], np.float32)
    assert GallerySpace().placed(a) @ GallerySpace().placed(b) == pytest.approx(0.6)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 10), st.floats(0.01, 100))
def test_the_length_of_a_representation_does_not_matter(seed: int, length: float) -> None:
    space = GallerySpace(whitening=whitening())
    vector = np.random.default_rng(seed).normal(size=(1, 6)).astype(np.float32)
    placed = space.placed(vector)
    assert np.linalg.norm(placed) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(space.placed(np.float32(length) * vector), placed, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 6), st.integers(0, 50))
def test_examples_tell_what_one_more_would_have(count: int, seed: int) -> None:
    """Slow reference: one that has with each example the mean cosine that they have in pairs."""
    noise = np.random.default_rng(seed).normal(size=(count, 8))
    examples = unit((noise + 1).astype(np.float32))
    cosines = (examples @ examples.T)[~np.eye(count, dtype=bool)]
    found = Prototype.of(examples)
    reference = cosines.mean() / np.linalg.norm(examples.mean(axis=0))
    assert found.expected == pytest.approx(reference, abs=1e-4)
    np.testing.assert_allclose(found.direction, unit(examples.mean(axis=0)), atol=1e-6)


def test_boundaries_follow_the_examples_within_limits() -> None:
    scale = GalleryScale(lowest=0.3, highest=0.8)
    alone = Prototype.of(np.array([[1, 0]], np.float32))
    expected = np.array([0.95, 0.6, 0.1, alone.expected])
    assert scale.boundaries(expected).tolist() == pytest.approx([0.8, 0.6, 0.3, 0.8])


def test_examples_that_differ_lower_the_boundary() -> None:
    alike = Prototype.of(unit(np.array([[1, 0.1, 0], [1, 0, 0.1]], np.float32)))
    different = Prototype.of(unit(np.array([[1, 1, 0], [1, 0, 1]], np.float32)))
    assert different.expected < 0.7 < 0.97 < alike.expected
