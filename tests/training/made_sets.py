"""Tiny made-up sets in the true packed format: three subjects, six classes, a movement each."""

from pathlib import Path

import numpy as np

from c2vl_serve.skeleton.layout import KINECT20
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from tests.conftest import waving

CONFIG = PreprocessingConfig(num_frames=16)
CLASSES = {
    "right arm swipe to the left": ("r_wrist", 0, -0.3),
    "right arm swipe to the right": ("r_wrist", 0, 0.3),
    "right hand wave": ("r_wrist", 1, 0.3),
    "jogging in place": ("l_knee", 2, -0.3),
    "two hand push": ("l_wrist", 2, -0.4),
    "squat (two arms stretch out)": ("head", 2, -0.2),
}
UTD_LABELS = {
    "utd_mhad": {
        "right arm swipe to the left": "swipe left",
        "right arm swipe to the right": "swipe right",
        "right hand wave": "wave",
        "jogging in place": "run",
        "two hand push": "push",
        "squat (two arms stretch out)": "squat",
    }
}


def write_made_utd(folder: Path, *, packed: bool = False) -> None:
    """Write ``utd_mhad/utd_mhad.npz``: one clip a class and subject, moved as the class says.

    Args:
        folder: the data folder.
        packed: store scaled int16 differences, as the real sets may.
    """
    clips, labels, subjects = [], [], []
    for subject in (1, 2, 7):
        for label, (joint, axis, reach) in enumerate(CLASSES.values()):
            clip = waving(num_frames=48).joints[:, 0].copy()
            clip[:] = clip[0]
            swing = np.sin(np.linspace(0, 4 * np.pi, 48))
            clip[:, KINECT20.index(joint), axis] += (reach * (1 + 0.05 * subject) * swing).astype(
                np.float32
            )
            clips.append(clip)
            labels.append(label)
            subjects.append(subject)
    lengths = [len(clip) for clip in clips]
    joints: dict[str, np.ndarray] = {"joints": np.concatenate(clips).astype(np.float32)}
    if packed:
        scaled = [np.round(clip / 2.5e-4).astype(np.int16) for clip in clips]
        differences = [np.diff(c, axis=0, prepend=np.zeros_like(c[:1])) for c in scaled]
        joints = {
            "joints": np.concatenate(differences),
            "scale": np.float32(2.5e-4),
            "delta": np.int64(1),
        }
    (folder / "utd_mhad").mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "utd_mhad" / "utd_mhad.npz",
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        labels=np.array(labels),
        class_names=np.array(list(CLASSES)),
        joint_names=np.array(KINECT20.joints),
        fps=np.float64(30),
        subjects=np.array(subjects),
        **joints,
    )
