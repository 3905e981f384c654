"""`mandorla extract`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .. import completion
from ..help import manual
from ..lazy_commands import handled_by
from ..options import JsonOption


class ExtractEngine(StrEnum):
    """Where the work is done."""

    POLARS = "polars"
    RAY = "ray"


@handled_by(
    "mandorla_node.cli.handlers.extract:extract", requires=("orjson", "polars", "pyarrow"), extra="extract"
)
@manual(
    ("Every indicator in a log:", "mandorla extract requests.jsonl --out observed.parquet --map map.toml"),
    (
        "The indicators of closed accounts:",
        "mandorla extract logs/ --accounts closed.txt --out flagged.parquet",
    ),
    (
        "The indicators that benign traffic shares, for --stop-list:",
        "mandorla extract trusted.jsonl --common 10 --out common.csv",
    ),
    files=(
        (
            "mandorla-extract.key",
            "Beside --out, made by the first run. A group keeps its name for as long as the key stays.",
        ),
    ),
    see="`mandorla ingest`; docs/signatures.md, for the columns of a log",
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
        typer.Option("--map", metavar="FILE", help="TOML: the names of the log's columns and models."),
    ] = None,
    engine: Annotated[
        ExtractEngine, typer.Option(metavar="ENGINE", help="polars: this machine; ray: a cluster.")
    ] = ExtractEngine.POLARS,
    types: Annotated[
        str,
        typer.Option(
            metavar="TYPES",
            help="Types, separated by commas; all types if not given.",
            autocompletion=completion.type_lists,
        ),
    ] = "",
    only: Annotated[
        Path | None,
        typer.Option("--accounts", metavar="FILE", help="Accounts, one per line; all others are ignored."),
    ] = None,
    stop_list: Annotated[
        Path | None,
        typer.Option(
            "--stop-list", metavar="FILE", help="Indicators to leave out: a file that --common wrote."
        ),
    ] = None,
    common: Annotated[
        int,
        typer.Option(
            "--common",
            metavar="N",
            help="Write a stop list instead: templates, and fingerprints of N groups or more.",
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
            help="The key that names groups; mandorla-extract.key beside --out if not given.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(metavar="N", help="Processes or Ray workers; 0: one per core.", min=0)
    ] = 0,
    work: Annotated[
        Path | None,
        typer.Option(
            "--work",
            metavar="FOLDER",
            help="Folder for parts, which every worker can reach; beside --out if not given.",
        ),
    ] = None,
    parts: Annotated[
        int, typer.Option(metavar="N", help="Parts; 0: by the size of the logs.", min=0, max=1024)
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Make indicators from request logs, for `ingest`.

    The command reads logs of any size in bounded memory. It reports an unusable row by file and position, and
    uses the others. It writes parts, which hold the logs' content, and removes them at the end.
    """
