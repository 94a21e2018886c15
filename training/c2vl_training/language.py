"""The language part of a checkpoint: what its classifier sees, said in the space of texts.

    windows -> classifier (frozen) -> representation -> LanguageHead -> concept
                                                                          . embeddings of texts

The head learns from the labels' own texts. How far it carries to texts that it never learned
from is measured on whole labels that are left out of its training. The classifier under it has
seen all labels, so this tells what the head can do, not what the bundle knows of a new action.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

from c2vl_serve.errors import C2VLError
from c2vl_training.checkpoint import Checkpoint
from c2vl_training.data.batches import Sampling, WindowSampler
from c2vl_training.data.labels import MIRRORED_LABELS
from c2vl_training.data.pool import Pool
from c2vl_training.evaluate.frozen import zero_shot
from c2vl_training.evaluate.representation import ClipWindows
from c2vl_training.knowledge.towers import TextTower
from c2vl_training.model.language import Language, LanguageHead
from c2vl_training.model.rounding import rounded

# A bare label is a poor sentence; the mean over a few wordings is a better one (Radford et al.,
# ICML 2021, sec. 3.1.4).
WORDINGS = ("{}", "a person is doing this: {}", "someone performs the action {}")
TAUGHT_AT = 0.07  # temperature of the head's training
TEMPERATURES = np.geomspace(0.01, 0.5, 40)  # that serving's is chosen from


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageConfig:
    """How a language head is trained.

    Attributes:
        num_batches: of windows whose representations are learned from.
        batch_size: windows in each.
        num_steps: optimiser steps over these representations.
        learning_rate: of AdamW, falling to 0 along a cosine.
        weight_decay: of AdamW.
        num_folds: parts into which labels are divided, to measure on each what the others teach.
        seed: of all chance.
    """

    num_batches: int = 24
    batch_size: int = 256
    num_steps: int = 300
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    num_folds: int = 5
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """Zero-shot top-1 on test clips of labels that the head did not learn from, in percent.

    Attributes:
        among_held_out: of the fold's own labels, mean over the folds.
        chance: the same for a random answer.
        among_all: of all labels.
        known: of all labels, on clips of labels that the head learned from.
        clips: that were measured.
    """

    among_held_out: float
    chance: float
    among_all: float
    known: float
    clips: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Seen:
    """Representations of windows or clips, and their labels."""

    values: Float32[np.ndarray, "N D"]
    labels: Int64[np.ndarray, " N"]

    def where(self, chosen: np.ndarray) -> "Seen":
        """Those for which ``chosen`` is True."""
        return Seen(values=self.values[chosen], labels=self.labels[chosen])


def text_embeddings(texts: tuple[str, ...], tower: TextTower) -> Float32[np.ndarray, "K E"]:
    """One a text, of unit length: the mean over its wordings."""
    rows = [tower.encode([wording.format(text) for text in texts]) for wording in WORDINGS]
    mean = np.mean(rows, axis=0)
    return (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)


@torch.no_grad()
def seen_windows(
    checkpoint: Checkpoint, pool: Pool, sampling: Sampling, config: LanguageConfig
) -> Seen:
    """Representations of disturbed windows of labelled clips, drawn as in training."""
    sampler = WindowSampler(pool, sampling, MIRRORED_LABELS, config.seed)
    values, labels = [], []
    for batch in range(config.num_batches):
        windows, drawn = sampler.draw(config.batch_size, batch)
        values.append(checkpoint.model(torch.from_numpy(windows))[1].numpy())
        labels.append(drawn)
    return Seen(values=np.concatenate(values), labels=np.concatenate(labels))


def seen_clips(checkpoint: Checkpoint, pool: Pool) -> Seen:
    """Representations of whole clips, the mean over their windows."""
    windows = ClipWindows(pool, checkpoint.preprocessing)
    values = windows.representations(lambda x: checkpoint.model(x)[1])
    return Seen(values=values, labels=pool.labels)


def train_head(
    seen: Seen,
    embeddings: Float32[np.ndarray, "K E"],
    config: LanguageConfig,
    on_step: Callable[[int], None] = lambda _: None,
) -> LanguageHead:
    """Learn to give, for each window, the embedding of its label's text.

    The concept is told apart from the other labels' texts (InfoNCE) and drawn to its own
    (cosine): the first alone would leave its place between texts open, which new texts need.
    """
    torch.manual_seed(config.seed)
    known = np.unique(seen.labels)
    targets = torch.from_numpy(embeddings[known])
    values = torch.from_numpy(seen.values)
    labels = torch.from_numpy(np.searchsorted(known, seen.labels))
    head = LanguageHead(values.shape[1], embeddings.shape[1])
    network = nn.Sequential(nn.Dropout(0.2), head)
    optimiser = torch.optim.AdamW(
        head.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.num_steps)
    for step in range(config.num_steps):
        chosen = torch.randint(len(values), (min(512, len(values)),))
        loss = _loss(network(values[chosen]), targets, labels[chosen])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        on_step(step + 1)
    return rounded(head.eval())


def _loss(
    concepts: Float[Tensor, "N E"], targets: Float[Tensor, "K E"], labels: Int64[Tensor, " N"]
) -> Float[Tensor, ""]:
    cosines = concepts @ targets.T
    own = cosines.gather(1, labels[:, None]).mean()
    return functional.cross_entropy(cosines / TAUGHT_AT, labels) + (1 - own)


@torch.no_grad()
def concepts_of(head: nn.Module, seen: Seen) -> Float32[np.ndarray, "N E"]:
    """What the head says, of unit length."""
    return head(torch.from_numpy(seen.values)).numpy()


def held_out(
    seen: Seen, test: Seen, embeddings: Float32[np.ndarray, "K E"], config: LanguageConfig
) -> HeldOut:
    """Leave each fold of labels out of the head's training once, and measure on its test clips."""
    folds = np.random.default_rng(config.seed).permutation(len(embeddings)) % config.num_folds
    rows = []
    for fold in range(config.num_folds):
        left_out = np.flatnonzero(folds == fold)
        head = train_head(seen.where(folds[seen.labels] != fold), embeddings, config)
        ours, others = (test.where((folds[test.labels] == fold) == flag) for flag in (True, False))
        if len(ours.labels) == 0:
            continue
        among = np.searchsorted(left_out, ours.labels)
        concepts = concepts_of(head, ours)
        rows.append(
            (
                zero_shot(concepts, among, embeddings[left_out]),
                100 / len(left_out),
                zero_shot(concepts, ours.labels, embeddings),
                zero_shot(concepts_of(head, others), others.labels, embeddings),
            )
        )
    among_held_out, chance, among_all, known = (float(v) for v in np.mean(rows, axis=0))
    return HeldOut(
        among_held_out=among_held_out,
        chance=chance,
        among_all=among_all,
        known=known,
        clips=len(test.labels),
    )


