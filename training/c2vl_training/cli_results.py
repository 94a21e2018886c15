"""``c2vl-train results``: every row on every set with every seed, and the table of them."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

console = Console()


def results(
    data: Annotated[Path, typer.Option(help="Folder of the skeleton sets.")],
    out: Annotated[Path, typer.Option(help="Folder of all runs and numbers.")] = Path(
        "runs/results"
    ),
    only: Annotated[
        list[str] | None, typer.Option(help="SET/ROW/SEED; may be repeated. All without it.")
    ] = None,
    document: Annotated[
        Path | None,
        typer.Option(help="Markdown file whose table is written anew, with a .json of all cells."),
    ] = None,
    table_only: Annotated[bool, typer.Option(help="Run nothing; write the table.")] = False,
) -> None:
    """Run what is not finished yet, the first seed of everything first.

    An interrupted run goes on when the same command is given again.
    """
    from c2vl_training.results.cell import Bench, run_cell
    from c2vl_training.results.rows import all_cells, cell_named
    from c2vl_training.results.table import finished, tables, write_cells, write_tables

    bench = Bench(data=data, out=out)
    cells = [cell_named(name) for name in only] if only else list(all_cells())
    left = [cell for cell in cells if not bench.file(cell).exists()]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("cells", total=len(cells), completed=len(cells) - len(left))
        for cell in [] if table_only else left:
            progress.update(task, description=cell.name)
            command = f"c2vl-train results --data {data} --out {out} --only {cell.name}"
            made = run_cell(bench, cell, command)
            console.print(f"{cell.name}: {made['numbers']}")
            progress.advance(task)
    if document is not None:
        made_cells = finished(out)
        write_tables(document, tables(made_cells))
        write_cells(document.with_suffix(".json"), made_cells)
        console.print(f"{document}: {len(made_cells)} of {len(all_cells())} cells")
