"""The one preprocessing: a SkeletonSequence becomes the model's input, in training and serving.

The result does not depend on where the camera stands (translation, turn about the vertical),
how big the body is, how many frames a second were recorded, or how many persons were padded.
A joint that is missing contributes nothing.

    convert layout -> mask -> resample -> centre -> face front -> bone lengths -> streams -> pad

Persons are independent samples (``N`` = persons, model ``M`` = 1), which also lets training
preprocess a whole batch of windows in one call by stacking them on the person axis.
"""

from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float32, Int

from c2vl_serve.errors import BundleError, SequenceError
from c2vl_serve.skeleton.arrays import JointMask, Joints, ModelInput
from c2vl_serve.skeleton.convert import convert
from c2vl_serve.skeleton.layout import LAYOUTS, SkeletonLayout
from c2vl_serve.skeleton.resampling import resample
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_serve.skeleton.streams import bones, motion

Stream = Literal["joint", "bone", "motion"]

# Adult averages in metres, by the joint at the outer end of the bone. Sources disagree about
# bone lengths, Kinect, mocap and single-camera landmarks each in their own way. Rebuilding every
# body with these drops the disagreement, and with it where a hand was: measured lengths that are
# too short or too long make up for directions that are wrong (decision 19).
BONE_LENGTHS: dict[str, float] = {
    "chest": 0.50,
    "head": 0.25,
    **dict.fromkeys(("l_shoulder", "r_shoulder"), 0.18),
    **dict.fromkeys(("l_elbow", "r_elbow"), 0.27),
    **dict.fromkeys(("l_wrist", "r_wrist"), 0.24),
    **dict.fromkeys(("l_hip", "r_hip"), 0.10),
    **dict.fromkeys(("l_knee", "r_knee"), 0.43),
    **dict.fromkeys(("l_ankle", "r_ankle"), 0.38),
}
TORSO = BONE_LENGTHS["chest"]  # metres
MAX_TRAVEL = 0.3  # metres a frame at the model's rate; more is a jump of the tracker
MIN_BONE = 1e-4  # metres; shorter has no direction
_LEAST_SEEN = float(np.finfo(np.float32).tiny)  # a visibility of 0 is never seen


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessingConfig:
    """Everything that decides the model's input; frozen whole into checkpoint and bundle.

    Attributes:
        layout: name of the layout that the model was trained in.
        fps: frames per second of the model's input.
        num_frames: T of the model's input; a window lasts ``num_frames / fps`` seconds.
        streams: channel groups of three, in order.
        align: ``front`` turns the body about the vertical to face along +z.
        bone_lengths: ``average`` rebuilds the body with :data:`BONE_LENGTHS`;
            ``scale`` keeps its proportions and scales the torso to :data:`TORSO`.
        min_visibility: joints seen less than this are masked.
        max_gap_seconds: shorter losses of a joint are bridged by interpolation.
        mask_channel: append a channel that is 1 where a joint was seen.
        travel: let the root's motion be the body's own through the room, in torso lengths of
            :data:`TORSO`; sources that pin the root, as single-camera landmarks do, show none.
    """

    layout: str = "body15"
    fps: float = 15.0
    num_frames: int = 64
    streams: tuple[Stream, ...] = ("joint", "bone", "motion")
    align: Literal["front", "none"] = "front"
    bone_lengths: Literal["average", "scale"] = "scale"
    min_visibility: float = 0.3
    max_gap_seconds: float = 0.4
    mask_channel: bool = True
    travel: bool = True

    @property
    def num_channels(self) -> int:
        """C of the model's input."""
        return 3 * len(self.streams) + int(self.mask_channel)

    @property
    def num_joints(self) -> int:
        """V of the model's input."""
        return LAYOUTS[self.layout].num_joints

    @property
    def window_seconds(self) -> float:
        """How long one model input lasts."""
        return self.num_frames / self.fps

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, whole; the inverse of :meth:`from_dict`."""
        return {**asdict(self), "streams": list(self.streams)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "PreprocessingConfig":
        """Read back a whole configuration.

        Raises:
            BundleError: when a key is unknown or missing: half a configuration is none.
        """
        known = {field.name for field in fields(cls)}
        if set(values) != known:
            raise BundleError(
                f"preprocessing has unknown keys {sorted(set(values) - known)} and lacks "
                f"{sorted(known - set(values))}; write it with this version of c2vl-serve"
            )
        if values["layout"] not in LAYOUTS:
            raise BundleError(
                f"preprocessing names layout {values['layout']!r}; known: {sorted(LAYOUTS)}"
            )
        return cls(**{**values, "streams": tuple(values["streams"])})


def preprocess(sequence: SkeletonSequence, config: PreprocessingConfig) -> ModelInput:
    """One window of every person as model input, ``N C T V 1`` with N = persons.

    A shorter window is padded with zeros after its last frame.

    Raises:
        SequenceError: for 2-D joints, or a window longer than ``config.num_frames``.
    """
    if sequence.joints.shape[-1] != 3:
        raise SequenceError(
            "joints are 2-D (x, y) but this preprocessing needs 3-D (x, y, z); "
            "lift them first, or send a video or 3-D joints"
        )
    layout = LAYOUTS[config.layout]
    window = resample(convert(sequence, layout)[0], config.fps)
    if window.num_frames > config.num_frames:
        raise SequenceError(
            f"window has {window.num_frames} frames at {config.fps:g} fps; expected at most "
            f"{config.num_frames}; cut the sequence into windows first"
        )
    body = _body(layout)
    seen = window.visibility >= max(config.min_visibility, _LEAST_SEEN)
    joints, seen = bridge_gaps(window.joints, seen, round(config.max_gap_seconds * config.fps))
    joints, usable = _place_trunk(joints, seen, layout)
    if config.align == "front":
        joints = _face_front(joints, usable, layout)
    path = joints[:, :, body.root]
    joints = joints - path[:, :, None]
    travel = _travel(path, joints, usable, body) if config.travel else np.zeros_like(path)
    if config.bone_lengths == "average":
        joints, usable = _with_average_bones(joints, usable, body)
    else:
        joints = _scaled(joints, usable, body)
    return _assemble(joints, travel, seen & usable, layout, config)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Body:
    """What the geometry asks of a layout again and again.

    Attributes:
        root: index of the joint that has no parent.
        chest: index of the other end of the torso.
        parents: index of each joint's parent; the root is its own.
        lengths: of the bone to each joint's parent, metres, after :data:`BONE_LENGTHS`.
        outward: each joint and its parent, parents before their children; without the root.
    """

    root: int
    chest: int
    parents: Int[np.ndarray, " V"]
    lengths: Float32[np.ndarray, "V 1"]
    outward: tuple[tuple[int, int], ...]


@lru_cache(maxsize=64)
def _body(layout: SkeletonLayout) -> _Body:
    root = layout.root
    lengths = [BONE_LENGTHS.get(joint, 0.0) for joint in layout.joints]
    return _Body(
        root=root,
        chest=layout.index("chest"),
        parents=np.array([root if above < 0 else above for above in layout.parents]),
        lengths=np.array(lengths, np.float32)[:, None],
        outward=tuple((joint, layout.parents[joint]) for joint in layout.outward[1:]),
    )


@lru_cache(maxsize=64)
def _sides(layout: SkeletonLayout) -> tuple[Int[np.ndarray, " S"], Int[np.ndarray, " S"]]:
    """Left and right ends of the lines across the body that tell where it faces."""
    lefts, rights = (
        np.array([layout.index(f"{side}_{joint}") for joint in ("hip", "shoulder")])
        for side in ("l", "r")
    )
    return lefts, rights


def bridge_gaps(joints: Joints, seen: JointMask, max_gap: int) -> tuple[Joints, JointMask]:
    """Interpolate joints that were lost for at most ``max_gap`` frames between two sightings."""
    if seen.all() or max_gap <= 0:
        return joints, seen
    T = len(seen)
    frame = np.arange(T)[:, None, None]
    last = np.maximum.accumulate(np.where(seen, frame, -1), axis=0)
    following = np.minimum.accumulate(np.where(seen, frame, T)[::-1], axis=0)[::-1]
    bridged = ~seen & (last >= 0) & (following < T) & (following - last - 1 <= max_gap)
    if not bridged.any():
        return joints, seen
    span = np.maximum(following - last, 1)
    share = (((frame - last) / span)[..., None]).astype(np.float32)
    start = np.take_along_axis(joints, np.maximum(last, 0)[..., None], axis=0)
    end = np.take_along_axis(joints, np.minimum(following, T - 1)[..., None], axis=0)
    filled = np.where(bridged[..., None], start * (1 - share) + end * share, joints)
    return filled.astype(np.float32), seen | bridged


def _place_trunk(
    joints: Joints, seen: JointMask, layout: SkeletonLayout
) -> tuple[Joints, JointMask]:
    """Put a hidden pelvis straight below a visible chest, so that an upper body can be used.

    Returns:
        The joints, and which of them geometry may use (more than were seen).
    """
    root, chest = layout.root, layout.index("chest")
    estimated = ~seen[:, :, root] & seen[:, :, chest]
    if not estimated.any():
        return joints, seen
    left, right = layout.index("l_shoulder"), layout.index("r_shoulder")
    width = np.linalg.norm(joints[:, :, left] - joints[:, :, right], axis=-1).max(axis=0)
    drop = np.zeros((*estimated.shape, 3), np.float32)
    drop[..., 1] = width * (TORSO / (2 * BONE_LENGTHS["l_shoulder"]))
    joints, usable = joints.copy(), seen.copy()
    joints[:, :, root] = np.where(
        estimated[..., None], joints[:, :, chest] - drop, joints[:, :, root]
    )
    usable[:, :, root] |= estimated
    return joints, usable


def facing_front(sequence: SkeletonSequence) -> SkeletonSequence:
    """The sequence with each person turned about the vertical to face +z on average."""
    seen = sequence.visibility > 0
    return replace(sequence, joints=_face_front(sequence.joints, seen, sequence.layout))


def _face_front(joints: Joints, usable: JointMask, layout: SkeletonLayout) -> Joints:
    """Turn each person about the vertical to face +z on average; the left side is then at +x."""
    lefts, rights = _sides(layout)
    both = usable.take(lefts, axis=2) & usable.take(rights, axis=2)
    across = (joints.take(lefts, axis=2) - joints.take(rights, axis=2)) * both[..., None]
    x, _, z = across.sum(axis=0).sum(axis=1, dtype=np.float64).T
    length = np.sqrt(x * x + z * z)
    turned = length > MIN_BONE
    length = np.where(turned, length, 1)
    cos = np.where(turned, x / length, 1).astype(np.float32)[:, None]  # one angle a person
    sin = np.where(turned, z / length, 0).astype(np.float32)[:, None]
    x, z = joints[..., 0], joints[..., 2]
    facing = joints.copy()
    facing[..., 0] = cos * x + sin * z
    facing[..., 2] = cos * z - sin * x
    return facing


def _with_average_bones(joints: Joints, usable: JointMask, body: _Body) -> tuple[Joints, JointMask]:
    """Rebuild the body outward from the root: own bone directions, average lengths.

    A joint whose parent cannot be used cannot be placed and is masked with it.
    """
    bone = joints - joints.take(body.parents, axis=2)
    rebuilt = bone * (body.lengths / np.maximum(_length(bone)[..., None], MIN_BONE))
    for joint, parent in body.outward:
        rebuilt[:, :, joint] += rebuilt[:, :, parent]
    if not usable.all():
        usable = usable.copy()
        for joint, parent in body.outward:
            usable[:, :, joint] &= usable[:, :, parent]
    return rebuilt, usable


def _length(vectors: Float32[np.ndarray, "... 3"]) -> Float32[np.ndarray, "..."]:
    """Euclidean; numpy.linalg.norm gives the same numbers in twice the time."""
    return np.sqrt(np.add.reduce(vectors * vectors, axis=-1))


def _scaled(joints: Joints, usable: JointMask, body: _Body) -> Joints:
    """Scale each person so that the torso's median length over the window is :data:`TORSO`."""
    return joints * _torso_scale(joints, usable, body)[:, None, None]


