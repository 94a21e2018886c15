"""The skeleton sets we train on: where they lie, their layout, frame rate and test split."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from c2vl_serve.skeleton.layout import KINECT20, SkeletonLayout, layout_from_dict
from c2vl_training.data.packed import PackedSet, read_packed

# 22 BVH nodes less the root, named as the other layouts name them; no hands, head base only.
BANDAI21 = layout_from_dict(
    {
        "name": "bandai21",
        "joints": {
            "hip_center": None,
            "spine_1": "hip_center",
            "spine": "spine_1",
            "neck": "spine",
            "head": "neck",
            "l_collar": "spine",
            "l_shoulder": "l_collar",
            "l_elbow": "l_shoulder",
            "l_wrist": "l_elbow",
            "r_collar": "spine",
            "r_shoulder": "r_collar",
            "r_elbow": "r_shoulder",
            "r_wrist": "r_elbow",
            "l_hip": "hip_center",
            "l_knee": "l_hip",
            "l_ankle": "l_knee",
            "l_foot": "l_ankle",
            "r_hip": "hip_center",
            "r_knee": "r_hip",
            "r_ankle": "r_knee",
            "r_foot": "r_ankle",
        },
    }
)

# One value a clip: which clips are the set's own test split, are left out, or go together when
# a validation part is taken from the training clips.
Selection = Callable[[PackedSet], np.ndarray]


def _as_recorded(packed: PackedSet) -> np.ndarray:
    return packed.labels


# In view 2 of NW-UCLA, which trains, two subjects have all clips of two classes exchanged: who
# sits down stands up there (decision 20). No clip of the test split is touched.
NW_UCLA_EXCHANGED = ((4, "sit down", "stand up"), (5, "donning", "doffing"))


def _nw_ucla_labels(packed: PackedSet) -> np.ndarray:
    labels = packed.labels.copy()
    for subject, *pair in NW_UCLA_EXCHANGED:
        if set(pair) <= set(packed.class_names):
            one, other = (packed.class_names.index(name) for name in pair)
            block = (packed.extra["views"] == 2) & (packed.extra["subjects"] == subject)
            labels[block & (packed.labels == one)] = other
            labels[block & (packed.labels == other)] = one
    return labels


@dataclass(frozen=True, kw_only=True, slots=True)
class SetDescription:
    """One skeleton set and the field's protocol for it.

    Attributes:
        file: path below the data folder.
        layout: joints after reordering by name.
        fps: recorded frames per second.
        protocol: the test split in words.
        test: True for clips of the test split.
        used: True for clips that the protocol uses at all.
        group: who or what a validation part is split by.
        validation: the groups of the training part that validate.
        disturb: how often a made-up camera disturbs its windows, relative to the other sets; low
            for sets that are noisy as they are. Were they noisier than the rest, noise would
            mean their classes.
        weight: how often its clips are drawn, relative to what balancing alone would give; high
            for sets that are hard to learn, low for those that are learned at once.
        mirror: how often its windows that stay as recorded are mirrored, relative to the other
            sets; low where being right-handed tells its actions apart.
        labels: index of each clip's class; not the file's where that is known to be wrong.
        licence: what the card says about the data.
    """

    file: str
    layout: SkeletonLayout
    fps: float
    protocol: str
    test: Selection
    used: Selection
    group: Selection
    validation: tuple[int, ...]
    licence: str
    disturb: float = 1.0
    weight: float = 1.0
    mirror: float = 1.0
    labels: Selection = _as_recorded


def _extra(name: str) -> Selection:
    return lambda packed: packed.extra[name]


def _isin(name: str, *values: int) -> Selection:
    return lambda packed: np.isin(packed.extra[name], values)


def _all(packed: PackedSet) -> np.ndarray:
    return np.ones(len(packed.labels), bool)


SETS: dict[str, SetDescription] = {
    "utd_mhad": SetDescription(
        file="utd_mhad/utd_mhad.npz",
        layout=KINECT20,
        fps=30.0,
        protocol="cross-subject: train 1, 3, 5, 7; test 2, 4, 6 (8 where present)",
        test=_isin("subjects", 2, 4, 6, 8),
        used=_all,
        group=_extra("subjects"),
        validation=(7,),
        licence="UTD-MHAD (Chen et al., ICIP 2015): free for research, no open licence",
    ),
    "nw_ucla": SetDescription(
        file="nw_ucla/nw_ucla.npz",
        layout=KINECT20,
        fps=12.0,  # not stated; at 12 its walkers take 1.0 stride a second, as walkers do
        protocol="cross-view: train views 1 and 2, test view 3",
        test=_isin("views", 3),
        used=_all,
        group=_extra("subjects"),
        validation=(2, 8),
        disturb=0.45,
        weight=2.5,
        labels=_nw_ucla_labels,
        licence="Northwestern-UCLA (Wang et al., CVPR 2014): academic research; copy CC BY-NC 4.0",
    ),
    "msr_action3d": SetDescription(
        file="msr_action3d/msr_action3d.npz",
        layout=KINECT20,
        fps=15.0,
        protocol="cross-subject over the usual 557: train odd, test even subjects",
        test=lambda packed: packed.extra["subjects"] % 2 == 0,
        used=_extra("used_in_cvpr12"),
        group=_extra("subjects"),
        validation=(9,),
        disturb=0.8,
        weight=1.2,
        mirror=0.0,
        licence="MSR Action3D (Li et al., 2010): Microsoft Research, research use",
    ),
    "msr_daily6": SetDescription(
        file="msr_daily6/msr_daily6.npz",
        layout=KINECT20,
        fps=30.0,
        protocol="six classes: train subjects 1-6, test 7-10",
        test=lambda packed: packed.extra["subjects"] > 6,
        used=_all,
        group=_extra("subjects"),
        validation=(6,),
        disturb=0.6,
        licence="MSR DailyActivity3D: Microsoft Research, research use",
    ),
    "bandai_namco_1": SetDescription(
        file="bandai_namco/bandai_namco_1.npz",
        layout=BANDAI21,
        fps=30.0,
        protocol="train 12 styles; test childish, tired, musical",
        test=_isin("styles", 8, 10, 12),
        used=_all,
        group=_extra("styles"),
        validation=(3, 9),
        weight=1.5,
        licence="Bandai-Namco-Research-Motiondataset-1: CC BY-NC 4.0, (c) 2022 Bandai Namco",
    ),
    "bandai_namco_2": SetDescription(
        file="bandai_namco/bandai_namco_2.npz",
        layout=BANDAI21,
        fps=30.0,
        protocol="train 5 styles; test exhausted",
        test=_isin("styles", 2),
        used=_all,
        group=_extra("styles"),
        validation=(4,),
        weight=0.8,
        licence="Bandai-Namco-Research-Motiondataset-2: CC BY-NC 4.0, (c) 2022 Bandai Namco",
    ),
}


def read_set(name: str, data: Path) -> PackedSet:
    """The set called ``name`` below the data folder, its known mistakes put right.

    Raises:
        SequenceError: when it is missing or not a packed set.
    """
    description = SETS[name]
    packed = read_packed(data / description.file)
    return replace(packed, labels=description.labels(packed))
