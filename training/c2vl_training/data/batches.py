"""Batches of random windows: balanced over labels and sets, augmented, then preprocessed.

The preprocessing is the one that serving uses; a batch goes through it in one call with the
windows as persons of one sequence.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from c2vl_serve.skeleton.arrays import ModelInput
from c2vl_serve.skeleton.layout import LAYOUTS
from c2vl_serve.skeleton.preprocessing import preprocess
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.augment import (
    ARM_CHAINS,
    LEG_CHAINS,
    Batch,
    CameraModel,
    Seen,
    exaggerated,
    in_place,
    mirrored,
    seen_by_camera,
    tilted,
    with_limbs_of,
)
from c2vl_training.data.labels import (
    ARM_LABELS,
    GAIT_LABELS,
    LEG_LABELS,
    REPEATED_LABELS,
    RUN_LABELS,
    SLOW_LABELS,
    STANCE_LABELS,
    WALK_LABELS,
)
from c2vl_training.data.pool import Pool
from c2vl_training.data.sets import SETS

SHORTEST = 8  # frames that a cut window keeps at least
TURNS = (0.38, 0.52)  # share of a clip at which an exercise turns; squats do at 0.40 to 0.47


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How training windows are drawn.

    Attributes:
        balance: exponent on the number of clips when labels are drawn; 0 draws all labels
            equally often, 1 draws clips equally often.
        set_balance: the same for the sets that share a label.
        mirror: probability of swapping left and right; windows that stay as recorded follow
            their set's share of it.
        speed: range of tempo changes of windows that stay as recorded.
        video_speed: range for windows that a camera sees; videos are often slowed down.
        walking_speed: the same for walking: slowed down further, a run would be like it.
        gesture_speed: the same for the arms' actions, which are slow in a laboratory.
        running_speed: the same for running, which films often slow down.
        exercise_speed: the same for exercises, which may be done very slowly.
        pause: probability that an exercise that a camera sees stays for a while where it turns.
        amplitude: range by which movement is made larger or smaller.
        cut: probability of keeping only a part of the window, as short clips leave it padded.
        cut_recorded: the same for windows that stay as recorded.
        repeat: probability of running to and fro over a part of the clip, for actions that
            people repeat without a pause.
        other_limbs: probability of taking the arms of another window where only the legs tell
            the action, and the standing legs of another where only the arms do.
        tilt_degrees: windows that stay as recorded are tilted by up to this, to either side.
        lose_travel: probability that the body's travel through the room is lost, as every
            camera of ``camera`` loses it.
        camera: what a single camera does to a window.
    """

    balance: float = 0.4
    set_balance: float = 0.5
    mirror: float = 0.4
    speed: tuple[float, float] = (0.8, 1.25)
    video_speed: tuple[float, float] = (0.65, 1.3)
    walking_speed: tuple[float, float] = (0.8, 1.3)
    gesture_speed: tuple[float, float] = (0.55, 1.7)
    running_speed: tuple[float, float] = (0.5, 1.3)
    exercise_speed: tuple[float, float] = (0.4, 1.3)
    pause: float = 0.4
    amplitude: tuple[float, float] = (0.8, 1.4)
    other_limbs: float = 0.3
    cut: float = 0.4
    cut_recorded: float = 0.15
    repeat: float = 0.5
    tilt_degrees: float = 30.0
    lose_travel: float = 0.3
    camera: CameraModel = CameraModel()


def clip_probabilities(pool: Pool, balance: float, set_balance: float) -> np.ndarray:
    """How often each clip is drawn: first a label, then one of its sets, then a clip of both."""
    probability = np.zeros(len(pool))
    for label in np.unique(pool.labels):
        of_label = pool.labels == label
        sources = np.unique(pool.sources[of_label])
        weight = float(of_label.sum()) ** balance
        counts = np.array([(of_label & (pool.sources == s)).sum() for s in sources], float)
        shares = counts**set_balance / (counts**set_balance).sum()
        for source, count, share in zip(sources, counts, shares, strict=True):
            probability[of_label & (pool.sources == source)] = weight * share / count
    probability *= np.array([SETS[name].weight for name in pool.set_names])[pool.sources]
    return probability / probability.sum()