def _torso_scale(joints: Joints, usable: JointMask, body: _Body) -> Float32[np.ndarray, " M"]:
    """What makes each person's median torso of the window :data:`TORSO` long; root at zero."""
    torso = _length(joints[:, :, body.chest])
    known = usable[:, :, body.chest] & usable[:, :, body.root]
    if known.all():
        return TORSO / np.maximum(_median(torso, known), MIN_BONE)
    scale = np.ones(joints.shape[1], np.float32)
    found = known.any(axis=0)
    scale[found] = TORSO / np.maximum(_median(torso[:, found], known[:, found]), MIN_BONE)
    return scale


def _median(
    values: Float32[np.ndarray, "T M"], known: Bool[np.ndarray, "T M"]
) -> Float32[np.ndarray, " M"]:
    """The median of the known values of each column; numpy.nanmedian takes 20 times as long."""
    ordered = np.sort(np.where(known, values, np.inf), axis=0)
    count = known.sum(axis=0)
    column = np.arange(len(count))
    return (ordered[(count - 1) // 2, column] + ordered[count // 2, column]) / 2


def _travel(
    path: Float32[np.ndarray, "T M 3"], joints: Joints, usable: JointMask, body: _Body
) -> Float32[np.ndarray, "T M 3"]:
    """How far each root moved since the frame before, for a body of average size."""
    step = motion(path) * _torso_scale(joints, usable, body)[:, None]
    return np.minimum(np.maximum(step, -MAX_TRAVEL), MAX_TRAVEL)


def _assemble(
    joints: Joints,
    travel: Float32[np.ndarray, "T M 3"],
    seen: JointMask,
    layout: SkeletonLayout,
    config: PreprocessingConfig,
) -> Float32[np.ndarray, "N D P V 1"]:
    """Streams with zeros where a joint they need is masked, padded to P frames, in model order."""
    T, M, V, _ = joints.shape
    assembled = np.zeros((M, config.num_channels, config.num_frames, V, 1), np.float32)
    is_whole = seen.all()
    for order, name in enumerate(config.streams):
        stream, needed = _stream(name, joints, travel, seen, layout)
        if not is_whole:
            stream = stream * needed[..., None]
        assembled[:, 3 * order : 3 * order + 3, :T, :, 0] = stream.transpose(1, 3, 0, 2)
    if config.mask_channel:
        assembled[:, -1, :T, :, 0] = seen.transpose(1, 0, 2)
    return assembled


def _stream(
    name: Stream,
    joints: Joints,
    travel: Float32[np.ndarray, "T M 3"],
    seen: JointMask,
    layout: SkeletonLayout,
) -> tuple[Joints, JointMask]:
    """One stream, and which of its joints have all that they are made of."""
    if name == "joint":
        return joints, seen
    if name == "bone":
        return bones(joints, layout), seen & seen.take(_body(layout).parents, axis=2)
    moved = motion(joints)
    moved[:, :, layout.root] = travel
    return moved, seen & np.concatenate([seen[:1], seen[:-1]])
