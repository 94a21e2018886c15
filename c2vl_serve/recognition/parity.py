"""Parity: how far two runtimes agree, as export measured it and the bundle keeps it.

Export writes ``parity.json``; ``c2vl-serve inspect`` shows it. Nothing is decided from it when
serving: there the golden sample decides.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from c2vl_serve.bundle import PARITY
from c2vl_serve.errors import BundleError


@dataclass(frozen=True, kw_only=True, slots=True)
class SetParity:
    """Two runtimes on the whole test split of one set.

    Attributes:
        clips: how many.
        agreement: percent of them that get the same best label.
        reference_top1: percent that the reference gets right.
        candidate_top1: percent that the candidate gets right.
    """

    clips: int
    agreement: float
    reference_top1: float
    candidate_top1: float

    @property
    def drop(self) -> float:
        """Points of accuracy that the candidate loses."""
        return self.reference_top1 - self.candidate_top1


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One runtime against another on the same windows.

    Attributes:
        reference: what is taken for true, such as ``torch fp32``.
        candidate: what is compared with it.
        windows: how many.
        batch_errors: largest difference of logits where windows come so many at a time.
        max_error: largest difference of logits over all windows.
        mean_error: mean absolute difference of logits.
        reference_ms: milliseconds of one window on one thread, median.
        candidate_ms: the same of the candidate.
        sets: test splits, where real clips were given.
    """

    reference: str
    candidate: str
    windows: int
    batch_errors: dict[str, float]
    max_error: float
    mean_error: float
    reference_ms: float
    candidate_ms: float
    sets: dict[str, SetParity]

    @property
    def clips(self) -> int:
        """Test clips of all sets."""
        return sum(entry.clips for entry in self.sets.values())

    @property
    def agreement(self) -> float | None:
        """Percent of all test clips that get the same best label; None without clips."""
        return self._over_clips("agreement")

    @property
    def drop(self) -> float | None:
        """Points of accuracy that the candidate loses over all test clips."""
        return self._over_clips("drop")

    def _over_clips(self, field: str) -> float | None:
        if self.clips == 0:
            return None
        total = sum(entry.clips * getattr(entry, field) for entry in self.sets.values())
        return total / self.clips


@dataclass(frozen=True, kw_only=True, slots=True)
class ParityReport:
    """All comparisons of one export.

    Attributes:
        source: which windows were compared.
        machine: what computed.
        float_layers: layers that int8 left in floating point, by name.
        comparisons: in the order of export.
    """

    source: str
    machine: str
    float_layers: tuple[str, ...]
    comparisons: tuple[Comparison, ...]


def write_parity(path: Path, report: ParityReport) -> None:
    """Write ``parity.json``."""
    text = json.dumps(asdict(report), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_parity(folder: Path) -> ParityReport | None:
    """The parity report of a bundle's folder; None in a bundle that has none.

    Raises:
        BundleError: when there is one but it cannot be read.
    """
    path = folder / PARITY
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        comparisons = tuple(_comparison(entry) for entry in values.pop("comparisons"))
        layers = tuple(values.pop("float_layers"))
        return ParityReport(**values, float_layers=layers, comparisons=comparisons)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BundleError(
            f"{path} is not a parity report: {error}; export the bundle again"
        ) from error


def _comparison(values: dict[str, Any]) -> Comparison:
    sets = {name: SetParity(**entry) for name, entry in values.pop("sets").items()}
    return Comparison(**values, sets=sets)
