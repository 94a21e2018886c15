"""Parity and speed as tables for people; shown by the command lines of serving and export."""

from itertools import groupby

from rich.table import Table

from c2vl_serve.recognition.bench import Speed
from c2vl_serve.recognition.parity import Comparison, ParityReport


def parity_table(report: ParityReport) -> Table:
    """Who was compared with whom: a row for all windows, then each batch and each test split.

    Where two runtimes stand side by side, the reference comes second.
    """
    left = f"; in float: {', '.join(report.float_layers)}" if report.float_layers else ""
    table = Table(
        title="parity",
        title_justify="left",
        caption=f"{report.source}; {report.machine}{left}",
        caption_justify="left",
    )
    table.add_column("compared", overflow="fold")
    for column in ("clips", "error", "same label %", "top-1 %", "ms a window"):
        table.add_column(column, justify="right")
    for comparison in report.comparisons:
        _add_comparison(table, comparison)
    return table


def _add_comparison(table: Table, comparison: Comparison) -> None:
    agreement, clips = comparison.agreement, comparison.clips
    table.add_row(
        f"{comparison.candidate} : {comparison.reference}",
        str(clips) if clips else "",
        f"{comparison.max_error:.1e}",
        "" if agreement is None else f"{agreement:.2f}",
        "",
        f"{comparison.candidate_ms:.3f} : {comparison.reference_ms:.3f}",
        style="bold",
    )
    table.add_row("mean error", "", f"{comparison.mean_error:.1e}", "", "", "")
    for batch, error in comparison.batch_errors.items():
        table.add_row(f"batches of {batch}", "", f"{error:.1e}", "", "", "")
    for name, entry in comparison.sets.items():
        top1 = f"{entry.candidate_top1:.2f} : {entry.reference_top1:.2f}"
        table.add_row(name, str(entry.clips), "", f"{entry.agreement:.2f}", top1, "")
    table.add_section()


def bench_table(speeds: list[Speed], peak: float, num_threads: int) -> Table:
    """Speeds batch by batch, each after the first with its ratio to it."""
    names = ", ".join(dict.fromkeys(speed.runtime for speed in speeds))
    table = Table(
        title=f"matrix product: {peak:.0f} GFLOP/s on {num_threads} thread(s)",
        title_justify="left",
        caption=names,
        caption_justify="left",
    )
    table.add_column("bundle", overflow="fold")
    for column in ("batch", "ms", "p99 ms", "windows/s", "GFLOP/s", "of peak", "speed"):
        table.add_column(column, justify="right", no_wrap=True)
    for _, group in groupby(speeds, key=lambda speed: speed.batch):
        first, *others = group
        _add_speed(table, first, "")
        for other in others:
            _add_speed(table, other, f"{first.median_ms / other.median_ms:.2f}x")
    return table


def _add_speed(table: Table, speed: Speed, ratio: str) -> None:
    share = "" if speed.share_of_peak is None else f"{speed.share_of_peak:.0%}"
    table.add_row(
        f"{speed.bundle} {speed.precision}",
        str(speed.batch),
        f"{speed.median_ms:.3f}",
        f"{speed.p99_ms:.3f}",
        f"{speed.windows_per_second:.0f}",
        f"{speed.gflop_per_second:.1f}",
        share,
        ratio,
    )
