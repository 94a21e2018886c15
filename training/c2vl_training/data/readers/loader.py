"""Batches of random windows from a cache, made by worker processes.

A batch depends on seed and step alone: not on the number of workers, nor on where a run was
resumed. Windows go through the one preprocessing, the persons of all windows at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch.utils.data import DataLoader, Dataset

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig, preprocess
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.readers.cache import Cache, CacheConfig, check_same

# Changes windows before preprocessing. Persons are ordered by window, then person of the window;
# all chance comes from the generator. Must be picklable, so a function of a module or an object.
Transform = Callable[[SkeletonSequence, np.random.Generator], SkeletonSequence]

_ORDER, _WINDOWS = 1, 2  # first word of a seed, so that no two uses share their chance


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WindowBatch:
    """Windows as the model takes them.

    Attributes:
        inputs: ``N C T V M``; absent persons are zeros.
        labels: class of each window's clip.
        clips: the window's clip in the cache.
    """

    inputs: Float32[torch.Tensor, "N C T V M"]
    labels: Int64[torch.Tensor, " N"]
    clips: Int64[torch.Tensor, " N"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """Which windows make a batch.

    Attributes:
        batch_size: N, windows of this process.
        seed: of all chance.
        replica: number of this process among those that train together; each draws its own part.
        num_replicas: how many train together.
    """

    batch_size: int
    seed: int = 0
    replica: int = 0
    num_replicas: int = 1


class WindowDataset(Dataset[WindowBatch]):
    """The batches of a run, by step."""

    def __init__(
        self,
        cache: Cache,
        config: PreprocessingConfig,
        draw: Draw,
        *,
        clips: Int64[np.ndarray, " N"] | None = None,
        probability: Float64[np.ndarray, " N"] | None = None,
        transform: Transform | None = None,
    ) -> None:
        """Prepare the draw.

        Args:
            cache: where windows are cut from.
            config: the preprocessing; its layout and rate must be the cache's.
            draw: size of a batch and seed.
            clips: those that are drawn, such as a protocol's training part; all where not given.
            probability: how often each of ``clips`` is drawn, summing to 1. Where not given every
                clip is drawn once before any is drawn again.
            transform: applied to the windows before preprocessing.

        Raises:
            SequenceError: when the cache is of another layout or rate, or there is no clip.
        """
        wanted = CacheConfig.of(config, num_persons=cache.config.num_persons)
        check_same(
            cache.folder,
            {"layout": cache.config.layout, "fps": cache.config.fps},
            {"layout": wanted.layout, "fps": wanted.fps},
        )
        self.cache, self.config, self.draw, self.transform = cache, config, draw, transform
        self.clips = np.arange(len(cache)) if clips is None else clips
        self.probability = probability
        if len(self.clips) == 0:
            raise SequenceError(f"no clip of cache {cache.folder} is to be drawn; choose some")

    def __getitem__(self, step: int) -> WindowBatch:
        """The batch of a step, of any step."""
        rng = np.random.default_rng((_WINDOWS, self.draw.seed, step, self.draw.replica))
        clips = self._clips(step, rng)
        batch = cut_at_random(self.cache, clips, self.config.num_frames, rng)
        if self.transform is not None:
            batch = self.transform(batch, rng)
        inputs = preprocess(batch, self.config)
        N, M = len(clips), self.cache.config.num_persons
        inputs = inputs.reshape(N, M, *inputs.shape[1:4]).transpose(0, 2, 3, 4, 1)
        return WindowBatch(
            inputs=torch.from_numpy(np.ascontiguousarray(inputs)),
            labels=torch.from_numpy(self.cache.labels[clips]),
            clips=torch.from_numpy(clips),
        )

    def _clips(self, step: int, rng: np.random.Generator) -> Int64[np.ndarray, " B"]:
        size = self.draw.batch_size
        if self.probability is not None:
            return rng.choice(self.clips, size=size, p=self.probability)
        first = (step * self.draw.num_replicas + self.draw.replica) * size
        places = np.arange(first, first + size)
        rounds = places // len(self.clips)
        orders = {
            number: np.random.default_rng((_ORDER, self.draw.seed, number)).permutation(self.clips)
            for number in np.unique(rounds).tolist()
        }
        within = places % len(self.clips)
        return np.array([orders[r][i] for r, i in zip(rounds.tolist(), within, strict=True)])


def cut_at_random(
    cache: Cache, clips: Int64[np.ndarray, " N"], num_frames: int, rng: np.random.Generator
) -> SkeletonSequence:
    """One window of each clip, beginning anywhere; persons are ordered by window, then person.

    A clip that is shorter than a window is followed by frames in which nothing is seen.
    """
    M, V = cache.seen.shape[1:]
    joints = np.zeros((len(clips), num_frames, M, V, 3), np.float32)
    seen = np.zeros((len(clips), num_frames, M, V), np.float32)
    room = np.maximum(cache.lengths[clips] - num_frames, 0)
    begins = cache.starts[clips] + rng.integers(0, room + 1)
    kept = np.minimum(cache.lengths[clips], num_frames)
    for window, (begin, length) in enumerate(zip(begins, kept, strict=True)):
        joints[window, :length] = cache.joints[begin : begin + length]
        seen[window, :length] = cache.seen[begin : begin + length]
    return SkeletonSequence(
        joints=joints.transpose(1, 0, 2, 3, 4).reshape(num_frames, -1, V, 3),
        visibility=seen.transpose(1, 0, 2, 3).reshape(num_frames, -1, V),
        fps=cache.config.fps,
        layout=cache.layout,
    )


def _unchanged(batch: Any) -> Any:
    return batch


def window_loader(
    windows: WindowDataset, steps: range, *, num_workers: int = 0
) -> DataLoader[WindowBatch]:
    """The batches of these steps in order; a resumed run gives the steps that are left."""
    return DataLoader(
        windows,
        batch_size=None,
        sampler=steps,
        num_workers=num_workers,
        collate_fn=_unchanged,
        # Its own, because the loader draws from it: the run's must not depend on how often a
        # loader was made.
        generator=torch.Generator(),
    )
