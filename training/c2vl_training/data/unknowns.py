"""Clips of actions that no bundle is trained on: they decide what "not recognised" means.

Real single-camera landmarks of webcam gestures, and mocap clips of the classes that
``labels.UNKNOWN_CLASSES`` keeps out of training.
"""

from pathlib import Path

import numpy as np

from c2vl_serve.skeleton.layout import MEDIAPIPE33
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_serve.skeleton.sampling import at_model_rate
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.labels import UNKNOWN_CLASSES
from c2vl_training.data.packed import read_packed
from c2vl_training.data.pool import Pool

WEBCAM_FILE = "mediapipe_webcam16/mediapipe_webcam16.npz"
WEBCAM_SET = "webcam16"
WEBCAM_FPS = 15.0  # not stated; a webcam with a landmarker behind it
WEBCAM_ASPECT = 4 / 3  # x is a fraction of the width, y of the height
# The other gestures of the set resemble a label: jump, kick, push, run, sit, walk.
WEBCAM_CLASSES = ("climb", "cry", "drink", "eat", "fall", "give", "look", "sleep", "wait", "wash")


def unknown_clips(data: Path, pool: Pool) -> list[SkeletonSequence]:
    """All clips of unknown actions, one person each, at the model's rate.

    Args:
        data: folder that holds the sets.
        pool: as loaded with the bundle's labels; its unlabelled clips are looked through.
    """
    return [sequence for _, sequence in unknown_actions(data, pool)]


def unknown_actions(data: Path, pool: Pool) -> list[tuple[str, SkeletonSequence]]:
    """The same clips with their classes, as ``set:class``."""
    held_out = {f"{name}:{cls}" for name, classes in UNKNOWN_CLASSES.items() for cls in classes}
    chosen = np.flatnonzero(np.isin(pool.classes, sorted(held_out)))
    gestures = webcam_gestures(data, pool.config)
    return [
        *((str(pool.classes[clip]), pool.sequence(int(clip))) for clip in chosen),
        *((f"{WEBCAM_SET}:{name}", sequence) for name, sequence in gestures),
    ]


def webcam_gestures(data: Path, config: PreprocessingConfig) -> list[tuple[str, SkeletonSequence]]:
    """Clips of webcam gestures that resemble no label, with their class, at the model's rate."""
    path = data / WEBCAM_FILE
    if not path.exists():
        return []
    packed = read_packed(path)
    wanted = np.isin(packed.class_names, WEBCAM_CLASSES)[packed.labels]
    stretch = np.array([WEBCAM_ASPECT, 1, WEBCAM_ASPECT], np.float32)
    return [
        (
            packed.class_names[packed.labels[index]],
            at_model_rate(
                SkeletonSequence(
                    joints=packed.clips[index][:, None, :, :3] * stretch,
                    visibility=np.clip(packed.clips[index][:, None, :, 3], 0, 1),
                    fps=WEBCAM_FPS,
                    layout=MEDIAPIPE33,
                ),
                config,
            ),
        )
        for index in np.flatnonzero(wanted)
    ]
