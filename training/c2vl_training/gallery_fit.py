"""The gallery's space of a checkpoint: whitened or not, and scaled, on actions never seen.

    training clips                                    -> representations -> Whitening
    actions never seen, as recorded and as two
    made-up cameras see them; some training clips     -> trials          -> GalleryScale, and
                                                                            whether to whiten

An encoder knows its labels' clips too well to tell from them how near an action that it never saw
must be. The scale is therefore chosen on such actions, on every second of them; the others are
left for ``benchmarks/gallery.py``.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32, Int64

from c2vl_serve.errors import C2VLError
from c2vl_serve.gallery_space import GalleryScale, GallerySpace, Whitening, unit
from c2vl_serve.skeleton.sampling import cut_windows
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.checkpoint import Checkpoint
from c2vl_training.data.augment import CameraModel, as_one_camera_sees
from c2vl_training.data.pool import Pool
from c2vl_training.evaluate.clips import BATCH, ClipLogits
from c2vl_training.gallery_trials import ActionViews, Shares, Trial, for_choosing, shares, trials

NUM_HIGHEST = 40  # upper limits that are tried, from where known clips end to the nearest of all
MOST = 0.99  # no limit is so high that only an example itself reaches it
LOWEST_AT = 0.8  # of the way from where known clips end to the upper limit
# Half-way between where known clips end and where boundaries begin, an enrolled action takes this
# much of a score: wide enough to be a scale, and narrow enough that known clips lose nothing.
TAKEN_HALF_WAY = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryConfig:
    """How a gallery's space is found.

    Attributes:
        clips_a_label: training clips that the whitening is measured on, at most.
        num_directions: along which representations vary most; the others are left out.
        shrinkage: how far each direction's variance is drawn to their mean, 0 to 1.
        known_clips: training clips that must keep their answers.
        num_cameras: made-up ones that see each clip of an action never seen.
        kept: share of known clips that must not be taken for an enrolled action.
        still_rejected: of the actions never seen that are rejected without a gallery, the share
            that must be so with one.
        seed: of all chance.
    """

    clips_a_label: int = 40
    num_directions: int = 192
    shrinkage: float = 0.02
    known_clips: int = 300
    num_cameras: int = 2
    kept: float = 0.99
    still_rejected: float = 0.9
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Seen:
    """What the network says of whole clips: mean representations, and best scores."""

    vectors: Float32[np.ndarray, "N D"]
    best: np.ndarray


@torch.no_grad()
def seen(checkpoint: Checkpoint, sequences: list[SkeletonSequence]) -> Seen:
    """Clips cut into windows and summed up as in serving."""
    calibration, idle = checkpoint.card["calibration"], checkpoint.card["idle_label"]
    windows = tuple(cut_windows(sequence, checkpoint.preprocessing) for sequence in sequences)
    inputs = torch.from_numpy(np.concatenate([each.inputs for each in windows]))
    parts = [checkpoint.model(inputs[at : at + BATCH]) for at in range(0, len(inputs), BATCH)]
    logits, values = (np.concatenate(each) for each in zip(*parts, strict=True))
    starts = np.cumsum([0, *(len(each.inputs) for each in windows)])
    scores = ClipLogits(windows, tuple(np.split(logits, starts[1:-1]))).scores(
        calibration["temperature"], None if idle is None else checkpoint.labels.index(idle)
    )
    means = np.add.reduceat(values, starts[:-1]) / np.diff(starts)[:, None]
    return Seen(vectors=means.astype(np.float32), best=scores.max(axis=1))


def labelled_clips(pool: Pool, config: GalleryConfig) -> Pool:
    """Some training clips of each label."""
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(np.flatnonzero((pool.labels >= 0) & ~pool.test))
    of_label = (order[pool.labels[order] == label] for label in np.unique(pool.labels[order]))
    chosen = np.zeros(len(pool), bool)
    chosen[np.concatenate([clips[: config.clips_a_label] for clips in of_label])] = True
    return pool.where(chosen)


def fitted_whitening(
    vectors: Float32[np.ndarray, "N D"], labels: Int64[np.ndarray, " N"], config: GalleryConfig
) -> Whitening:
    """Centre at the mean of the labels' means, and divide each direction by its spread.

    The spread is that of all clips, each label counting alike: within labels and between them.
    """
    names, counts = np.unique(labels, return_counts=True)
    weights = 1 / (len(names) * counts[np.searchsorted(names, labels)])
    directed = unit(vectors).astype(np.float64)
    mean = weights @ directed
    centred = directed - mean
    variances, directions = np.linalg.eigh((centred * weights[:, None]).T @ centred)
    most = slice(-min(config.num_directions, len(mean)), None)
    variances, directions = variances[most], directions[:, most]
    shrunk = (1 - config.shrinkage) * variances + config.shrinkage * variances.mean()
    return Whitening(
        mean=mean.astype(np.float32), directions=(directions / np.sqrt(shrunk)).astype(np.float32)
    )


def views(
    checkpoint: Checkpoint,
    clips: list[tuple[str, SkeletonSequence]],
    camera: CameraModel,
    config: GalleryConfig,
) -> ActionViews:
    """Each clip as recorded, and as each of a few made-up cameras sees it."""
    rng = np.random.default_rng(config.seed)
    sequences = [sequence for _, sequence in clips]
    by_cameras = [
        as_one_camera_sees(sequence, camera, rng)
        for _ in range(config.num_cameras)
        for sequence in sequences
    ]
    found = seen(checkpoint, sequences + by_cameras)
    times = 1 + config.num_cameras
    return ActionViews(
        vectors=found.vectors,
        actions=np.tile([name for name, _ in clips], times),
        clips=np.tile(np.arange(len(clips)), times),
        recorded=np.repeat([True, *[False] * config.num_cameras], len(clips)),
        rejected=found.best < checkpoint.card["calibration"]["threshold"],
    )


def fitted_space(
    checkpoint: Checkpoint,
    pool: Pool,
    unknown: list[tuple[str, SkeletonSequence]],
    camera: CameraModel,
    config: GalleryConfig,
) -> tuple[GallerySpace, Shares]:
    """The space of a checkpoint, and what its scale does where it was chosen.

    Args:
        checkpoint: whose representations are compared.
        pool: clips of its labels.
        unknown: clips of actions that it never saw, with their names.
        camera: what a made-up camera does.
        config: sizes, rule and seed.

    Raises:
        C2VLError: when there are no such actions, or no scale keeps what the rule asks.
    """
    names = for_choosing(np.array([name for name, _ in unknown]))
    if len(names) < 2:
        raise C2VLError(
            f"there are {len(names)} actions never seen to choose the gallery's scale on; "
            "expected two or more: give --data the folder with mediapipe_webcam16 or bandai_namco"
        )
    clips = labelled_clips(pool, config)
    known = seen(checkpoint, [clips.sequence(clip) for clip in range(len(clips))])
    chosen = [(name, sequence) for name, sequence in unknown if name in names]
    at = np.random.default_rng(config.seed).permutation(len(clips))[: config.known_clips]
    looked_at = views(checkpoint, chosen, camera, config)
    threshold = checkpoint.card["calibration"]["threshold"]
    found: list[tuple[GallerySpace, Shares]] = []
    problems: list[C2VLError] = []
    for whitening in (None, fitted_whitening(known.vectors, clips.labels, config)):
        space = GallerySpace(whitening=whitening)
        run = trials(looked_at, known.vectors[at], space, config.seed)
        try:
            scale, what = chosen_scale(run, threshold, config)
            found.append((replace(space, scale=scale), what))
        except C2VLError as problem:
            problems.append(problem)
    if not found:
        raise problems[0]
    return max(found, key=lambda each: each[1].found)


def chosen_scale(
    run: list[Trial], threshold: float, config: GalleryConfig
) -> tuple[GalleryScale, Shares]:
    """The lowest upper limit that the rule allows: the lower, the more is found.

    Raises:
        C2VLError: when none keeps what the rule asks.
    """
    near = float(np.quantile(np.concatenate([trial.known for trial in run]), config.kept))
    most = min(max(float(trial.own[-1]) for trial in run), MOST)
    for highest in np.linspace(near, most, NUM_HIGHEST + 1)[1:].tolist() if most > near else ():
        scale = _scale(near, highest, threshold)
        found = shares(run, scale)
        rejected = found.rejected >= config.still_rejected * found.rejected_before
        if found.kept >= config.kept and rejected:
            return scale, found
    raise C2VLError(
        f"no scale keeps {config.kept:.0%} of the known clips and {config.still_rejected:.0%} of "
        f"the rejections (known clips reach a cosine of {near:.2f}, the actions' own {most:.2f}); "
        "export this checkpoint without a gallery space, or train it further"
    )


def _scale(near: float, highest: float, threshold: float) -> GalleryScale:
    """The scale with this upper limit.

    Few actions never seen have examples that differ much, so that they cannot choose the lower
    limit.
    """
    lowest = near + LOWEST_AT * (highest - near)
    odds = threshold / (1 - threshold)
    width = (lowest - near) / 2 / np.log(odds / TAKEN_HALF_WAY)
    return GalleryScale(lowest=lowest, highest=highest, width=float(width))
