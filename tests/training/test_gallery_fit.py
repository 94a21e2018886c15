"""The gallery's space of a checkpoint: whitening, trials, and the rule that chooses the scale."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_serve.errors import C2VLError  # noqa: E402
from c2vl_serve.gallery_space import GalleryScale, GallerySpace  # noqa: E402
from c2vl_serve.skeleton.sequence import SkeletonSequence  # noqa: E402
from c2vl_training.checkpoint import Checkpoint  # noqa: E402
from c2vl_training.data.augment import CameraModel  # noqa: E402
from c2vl_training.gallery_fit import (  # noqa: E402
    GalleryConfig,
    chosen_scale,
    fitted_whitening,
    seen,
    views,
)
from c2vl_training.gallery_trials import (  # noqa: E402
    ActionViews,
    Trial,
    for_choosing,
    shares,
    trials,
)
from tests.conftest import waving  # noqa: E402
from tests.export.made_checkpoint import tiny_checkpoint  # noqa: E402

CONFIG = GalleryConfig(num_directions=3, shrinkage=0.0)


def test_whitened_clips_spread_alike_in_all_directions() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(400, 5)) * [5, 1, 1, 0.2, 0] + [0, 0, 0, 0, 9]).astype(np.float32)
    found = fitted_whitening(vectors, np.repeat([0, 1], 200), CONFIG)
    directed = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    covariance = np.cov(((directed - found.mean) @ found.directions).T)
    np.testing.assert_allclose(covariance, np.eye(3), atol=0.02)


def test_labels_count_alike_however_many_clips_they_have() -> None:
    vectors = np.array([[1, 0]] * 99 + [[0, 1]], np.float32)
    found = fitted_whitening(vectors, np.repeat([0, 1], [99, 1]), CONFIG)
    np.testing.assert_allclose(found.mean, [0.5, 0.5], atol=1e-6)


@pytest.fixture
def checkpoint() -> Checkpoint:
    return tiny_checkpoint()


def test_clips_are_seen_as_recorded_and_by_each_camera(checkpoint: Checkpoint) -> None:
    clips = [("x:wave", at_model_rate(checkpoint, waving(num_frames=n))) for n in (40, 90)]
    found = views(checkpoint, clips, CameraModel(), replace(CONFIG, num_cameras=2))
    assert found.recorded.tolist() == [True] * 2 + [False] * 4
    assert found.clips.tolist() == [0, 1] * 3
    recorded = seen(checkpoint, [sequence for _, sequence in clips])
    np.testing.assert_allclose(found.vectors[:2], recorded.vectors, atol=1e-5)
    assert not np.allclose(found.vectors[2], found.vectors[4], atol=1e-3)


def at_model_rate(checkpoint: Checkpoint, sequence: SkeletonSequence) -> SkeletonSequence:
    from c2vl_serve.skeleton.sampling import at_model_rate

    return at_model_rate(sequence, checkpoint.preprocessing)


def made_views(spread: float) -> ActionViews:
    """Four actions of six clips each, around four axes, as recorded."""
    rng = np.random.default_rng(0)
    axes = np.repeat(np.eye(4), 6, axis=0)
    return ActionViews(
        vectors=(axes + spread * rng.normal(size=axes.shape)).astype(np.float32),
        actions=np.repeat(["a", "b", "c", "d"], 6),
        clips=np.arange(24),
        recorded=np.ones(24, bool),
        rejected=np.ones(24, bool),
    )


def test_a_trial_leaves_its_examples_out() -> None:
    run = trials(made_views(0.1), np.eye(4, dtype=np.float32)[:1], GallerySpace(), seed=0)
    assert {len(trial.own) for trial in run} == {5, 4, 3, 1}  # of six, with 1, 2, 3, 5 examples
    assert all(trial.num_unknown == 18 for trial in run)
    assert sum(np.isinf(trial.expected) for trial in run) == len(run) / 4  # of a single example


def test_every_second_action_chooses() -> None:
    assert for_choosing(np.array(["d", "a", "b", "c", "a"])).tolist() == ["a", "c"]


def trial(own: list[float], unknown: list[float]) -> Trial:
    return Trial(
        expected=0.9,
        own=np.array(own),
        known=np.array([0.1, 0.2]),
        unknown=np.array(unknown),
        num_unknown=len(unknown),
    )


def test_shares_count_what_lies_beyond_the_boundary() -> None:
    scale = GalleryScale(lowest=0.5, highest=0.5)
    found = shares([trial([0.4, 0.5, 0.6, 0.7], [0.2, 0.55])], scale)
    assert (found.found, found.kept, found.rejected) == (0.75, 1.0, 0.5)
    assert found.rejected_before == 1.0


def test_the_scale_finds_most_that_the_rule_allows() -> None:
    run = [replace(trial([0.62, 0.78, 0.92], [0.3, 0.4, 0.5, 0.55, 0.7]), expected=np.inf)]
    strict, found = chosen_scale(run, 0.7, replace(CONFIG, still_rejected=1.0))
    assert found.found == pytest.approx(2 / 3)
    assert 0.7 <= strict.highest <= 0.78
    loose, found = chosen_scale(run, 0.7, replace(CONFIG, still_rejected=0.8))
    assert found.found == 1
    assert found.rejected == pytest.approx(0.8)
    assert 0.55 < loose.highest <= 0.62


def test_known_clips_lose_nothing() -> None:
    scale, _ = chosen_scale([trial([0.62, 0.92], [0.3])], 0.7, CONFIG)
    lost = scale.scores(np.array([[0.2]]), np.array([0.0]), 0.7)  # at the lowest boundary
    assert lost[0, 0] < 0.001


def test_no_scale_is_better_than_one_that_loses_what_is_known() -> None:
    hopeless = [replace(trial([0.9], [0.3]), known=np.array([0.97, 0.98]))]
    with pytest.raises(C2VLError, match=r"no scale keeps 99% .*cosine of 0\.98"):
        chosen_scale(hopeless, 0.7, CONFIG)
