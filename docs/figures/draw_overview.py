"""Draw overview.svg: a made-up person waves, squats and walks; windows of it; the bundle's answers.

    python docs/figures/draw_overview.py

The movement is a formula, the scores are what the shipped bundle says about it. Needs the extra
``train`` (matplotlib) and ``cpu``.
"""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from c2vl_serve.recognition.answers import WindowAnswer
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.skeleton.layout import KINECT20
from c2vl_serve.skeleton.sequence import SkeletonSequence

FPS = 30.0
SECONDS = 5.0  # of each movement
BLEND = 0.5  # seconds from one to the next
STRIDE = 0.25  # seconds
NUM_SKELETONS = 18
THIGH, SHIN, UPPER_ARM, FOREARM, HAND = 0.44, 0.42, 0.28, 0.25, 0.09  # metres
HIP_HEIGHT = 0.84

INK, SOFT, PAPER = "#22303c", "#8a97a3", "#fcfbf8"
COLOURS = ("#d1495b", "#2a7f9e", "#e09f3e")
NAMES = ("wave", "squat", "walk")

Vector = np.ndarray  # x to the picture's right, y up, z away from the camera; metres
Pose = dict[str, Vector]


def wave(time: float) -> Pose:
    """The right forearm swings above a raised elbow."""
    swing = np.sin(2 * np.pi * 1.5 * time)
    upper, lower = np.radians(-10 + 6 * swing), np.radians(80 - 32 * swing)
    return {
        **STANDING,
        "r_upper": np.array([np.cos(upper), np.sin(upper), -0.15]),
        "r_lower": np.array([np.cos(lower), np.sin(lower), -0.15]),
    }


def squat(time: float) -> Pose:
    """Down and up again every second and a half, arms stretched out to the front."""
    depth = 0.5 - 0.5 * np.cos(2 * np.pi * time / 1.5)
    forward = np.array([0.0, -0.15, -1.0])
    return {
        **STANDING,
        **dict.fromkeys(("l_upper", "l_lower", "r_upper", "r_lower"), forward),
        "pelvis": np.array([0.0, HIP_HEIGHT - 0.36 * depth, 0.16 * depth]),
        "trunk": np.array([0.0, 1.0, -0.42 * depth]),
    }


def walk(time: float) -> Pose:
    """On the spot: feet lift in turn, arms swing against them."""
    phase = 2 * np.pi * 0.95 * time
    left, right = np.maximum(np.sin(phase), 0), np.maximum(-np.sin(phase), 0)
    swing = 0.55 * np.sin(phase)
    return {
        **STANDING,
        "l_foot": STANDING["l_foot"] + np.array([0.0, 0.22 * left, -0.12 * left]),
        "r_foot": STANDING["r_foot"] + np.array([0.0, 0.22 * right, -0.12 * right]),
        "l_upper": np.array([-0.12, -1.0, swing]),
        "l_lower": np.array([-0.05, -1.0, swing - 0.35]),
        "r_upper": np.array([0.12, -1.0, -swing]),
        "r_lower": np.array([0.05, -1.0, -swing - 0.35]),
    }


STANDING: Pose = {
    "pelvis": np.array([0.0, HIP_HEIGHT, 0.0]),
    "trunk": np.array([0.0, 1.0, 0.0]),
    "l_foot": np.array([-0.12, 0.0, 0.0]),
    "r_foot": np.array([0.12, 0.0, 0.0]),
    "l_upper": np.array([-0.14, -1.0, 0.0]),
    "l_lower": np.array([-0.06, -1.0, -0.12]),
    "r_upper": np.array([0.14, -1.0, 0.0]),
    "r_lower": np.array([0.06, -1.0, -0.12]),
}
MOVEMENTS: tuple[Callable[[float], Pose], ...] = (wave, squat, walk)


def movement() -> SkeletonSequence:
    """The three, one after the other."""
    times = np.arange(round(len(MOVEMENTS) * SECONDS * FPS)) / FPS
    joints = np.stack([_joints(_pose(time)) for time in times])[:, None]
    return SkeletonSequence(joints=joints.astype(np.float32), fps=FPS, layout=KINECT20)


