"""The cache of a set at the model's layout and rate: two arrays that are mapped, and an index.

A folder with ``joints.npy`` (``F M V 3``, metres, y up), ``seen.npy`` (``F M V``), all clips end
to end, and ``index.json``. Mapped arrays are shared by all processes that read them and need no
memory of their own. ``cache_writer.py`` makes it.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.layout import LAYOUTS, SkeletonLayout
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.readers.recording import Entry

FORMAT = "c2vl-cache-1"
INDEX_FILE, JOINTS_FILE, SEEN_FILE = "index.json", "joints.npy", "seen.npy"
ENTRY_KEYS = tuple(field.name for field in fields(Entry))


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheConfig:
    """What decides the numbers in a cache, besides the set itself.

    Attributes:
        layout: name of the layout that all clips are converted to.
        fps: frames per second that all clips are resampled to.
        num_persons: M; of more persons those seen most are kept, absent ones are zeros.
    """

    layout: str = "body15"
    fps: float = 15.0
    num_persons: int = 2

    @classmethod
    def of(cls, config: PreprocessingConfig, *, num_persons: int) -> "CacheConfig":
        """The cache that windows for this preprocessing are cut from."""
        return cls(layout=config.layout, fps=config.fps, num_persons=num_persons)

    def shapes(self) -> tuple[tuple[int, int, int], tuple[int, int]]:
        """Shape of a frame in the two arrays."""
        M, V = self.num_persons, LAYOUTS[self.layout].num_joints
        return (M, V, 3), (M, V)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cache:
    """An open cache; pickled it is the name of its folder.

    Attributes:
        folder: where it lies.
        config: what it was made with.
        source: which recordings it was made of, and how they were read.
        joints: frames of all clips end to end, mapped.
        seen: 0 (missing) to 1, mapped.
        entries: what is known of each clip.
        starts: first frame of each clip.
        lengths: frames of each clip.
        labels: index of each clip's class in ``class_names``.
        class_names: all classes of the set.
        skipped: why a recording is not in the cache, by sample id.
    """

    folder: Path
    config: CacheConfig
    source: str
    joints: Float32[np.ndarray, "F M V 3"]
    seen: Float32[np.ndarray, "F M V"]
    entries: tuple[Entry, ...]
    starts: Int64[np.ndarray, " N"]
    lengths: Int64[np.ndarray, " N"]
    labels: Int64[np.ndarray, " N"]
    class_names: tuple[str, ...]
    skipped: dict[str, str]

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.entries)

    def __reduce__(self) -> tuple[Any, ...]:
        """Other processes map the files themselves, instead of getting a copy of the frames."""
        return open_cache, (self.folder, self.config, self.source)

    @property
    def layout(self) -> SkeletonLayout:
        """Of all clips."""
        return LAYOUTS[self.config.layout]

    def sequence(self, clip: int) -> SkeletonSequence:
        """One clip with the persons that it has."""
        frames = slice(self.starts[clip], self.starts[clip] + self.lengths[clip])
        seen = np.array(self.seen[frames])
        persons = np.flatnonzero(seen.any(axis=(0, 2)))
        return SkeletonSequence(
            joints=np.array(self.joints[frames][:, persons]),
            visibility=seen[:, persons],
            fps=self.config.fps,
            layout=self.layout,
        )


def open_cache(folder: Path, config: CacheConfig | None = None, source: str | None = None) -> Cache:
    """Map a cache.

    Args:
        folder: where it lies.
        config: refuse a cache that was made with another.
        source: refuse a cache of other recordings.

    Raises:
        SequenceError: when it is missing, damaged, or made with something else, naming what.
    """
    index = _index(folder)
    made_with = CacheConfig(**index["config"])
    check_same(folder, asdict(made_with), asdict(config or made_with))
    check_same(folder, {"source": index["source"]}, {"source": source or index["source"]})
    clips = index["clips"]
    lengths = np.array(clips["lengths"], np.int64)
    joints, seen = _mapped(folder, int(lengths.sum()), made_with)
    entries = tuple(
        Entry(**{key: clips[key][clip] for key in ENTRY_KEYS}) for clip in range(len(lengths))
    )
    number = {name: label for label, name in enumerate(index["class_names"])}
    return Cache(
        folder=folder,
        config=made_with,
        source=index["source"],
        joints=joints,
        seen=seen,
        entries=entries,
        starts=np.array(clips["starts"], np.int64),
        lengths=lengths,
        labels=np.array([number[entry.class_name] for entry in entries], np.int64),
        class_names=tuple(index["class_names"]),
        skipped=index["skipped"],
    )


def check_same(folder: Path, made_with: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse a cache, finished or not, that was made with something else.

    Raises:
        SequenceError: naming each value that differs.
    """
    differ = [name for name in wanted if made_with.get(name) != wanted[name]]
    if differ:
        had = ", ".join(f"{name} {made_with.get(name)!r:.80}" for name in differ)
        want = ", ".join(f"{name} {wanted[name]!r:.80}" for name in differ)
        raise SequenceError(
            f"cache {folder} was made with {had}, asked for is {want}; choose another folder, or "
            "delete it and make it again"
        )


def _index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX_FILE
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SequenceError(f"cache {folder} cannot be read: {error}; make it again") from error
    if index.get("format") != FORMAT:
        raise SequenceError(
            f"cache {folder} has format {index.get('format')!r}; expected {FORMAT!r}: make it again"
        )
    return index


def _mapped(
    folder: Path, num_frames: int, config: CacheConfig
) -> tuple[Float32[np.ndarray, "F M V 3"], Float32[np.ndarray, "F M V"]]:
    arrays = []
    for name, shape in zip((JOINTS_FILE, SEEN_FILE), config.shapes(), strict=True):
        try:
            array = np.load(folder / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise SequenceError(f"cache {folder}: {name} cannot be mapped: {error}") from error
        if array.shape != (num_frames, *shape) or array.dtype != np.float32:
            raise SequenceError(
                f"cache {folder}: {name} holds {array.dtype} {array.shape}; its index needs "
                f"float32 {(num_frames, *shape)}: make it again"
            )
        arrays.append(array)
    return arrays[0], arrays[1]
