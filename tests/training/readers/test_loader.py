"""Windows from a cache: the one preprocessing, any number of workers, two persons."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig, preprocess
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.readers.cache import Cache, CacheConfig
from c2vl_training.data.readers.cache_writer import write_cache
from c2vl_training.data.readers.loader import (
    Draw,
    WindowBatch,
    WindowDataset,
    cut_at_random,
    window_loader,
)
from c2vl_training.data.readers.ntu import read_ntu
from tests.training.readers.made_files import moved, ntu_text, waves

MODEL = PreprocessingConfig(num_frames=16)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Ten clips of one person, of 10 to 55 frames at the model's rate."""
    folder = tmp_path_factory.mktemp("cache") / "cache"
    return write_cache(waves(*range(20, 120, 10)), folder, CacheConfig())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """A clip of two persons and one of one, of 15 frames at the model's rate."""
    folder = tmp_path_factory.mktemp("pair")
    one, two = moved(30, 0.9), moved(30, 0.4, x=1)
    for name, bodies in (("A050", {"1": (0, one), "2": (0, two)}), ("A001", {"1": (0, one)})):
        (folder / f"S001C001P001R001{name}.skeleton").write_text(ntu_text(30, bodies))
    return write_cache(read_ntu(folder), folder / "cache", CacheConfig())


def shaken(sequence: SkeletonSequence, rng: np.random.Generator) -> SkeletonSequence:
    noise = rng.normal(0, 0.01, sequence.joints.shape).astype(np.float32)
    return replace(sequence, joints=sequence.joints + noise)


def same(ours: WindowBatch, other: WindowBatch) -> bool:
    return all(
        torch.equal(getattr(ours, name), getattr(other, name))
        for name in ("inputs", "labels", "clips")
    )


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_do_not_change_batches(cache: Cache, num_workers: int) -> None:
    windows = WindowDataset(cache, MODEL, Draw(batch_size=3, seed=5), transform=shaken)
    expected = [windows[step] for step in range(5)]
    batches = list(window_loader(windows, range(5), num_workers=num_workers))
    assert len(batches) == 5
    assert all(map(same, batches, expected))


def test_a_resumed_run_gets_the_steps_that_are_left(cache: Cache) -> None:
    windows = WindowDataset(cache, MODEL, Draw(batch_size=3))
    whole = list(window_loader(windows, range(6)))
    assert all(map(same, window_loader(windows, range(4, 6)), whole[4:]))


def test_the_runs_own_chance_is_left_alone(cache: Cache) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    list(window_loader(WindowDataset(cache, MODEL, Draw(batch_size=2)), range(2)))
    assert torch.equal(torch.rand(4), expected)


def test_seeds_steps_and_replicas_differ(cache: Cache) -> None:
    def draw(step: int, **values: int) -> WindowBatch:
        return WindowDataset(cache, MODEL, Draw(batch_size=4, **values))[step]

    batches = [draw(0), draw(1), draw(0, seed=1), draw(0, replica=1, num_replicas=2)]
    for index, batch in enumerate(batches):
        assert not any(same(batch, other) for other in batches[:index])


def test_every_clip_comes_once_in_a_round(cache: Cache) -> None:
    drawn = [
        WindowDataset(cache, MODEL, Draw(batch_size=1, replica=replica, num_replicas=2))[step]
        for step in range(10)
        for replica in range(2)
    ]
    clips = [int(batch.clips[0]) for batch in drawn]
    assert sorted(clips[:10]) == sorted(clips[10:]) == list(range(10))
    assert clips[:10] != clips[10:]


def test_only_the_chosen_clips_as_often_as_asked(cache: Cache) -> None:
    chosen = np.array([7, 2])
    windows = WindowDataset(
        cache, MODEL, Draw(batch_size=400), clips=chosen, probability=np.array([0.75, 0.25])
    )
    batch = windows[0]
    assert set(batch.clips.tolist()) == {2, 7}
    assert 260 < int((batch.clips == 7).sum()) < 340
    assert batch.labels.tolist() == cache.labels[batch.clips.numpy()].tolist()


def test_windows_are_stretches_of_their_clips(cache: Cache) -> None:
    rng = np.random.default_rng(0)
    clips = np.full(200, 3)  # 25 frames
    windows = cut_at_random(cache, clips, 16, rng).joints[:, ::2]  # the first person of each
    whole = cache.sequence(3).joints[:, 0]
    begins = {
        next(b for b in range(10) if np.array_equal(whole[b : b + 16], windows[:, n]))
        for n in range(200)
    }
    assert begins == set(range(10))


def test_a_short_clip_is_what_serving_makes_of_it(cache: Cache) -> None:
    windows = WindowDataset(cache, MODEL, Draw(batch_size=1), clips=np.array([0]))
    expected = preprocess(cache.sequence(0), MODEL)
    ours = windows[0].inputs.numpy()
    np.testing.assert_allclose(ours[..., :1], expected, atol=1e-6)
    assert not ours[..., 1].any()


def test_two_persons(pair: Cache) -> None:
    assert [entry.class_name for entry in pair.entries] == ["drink water", "punch/slap"]
    windows = WindowDataset(pair, MODEL, Draw(batch_size=2))
    batch = windows[0]
    assert batch.inputs.shape == (2, MODEL.num_channels, 16, 15, 2)
    for window, clip in enumerate(batch.clips.tolist()):
        persons = preprocess(pair.sequence(clip), MODEL)
        for person in range(2):
            ours = batch.inputs[window, ..., person].numpy()
            if person < len(persons):
                np.testing.assert_allclose(ours, persons[person, ..., 0], atol=1e-6)
            else:
                assert not ours.any()
    assert batch.labels.tolist() == [0 if clip == 0 else 49 for clip in batch.clips.tolist()]


def test_a_transform_sees_persons_by_window(pair: Cache) -> None:
    sizes = []

    def look(sequence: SkeletonSequence, rng: np.random.Generator) -> SkeletonSequence:
        sizes.append(sequence.joints.shape)
        first, second = sequence.joints[0, ::2], sequence.joints[0, 1::2]
        there = sequence.visibility[0, 1::2, 0] > 0
        apart = second[there, 0, 0] - first[there, 0, 0]
        np.testing.assert_allclose(apart, 1.0, atol=1e-4)
        return sequence

    WindowDataset(pair, MODEL, Draw(batch_size=6), transform=look)[0]
    assert sizes == [(16, 12, 15, 3)]


def test_another_layout_or_no_clip_is_refused(cache: Cache) -> None:
    with pytest.raises(SequenceError, match=r"made with fps 15.0, asked for is fps 30.0"):
        WindowDataset(cache, replace(MODEL, fps=30.0), Draw(batch_size=1))
    with pytest.raises(SequenceError, match="no clip of cache .* is to be drawn"):
        WindowDataset(cache, MODEL, Draw(batch_size=1), clips=np.array([], np.int64))
