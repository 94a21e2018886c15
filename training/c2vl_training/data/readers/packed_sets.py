"""Packed sets (one ``.npz`` a set) as recordings."""

from dataclasses import dataclass

import numpy as np

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.layout import SkeletonLayout
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.packed import PackedSet
from c2vl_training.data.readers.recording import Entry, Recordings, Tag

# What the sets call our tags. A style of moving is how a recording was set up: sets with styles
# have one performer and one room.
_TAGS = {
    "subject": ("subjects",),
    "view": ("views",),
    "setup": ("styles",),
    "repetition": ("episodes", "trials", "take"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Clips:
    """Gives a clip by its sample id; clips are in memory, as the file is one array."""

    clips: dict[str, np.ndarray]
    fps: float
    layout: SkeletonLayout

    def __call__(self, sample_id: str) -> SkeletonSequence:
        joints = self.clips[sample_id].astype(np.float32)[:, None]
        tracked: np.ndarray = (joints != 0).any(axis=-1)
        return SkeletonSequence(
            joints=joints,
            visibility=tracked.astype(np.float32),
            fps=self.fps,
            layout=self.layout,
        )


def from_packed(
    packed: PackedSet,
    name: str,
    *,
    layout: SkeletonLayout,
    fps: float | None = None,
    same_order: bool = False,
) -> Recordings:
    """A packed set as recordings, one person each; joints that are all zero are missing.

    Sample ids are ``NAME/FILE``, or ``NAME/NUMBER`` where the set keeps no file names. Clips that
    show nobody are left out.

    Args:
        packed: the set.
        name: what the set is called.
        layout: what its joints become; they are put in its order by name.
        fps: frames per second, instead of what the set states.
        same_order: the joints already are in the layout's order under other names.

    Raises:
        SequenceError: when joints and layout do not match, or nobody says the frame rate.
    """
    order = _order(packed.joint_names, name, layout, same_order=same_order)
    rate = fps or packed.fps
    if not rate > 0:
        raise SequenceError(f"set {name!r} does not state its frames per second; say fps=NUMBER")
    ids = sample_ids(packed, name)
    shown = [index for index, clip in enumerate(packed.clips) if clip[..., :3].any()]
    return Recordings(
        entries=tuple(_entry(packed, index, ids[index]) for index in shown),
        read=_Clips(
            clips={ids[index]: packed.clips[index][:, order, :3] for index in shown},
            fps=rate,
            layout=layout,
        ),
        class_names=packed.class_names,
        source=name,
    )


def _order(
    joint_names: tuple[str, ...], name: str, layout: SkeletonLayout, *, same_order: bool
) -> list[int]:
    """Where in the file each joint of the layout lies."""
    if same_order and len(joint_names) == layout.num_joints:
        return list(range(layout.num_joints))
    if same_order or set(joint_names) != set(layout.joints):
        raise SequenceError(
            f"set {name!r} has the joints {joint_names}; layout {layout.name!r} has "
            f"{layout.joints}: choose the set's own layout"
        )
    return [joint_names.index(joint) for joint in layout.joints]


def sample_ids(packed: PackedSet, name: str) -> list[str]:
    """One a clip: ``NAME/FILE``, or ``NAME/NUMBER`` where the set keeps no file names."""
    files = packed.extra.get("files")
    if files is None:
        return [f"{name}/{index:05d}" for index in range(len(packed.clips))]
    return [f"{name}/{file}" for file in files]


def _entry(packed: PackedSet, index: int, sample_id: str) -> Entry:
    tags: dict[str, Tag] = {
        tag: packed.extra[extra][index].item()
        for tag, extras in _TAGS.items()
        for extra in extras
        if extra in packed.extra
    }
    class_name = packed.class_names[packed.labels[index]]
    return Entry(sample_id=sample_id, class_name=class_name, **tags)
