"""Recordings -> cache: converted once, in any number of processes, and resumed after a kill.

Everything is written in ``FOLDER.partial`` and renamed when it is complete. A line of
``done.jsonl`` is written after the frames that it speaks of; on return, frames without a line are
cut off. Only one process at a time may write a cache.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_serve.skeleton.sampling import at_model_rate
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.readers.cache import (
    ENTRY_KEYS,
    FORMAT,
    INDEX_FILE,
    JOINTS_FILE,
    SEEN_FILE,
    Cache,
    CacheConfig,
    check_same,
    open_cache,
)
from c2vl_training.data.readers.growing import GrowingArray
from c2vl_training.data.readers.recording import Entry, Recordings

MADE_WITH_FILE, DONE_FILE = "made_with.json", "done.jsonl"

_CHUNK = 8  # recordings handed to a process at once


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Frames:
    """A converted recording, or why there is none."""

    joints: Float32[np.ndarray, "T M V 3"]
    seen: Float32[np.ndarray, "T M V"]
    skipped: str | None = None


def write_cache(
    recordings: Recordings,
    folder: Path,
    config: CacheConfig,
    *,
    num_workers: int = 0,
    skip_unreadable: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Cache:
    """Convert recordings and open the cache; one that is there already is only opened.

    The result does not depend on ``num_workers``, nor on how often writing was interrupted.

    Args:
        recordings: what to convert.
        folder: where the cache goes; ``FOLDER.partial`` beside it while it is written.
        config: layout, rate and number of persons.
        num_workers: processes that read and convert; 0 does it here.
        skip_unreadable: leave out recordings that cannot be used, and note why, instead of
            stopping at the first.
        on_progress: called with the number of recordings done and of all.

    Raises:
        SequenceError: when a recording cannot be used, nothing is left, or a cache of other
            recordings or another configuration is in the way.
    """
    made_with = {
        **asdict(config),
        "source": recordings.source,
        "class_names": list(recordings.class_names),
    }
    if not folder.exists():
        partial = _Partial(folder.with_name(folder.name + ".partial"), config, made_with)
        try:
            start = partial.resume(recordings.entries)
            convert = _Conversion(recordings, config, skip_unreadable=skip_unreadable)
            for index, frames in enumerate(_converted(convert, start, num_workers), start=start):
                partial.append(recordings.entries[index], frames)
                on_progress(index + 1, len(recordings))
            partial.finish(folder)
        finally:
            partial.close()
    cache = open_cache(folder, config, recordings.source)
    _check_entries(cache, recordings)
    return cache


class _Conversion:
    """From the number of a recording to its frames; can be sent to other processes."""

    def __init__(
        self, recordings: Recordings, config: CacheConfig, *, skip_unreadable: bool
    ) -> None:
        self.recordings, self.config = recordings, config
        self.skip_unreadable = skip_unreadable
        self.preprocessing = PreprocessingConfig(layout=config.layout, fps=config.fps)

    def __call__(self, index: int) -> _Frames:
        entry = self.recordings.entries[index]
        try:
            sequence = self.recordings[index].sequence
            return self._frames(at_model_rate(sequence, self.preprocessing), entry)
        except SequenceError as error:
            if not self.skip_unreadable:
                raise
            (joints, seen) = (np.zeros((0, *shape), np.float32) for shape in self.config.shapes())
            return _Frames(joints=joints, seen=seen, skipped=str(error))

    def _frames(self, sequence: SkeletonSequence, entry: Entry) -> _Frames:
        if sequence.joints.shape[-1] != 3:
            raise SequenceError(
                f"recording {entry.sample_id!r} has 2-D joints (x, y); a cache needs 3-D"
            )
        chosen = clearest(sequence, self.config.num_persons)
        joints, seen = (
            np.zeros((sequence.num_frames, *shape), np.float32) for shape in self.config.shapes()
        )
        seen[:, : len(chosen)] = sequence.visibility[:, chosen]
        joints[:, : len(chosen)] = sequence.joints[:, chosen]
        if not seen.any():
            raise SequenceError(f"recording {entry.sample_id!r} shows nobody")
        return _Frames(joints=joints, seen=seen)


def clearest(sequence: SkeletonSequence, num_persons: int) -> list[int]:
    """Positions of the persons that are seen most, in the sequence's order."""
    seen = sequence.visibility.sum(axis=(0, 2))
    # Stable, so that equally clear persons are taken in order.
    return sorted(np.argsort(-seen, kind="stable")[:num_persons].tolist())


_conversion: _Conversion | None = None  # of a worker process


