"""The log of a run: a CSV that anything can read, and events for TensorBoard where it is there."""

import csv
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

HEADER = ("step", "measure", "value")


class RunLog:
    """Measures by step, in ``log.csv`` and TensorBoard's own files of one folder.

    A run that was killed goes on from an earlier step: what was noted of later ones is taken out
    when the first new step comes.

    Args:
        folder: made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.path = folder, folder / "log.csv"
        self.begun, self.events = False, None

    def note(self, step: int, measures: Mapping[str, float]) -> None:
        """Add a step."""
        if not self.begun:
            self._begin(step)
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows((step, name, value) for name, value in measures.items())
        if self.events is not None:
            for name, value in measures.items():
                self.events.add_scalar(name, value, step)

    def _begin(self, step: int) -> None:
        kept = [row for row in read_log(self.path) if row[0] < step] if self.path.exists() else []
        beside = self.path.with_suffix(".partial")
        with beside.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([HEADER, *kept])
        beside.replace(self.path)
        self.begun, self.events = True, _events(self.folder, step)

    def close(self) -> None:
        """Let everything reach the disk."""
        if self.events is not None:
            self.events.close()


def read_log(path: Path) -> list[tuple[int, str, float]]:
    """Step, measure and value of every row."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [(int(step), name, float(value)) for step, name, value in rows]


def _events(folder: Path, step: int) -> Any:
    """TensorBoard's writer, or None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.info("no TensorBoard events are written: the package is not installed")
        return None
    return SummaryWriter(str(folder), purge_step=step)
