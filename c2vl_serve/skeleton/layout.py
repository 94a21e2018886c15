"""SkeletonLayout: which joints a skeleton has, how they hang together, and which way is up.

Joint names are shared between layouts (``l_wrist`` means the same everywhere), so that a
conversion is a matter of names; see ``convert.py``. ``l_``/``r_`` are the person's own left
and right.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from c2vl_serve.errors import SequenceError

Up = Literal["+y", "-y", "+z", "-z"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SkeletonLayout:
    """The joints of a skeleton, in order.

    Attributes:
        name: what clients call it, such as ``ntu25``.
        joints: joint names in array order.
        parents: index of each joint's parent; the root's is -1. Parents form one tree.
        up: the axis that points up in this layout's usual coordinates (right-handed).
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    up: Up = "+y"

    def __post_init__(self) -> None:
        """Refuse duplicate names and a broken tree."""
        if len(set(self.joints)) != len(self.joints) or not self.joints:
            raise SequenceError(
                f"layout {self.name!r} needs distinct joint names, got {self.joints}"
            )
        if len(self.parents) != len(self.joints):
            raise SequenceError(
                f"layout {self.name!r} has {len(self.joints)} joints but {len(self.parents)} "
                "parents; give one parent for each joint, -1 for the root"
            )
        self._check_tree()

    def _check_tree(self) -> None:
        if self.parents.count(-1) != 1:
            raise SequenceError(
                f"layout {self.name!r} has {self.parents.count(-1)} roots; expected exactly one "
                "joint with parent -1"
            )
        for joint in range(len(self.joints)):
            seen: set[int] = set()
            while joint != -1:
                if joint in seen or not 0 <= joint < len(self.joints):
                    raise SequenceError(
                        f"layout {self.name!r}: the parents of {self.joints[min(seen or {0})]!r} "
                        "do not lead to the root; expected a tree"
                    )
                seen.add(joint)
                joint = self.parents[joint]

    @property
    def num_joints(self) -> int:
        """V, the number of joints."""
        return len(self.joints)

    @property
    def root(self) -> int:
        """Index of the joint that has no parent."""
        return self.parents.index(-1)

    @property
    def outward(self) -> tuple[int, ...]:
        """Joint indices ordered so that each parent comes before its children."""
        return (self.root, *(joint for level in self.levels for joint in level))

    @property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """Joint indices by their distance from the root, from 1 on."""
        return _levels(self.parents)

    @property
    def mirror(self) -> tuple[int, ...]:
        """For each joint the index of its left-right counterpart (itself on the midline)."""
        twin = {"l": "r_", "r": "l_"}
        return tuple(
            self.joints.index(twin[name[0]] + name[2:])
            if name[:2] in ("l_", "r_") and twin[name[0]] + name[2:] in self.joints
            else joint
            for joint, name in enumerate(self.joints)
        )

    def index(self, joint: str) -> int:
        """Index of the joint called ``joint``.

        Raises:
            SequenceError: when the layout has no such joint.
        """
        if joint not in self.joints:
            raise SequenceError(
                f"layout {self.name!r} has no joint {joint!r}; it has {', '.join(self.joints)}"
            )
        return self.joints.index(joint)