def fitted_temperature(
    head: nn.Module, seen: Seen, embeddings: Float32[np.ndarray, "K E"]
) -> float:
    """The temperature with the least log loss over the labels' texts (Guo et al., ICML 2017)."""
    cosines = torch.from_numpy(concepts_of(head, seen) @ embeddings.T)
    labels = torch.from_numpy(seen.labels)
    losses = [functional.cross_entropy(cosines / t, labels).item() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def with_language(
    checkpoint: Checkpoint,
    head: LanguageHead,
    further: tuple[str, ...],
    tower: TextTower,
    temperature: float,
) -> Checkpoint:
    """The checkpoint with a head and a vocabulary: its labels, then the further texts."""
    texts = vocabulary(checkpoint.labels, further)
    language = Language(
        head=head,
        texts=texts,
        embeddings=text_embeddings(texts, tower),
        temperature=temperature,
        encoder=tower.name,
    )
    return replace(checkpoint, language=language)


def zero_shot_top1(checkpoint: Checkpoint, test: Seen) -> float:
    """Top-1 in percent of test clips among all the texts that the checkpoint knows."""
    assert checkpoint.language is not None
    concepts = concepts_of(checkpoint.language.head, test)
    return zero_shot(concepts, test.labels, checkpoint.language.embeddings)


def vocabulary(labels: tuple[str, ...], further: tuple[str, ...]) -> tuple[str, ...]:
    """Labels and further texts, each once whatever its case; no commas, which part questions."""
    texts: dict[str, str] = {}
    for text in (*labels, *further):
        plain = " ".join(text.replace(",", " ").split())
        if plain:
            texts.setdefault(plain.casefold(), plain)
    return tuple(texts.values())


def read_texts(path: Path) -> tuple[str, ...]:
    """One text a line.

    Raises:
        C2VLError: when the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise C2VLError(
            f"texts {path} cannot be read: {error}; give a file with one action phrase a line"
        ) from error
    return tuple(line.strip() for line in lines if line.strip())