def _hold(conversion: _Conversion) -> None:
    global _conversion
    _conversion = conversion


def _convert_held(index: int) -> _Frames:
    assert _conversion is not None, "the process was not set up"
    return _conversion(index)


def _converted(convert: _Conversion, start: int, num_workers: int) -> Iterator[_Frames]:
    """The frames of all recordings from ``start`` on, in order."""
    indices = range(start, len(convert.recordings))
    if num_workers == 0:
        yield from map(convert, indices)
        return
    with ProcessPoolExecutor(num_workers, initializer=_hold, initargs=(convert,)) as pool:
        yield from pool.map(_convert_held, indices, chunksize=_CHUNK)


class _Partial:
    """The cache while it is written."""

    def __init__(self, folder: Path, config: CacheConfig, made_with: dict[str, Any]) -> None:
        self.folder, self.config, self.made_with = folder, config, made_with
        folder.mkdir(parents=True, exist_ok=True)
        self._check_made_with()
        joints, seen = config.shapes()
        self.arrays = [
            GrowingArray(folder / JOINTS_FILE, joints),
            GrowingArray(folder / SEEN_FILE, seen),
        ]
        self.done: list[dict[str, Any]] = []
        self._file = (folder / DONE_FILE).open("a+b")

    def _check_made_with(self) -> None:
        path = self.folder / MADE_WITH_FILE
        if path.exists():
            made_with = json.loads(path.read_text(encoding="utf-8"))
            check_same(self.folder, made_with, self.made_with)
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(self.made_with), encoding="utf-8")
        beside.replace(path)

    def resume(self, entries: tuple[Entry, ...]) -> int:
        """Keep what is complete; the number of recordings that need no conversion."""
        held = min(array.num_whole_frames for array in self.arrays)
        num_frames = num_bytes = 0
        self._file.seek(0)
        for line in self._file:
            # A line without its end was being written when the process died.
            done = json.loads(line) if line.endswith(b"\n") else None
            if done is None or num_frames + done["length"] > held:
                break
            if len(self.done) >= len(entries) or done["entry"] != asdict(entries[len(self.done)]):
                raise SequenceError(
                    f"the unfinished cache {self.folder} is of another list of recordings, as of "
                    f"{done['entry']['sample_id']!r}; delete it to begin anew"
                )
            num_frames, num_bytes = num_frames + done["length"], num_bytes + len(line)
            self.done.append(done)
        self._file.truncate(num_bytes)
        for array in self.arrays:
            array.cut(num_frames)
        return len(self.done)

    def append(self, entry: Entry, frames: _Frames) -> None:
        """Frames first, then the line that vouches for them."""
        for array, values in zip(self.arrays, (frames.joints, frames.seen), strict=True):
            array.append(values)
        done = {"entry": asdict(entry), "length": len(frames.seen), "skipped": frames.skipped}
        self._file.write(json.dumps(done).encode() + b"\n")
        self._file.flush()
        self.done.append(done)

    def finish(self, folder: Path) -> None:
        """Write the index and give the folder its name."""
        kept = [done for done in self.done if done["skipped"] is None]
        if not kept:
            raise SequenceError(
                f"cache {folder} would be empty: {len(self.done)} recordings, none of use"
            )
        lengths = [done["length"] for done in kept]
        index = {
            "format": FORMAT,
            "config": asdict(self.config),
            "source": self.made_with["source"],
            "class_names": self.made_with["class_names"],
            "clips": {
                "starts": [0, *accumulate(lengths)][:-1],
                "lengths": lengths,
                **{key: [done["entry"][key] for done in kept] for key in ENTRY_KEYS},
            },
            "skipped": {
                done["entry"]["sample_id"]: done["skipped"]
                for done in self.done
                if done["skipped"] is not None
            },
        }
        for array in self.arrays:
            array.finish(sum(lengths))
        (self.folder / INDEX_FILE).write_text(json.dumps(index), encoding="utf-8")
        self.close()
        self.folder.rename(folder)
        for name in (MADE_WITH_FILE, DONE_FILE):
            (folder / name).unlink()

    def close(self) -> None:
        """Leave it to be gone on with."""
        self._file.close()
        for array in self.arrays:
            array.close()


def _check_entries(cache: Cache, recordings: Recordings) -> None:
    kept = tuple(entry for entry in recordings.entries if entry.sample_id not in cache.skipped)
    if cache.entries != kept:
        raise SequenceError(
            f"cache {cache.folder} holds {len(cache)} clips of another list of recordings than "
            f"the {len(kept)} asked for; choose another folder, or delete it and make it again"
        )