@lru_cache(maxsize=64)
def _levels(parents: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    levels: list[tuple[int, ...]] = [(parents.index(-1),)]
    while levels[-1]:
        levels.append(tuple(k for above in levels[-1] for k in _children(parents, above)))
    return tuple(levels[1:-1])


def _children(parents: tuple[int, ...], joint: int) -> list[int]:
    return [child for child, parent in enumerate(parents) if parent == joint]


def _layout(name: str, tree: str, up: Up = "+y") -> SkeletonLayout:
    """Build a layout from ``joint:parent`` words; the root has no parent."""
    pairs = [word.partition(":") for word in tree.split()]
    joints = tuple(joint for joint, _, _ in pairs)
    parents = tuple(joints.index(parent) if parent else -1 for _, _, parent in pairs)
    return SkeletonLayout(name=name, joints=joints, parents=parents, up=up)


# Kinect v2, as NTU RGB+D numbers it (Shahroudy et al., CVPR 2016, fig. 1).
NTU25 = _layout(
    "ntu25",
    "hip_center spine:hip_center neck:shoulder_center head:neck "
    "l_shoulder:shoulder_center l_elbow:l_shoulder l_wrist:l_elbow l_hand:l_wrist "
    "r_shoulder:shoulder_center r_elbow:r_shoulder r_wrist:r_elbow r_hand:r_wrist "
    "l_hip:hip_center l_knee:l_hip l_ankle:l_knee l_foot:l_ankle "
    "r_hip:hip_center r_knee:r_hip r_ankle:r_knee r_foot:r_ankle "
    "shoulder_center:spine l_hand_tip:l_hand l_thumb:l_wrist r_hand_tip:r_hand r_thumb:r_wrist",
)

# Kinect v1, in the order of its SDK.
KINECT20 = _layout(
    "kinect20",
    "hip_center spine:hip_center shoulder_center:spine head:shoulder_center "
    "l_shoulder:shoulder_center l_elbow:l_shoulder l_wrist:l_elbow l_hand:l_wrist "
    "r_shoulder:shoulder_center r_elbow:r_shoulder r_wrist:r_elbow r_hand:r_wrist "
    "l_hip:hip_center l_knee:l_hip l_ankle:l_knee l_foot:l_ankle "
    "r_hip:hip_center r_knee:r_hip r_ankle:r_knee r_foot:r_ankle",
)

# COCO keypoints have no midline joints: the tree hangs from the nose.
COCO17 = _layout(
    "coco17",
    "nose l_eye:nose r_eye:nose l_ear:l_eye r_ear:r_eye l_shoulder:nose r_shoulder:nose "
    "l_elbow:l_shoulder r_elbow:r_shoulder l_wrist:l_elbow r_wrist:r_elbow "
    "l_hip:l_shoulder r_hip:r_shoulder l_knee:l_hip r_knee:r_hip l_ankle:l_knee r_ankle:r_knee",
    up="-y",
)

# Human3.6M, the usual 17 of 32; camera coordinates as 3-D lifters give them (y down).
H36M17 = _layout(
    "h36m17",
    "hip_center r_hip:hip_center r_knee:r_hip r_ankle:r_knee l_hip:hip_center l_knee:l_hip "
    "l_ankle:l_knee spine:hip_center shoulder_center:spine neck:shoulder_center head_top:neck "
    "l_shoulder:shoulder_center l_elbow:l_shoulder l_wrist:l_elbow "
    "r_shoulder:shoulder_center r_elbow:r_shoulder r_wrist:r_elbow",
    up="-y",
)

# MediaPipe Pose (BlazePose GHUM) world landmarks: metres, hip-centred, y down.
MEDIAPIPE33 = _layout(
    "mediapipe33",
    "nose l_eye_inner:nose l_eye:l_eye_inner l_eye_outer:l_eye "
    "r_eye_inner:nose r_eye:r_eye_inner r_eye_outer:r_eye l_ear:l_eye_outer r_ear:r_eye_outer "
    "l_mouth:nose r_mouth:nose l_shoulder:nose r_shoulder:nose l_elbow:l_shoulder "
    "r_elbow:r_shoulder l_wrist:l_elbow r_wrist:r_elbow l_pinky:l_wrist r_pinky:r_wrist "
    "l_index:l_wrist r_index:r_wrist l_thumb:l_wrist r_thumb:r_wrist l_hip:l_shoulder "
    "r_hip:r_shoulder l_knee:l_hip r_knee:r_hip l_ankle:l_knee r_ankle:r_knee "
    "l_heel:l_ankle r_heel:r_ankle l_foot_index:l_ankle r_foot_index:r_ankle",
    up="-y",
)

# SMPL's 24 joints (Loper et al., SIGGRAPH Asia 2015), y up as the body model gives them.
SMPL24 = _layout(
    "smpl24",
    "hip_center l_hip:hip_center r_hip:hip_center spine_1:hip_center l_knee:l_hip r_knee:r_hip "
    "spine:spine_1 l_ankle:l_knee r_ankle:r_knee spine_3:spine l_foot:l_ankle r_foot:r_ankle "
    "neck:spine_3 l_collar:spine_3 r_collar:spine_3 head:neck l_shoulder:l_collar "
    "r_shoulder:r_collar l_elbow:l_shoulder r_elbow:r_shoulder l_wrist:l_elbow r_wrist:r_elbow "
    "l_hand:l_wrist r_hand:r_wrist",
)

# Ours: what every pose source agrees on. Pelvis and chest are always the middles of the hips
# and shoulders, because sources put their "hip center" and "spine" in different places.
BODY15 = _layout(
    "body15",
    "pelvis chest:pelvis head:chest l_shoulder:chest l_elbow:l_shoulder l_wrist:l_elbow "
    "r_shoulder:chest r_elbow:r_shoulder r_wrist:r_elbow l_hip:pelvis l_knee:l_hip "
    "l_ankle:l_knee r_hip:pelvis r_knee:r_hip r_ankle:r_knee",
)

LAYOUTS: dict[str, SkeletonLayout] = {
    layout.name: layout for layout in (NTU25, KINECT20, COCO17, H36M17, MEDIAPIPE33, SMPL24, BODY15)
}


def layout_by_name(name: str) -> SkeletonLayout:
    """The built-in layout called ``name``.

    Raises:
        SequenceError: naming the known layouts.
    """
    if name not in LAYOUTS:
        raise SequenceError(
            f"unknown layout {name!r}; known are {', '.join(sorted(LAYOUTS))}; "
            "describe your own in a small JSON file (docs/layouts.md)"
        )
    return LAYOUTS[name]


def layout_from_dict(description: dict[str, Any]) -> SkeletonLayout:
    """A layout from ``{"name": ..., "joints": {joint: parent or null, ...}, "up": "+y"}``.

    Raises:
        SequenceError: for a missing or unknown key, or joints that are not a tree.
    """
    unknown = set(description) - {"name", "joints", "up"}
    joints = description.get("joints")
    if unknown or not isinstance(joints, dict) or not isinstance(description.get("name"), str):
        raise SequenceError(
            f"a layout description has the keys name, joints and (optional) up, got "
            f"{sorted(description)}; joints maps each joint to its parent, the root to null"
        )
    up = description.get("up", "+y")
    if up not in get_args(Up):
        raise SequenceError(
            f"layout {description['name']!r} has up={up!r}; expected one of {get_args(Up)}"
        )
    names = tuple(joints)
    for joint, parent in joints.items():
        if parent is not None and parent not in joints:
            raise SequenceError(f"joint {joint!r} has the parent {parent!r}, which is not a joint")
    parents = tuple(-1 if parent is None else names.index(parent) for parent in joints.values())
    return SkeletonLayout(name=description["name"], joints=names, parents=parents, up=up)


def layout_from_json(path: Path) -> SkeletonLayout:
    """A user's own layout from a small JSON file; see :func:`layout_from_dict`.

    Raises:
        SequenceError: when the file is not JSON or not a layout description.
    """
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SequenceError(f"layout file {path} cannot be read as JSON: {error}") from error
    if not isinstance(description, dict):
        raise SequenceError(
            f"layout file {path} holds {type(description).__name__}, expected an object"
        )
    return layout_from_dict(description)
