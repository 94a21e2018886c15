"""Pool: clips of several sets, in one layout at one frame rate, ready to be cut into windows.

All frames lie end to end in one array, so that a whole batch of windows is one gather.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.layout import LAYOUTS
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig, facing_front
from c2vl_serve.skeleton.sampling import at_model_rate
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.copies import copies_of_training
from c2vl_training.data.labels import (
    NOT_STANDING_AT_FIRST,
    STILL_LABEL,
    STILL_SOURCES,
    label_names,
)
from c2vl_training.data.packed import PackedSet
from c2vl_training.data.readers.packed_sets import sample_ids
from c2vl_training.data.sets import SETS, read_set

UNLABELLED = -1
NO_LABEL = "(no label)"
STILL_EVERY = 3  # of the clips that begin upright
STILL_FRAMES = 60


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pool:
    """Clips of one or several sets.

    Attributes:
        joints: frames of all clips end to end, ``F V 3`` metres, y up.
        seen: ``F V`` 1 where the joint was tracked.
        starts: first frame of each clip; a clip ends where the next begins.
        lengths: frames of each clip.
        labels: index into ``label_names``, or -1 where the class is not among them.
        sources: index into ``set_names`` of each clip.
        classes: the set's own class of each clip, as ``set:class``.
        ids: sample id of each clip, as the readers give it; a key, never text to learn from.
        test: True for clips of their set's test split.
        validation: True for training clips that validate.
        copied: True for test clips that are training clips of their set as well.
    """

    joints: Float32[np.ndarray, "F V 3"]
    seen: Float32[np.ndarray, "F V"]
    starts: Int64[np.ndarray, " N"]
    lengths: Int64[np.ndarray, " N"]
    labels: Int64[np.ndarray, " N"]
    sources: Int64[np.ndarray, " N"]
    classes: np.ndarray
    ids: np.ndarray
    test: np.ndarray
    validation: np.ndarray
    copied: np.ndarray
    label_names: tuple[str, ...]
    set_names: tuple[str, ...]
    config: PreprocessingConfig

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.labels)

    def where(self, chosen: np.ndarray) -> "Pool":
        """The clips for which ``chosen`` is True; frames are shared, not copied."""
        per_clip = (
            "starts", "lengths", "labels", "sources", "classes", "ids", "test", "validation",
            "copied",
        )  # fmt: skip
        values = {name: getattr(self, name) for name in self.__slots__}
        return type(self)(**{**values, **{name: values[name][chosen] for name in per_clip}})

    def unlabelled(self) -> "Pool":
        """The same clips without their labels, for training that must not see them.

        There is one label left, so that drawing and augmentation treat all clips alike.
        """
        return replace(self, labels=np.zeros(len(self), np.int64), label_names=(NO_LABEL,))

    def of_set(self, name: str, labels: tuple[str, ...]) -> "Pool":
        """The recorded clips of one set that have one of ``labels``, which are then all labels."""
        index = np.full(len(self.label_names) + 1, UNLABELLED)  # the last is for UNLABELLED itself
        for new, label in enumerate(labels):
            index[self.label_names.index(label)] = new
        renamed = replace(self, labels=index[self.labels], label_names=labels)
        return renamed.where((self.sources == self.set_names.index(name)) & (renamed.labels >= 0))

    def sequence(self, clip: int) -> SkeletonSequence:
        """One clip as the sequence that serving would get."""
        frames = slice(self.starts[clip], self.starts[clip] + self.lengths[clip])
        return SkeletonSequence(
            joints=self.joints[frames][:, None],
            visibility=self.seen[frames][:, None],
            fps=self.config.fps,
            layout=LAYOUTS[self.config.layout],
        )


def load_pool(
    data: Path,
    labels: dict[str, dict[str, str]],
    config: PreprocessingConfig,
    *,
    hold_still: bool,
) -> Pool:
    """Read the sets that ``labels`` names and convert them to the configuration's layout and rate.

    Args:
        data: folder that holds the sets.
        labels: for each set, its classes and the label each one gets; others become unlabelled.
        config: the preprocessing that windows of these clips will meet.
        hold_still: add held first frames of training clips as examples of standing still.

    Raises:
        SequenceError: when a set is missing.
    """
    names = label_names(labels, hold_still=hold_still)
    clips = [
        clip
        for source, (set_name, classes) in enumerate(labels.items())
        for clip in _clips_of(set_name, source, classes, names, read_set(set_name, data), config)
    ]
    if hold_still:
        still = names.index(STILL_LABEL)
        clips += [_held(clip, still) for clip in clips if _begins_upright(clip)][::STILL_EVERY]
    lengths = np.array([clip.sequence.num_frames for clip in clips], np.int64)
    return Pool(
        joints=np.concatenate([clip.sequence.joints[:, 0] for clip in clips]),
        seen=np.concatenate([clip.sequence.visibility[:, 0] for clip in clips]),
        starts=np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64),
        lengths=lengths,
        labels=np.array([clip.label for clip in clips], np.int64),
        sources=np.array([clip.source for clip in clips], np.int64),
        classes=np.array([clip.class_name for clip in clips]),
        ids=np.array([clip.sample_id for clip in clips]),
        test=np.array([clip.test for clip in clips]),
        validation=np.array([clip.validation for clip in clips]),
        copied=np.array([clip.copied for clip in clips]),
        label_names=names,
        set_names=tuple(labels),
        config=config,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Clip:
    """One clip on its way into the pool."""

    sequence: SkeletonSequence
    label: int
    source: int
    class_name: str
    sample_id: str
    test: bool
    validation: bool
    copied: bool


def _clips_of(
    set_name: str,
    source: int,
    classes: dict[str, str],
    names: tuple[str, ...],
    packed: PackedSet,
    config: PreprocessingConfig,
) -> list[_Clip]:
    """The clips of one set that its protocol uses and that show anything at all."""
    description = SETS[set_name]
    order = [packed.joint_names.index(joint) for joint in _file_order(set_name, packed.joint_names)]
    used, test = description.used(packed), description.test(packed)
    validation = np.isin(description.group(packed), description.validation) & ~test
    copied = copies_of_training(packed.clips, training=used & ~test, test=test)
    ids, clips = sample_ids(packed, set_name), []
    for index, joints in enumerate(packed.clips):
        if not used[index] or not np.abs(joints[..., :3]).any():
            continue
        class_name = packed.class_names[packed.labels[index]]
        label = classes.get(class_name)
        clips.append(
            _Clip(
                sequence=_converted(joints[:, order, :3], set_name, config),
                label=UNLABELLED if label is None else names.index(label),
                source=source,
                class_name=f"{set_name}:{class_name}",
                sample_id=ids[index],
                test=bool(test[index]),
                validation=bool(validation[index]),
                copied=bool(copied[index]),
            )
        )
    return clips


def _begins_upright(clip: _Clip) -> bool:
    set_name, _, class_name = clip.class_name.partition(":")
    trained_on = not (clip.test or clip.validation)
    return trained_on and set_name in STILL_SOURCES and class_name not in NOT_STANDING_AT_FIRST


def _held(clip: _Clip, label: int) -> _Clip:
    """The clip's first frame, held for :data:`STILL_FRAMES`."""
    frames = np.zeros(STILL_FRAMES, int)
    sequence = replace(
        clip.sequence,
        joints=clip.sequence.joints[frames],
        visibility=clip.sequence.visibility[frames],
    )
    return replace(
        clip,
        sequence=sequence,
        label=label,
        class_name=f"{clip.class_name} (held)",
        sample_id=f"{clip.sample_id} (held)",
    )


def _file_order(name: str, joint_names: tuple[str, ...]) -> tuple[str, ...]:
    """The file's joint names in the order of the set's layout."""
    layout = SETS[name].layout
    if layout.name == "bandai21":
        return joint_names  # the layout spells other names, in the same order
    if set(joint_names) != set(layout.joints):
        raise SequenceError(f"set {name!r} has joints {joint_names}; expected {layout.joints}")
    return layout.joints


def _converted(clip: np.ndarray, name: str, config: PreprocessingConfig) -> SkeletonSequence:
    """A recorded clip in the configured layout and frame rate; all-zero joints are missing."""
    tracked = np.abs(clip).sum(axis=-1) > 0
    sequence = SkeletonSequence(
        joints=clip[:, None].astype(np.float32),
        visibility=tracked[:, None].astype(np.float32),
        fps=SETS[name].fps,
        layout=SETS[name].layout,
    )
    return facing_front(at_model_rate(sequence, config))
