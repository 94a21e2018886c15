"""What the network says of the clips that ``benchmarks/gallery.py`` measures on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64

from c2vl_serve import ActionRecognizer
from c2vl_serve.bundle import BundleCard
from c2vl_serve.gallery_space import unit
from c2vl_serve.recognition.runtime import Outputs
from c2vl_serve.skeleton.sampling import cut_windows
from c2vl_training.data.augment import CameraModel, as_one_camera_sees
from c2vl_training.data.labels import EVERYDAY_LABELS
from c2vl_training.data.pool import Pool, load_pool
from c2vl_training.data.unknowns import unknown_actions
from c2vl_training.gallery_trials import for_choosing

MOST_CLIPS = 8  # of one label and split


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clips:
    """What the network said of many clips.

    Attributes:
        outputs: of the windows of all clips, end to end.
        seen_frames: of each clip's windows.
        vectors: embeddings, of unit length.
        labels: column of the right label; -1 for actions never seen.
        actions: the label, or the name of the action never seen.
        measured: True for test clips and for actions never seen that did not choose the scale.
        card: of the bundle.
    """

    outputs: Outputs
    seen_frames: tuple[Float32[np.ndarray, " W"], ...]
    vectors: Float32[np.ndarray, "N D"]
    labels: Int64[np.ndarray, " N"]
    actions: np.ndarray
    measured: Bool[np.ndarray, " N"]
    card: BundleCard


def read_clips(recognizer: ActionRecognizer, data: Path, *, by_camera: bool) -> Clips:
    """Some clips of each label and of actions never trained on.

    Args:
        recognizer: whose network sees them.
        data: folder of the sets.
        by_camera: see each as a made-up single camera would, each as another one.
    """
    card = recognizer.bundle.card
    pool = load_pool(data, EVERYDAY_LABELS, card.preprocessing, hold_still=False)
    unknown = unknown_actions(data, pool)
    pool = _some(pool)
    sequences = [*map(pool.sequence, range(len(pool))), *(sequence for _, sequence in unknown)]
    if by_camera:
        rng = np.random.default_rng(0)
        sequences = [as_one_camera_sees(each, CameraModel(), rng) for each in sequences]
    names = np.array([pool.label_names[label] for label in pool.labels])
    never_seen = np.array([name for name, _ in unknown])
    windows = [cut_windows(sequence, card.preprocessing) for sequence in sequences]
    runs = [recognizer.run(each.inputs) for each in windows]
    return Clips(
        outputs=Outputs(
            logits=np.concatenate([run.logits for run in runs]),
            representation=np.concatenate([run.representation for run in runs]),
        ),
        seen_frames=tuple(each.seen_frames for each in windows),
        vectors=unit(np.stack([run.representation.mean(axis=0) for run in runs])),
        labels=np.concatenate(
            [[card.labels.index(name) for name in names], np.full(len(unknown), -1)]
        ).astype(np.int64),
        actions=np.concatenate([names, never_seen]),
        measured=np.concatenate([pool.test, ~np.isin(never_seen, for_choosing(never_seen))]),
        card=card,
    )


def _some(pool: Pool) -> Pool:
    """A few labelled clips of each label's training and test split."""
    rng = np.random.default_rng(0)
    chosen = np.zeros(len(pool), bool)
    for label in range(len(pool.label_names)):
        for split in (pool.test, ~pool.test):
            of_both = rng.permutation(np.flatnonzero((pool.labels == label) & split))
            chosen[of_both[:MOST_CLIPS]] = True
    return pool.where(chosen)
