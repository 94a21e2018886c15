"""Training data: packed files, the pool, balanced windows, and what a camera does to them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.layout import BODY15, KINECT20
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig, preprocess
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.augment import (
    ARM_CHAINS,
    CameraModel,
    exaggerated,
    in_place,
    mirrored,
    seen_by_camera,
    tilted,
    with_limbs_of,
    with_proportions,
)
from c2vl_training.data.batches import (
    TURNS,
    Sampling,
    WindowSampler,
    clip_probabilities,
    with_a_pause,
)
from c2vl_training.data.labels import (
    EVERYDAY_LABELS,
    MIRRORED_LABELS,
    STILL_LABEL,
    label_names,
    label_sources,
)
from c2vl_training.data.packed import PackedSet, read_packed
from c2vl_training.data.pool import Pool, load_pool
from c2vl_training.data.sets import SETS
from c2vl_training.evaluate.clips import accuracy_per_set, among_own_labels
from tests.training.made_sets import CONFIG, UTD_LABELS, write_made_utd

NO_CAMERA = CameraModel(probability=0.0)
NOBODY = np.zeros(5, bool)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    folder = tmp_path_factory.mktemp("data")
    write_made_utd(folder)
    return load_pool(folder, UTD_LABELS, CONFIG, hold_still=True)


def test_packed_differences_are_exact(tmp_path: Path) -> None:
    write_made_utd(tmp_path, packed=True)
    plain = tmp_path / "plain"
    write_made_utd(plain)
    ours = read_packed(tmp_path / "utd_mhad" / "utd_mhad.npz")
    expected = read_packed(plain / "utd_mhad" / "utd_mhad.npz")
    for clip, other in zip(ours.clips, expected.clips, strict=True):
        np.testing.assert_allclose(clip, other, atol=3e-4)


def test_a_file_that_is_not_a_packed_set(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", joints=np.zeros(3))
    with pytest.raises(SequenceError, match=r"lacks \['class_names', 'joint_names'"):
        read_packed(tmp_path / "x.npz")
    with pytest.raises(SequenceError, match="cannot be read"):
        read_packed(tmp_path / "missing.npz")


def test_pool_keeps_splits_apart(pool: Pool) -> None:
    assert not (pool.test & pool.validation).any()
    assert pool.test.sum() == 6  # subject 2 of made subjects 1, 2, 7
    assert pool.validation.sum() == 6


def test_test_clips_that_are_training_clips_as_well(pool: Pool, tmp_path: Path) -> None:
    """Clip 0 is subject 1's, who trains; clip 6 is subject 2's, who tests."""
    assert not pool.copied.any()
    write_made_utd(tmp_path)
    file = tmp_path / "utd_mhad" / "utd_mhad.npz"
    with np.load(file) as archive:
        arrays = dict(archive)
    start = arrays["offsets"]
    arrays["joints"][start[6] : start[7]] = arrays["joints"][start[0] : start[1]]
    np.savez(file, **arrays)
    again = load_pool(tmp_path, UTD_LABELS, CONFIG, hold_still=False)
    np.testing.assert_array_equal(np.flatnonzero(again.copied), [6])


def test_accuracy_is_told_without_copies_too(pool: Pool) -> None:
    """Right on the copy and on two of five other clips."""
    tested = pool.where(pool.test)
    scores = np.eye(len(pool.label_names))[tested.labels]
    scores[3:] = scores[0]
    plain = {"clips": 6, "top1": 50.0}
    assert accuracy_per_set(scores, tested) == {"utd_mhad": plain}
    some = replace(tested, copied=np.arange(6) == 0)
    told = plain | {"copies": 1, "top1_without_copies": 40.0}
    assert accuracy_per_set(scores, some) == {"utd_mhad": told}
    all_copies = replace(tested, copied=np.ones(6, bool))
    assert accuracy_per_set(scores, all_copies) == {"utd_mhad": plain | {"copies": 6}}


def test_only_a_set_s_own_labels_compete(pool: Pool) -> None:
    """A standing person is no class of UTD-MHAD; where it was first, the next one is."""
    tested = pool.where(pool.test)
    still = pool.label_names.index(STILL_LABEL)
    scores = np.eye(len(pool.label_names))[tested.labels]
    scores[:, still] = 2.0
    assert accuracy_per_set(scores, tested) == {"utd_mhad": {"clips": 6, "top1": 0.0}}
    narrowed = among_own_labels(scores, tested, UTD_LABELS)
    assert accuracy_per_set(narrowed, tested) == {"utd_mhad": {"clips": 6, "top1": 100.0}}


def test_held_still_clips_come_from_training_clips_only(pool: Pool) -> None:
    still = pool.labels == pool.label_names.index(STILL_LABEL)
    assert still.any()
    assert not (pool.test | pool.validation)[still].any()
    sequence = pool.sequence(int(np.flatnonzero(still)[0]))
    assert not np.diff(sequence.joints, axis=0).any()


def test_pool_clip_is_what_serving_would_get(pool: Pool) -> None:
    sequence = pool.sequence(0)
    assert (sequence.fps, sequence.layout) == (CONFIG.fps, BODY15)
    assert sequence.num_frames == pool.lengths[0]


def test_labels_are_drawn_evenly_whatever_their_number_of_clips(pool: Pool) -> None:
    probability = clip_probabilities(pool, balance=0.0, set_balance=0.0)
    per_label = [probability[pool.labels == label].sum() for label in np.unique(pool.labels)]
    np.testing.assert_allclose(per_label, 1 / len(per_label))
    np.testing.assert_allclose(clip_probabilities(pool, 1.0, 1.0), 1 / len(pool))


def test_log_prior_is_how_often_labels_are_drawn(pool: Pool) -> None:
    sampler = WindowSampler(pool, Sampling(balance=1.0, set_balance=1.0), MIRRORED_LABELS, 0)
    share = np.bincount(pool.labels, minlength=len(pool.label_names)) / len(pool)
    np.testing.assert_allclose(np.exp(sampler.log_prior()), share, rtol=1e-5)


def test_windows_that_stay_as_recorded_show_the_clip_itself(pool: Pool) -> None:
    """No tempo, tilt, cut or mirror asked for: each is a window of its own clip, untouched."""
    still = Sampling(
        camera=NO_CAMERA, mirror=0.0, speed=(1.0, 1.0), cut_recorded=0.0,
        tilt_degrees=0.0, lose_travel=0.0,
    )  # fmt: skip
    sampler = WindowSampler(pool, still, MIRRORED_LABELS, 0)
    clips = np.flatnonzero(pool.lengths >= CONFIG.num_frames)[:3]
    drawn, labels = sampler.windows(clips, np.random.default_rng(0))
    np.testing.assert_array_equal(labels, pool.labels[clips])
    for clip, window in zip(clips, drawn, strict=True):
        sequence = pool.sequence(int(clip))
        room = sequence.num_frames - CONFIG.num_frames
        shown = [_from(sequence, start) for start in np.arange(0, room + 0.001, 0.04)]
        assert min(np.abs(window[:3] - each[:3]).max() for each in shown) < 0.05


def _from(sequence: SkeletonSequence, start: float) -> np.ndarray:
    """The window that begins between two frames, linear between them."""
    at = np.minimum(start + np.arange(CONFIG.num_frames), sequence.num_frames - 1)
    low = at.astype(int)
    high = np.minimum(low + 1, sequence.num_frames - 1)
    share = (at - low).astype(np.float32)[:, None, None, None]
    joints = sequence.joints[low] * (1 - share) + sequence.joints[high] * share
    return preprocess(
        replace(sequence, joints=joints, visibility=sequence.visibility[low]), CONFIG
    )[0]


def test_a_pool_without_labels_has_one_that_says_nothing(pool: Pool) -> None:
    plain = pool.unlabelled()
    assert set(plain.labels) == {0}
    assert len(plain.label_names) == 1
    assert plain.ids is pool.ids
    assert len(set(pool.ids)) == len(pool)


def test_a_batch_depends_on_seed_and_step_alone(pool: Pool) -> None:
    def draw(seed: int, step: int) -> np.ndarray:
        return WindowSampler(pool, Sampling(), MIRRORED_LABELS, seed).draw(16, step)[0]

    np.testing.assert_array_equal(draw(0, 3), draw(0, 3))
    assert not np.array_equal(draw(0, 3), draw(0, 4))
    assert not np.array_equal(draw(0, 3), draw(1, 3))


def test_batches_are_model_input(pool: Pool) -> None:
    x, labels = WindowSampler(pool, Sampling(), MIRRORED_LABELS, 0).draw(64, 0)
    assert x.shape == (64, CONFIG.num_channels, CONFIG.num_frames, 15, 1)
    assert np.isfinite(x).all()
    assert set(labels) <= set(range(len(pool.label_names)))


def test_a_mirrored_swipe_changes_its_label(pool: Pool) -> None:
    only = pool.where(pool.labels == pool.label_names.index("swipe left"))
    sampling = Sampling(mirror=1.0, camera=NO_CAMERA)
    _, labels = WindowSampler(only, sampling, MIRRORED_LABELS, 0).draw(8, 0)
    assert {pool.label_names[k] for k in labels} == {"swipe right"}


def test_what_stays_as_recorded_may_be_left_unmirrored(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SETS, "utd_mhad", replace(SETS["utd_mhad"], mirror=0.0))
    only = pool.where(pool.labels == pool.label_names.index("swipe left"))
    for camera, turned in ((NO_CAMERA, False), (CameraModel(probability=1.0), True)):
        sampling = Sampling(mirror=1.0, camera=camera)
        sampler = WindowSampler(only, sampling, MIRRORED_LABELS, 0)
        labels = {pool.label_names[k] for k in sampler.draw(8, 0)[1]}
        assert labels == {"swipe right" if turned else "swipe left"}


def test_an_action_without_its_mirror_is_not_mirrored(tmp_path: Path) -> None:
    write_made_utd(tmp_path)
    labels = {"utd_mhad": {"right arm swipe to the left": "swipe left"}}
    pool = load_pool(tmp_path, labels, CONFIG, hold_still=False)
    only = pool.where(pool.labels >= 0)
    sampler = WindowSampler(only, Sampling(mirror=1.0), MIRRORED_LABELS, 0)
    assert set(sampler.draw(8, 0)[1]) == {0}


def test_every_class_of_a_set_has_a_label_of_its_own() -> None:
    for name in ("utd_mhad", "nw_ucla", "msr_action3d", "msr_daily6"):
        classes = EVERYDAY_LABELS[name]
        assert len(set(classes.values())) == len(classes)


def two_takes(action: str, other: str) -> PackedSet:
    """Each subject once for each of three views and two classes."""
    takes = [(s, v, k) for s in (4, 5, 6) for v in (1, 2, 3) for k in (0, 1)]
    subjects, views, labels = np.array(takes).T
    return PackedSet(
        clips=(np.ones((1, 20, 3), np.float32),) * len(takes),
        labels=labels,
        class_names=(action, other),
        joint_names=KINECT20.joints,
        fps=0.0,
        extra={"subjects": subjects, "views": views},
    )


@pytest.mark.parametrize(
    ("subject", "action", "other"), [(4, "sit down", "stand up"), (5, "donning", "doffing")]
)
def test_exchanged_classes_of_nw_ucla_are_put_right(subject: int, action: str, other: str) -> None:
    packed = two_takes(action, other)
    mended = SETS["nw_ucla"].labels(packed) != packed.labels
    block = (packed.extra["subjects"] == subject) & (packed.extra["views"] == 2)
    np.testing.assert_array_equal(mended, block)
    assert not (mended & SETS["nw_ucla"].test(packed)).any()


def test_who_sits_down_in_training_goes_down(data_dir: Path) -> None:
    labels = {"nw_ucla": {"sit down": "sit down", "stand up": "stand up"}}
    pool = load_pool(data_dir, labels, CONFIG, hold_still=False)
    for name, sign in (("sit down", -1), ("stand up", 1)):
        chosen = np.flatnonzero((pool.labels == pool.label_names.index(name)) & ~pool.test)
        height = [pool.sequence(clip).joints[:, 0, BODY15.root, 1] for clip in chosen.tolist()]
        rises = np.array([np.median(y[-4:]) - np.median(y[:4]) for y in height])
        assert (sign * rises > 0).mean() > 0.95


def test_which_test_clips_of_nw_ucla_are_copies(data_dir: Path) -> None:
    """All of two classes and no other (decision 24)."""
    labels = {"nw_ucla": EVERYDAY_LABELS["nw_ucla"]}
    pool = load_pool(data_dir, labels, CONFIG, hold_still=False)
    two = ("nw_ucla:pick up with two hands", "nw_ucla:drop trash")
    np.testing.assert_array_equal(pool.copied, pool.test & np.isin(pool.classes, two))
    assert pool.copied.sum() == 95


def test_label_sources_name_every_class_once() -> None:
    sources = label_sources(EVERYDAY_LABELS, hold_still=True)
    assert tuple(sources) == label_names(EVERYDAY_LABELS, hold_still=True)
    named = [source for group in sources.values() for source in group if "held" not in source]
    assert len(named) == len(set(named)) == sum(len(c) for c in EVERYDAY_LABELS.values())


def test_an_exercise_stays_where_it_turns() -> None:
    last = np.full(50, 40.0)
    at = with_a_pause(64, last, np.full(50, 1.3), np.random.default_rng(0))
    steps = np.diff(at, axis=0)
    stays = (steps == 0) & (at[1:] > 0)
    assert (steps >= 0).all()
    np.testing.assert_array_equal((at[1:] / last)[stays] >= TURNS[0], True)
    np.testing.assert_array_equal((at[1:] / last)[stays] <= TURNS[1], True)
    whole = (at[0] < TURNS[0] * 40) & (at[-1] > TURNS[1] * 40)  # goes on after the pause
    assert whole.any()
    assert (stays[:, whole].sum(axis=0) >= 64 // 4 - 2).all()


def windows(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    joints = rng.normal(size=(12, 5, 15, 3)).astype(np.float32)
    return joints, np.ones(joints.shape[:3], np.float32)


def test_mirroring_twice_is_identity() -> None:
    joints, seen = windows()
    chosen = np.array([True, False, True, True, False])
    once = mirrored(joints, seen, chosen, BODY15)
    twice, _ = mirrored(*once, chosen, BODY15)
    np.testing.assert_array_equal(twice, joints)
    np.testing.assert_array_equal(once[0][:, 1], joints[:, 1])


def test_no_camera_changes_nothing() -> None:
    joints, seen = windows()
    rng = np.random.default_rng(0)
    view, still_seen = seen_by_camera(joints, seen, NOBODY, CameraModel(), BODY15, rng)
    np.testing.assert_array_equal(view, joints)
    np.testing.assert_array_equal(still_seen, seen)


def test_a_camera_hides_legs_and_limbs_but_never_the_trunk() -> None:
    joints, seen = windows()
    model = CameraModel(lose_limb=1.0, lose_legs=1.0)
    _, visible = seen_by_camera(joints, seen, ~NOBODY, model, BODY15, np.random.default_rng(0))
    assert not visible[:, :, BODY15.index("l_ankle")].any()
    trunk = [BODY15.index(n) for n in ("pelvis", "chest", "head", "l_shoulder", "r_hip")]
    assert visible[:, :, trunk].all()


def test_a_perfect_camera_only_turns_the_body() -> None:
    joints, seen = windows()
    model = CameraModel(
        depth_scale=(1.0, 1.0), depth_noise=0.0, joint_noise=0.0, jitter=0.0,
        lag=0.0, bone_noise=0.0, lose_limb=0.0, lose_legs=0.0,
    )  # fmt: skip
    view, _ = seen_by_camera(joints, seen, ~NOBODY, model, BODY15, np.random.default_rng(0))
    distance = np.linalg.norm(joints[:, :, 5] - joints[:, :, 8], axis=-1)
    np.testing.assert_allclose(
        np.linalg.norm(view[:, :, 5] - view[:, :, 8], axis=-1), distance, rtol=1e-4
    )


def test_a_tilt_by_hand() -> None:
    """A quarter turn lays an upright body flat, whichever way it falls; lengths stay."""
    up = np.zeros((1, 4, 2, 3), np.float32)
    up[:, :, 1, 1] = 1
    flat = tilted(up, np.array([90.0, 90.0, -90.0, 0.0]), np.random.default_rng(0))
    np.testing.assert_allclose(flat[0, :3, 1, 1], 0, atol=1e-6)
    np.testing.assert_allclose(flat[0, 3], up[0, 3], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(flat[0, :, 1], axis=-1), 1, rtol=1e-5)


def test_in_place_takes_the_travel_and_leaves_the_pose() -> None:
    joints, _ = windows()
    walking = joints + np.linspace(0, 1, len(joints), dtype=np.float32)[:, None, None, None]
    chosen = np.array([True, False, False, False, False])
    kept = in_place(walking, chosen, BODY15)
    np.testing.assert_allclose(kept[:, 0, BODY15.root], 0, atol=1e-6)
    np.testing.assert_allclose(
        np.diff(kept[:, 0], axis=1), np.diff(walking[:, 0], axis=1), atol=1e-5
    )
    np.testing.assert_array_equal(kept[:, 1:], walking[:, 1:])


def lengths(joints: np.ndarray) -> np.ndarray:
    """Of the bone to each joint's parent; the root's is 0."""
    parents = [max(above, 0) for above in BODY15.parents]
    return np.linalg.norm(joints - joints[:, :, parents], axis=-1)


def test_exaggeration_by_hand() -> None:
    """The root moves twice as far about its mean; bones turn and keep their lengths."""
    joints, _ = windows()
    twice = exaggerated(joints, np.full(joints.shape[1], 2, np.float32), BODY15)
    root = joints[:, :, BODY15.root]
    expected = root.mean(axis=0) + 2 * (root - root.mean(axis=0))
    np.testing.assert_allclose(twice[:, :, BODY15.root], expected, atol=1e-5)
    np.testing.assert_allclose(lengths(twice), lengths(joints), rtol=1e-3)
    same = exaggerated(joints, np.ones(joints.shape[1], np.float32), BODY15)
    np.testing.assert_allclose(same, joints, atol=1e-5)


def test_other_proportions_keep_directions_and_are_alike_on_both_sides() -> None:
    joints, _ = windows()
    body = with_proportions(joints, 0.3, BODY15, np.random.default_rng(0))
    factor = lengths(body)[:, :, 1:] / lengths(joints)[:, :, 1:]
    assert factor[0].std() > 0.1
    np.testing.assert_allclose(factor, np.broadcast_to(factor[:1], factor.shape), rtol=1e-3)
    both_sides = np.array(BODY15.mirror)[1:] - 1
    np.testing.assert_allclose(factor[0][:, both_sides], factor[0], rtol=1e-3)
    bone, was = (x[:, :, 5] - x[:, :, 4] for x in (body, joints))
    np.testing.assert_allclose(bone, was * factor[:, :, [4]], atol=1e-4)


def test_borrowed_arms_hang_from_their_own_shoulders() -> None:
    (joints, _), (others, _) = windows(0), windows(1)
    chosen = np.array([True, False, False, False, False])
    mixed = with_limbs_of(joints, others, chosen, ARM_CHAINS, BODY15)
    shoulder, wrist = BODY15.index("l_shoulder"), BODY15.index("l_wrist")
    np.testing.assert_array_equal(mixed[:, 1:], joints[:, 1:])
    np.testing.assert_allclose(
        mixed[:, 0, wrist] - mixed[:, 0, shoulder],
        others[:, 0, wrist] - others[:, 0, shoulder],
        atol=1e-5,
    )


def test_preprocessing_config_decides_the_window() -> None:
    assert replace(PreprocessingConfig(), num_frames=30).window_seconds == 2.0
    assert KINECT20.num_joints == 20