class WindowSampler:
    """Draws batches of augmented windows from a pool; a batch depends on seed and step alone."""

    def __init__(
        self, pool: Pool, sampling: Sampling, mirrored_labels: dict[str, str], seed: int
    ) -> None:
        """Prepare the draw; ``mirrored_labels`` names labels that change in a mirror."""
        self.pool, self.sampling, self.seed = pool, sampling, seed
        self.probability = clip_probabilities(pool, sampling.balance, sampling.set_balance)
        names = pool.label_names
        self.disturb = np.array([SETS[name].disturb for name in pool.set_names])
        self.disturb *= sampling.camera.probability
        self.mirror = np.array([SETS[name].mirror for name in pool.set_names]) * sampling.mirror
        self.told_by_legs = np.isin(names, LEG_LABELS)
        self.told_by_arms = np.isin(names, ARM_LABELS)
        self.gait = np.isin(names, GAIT_LABELS)
        self.lends_stance = np.isin(names, STANCE_LABELS)
        self.speeds = np.array([sampling.video_speed] * len(names))
        self.speeds[self.told_by_arms] = sampling.gesture_speed
        self.speeds[np.isin(names, WALK_LABELS)] = sampling.walking_speed
        self.speeds[np.isin(names, RUN_LABELS)] = sampling.running_speed
        self.slow = np.isin(names, SLOW_LABELS)
        self.speeds[self.slow] = sampling.exercise_speed
        self.repeated = np.isin(names, REPEATED_LABELS)
        # -1 where the mirrored action is not among the labels: those are never mirrored.
        twins = [mirrored_labels.get(name, name) for name in names]
        self.mirror_label = np.array([names.index(n) if n in names else -1 for n in twins])

    def log_prior(self) -> Float32[np.ndarray, " K"]:
        """Logarithm of how often each label is drawn; -20 for one that has no clip."""
        drawn = np.bincount(self.pool.labels, self.probability, len(self.pool.label_names))
        return np.log(np.maximum(drawn, np.exp(-20))).astype(np.float32)

    def draw(self, size: int, step: int) -> tuple[ModelInput, Int64[np.ndarray, " N"]]:
        """``size`` windows as model input, and their labels."""
        clips = self.clips(size, step)
        return self.windows(clips, np.random.default_rng((self.seed, step, 1)))

    def clips(self, size: int, step: int) -> Int64[np.ndarray, " N"]:
        """The clips of a batch."""
        rng = np.random.default_rng((self.seed, step))
        return rng.choice(len(self.pool), size=size, p=self.probability)

    def windows(
        self,
        clips: Int64[np.ndarray, " N"],
        rng: np.random.Generator,
        video: Bool[np.ndarray, " N"] | None = None,
    ) -> tuple[ModelInput, Int64[np.ndarray, " N"]]:
        """One augmented window of each of ``clips``, and their labels; each call another one.

        Args:
            clips: of the pool.
            rng: all chance.
            video: which windows a camera sees; drawn, with each set's own chance, without.
        """
        pool, size = self.pool, len(clips)
        if video is None:
            video = rng.random(size) < self.disturb[pool.sources[clips]]
        joints, seen = self._cut(clips, video, rng)
        layout = LAYOUTS[pool.config.layout]
        labels = pool.labels[clips]
        joints = self._as_others_do_it(joints, labels, video, rng)
        mirror = np.where(video, self.sampling.mirror, self.mirror[pool.sources[clips]])
        flip = (rng.random(size) < mirror) & (self.mirror_label[labels] >= 0)
        joints, seen = mirrored(joints, seen, flip, layout)
        joints = in_place(joints, rng.random(size) < self.sampling.lose_travel, layout)
        tilt = np.where(video, 0, rng.uniform(-1, 1, size) * self.sampling.tilt_degrees)
        joints = tilted(joints, tilt, rng)
        joints, seen = seen_by_camera(joints, seen, video, self.sampling.camera, layout, rng)
        batch = SkeletonSequence(joints=joints, visibility=seen, fps=pool.config.fps, layout=layout)
        return preprocess(batch, pool.config), np.where(flip, self.mirror_label[labels], labels)

    def _as_others_do_it(
        self, joints: Batch, labels: np.ndarray, video: np.ndarray, rng: np.random.Generator
    ) -> Batch:
        """Windows for video with other limbs and larger or smaller movement."""
        changed = self._with_other_limbs(joints, labels, rng)
        layout = LAYOUTS[self.pool.config.layout]
        changed = exaggerated(changed, self._amplitudes(labels, rng), layout)
        return np.where(video[:, None, None], changed, joints)

    def _amplitudes(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """How much larger each window's movement becomes; an exaggerated walk would be a run."""
        amplitude = rng.uniform(*self.sampling.amplitude, len(labels))
        return np.where(self.gait[labels], 1.0, amplitude).astype(np.float32)

    def _with_other_limbs(
        self, joints: Batch, labels: np.ndarray, rng: np.random.Generator
    ) -> Batch:
        """Arms of another window where they do not matter, a frozen stance where legs do not."""
        size, layout = joints.shape[1], LAYOUTS[self.pool.config.layout]
        others = joints[:, rng.permutation(size)]
        standing = np.flatnonzero(self.lends_stance[labels])
        lenders = rng.choice(standing, size) if len(standing) else np.arange(size)
        frozen = joints[rng.integers(len(joints), size=size), lenders]
        stance = np.broadcast_to(frozen, joints.shape)
        change = rng.random((2, size)) < self.sampling.other_limbs
        arms = change[0] & self.told_by_legs[labels]
        legs = change[1] & self.told_by_arms[labels]
        joints = with_limbs_of(joints, others, arms, ARM_CHAINS, layout)
        return with_limbs_of(joints, stance, legs, LEG_CHAINS, layout)

    def _cut(
        self, clips: np.ndarray, video: np.ndarray, rng: np.random.Generator
    ) -> tuple[Batch, Seen]:
        """One window of each clip at a random place and tempo, ``T N V 3`` and ``T N V``."""
        at, inside = self._times(clips, video, rng)
        pool, last = self.pool, self.pool.lengths[clips] - 1
        low = at.astype(np.int64)
        high = np.minimum(low + 1, last)
        share = (at - low).astype(np.float32)[..., None]
        start = pool.starts[clips]
        before, after = pool.seen[start + low], pool.seen[start + high]
        share = np.where((before > 0) & (after > 0), share, np.round(share))
        seen = np.where(share < 0.5, before, after) * inside[..., None]
        share = share[..., None]
        joints = pool.joints[start + low] * (1 - share) + pool.joints[start + high] * share
        return joints.astype(np.float32), seen.astype(np.float32)

    def _times(
        self, clips: np.ndarray, video: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """For each frame of each window the place in its clip, and whether it is kept, ``T N``."""
        N, T, sampling = len(clips), self.pool.config.num_frames, self.sampling
        last = self.pool.lengths[clips] - 1.0
        speeds = np.where(video[:, None], self.speeds[self.pool.labels[clips]], sampling.speed)
        slowest, fastest = speeds.T
        speed = rng.uniform(slowest, fastest)
        short = rng.integers(min(SHORTEST, T), T + 1, N)
        cut = np.where(video, sampling.cut, sampling.cut_recorded)
        kept = np.where(rng.random(N) < cut, short, T)
        room = np.maximum(last - (kept - 1) * speed, 0)
        passed = np.arange(T)[:, None] * speed
        once = rng.random(N) * room + passed
        # To and fro over a part of the clip, beginning anywhere: as when repeated without a pause.
        span = np.maximum(rng.uniform(0.4, 1, N) * last, 1e-3)
        phase = rng.uniform(0, 2, N) * span
        to_and_fro = (
            rng.random(N) * (last - span) + span - np.abs((passed + phase) % (2 * span) - span)
        )
        again = (rng.random(N) < sampling.repeat) & video & self.repeated[self.pool.labels[clips]]
        at = np.where(again, np.maximum(to_and_fro, 0), once)
        stays = (rng.random(N) < sampling.pause) & video & self.slow[self.pool.labels[clips]]
        at = np.where(stays, with_a_pause(T, last, speed, rng), at)
        return np.minimum(at, last), (at <= last) & (np.arange(T)[:, None] < kept)


def with_a_pause(
    num_frames: int,
    last: Float64[np.ndarray, " N"],
    speed: Float64[np.ndarray, " N"],
    rng: np.random.Generator,
) -> Float64[np.ndarray, "T N"]:
    """Places in clips that stop near half-way for a quarter of the window or more, then go on.

    There an exercise turns, as at the bottom of a squat, where people may stay.

    Args:
        num_frames: T.
        last: place of each clip's last frame; where the window goes on after it, so do places.
        speed: frames of the clip for each of the window's.
        rng: all chance.
    """
    N = len(last)
    turn = rng.uniform(*TURNS, N) * last
    begin = rng.uniform(-0.5, 0.75, N) * num_frames
    length = rng.uniform(0.25, 1, N) * num_frames
    since = np.arange(num_frames)[:, None] - begin
    moved = np.minimum(since, 0) + np.maximum(since - length, 0)
    return np.maximum(turn + moved * speed, 0)
