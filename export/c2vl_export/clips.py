"""Real clips to compare runtimes on, and to calibrate int8 with: the checkpoint's own sets."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64

from c2vl_serve.errors import BundleError, SequenceError
from c2vl_serve.recognition.parity import SetParity
from c2vl_serve.skeleton.arrays import Logits, ModelInput
from c2vl_serve.skeleton.preprocessing import preprocess
from c2vl_serve.skeleton.sampling import cut_windows
from c2vl_training.checkpoint import Checkpoint
from c2vl_training.data.labels import STILL_LABEL, classes_of
from c2vl_training.data.pool import Pool, load_pool
from c2vl_training.data.sets import SETS
from c2vl_training.evaluate.clips import ClipLogits, sequences_of

CALIBRATION_WINDOWS = 512  # half choose the ranges, half measure what each layer costs


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RealClips:
    """Windows of whole test splits and of some training clips.

    Attributes:
        pool: the test clips.
        clips: their windows, cut as serving cuts them; its logits are not filled in.
        inputs: all those windows end to end.
        calibration: windows of training clips, at random.
        temperature: of the checkpoint's calibration.
        idle: index of the label for standing still.
    """

    pool: Pool
    clips: ClipLogits
    inputs: ModelInput
    calibration: Float32[np.ndarray, "W C T V M"]
    temperature: float
    idle: int | None

    def per_set(self, reference: Logits, candidate: Logits) -> dict[str, SetParity]:
        """How far two runtimes' window logits lead to the same answers, set by set."""
        best = [self._scores(logits).argmax(axis=1) for logits in (reference, candidate)]
        right = [labels == self.pool.labels for labels in best]
        result = {}
        for index, name in enumerate(self.pool.set_names):
            chosen = self.pool.sources == index
            if chosen.any():
                result[name] = SetParity(
                    clips=int(chosen.sum()),
                    agreement=_percent(best[0][chosen] == best[1][chosen]),
                    reference_top1=_percent(right[0][chosen]),
                    candidate_top1=_percent(right[1][chosen]),
                )
        return result

    def _scores(self, logits: Logits) -> Float64[np.ndarray, "clips K"]:
        stops = np.cumsum([len(windows.inputs) for windows in self.clips.windows])[:-1]
        answered = ClipLogits(self.clips.windows, tuple(np.split(logits, stops)))
        return answered.scores(self.temperature, self.idle)


def read_clips(checkpoint: Checkpoint, data: Path, *, seed: int = 0) -> RealClips:
    """The test clips of all sets that the checkpoint learned from, and some training clips.

    Args:
        checkpoint: whose labels, preprocessing and calibration decide.
        data: folder of the sets.
        seed: of the choice of calibration windows.

    Raises:
        BundleError: when the checkpoint's labels are not those of its sets.
        SequenceError: when a set is unknown or missing.
    """
    hold_still = STILL_LABEL in checkpoint.labels
    pool = load_pool(data, _classes(checkpoint), checkpoint.preprocessing, hold_still=hold_still)
    if pool.label_names != checkpoint.labels:
        odd = sorted(set(pool.label_names) ^ set(checkpoint.labels))
        raise BundleError(
            f"the checkpoint has {len(checkpoint.labels)} labels but its sources name "
            f"{len(pool.label_names)} (not in both: {odd}); write it again with c2vl-train"
        )
    known = pool.labels >= 0
    test = pool.where(pool.test & known)
    if len(test) == 0:
        raise SequenceError(f"the sets in {data} hold no test clip of the checkpoint's labels")
    windows = tuple(cut_windows(each, checkpoint.preprocessing) for each in sequences_of(test))
    idle = checkpoint.card["idle_label"]
    return RealClips(
        pool=test,
        clips=ClipLogits(windows, ()),
        inputs=np.concatenate([each.inputs for each in windows]),
        calibration=_some_windows(pool.where(~pool.test & known), np.random.default_rng(seed)),
        temperature=checkpoint.card["calibration"]["temperature"],
        idle=None if idle is None else checkpoint.labels.index(idle),
    )


def _classes(checkpoint: Checkpoint) -> dict[str, dict[str, str]]:
    """For each set its classes and their labels, read back from the card's label sources."""
    classes = classes_of(checkpoint.card["label_sources"])
    for set_name in classes:
        if set_name not in SETS:
            raise SequenceError(
                f"the checkpoint learned from set {set_name!r}, which is not known here; "
                f"known are {', '.join(SETS)}; leave out --data"
            )
    return classes


def _some_windows(pool: Pool, rng: np.random.Generator) -> ModelInput:
    """One window each of randomly chosen clips, in random order."""
    chosen = rng.permutation(len(pool))[:CALIBRATION_WINDOWS]
    return np.concatenate([_one_window(pool, int(clip), rng) for clip in chosen])


def _one_window(pool: Pool, clip: int, rng: np.random.Generator) -> ModelInput:
    sequence, length = pool.sequence(clip), pool.config.num_frames
    start = int(rng.integers(0, max(sequence.num_frames - length, 0) + 1))
    return preprocess(sequence.frames(start, start + length), pool.config)


def _percent(chosen: np.ndarray) -> float:
    return round(100 * float(chosen.mean()), 2)
