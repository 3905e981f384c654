"""The work of `mandorla extract`. It loads Polars and PyArrow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from ...core.worker_pools import worker_pool
from ...extract.extraction import ExtractionOptions, Progress, Report, load_key
from ...extract.extraction import extract as run
from ...extract.input_lists import read_accounts, read_stop_list
from ...extract.log_map import load_map
from ...extract.plan import chosen_types
from ...terminal import console, count, indented, interactive, plural, safe, table, write_json
from ..commands.extract import ExtractEngine

_SHOWN: Final = 10
"""Rejected rows that are printed one by one."""


def extract(
    logs: Path,
    out: Path,
    log_map: Path | None,
    engine: ExtractEngine,
    types: str,
    only: Path | None,
    stop_list: Path | None,
    common: int,
    names: Path | None,
    key: Path | None,
    workers: int,
    work: Path | None,
    parts: int,
    as_json: bool,
) -> None:
    """Extract indicators from logs, and print the report."""
    options = ExtractionOptions(
        logs,
        out,
        load_map(log_map),
        chosen_types(types),
        load_key(key or out.parent / "mandorla-extract.key"),
        read_accounts(only) if only else None,
        read_stop_list(stop_list) if stop_list else frozenset(),
        common,
        names,
        work,
        parts,
    )
    advice = "Use more --parts or fewer --workers."
    with (
        _progress_bars() as progress,
        worker_pool(workers, ray=engine is ExtractEngine.RAY, advice=advice) as pool,
    ):
        report = run(options, pool, progress)
    if as_json:
        _write_json(report)
    else:
        _print(report, out)


@contextmanager
def _progress_bars() -> Iterator[Progress]:
    """Draw a bar for each stage on a terminal; draw nothing elsewhere."""
    if not interactive():
        yield lambda stage, done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage)
            bars.update(tasks[stage], completed=done, total=total or None)

        yield show


def _print(report: Report, out: Path) -> None:
    screen = console()
    screen.print("Extracted to ", safe(str(out)), ".", sep="")
    rows = table("", "", right=("",))
    rows.show_header, rows.box = False, None
    rows.columns[1].justify = "left"
    rows.add_row(safe(count(report.written), "bold"), "written")
    for number, what in (
        (report.stopped, "left out by the stop list"),
        (report.templates, "templates found"),
        (report.used, "rows of the logs used"),
        (report.bad, "rejected"),
        (report.refused_texts, "texts that are no indicator of their column's type"),
    ):
        if number:
            rows.add_row(count(number), what)
    screen.print(rows)
    for name, number, reason in report.first_bad[:_SHOWN]:
        screen.print(indented(safe(f"{name}, row {number:,}: {reason}", "dim")))
    if report.bad > _SHOWN:
        screen.print(f"  ... and {plural(report.bad - _SHOWN, 'more row')}; --json lists them", style="dim")


def _write_json(report: Report) -> None:
    write_json(
        {
            "rows": report.rows,
            "used": report.used,
            "rejected_total": report.bad,
            "rejected": [
                {"file": name, "row": number, "reason": reason} for name, number, reason in report.first_bad
            ],
            "texts_refused": report.refused_texts,
            "templates": report.templates,
            "stopped": report.stopped,
            "written": report.written,
        }
    )
