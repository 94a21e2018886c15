"""Tiny files in the true formats of the published sets."""

from pathlib import Path

import numpy as np

from c2vl_serve.skeleton.layout import KINECT20, NTU25
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.readers.recording import Entry, Recordings
from tests.conftest import STANDING, waving

# Kinect v2's 25 joints of somebody standing; what Kinect v1 lacks lies beside what it has.
BESIDE = {"neck": "shoulder_center", "l_hand_tip": "l_hand", "l_thumb": "l_hand"}
BESIDE |= {"r_hand_tip": "r_hand", "r_thumb": "r_hand"}


def standing25() -> np.ndarray:
    """``25 3`` metres, 2.5 m from the camera."""
    joints = np.full((25, 3), 2.5, np.float32)
    for index, name in enumerate(NTU25.joints):
        joints[index, :2] = STANDING[KINECT20.index(BESIDE.get(name, name))]
    return joints


def moved(num_frames: int, reach: float, *, x: float = 0.0) -> np.ndarray:
    """``T 25 3``: the right hand goes up and down by ``reach``; the body stands at ``x``."""
    joints = np.repeat(standing25()[None], num_frames, axis=0)
    joints[:, NTU25.index("r_hand"), 1] += reach * np.sin(np.arange(num_frames, dtype=np.float32))
    joints[..., 0] += x
    return joints


def ntu_text(num_frames: int, bodies: dict[str, tuple[int, np.ndarray]]) -> str:
    """A ``.skeleton`` file: each body's id with its first frame and its ``T 25 3`` joints."""
    lines = [str(num_frames)]
    for frame in range(num_frames):
        here = {
            name: joints[frame - start]
            for name, (start, joints) in bodies.items()
            if start <= frame < start + len(joints)
        }
        lines.append(str(len(here)))
        for name, joints in here.items():
            lines += [f"{name} 0 1 1 0 0 0 0.02 -0.04 2", "25"]
            lines += [f"{x:.7g} {y:.7g} {z:.7g} 277.1 191.8 1036.2 519.1 0 0 0 0 2"
                      for x, y, z in joints]  # fmt: skip
    return "\r\n".join(lines) + "\r\n"


def pku_text(first: np.ndarray, second: np.ndarray) -> str:
    """A video of PKU-MMD: a frame a line, both bodies' ``T 25 3`` joints with six decimals."""
    numbers = np.concatenate([first.reshape(len(first), 75), second.reshape(len(second), 75)], 1)
    return "\n ".join(" ".join(f"{value:.6f}" for value in line) for line in numbers) + "\n"


def write_ntu(folder: Path, names: tuple[str, ...], num_frames: int = 20) -> None:
    """One person in each of the named files; how far the hand goes depends on the name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        reach = 0.1 + int(name[-3:]) / 100
        text = ntu_text(num_frames, {"72057594037931101": (0, moved(num_frames, reach))})
        (folder / f"{name}.skeleton").write_bytes(text.encode())


def wave_of(sample_id: str) -> SkeletonSequence:
    """Somebody who waves for as many frames as the id says."""
    return waving(num_frames=int(sample_id))


def waves(*lengths: int, source: str = "waves") -> Recordings:
    """Recordings of these numbers of frames at 30 fps, of class ``short`` or ``long``."""
    return Recordings(
        entries=tuple(
            Entry(sample_id=str(length), class_name="long" if length > 50 else "short", subject=1)
            for length in lengths
        ),
        read=wave_of,
        source=source,
    )
