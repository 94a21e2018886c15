"""The parity report: whole there and back, and what it sums up."""

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from c2vl_serve.bundle import CARD, PARITY, load_bundle, sha256
from c2vl_serve.errors import BundleError
from c2vl_serve.recognition.parity import (
    Comparison,
    ParityReport,
    SetParity,
    read_parity,
    write_parity,
)
from c2vl_serve.recognition.report_tables import parity_table

REPORT = ParityReport(
    source="test splits of a, b",
    machine="one core",
    float_layers=("first",),
    comparisons=(
        Comparison(
            reference="torch fp32",
            candidate="onnxruntime int8",
            windows=50,
            batch_errors={"1": 0.1, "16": 0.25},
            max_error=0.5,
            mean_error=0.05,
            reference_ms=2.0,
            candidate_ms=0.25,
            sets={
                "a": SetParity(clips=30, agreement=100.0, reference_top1=90.0, candidate_top1=90.0),
                "b": SetParity(clips=10, agreement=90.0, reference_top1=80.0, candidate_top1=70.0),
            },
        ),
    ),
)


def test_there_and_back(tmp_path: Path) -> None:
    write_parity(tmp_path / "parity.json", REPORT)
    assert read_parity(tmp_path) == REPORT


def test_sums_are_over_clips_not_over_sets() -> None:
    (comparison,) = REPORT.comparisons
    assert comparison.clips == 40
    assert comparison.agreement == pytest.approx(97.5)
    assert comparison.drop == pytest.approx(2.5)


def test_a_bundle_need_not_have_one(tmp_path: Path) -> None:
    assert read_parity(tmp_path) is None


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"comparisons": [{}], "float_layers": []}'])
def test_a_report_that_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "parity.json").write_text(content)
    with pytest.raises(BundleError, match=r"parity\.json is not a parity report: .*again"):
        read_parity(tmp_path)


def test_the_table_shows_each_set_and_batch() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(parity_table(REPORT))
    text = console.export_text()
    for part in ("97.50", "batches of 16", "70.00 : 80.00", "in float: first", "0.250 : 2.000"):
        assert part in text


def test_a_changed_report_is_noticed_as_any_file(tmp_path: Path) -> None:
    folder = shutil.copytree(load_bundle("everyday").path, tmp_path / "copy")
    write_parity(folder / PARITY, REPORT)
    card = json.loads((folder / CARD).read_text())
    card["hashes"][PARITY] = sha256(folder / PARITY)
    (folder / CARD).write_text(json.dumps(card))
    assert read_parity(load_bundle(folder).path) == REPORT
    (folder / PARITY).write_text("{}")
    with pytest.raises(BundleError, match="was changed or cut short"):
        load_bundle(folder)
