"""The results' driver: which cells there are, that finished ones stay, and what the table says."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_serve.errors import C2VLError
from c2vl_training.results.rows import ORDER, ROWS, SEEDS, SETS, Cell, all_cells, cell_named
from c2vl_training.results.table import BEGIN, END, finished, tables, write_cells, write_tables


def write_cell(out: Path, row: str, seed: int, **numbers: float) -> None:
    path = out / "nw_ucla" / f"{row}-seed{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    cell = {"set_name": "nw_ucla", "row": row, "seed": seed, "test_clips": 9, "numbers": numbers}
    path.write_text(json.dumps(cell), encoding="utf-8")


def test_every_row_is_run_on_every_set_with_every_seed() -> None:
    assert set(ORDER) == set(ROWS)
    cells = all_cells()
    assert len({cell.name for cell in cells}) == len(cells) == len(ROWS) * len(SETS) * len(SEEDS)
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)
    assert cell_named("utd_mhad/c2vl/1") == Cell(set_name="utd_mhad", row="c2vl", seed=1)
    with pytest.raises(C2VLError, match="unknown cell 'utd/c2vl/1'; expected SET/ROW/SEED"):
        cell_named("utd/c2vl/1")


def test_transfer_never_learns_from_what_it_is_measured_on() -> None:
    for cell in all_cells():
        transfers = ROWS[cell.row].learns_from == "others"
        assert (cell.set_name in cell.learned_from) != transfers


def test_the_table_has_mean_spread_and_what_was_not_run(tmp_path: Path) -> None:
    write_cell(tmp_path, "c2vl", 0, linear=70.0, knn=50.0)
    write_cell(tmp_path, "c2vl", 1, linear=74.0, knn=50.0)
    write_cell(tmp_path, "random", 0, linear=41.26)
    text = tables(finished(tmp_path))
    (c2vl,) = [line for line in text.splitlines() if "(`c2vl`)" in line and "72.0" in line]
    assert "| 2/3 | 72.0 ± 2.8 | 50.0 ± 0.0 |" in c2vl
    assert any("(`random`) | 1/3 | 41.3 |" in line for line in text.splitlines())
    assert any("(`scratch`) | 0/3 | not run | not run |" in line for line in text.splitlines())
    assert "### utd_mhad (no test clips)" in text


def test_the_document_keeps_what_is_around_the_table(tmp_path: Path) -> None:
    document = tmp_path / "results.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    write_tables(document, "new")
    assert document.read_text(encoding="utf-8") == f"before\n{BEGIN}\n\nnew\n{END}\nafter\n"
    document.write_text("nothing", encoding="utf-8")
    with pytest.raises(C2VLError, match="has no place for the tables"):
        write_tables(document, "new")


def test_every_number_is_kept_with_its_command(tmp_path: Path) -> None:
    cell = {"row": "c2vl", "numbers": {"linear": 70.0}, "command": "c2vl-train results"}
    write_cells(tmp_path / "results.json", [{**cell, "pretraining": {"queue": 1024}}])
    assert json.loads((tmp_path / "results.json").read_text()) == [cell]
