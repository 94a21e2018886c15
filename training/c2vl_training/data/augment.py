"""What a single camera does to a skeleton, applied to training windows before preprocessing.

Kinect and mocap joints are cleaner than what a pose estimator sees: from one view it guesses
depth, squeezes or stretches it, loses hidden limbs, lags behind fast ones, and may not see the
legs at all. Each function takes and returns a whole batch, persons of one sequence being the
windows (``T N V 3`` joints in metres, y up; ``T N V`` visibility).
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32

from c2vl_serve.skeleton.layout import SkeletonLayout
from c2vl_serve.skeleton.preprocessing import MIN_BONE
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_serve.skeleton.streams import bones, joints_from_bones

Batch = Float32[np.ndarray, "T N V 3"]
Seen = Float32[np.ndarray, "T N V"]

ARMS = (("l_elbow", "l_wrist"), ("r_elbow", "r_wrist"), ("l_wrist",), ("r_wrist",))
LEGS = (("l_knee", "l_ankle"), ("r_knee", "r_ankle"), ("l_ankle",), ("r_ankle",))
ARM_CHAINS = (("l_shoulder", "l_elbow", "l_wrist"), ("r_shoulder", "r_elbow", "r_wrist"))
LEG_CHAINS = (("l_hip", "l_knee", "l_ankle"), ("r_hip", "r_knee", "r_ankle"))
LOWER_BODY = ("l_knee", "l_ankle", "r_knee", "r_ankle")


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraModel:
    """How strongly a random single camera disturbs a window.

    Attributes:
        probability: share of windows that a camera disturbs (times the set's ``disturb``); the
            others stay as recorded.
        pitch_degrees: spread of the camera's tilt (the vertical is then wrong by it).
        roll_degrees: spread of the camera's roll.
        depth_scale: range by which depth is squeezed or stretched.
        depth_noise: spread in metres of slow errors in depth, independent per joint.
        joint_noise: spread in metres of slow errors in the image plane.
        jitter: spread in metres of independent errors in each frame.
        lag: largest weight of the frame before (temporal smoothing of the estimator).
        bone_noise: spread of the logarithm of each bone's length, left and right alike: what an
            estimator takes for the body's proportions is the estimator's own.
        lose_limb: probability that a limb is hidden for a stretch of the window.
        lose_legs: probability that the legs are out of the picture throughout.
    """

    probability: float = 0.8
    pitch_degrees: float = 12.0
    roll_degrees: float = 4.0
    depth_scale: tuple[float, float] = (0.4, 1.3)
    depth_noise: float = 0.06
    joint_noise: float = 0.025
    jitter: float = 0.01
    lag: float = 0.5
    bone_noise: float = 0.12
    lose_limb: float = 0.25
    lose_legs: float = 0.15


def mirrored(
    joints: Batch, seen: Seen, chosen: np.ndarray, layout: SkeletonLayout
) -> tuple[Batch, Seen]:
    """Swap left and right in the chosen windows."""
    twin = list(layout.mirror)
    flipped = joints[:, :, twin] * np.array([-1, 1, 1], np.float32)
    return (
        np.where(chosen[:, None, None], flipped, joints),
        np.where(chosen[:, None], seen[:, :, twin], seen),
    )


def exaggerated(joints: Batch, amplitude: np.ndarray, layout: SkeletonLayout) -> Batch:
    """Each window with its movement about its own mean pose made larger or smaller.

    Bones turn further and keep their lengths.
    """
    mean = joints.mean(axis=0, keepdims=True)
    moved = bones(mean + (joints - mean) * amplitude[:, None, None], layout)
    length, was = (
        np.linalg.norm(bone, axis=-1, keepdims=True) for bone in (moved, bones(joints, layout))
    )
    kept = was / np.maximum(length, MIN_BONE)
    kept[:, :, layout.root] = 1  # its bone is its place
    return joints_from_bones(moved * kept, layout).astype(np.float32)


def with_proportions(
    joints: Batch, spread: float, layout: SkeletonLayout, rng: np.random.Generator
) -> Batch:
    """Each window with the bones of another body: longer or shorter, left and right alike.

    Args:
        joints: the windows.
        spread: of the logarithm of each bone's length.
        layout: of all windows.
        rng: all chance.
    """
    V, N = layout.num_joints, joints.shape[1]
    factor = np.exp(spread * rng.standard_normal((N, V))).astype(np.float32)
    factor = factor[:, np.minimum(np.arange(V), layout.mirror)]
    factor[:, layout.root] = 1  # its bone is its place
    return joints_from_bones(bones(joints, layout) * factor[..., None], layout)


def with_limbs_of(
    joints: Batch,
    others: Batch,
    chosen: np.ndarray,
    limbs: tuple[tuple[str, ...], ...],
    layout: SkeletonLayout,
) -> Batch:
    """The chosen windows with the named limbs moved as in ``others``, from their own roots.

    Args:
        joints: the windows, all facing the same way.
        others: windows to take the limbs from.
        chosen: True for windows to change.
        limbs: chains of joint names; the first of each is where the limb hangs and stays.
        layout: of all windows.
    """
    mixed = joints.copy()
    for root, *chain in limbs:
        hang = layout.index(root)
        for name in chain:
            joint = layout.index(name)
            moved = joints[:, :, hang] + others[:, :, joint] - others[:, :, hang]
            mixed[:, chosen, joint] = moved[:, chosen]
    return mixed


def _about(axis: int, angles: np.ndarray) -> Float32[np.ndarray, "N 3 3"]:
    """Rotations about one axis, one an angle (radians)."""
    cos, sin = np.cos(angles), np.sin(angles)
    turn = np.zeros((len(angles), 3, 3), np.float32)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    turn[:, axis, axis] = 1
    turn[:, a, a] = turn[:, b, b] = cos
    turn[:, a, b], turn[:, b, a] = -sin, sin
    return turn


def tilted(joints: Batch, degrees: np.ndarray, rng: np.random.Generator) -> Batch:
    """Each window tilted about a random level axis, as by a camera that looks up or down."""
    N = joints.shape[1]
    turn = _about(1, rng.uniform(-np.pi, np.pi, (N,)))
    tilt = turn.transpose(0, 2, 1) @ _about(0, np.radians(degrees)) @ turn
    return (joints @ tilt.transpose(0, 2, 1)).astype(np.float32)


def in_place(joints: Batch, chosen: np.ndarray, layout: SkeletonLayout) -> Batch:
    """The chosen windows without the body's travel through the room."""
    root = joints[:, :, [layout.root]] * chosen[:, None, None]
    return joints - root.astype(np.float32)


def _slow(rng: np.random.Generator, num_frames: int, shape: tuple[int, ...]) -> np.ndarray:
    """Unit noise that changes over about a second: interpolated between four knots."""
    knots = rng.standard_normal((4, *shape)).astype(np.float32)
    at = np.linspace(0, 2.999, num_frames)
    low = at.astype(int)
    share = (at - low).astype(np.float32).reshape(-1, *([1] * len(shape)))
    return knots[low] * (1 - share) + knots[low + 1] * share


def seen_by_camera(
    joints: Batch,
    seen: Seen,
    disturbed: np.ndarray,
    model: CameraModel,
    layout: SkeletonLayout,
    rng: np.random.Generator,
) -> tuple[Batch, Seen]:
    """The windows as a random single camera and pose estimator would give them.

    Args:
        joints: the windows.
        seen: which joints of them were tracked.
        disturbed: True for windows that are seen by a camera; the others stay as recorded.
        model: how strongly it disturbs.
        layout: of all windows.
        rng: all chance.
    """
    T, N, V, _ = joints.shape
    yaw = rng.uniform(-np.pi, np.pi, (N,))
    pitch = np.radians(model.pitch_degrees) * rng.standard_normal(N)
    roll = np.radians(model.roll_degrees) * rng.standard_normal(N)
    camera = _about(2, roll) @ _about(0, pitch) @ _about(1, yaw)
    body = with_proportions(joints, model.bone_noise, layout, rng)
    centred = body - body[:, :, [layout.root]]
    view = centred @ camera.transpose(0, 2, 1)
    spread = np.array([model.joint_noise, model.joint_noise, model.depth_noise], np.float32)
    view[..., 2] *= rng.uniform(*model.depth_scale, (N,)).astype(np.float32)[:, None]
    view += _slow(rng, T, (N, V, 3)) * spread * rng.uniform(0, 2, size=(N, 1, 1)).astype(np.float32)
    view += rng.standard_normal(view.shape).astype(np.float32) * np.float32(model.jitter)
    view = _lagged(view, rng.uniform(0, model.lag, (N,)).astype(np.float32))
    hidden = _hidden(joints, layout, model, rng)
    return (
        np.where(disturbed[:, None, None], view, joints).astype(np.float32),
        np.where(disturbed[:, None] & hidden, 0, seen).astype(np.float32),
    )


def as_one_camera_sees(
    sequence: SkeletonSequence, model: CameraModel, rng: np.random.Generator
) -> SkeletonSequence:
    """A whole recorded sequence as a random single camera would give it, each person alike."""
    joints, seen = seen_by_camera(
        sequence.joints,
        sequence.visibility,
        np.ones(sequence.joints.shape[1], bool),
        model,
        sequence.layout,
        rng,
    )
    return replace(sequence, joints=joints, visibility=seen)


def _lagged(view: Batch, weight: np.ndarray) -> Batch:
    """Exponential smoothing in time, as pose estimators do it."""
    smooth = view.copy()
    weight = weight[:, None, None]
    for frame in range(1, len(view)):
        smooth[frame] = weight * smooth[frame - 1] + (1 - weight) * view[frame]
    return smooth


def _hidden(
    joints: Batch, layout: SkeletonLayout, model: CameraModel, rng: np.random.Generator
) -> np.ndarray:
    """True where a joint is out of sight, ``T N V``."""
    T, N, _, _ = joints.shape
    hidden = np.zeros((T, N, layout.num_joints), bool)
    limbs = ARMS + LEGS
    start = rng.integers(0, T, N)
    stop = start + rng.integers(T // 4, T + 1, N)
    frame = np.arange(T)[:, None]
    stretch = (frame >= start - T // 4) & (frame < stop)  # T N
    limb_of = np.where(rng.random(N) < model.lose_limb, rng.integers(0, len(limbs), N), -1)
    for index, limb in enumerate(limbs):
        for joint in limb:
            hidden[:, :, layout.index(joint)] |= stretch & (limb_of == index)
    no_legs = rng.random(N) < model.lose_legs
    for joint in LOWER_BODY:
        hidden[:, :, layout.index(joint)] |= no_legs
    return hidden
