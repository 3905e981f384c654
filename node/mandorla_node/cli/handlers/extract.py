"""`mandorla extract`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mandorla_protocol.errors import Code, NodeError

from . import completion
from .help import manual
from .options import JsonOption

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from ..extract.extraction import Progress, Report

_SHOWN = 10


class ExtractEngine(StrEnum):
    """Who does the work."""

    POLARS = "polars"
    RAY = "ray"


@manual(
    ("All that was seen:", "mandorla extract requests.jsonl --out observed.parquet --map map.toml"),
    (
        "What the accounts did that were closed:",
        "mandorla extract logs/ --accounts closed.txt --out flagged.parquet",
    ),
    (
        "What benign traffic has in common, for --stop-list:",
        "mandorla extract trusted.jsonl --common 10 --out common.csv",
    ),
    files=(
        (
            "mandorla-extract.key",
            "Beside --out, made at the first run. Under the same key a group keeps its name.",
        ),
    ),
    see="`mandorla ingest`; docs/signatures.md, which says what a log must have",
)
def extract(
    logs: Annotated[
        Path,
        typer.Argument(
            metavar="LOGS", help="A log (.jsonl, .csv, .parquet), or a folder of logs.", show_default=False
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE", help="The indicators: .jsonl, .csv or .parquet.", show_default=False
        ),
    ],
    log_map: Annotated[
        Path | None,
        typer.Option("--map", metavar="FILE", help="TOML: what the log's columns and models are called."),
    ] = None,
    engine: Annotated[
        ExtractEngine, typer.Option(metavar="ENGINE", help="polars: this machine; ray: a cluster.")
    ] = ExtractEngine.POLARS,
    types: Annotated[
        str,
        typer.Option(
            metavar="TYPES",
            help="Types, with commas between; without it, all that the logs give.",
            autocompletion=completion.type_lists,
        ),
    ] = "",
    only: Annotated[
        Path | None,
        typer.Option("--accounts", metavar="FILE", help="Accounts, one a line: those alone count."),
    ] = None,
    stop_list: Annotated[
        Path | None,
        typer.Option("--stop-list", metavar="FILE", help="Indicators to leave out, as --common wrote them."),
    ] = None,
    common: Annotated[
        int,
        typer.Option(
            "--common",
            metavar="N",
            help="Write a stop list instead: the fingerprints that N groups or more have, and templates.",
            min=0,
        ),
    ] = 0,
    names: Annotated[
        Path | None,
        typer.Option("--names", metavar="FILE", help="Write the accounts behind each group here."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="The key that names groups: without it, mandorla-extract.key beside --out.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(metavar="N", help="Processes or Ray workers; 0 is one for each core.", min=0)
    ] = 0,
    work: Annotated[
        Path | None,
        typer.Option(
            "--work",
            metavar="FOLDER",
            help="Folder for parts, which all workers see: beside --out, if not given.",
        ),
    ] = None,
    parts: Annotated[
        int, typer.Option(metavar="N", help="Parts; 0 goes by the size of the logs.", min=0, max=1024)
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Make indicators of request logs, for `ingest`.

    Reads logs of any size in bounded memory. A row that cannot be used is reported by file and position, and
    the rest counts. Parts are written on the way, which hold what the logs hold; they are removed at the end.
    """
    try:
        import orjson as _orjson  # noqa: F401 - only asks whether it is there
        import polars as _polars  # noqa: F401
        import pyarrow as _pyarrow  # noqa: F401
    except ImportError as error:
        raise NodeError(
            Code.BAD_CONFIG,
            f"`mandorla extract` needs {error.name}, which is not installed: pip install 'mandorla[extract]'",
        ) from None
    from ..core.worker_pools import worker_pool
    from ..extract.extraction import ExtractionOptions, load_key
    from ..extract.extraction import extract as run
    from ..extract.input_lists import read_accounts, read_stop_list
    from ..extract.log_map import load_map
    from ..extract.plan import chosen_types

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
        _shown() as progress,
        worker_pool(workers, ray=engine is ExtractEngine.RAY, advice=advice) as pool,
    ):
        report = run(options, pool, progress)
    if as_json:
        _write_json(report)
    else:
        _print(report, out)


def _shown() -> AbstractContextManager[Progress]:
    """Draw the progress of each stage, if there is a terminal."""
    from contextlib import contextmanager

    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    from ..terminal import console, interactive

    @contextmanager
    def drawn() -> Iterator[Progress]:
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

    return drawn()


def _print(report: Report, out: Path) -> None:
    from ..terminal import console, count, indented, plural, safe, table

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
        (report.refused_texts, "texts that are no indicator of their column"),
    ):
        if number:
            rows.add_row(count(number), what)
    screen.print(rows)
    for name, number, reason in report.first_bad[:_SHOWN]:
        screen.print(indented(safe(f"{name}, row {number:,}: {reason}", "dim")))
    if report.bad > _SHOWN:
        screen.print(f"  ... and {plural(report.bad - _SHOWN, 'more row')}; --json lists them", style="dim")


def _write_json(report: Report) -> None:
    from ..terminal import write_json

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