def _pose(time: float) -> Pose:
    """The movement of this moment, blended with its neighbour near the change."""
    index = min(int(time / SECONDS), len(MOVEMENTS) - 1)
    pose = MOVEMENTS[index](time)
    for other, edge in ((index - 1, index * SECONDS), (index + 1, (index + 1) * SECONDS)):
        near = 0.5 - abs(time - edge) / BLEND
        if 0 <= other < len(MOVEMENTS) and near > 0:
            share = 2 * near * near * (1.5 - near)  # half at the edge itself
            neighbour = MOVEMENTS[other](time)
            pose = {key: (1 - share) * pose[key] + share * neighbour[key] for key in pose}
    return pose


def _joints(pose: Pose) -> Vector:
    """kinect20 from the pose's few vectors; knees by the law of cosines, bent to the front."""
    trunk = _unit(pose["trunk"])
    hip = pose["pelvis"]
    at = {
        "hip_center": hip + 0.05 * trunk,
        "spine": hip + 0.14 * trunk,
        "shoulder_center": hip + 0.50 * trunk,
        "head": hip + 0.70 * trunk,
    }
    for side, sign in (("l", -1), ("r", 1)):
        shoulder = hip + 0.44 * trunk + np.array([0.18 * sign, 0, 0])
        elbow = shoulder + UPPER_ARM * _unit(pose[f"{side}_upper"])
        wrist = elbow + FOREARM * _unit(pose[f"{side}_lower"])
        hand = wrist + HAND * _unit(pose[f"{side}_lower"])
        thigh = hip + np.array([0.09 * sign, -0.02, 0])
        ankle = pose[f"{side}_foot"]
        foot = ankle + np.array([0.02 * sign, -0.03, -0.12])
        parts = (shoulder, elbow, wrist, hand, thigh, _knee(thigh, ankle), ankle, foot)
        names = ("shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "foot")
        at.update({f"{side}_{name}": part for name, part in zip(names, parts, strict=True)})
    return np.stack([at[name] for name in KINECT20.joints])


def _knee(hip: Vector, ankle: Vector) -> Vector:
    leg = ankle - hip
    length = min(float(np.linalg.norm(leg)), THIGH + SHIN - 1e-3)
    along = (THIGH**2 - SHIN**2 + length**2) / (2 * length)
    down = _unit(leg)
    front = np.array([0.0, 0.0, -1.0])
    front = _unit(front - (front @ down) * down)
    return hip + along * down + np.sqrt(max(THIGH**2 - along**2, 0.0)) * front


def _unit(vector: Vector) -> Vector:
    return vector / np.linalg.norm(vector)


def draw(path: Path) -> None:
    """Three rows over one time axis: skeletons, windows, scores."""
    sequence = movement()
    recognizer = ActionRecognizer.load()
    seconds = recognizer.bundle.card.preprocessing.window_seconds
    answer = recognizer.recognise(sequence, window=seconds, stride=STRIDE, top_k=1000)
    windows = answer.persons[0].windows
    figure = Figure(figsize=(10.4, 4.7), facecolor=PAPER)
    rows = figure.subplots(
        3, 1, sharex=True, height_ratios=(2.3, 0.95, 1.45), gridspec_kw={"hspace": 0.08}
    )
    figure.subplots_adjust(left=0.155, right=0.975, top=0.97, bottom=0.1)
    _caption(rows[0], "skeletons", "from a video, or\nsent as joints")
    _caption(rows[1], "windows", f"{seconds:.1f} s each, cut\nat the real tempo")
    _caption(rows[2], "actions", "a label and a\ncalibrated score")
    _draw_skeletons(rows[0], sequence)
    _draw_windows(rows[1], windows)
    _draw_scores(rows[2], windows)
    figure.savefig(path, metadata={"Date": None})


def _caption(axes: Axes, title: str, note: str) -> None:
    axes.set_facecolor(PAPER)
    axes.tick_params(length=0, labelleft=False, labelbottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.annotate(
        title, (-0.175, 0.5), (0, 8), xycoords="axes fraction", textcoords="offset points",
        fontsize=13.5, color=INK, weight="bold",
    )  # fmt: skip
    axes.annotate(
        note, (-0.175, 0.5), (0, 2), xycoords="axes fraction", textcoords="offset points",
        fontsize=9, color=SOFT, va="top", linespacing=1.35,
    )  # fmt: skip


def _draw_skeletons(axes: Axes, sequence: SkeletonSequence) -> None:
    axes.set_xlim(0, sequence.duration)
    axes.set_ylim(-0.12, 1.85)
    turn = np.radians(35)
    # Axis units: seconds across, metres up; this makes a metre as wide as it is high.
    box = axes.get_window_extent()
    metre = sequence.duration / box.width * box.height / 1.97
    apart = sequence.duration / NUM_SKELETONS
    for time in np.arange(NUM_SKELETONS) * apart + apart / 2:
        joints = sequence.joints[int(time * FPS), 0]
        x = (joints[:, 0] * np.cos(turn) + joints[:, 2] * np.sin(turn)) * metre + time
        y = joints[:, 1]
        colour = COLOURS[int(time / SECONDS)]
        for joint, parent in enumerate(KINECT20.parents):
            if parent >= 0:
                far = KINECT20.joints[joint].startswith("l_")
                axes.plot(
                    x[[joint, parent]], y[[joint, parent]], color=colour, alpha=0.5 if far else 1,
                    lw=2.3, solid_capstyle="round", zorder=1 if far else 2,
                )  # fmt: skip
        head = KINECT20.index("head")
        axes.plot(x[head], y[head] + 0.02, "o", ms=9.5, color=colour, zorder=3)
    axes.axhline(-0.06, color=SOFT, lw=0.8, alpha=0.5)


def _draw_windows(axes: Axes, windows: tuple[WindowAnswer, ...]) -> None:
    # A second apart: one ends before the next one in its lane begins.
    shown = windows[:: round(1 / STRIDE)]
    lanes = 5
    axes.set_ylim(-0.35, lanes - 0.1)
    for index, window in enumerate(shown):
        best = window.actions[0].label
        colour = COLOURS[NAMES.index(best)] if best in NAMES else SOFT
        axes.add_patch(
            FancyBboxPatch(
                (window.start + 0.05, lanes - 1 - index % lanes + 0.12),
                window.end - window.start - 0.1,
                0.5,
                boxstyle="round,pad=0,rounding_size=0.07",
                mutation_aspect=3.2,
                facecolor=colour,
                edgecolor="none",
                alpha=0.85 if window.recognised else 0.3,
            )
        )


def _draw_scores(axes: Axes, windows: tuple[WindowAnswer, ...]) -> None:
    times = np.array([(window.start + window.end) / 2 for window in windows])
    axes.set_ylim(-0.02, 1.22)
    for name, colour in zip(NAMES, COLOURS, strict=True):
        scores = np.array(
            [next(a.score for a in window.actions if a.label == name) for window in windows]
        )
        axes.fill_between(times, scores, color=colour, alpha=0.22, lw=0)
        axes.plot(times, scores, color=colour, lw=2)
        peak = times[scores > 0.5 * scores.max()].mean()
        axes.text(
            peak, 1.06, f"{name}  {scores.max():.2f}", color=colour, fontsize=11.5, ha="center",
            weight="bold",
        )  # fmt: skip
    axes.axhline(0, color=SOFT, lw=0.8, alpha=0.5)
    seconds = np.arange(0, len(MOVEMENTS) * SECONDS + 1e-6, 1)
    axes.set_xticks(seconds, [f"{second:.0f} s" for second in seconds], color=SOFT, fontsize=9)
    axes.tick_params(labelbottom=True)


if __name__ == "__main__":
    mpl.rcParams.update({"svg.hashsalt": "c2vl", "font.family": "DejaVu Sans"})
    draw(Path(__file__).with_name("overview.svg"))
