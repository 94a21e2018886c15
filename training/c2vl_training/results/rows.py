"""The rows of the comparison: same small encoder, same budget, and what differs between them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from c2vl_serve.errors import C2VLError
from c2vl_training.config import Member, TrainConfig
from c2vl_training.data.augment import CameraModel
from c2vl_training.data.batches import Sampling
from c2vl_training.model.temporal import SMALL_TEMPORAL
from c2vl_training.pretrain_config import PretrainConfig
from c2vl_training.pretrain_recipes import (
    c2vl,
    c2vl_and_skeletons,
    c2vl_views,
    cross_consistency,
    hard_targets,
    intra_modal,
    skeleton_only,
)

SETS = ("nw_ucla", "utd_mhad", "msr_action3d")
SEEDS = (0, 1, 2)
ENCODER = SMALL_TEMPORAL  # 0.32 M parameters: a run takes a minute or two
NUM_STEPS, BATCH_SIZE = 200, 128

Source = Literal["kinematic", "class-texts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One way to come to an encoder.

    Attributes:
        says: what the table calls it.
        pretraining: its recipe; None for an encoder that is not pretrained.
        source: of the sentences that it learns from.
        starts_from: another row, whose pretrained encoder this one has.
        learns_from: the set that is measured, all of them, or only the others.
        labels: train with labels afterwards (or only, without pretraining).
    """

    says: str
    pretraining: Callable[[], PretrainConfig] | None = None
    source: Source | None = None
    starts_from: str | None = None
    learns_from: Literal["itself", "all", "others"] = "itself"
    labels: bool = False


ROWS: dict[str, Row] = {
    "scratch": Row(says="supervised from scratch", labels=True),
    "random": Row(says="random encoder, frozen"),
    "skeleton_only": Row(says="skeleton-only contrastive", pretraining=skeleton_only),
    "hard_targets": Row(
        says="C2VL, hard targets (a = 0)", pretraining=hard_targets, source="kinematic"
    ),
    "intra_modal": Row(
        says="+ intra-modal self-similarity", pretraining=intra_modal, source="kinematic"
    ),
    "cross_consistency": Row(
        says="+ cross-consistency", pretraining=cross_consistency, source="kinematic"
    ),
    "c2vl": Row(says="+ both, progressive", pretraining=c2vl, source="kinematic"),
    "c2vl_tuned": Row(says="the same, then fine-tuned", starts_from="c2vl", labels=True),
    "class_texts": Row(
        says="C2VL with class texts (supervision)", pretraining=c2vl, source="class-texts"
    ),
    "transfer_skeleton_only": Row(
        says="transfer: skeleton-only on the other sets",
        pretraining=skeleton_only,
        learns_from="others",
    ),
    "transfer_c2vl": Row(
        says="transfer: C2VL on the other sets",
        pretraining=c2vl,
        source="kinematic",
        learns_from="others",
    ),
    "transfer_supervised": Row(
        says="transfer: supervised on the other sets", learns_from="others", labels=True
    ),
    "c2vl_views": Row(
        says="mended: windows as varied as skeleton-only's",
        pretraining=c2vl_views,
        source="kinematic",
    ),
    "c2vl_and_skeletons": Row(
        says="mended: and the skeleton-only objective beside it",
        pretraining=c2vl_and_skeletons,
        source="kinematic",
    ),
    "c2vl_all": Row(
        says="mended: windows as varied, and clips of all three sets",
        pretraining=c2vl_views,
        source="kinematic",
        learns_from="all",
    ),
}
# What says most comes first, so that an unfinished table is of use.
ORDER = (
    "random",
    "skeleton_only",
    "c2vl",
    "scratch",
    "c2vl_views",
    "c2vl_and_skeletons",
    "c2vl_all",
    "hard_targets",
    "c2vl_tuned",
    "transfer_skeleton_only",
    "transfer_c2vl",
    "intra_modal",
    "cross_consistency",
    "class_texts",
    "transfer_supervised",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One run: a row on a set with a seed."""

    set_name: str
    row: str
    seed: int

    @property
    def name(self) -> str:
        """As on the command line and in file names."""
        return f"{self.set_name}/{self.row}/{self.seed}"

    @property
    def learned_from(self) -> tuple[str, ...]:
        """The sets whose training clips are learned from."""
        return {
            "itself": (self.set_name,),
            "all": SETS,
            "others": tuple(name for name in SETS if name != self.set_name),
        }[ROWS[self.row].learns_from]


def all_cells() -> tuple[Cell, ...]:
    """Every cell, the first seed of everything first."""
    return tuple(
        Cell(set_name=set_name, row=row, seed=seed)
        for seed in SEEDS
        for row in ORDER
        for set_name in SETS
    )


def cell_named(name: str) -> Cell:
    """The cell that :attr:`Cell.name` names.

    Raises:
        C2VLError: naming what there is.
    """
    known = {cell.name: cell for cell in all_cells()}
    if name not in known:
        raise C2VLError(
            f"unknown cell {name!r}; expected SET/ROW/SEED of the sets {', '.join(SETS)}, the "
            f"rows {', '.join(ROWS)} and the seeds {', '.join(map(str, SEEDS))}"
        )
    return known[name]


def pretrain_config(row: Row, seed: int) -> PretrainConfig:
    """The row's recipe at the size of this comparison."""
    assert row.pretraining is not None
    return replace(
        row.pretraining(),
        encoder=ENCODER,
        num_steps=NUM_STEPS,
        batch_size=BATCH_SIZE,
        seed=seed,
    )


def supervised_config(set_names: tuple[str, ...], seed: int) -> TrainConfig:
    """Training with labels, of the same size and length."""
    return TrainConfig(
        name="scratch",
        version="0",
        description="A row of the comparison.",
        labels={name: {} for name in set_names},
        hold_still=False,
        sampling=Sampling(mirror=0.0, camera=CameraModel(probability=0.3), cut=0.2),
        members=(Member(encoder=ENCODER, num_steps=NUM_STEPS, batch_size=BATCH_SIZE),),
        schedule_share=1.0,
        ema=0.98,
        seed=seed,
    )
