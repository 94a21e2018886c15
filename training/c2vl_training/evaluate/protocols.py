"""A set's own protocol, measured on a frozen encoder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_training.data.pool import Pool, load_pool
from c2vl_training.data.sets import SETS, read_set
from c2vl_training.evaluate.frozen import Split
from c2vl_training.evaluate.representation import ClipWindows


def set_pool(set_names: tuple[str, ...], data: Path, config: PreprocessingConfig) -> Pool:
    """The clips of some sets, labelled with the sets' own classes.

    Raises:
        SequenceError: when a set is unknown or missing.
    """
    labels = {}
    for name in set_names:
        if name not in SETS:
            raise SequenceError(f"{name!r} is no known set; known are {', '.join(SETS)}")
        classes = read_set(name, data).class_names
        labels[name] = {of_set: of_set for of_set in classes}
    return load_pool(data, labels, config, hold_still=False)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Protocol:
    """Windows of both parts of a set, cut once for any number of encoders.

    Attributes:
        pool: all clips of the set.
        windows: of these clips.
        validate: measure on the validation groups instead of the test split, and leave them out
            of training: what choices are made on.
    """

    pool: Pool
    windows: ClipWindows
    validate: bool = False

    @property
    def training(self) -> np.ndarray:
        """True for clips that train."""
        train: np.ndarray = ~self.pool.test
        return train & ~self.pool.validation if self.validate else train

    @property
    def measured(self) -> np.ndarray:
        """True for clips that are measured."""
        return self.pool.validation if self.validate else self.pool.test

    def split(self, encoder: nn.Module) -> Split:
        """Representations of both parts."""
        values = self.windows.representations(encoder)
        return Split(
            train=values[self.training],
            train_labels=self.pool.labels[self.training],
            test=values[self.measured],
            test_labels=self.pool.labels[self.measured],
        )


def protocol_of(
    set_name: str, data: Path, config: PreprocessingConfig, *, validate: bool = False
) -> Protocol:
    """Read a set and cut its windows.

    Raises:
        SequenceError: when the set is unknown or missing.
    """
    pool = set_pool((set_name,), data, config)
    return Protocol(pool=pool, windows=ClipWindows(pool, config), validate=validate)
