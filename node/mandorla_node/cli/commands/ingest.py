"""`mandorla ingest`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer

from mandorla_protocol.errors import Code

from .. import completion
from ..help import manual, status
from ..lazy_commands import handled_by
from ..options import HomeOption, JsonOption

_LABEL_PANEL: Final = "Label of rows without their own"


class IngestSet(StrEnum):
    """The set that takes the indicators."""

    FLAGGED = "flagged"
    OBSERVED = "observed"


class IngestFormat(StrEnum):
    """The format of a list."""

    PLAIN = "plain"
    CSV = "csv"
    JSONL = "jsonl"
    JSON = "json"
    PARQUET = "parquet"
    STIX = "stix"
    MISP = "misp"


@handled_by("mandorla_node.cli.handlers.ingest:ingest")
@manual(
    (
        "Malicious addresses, one per line:",
        "mandorla ingest bad.txt --as flagged --type ipv4 --expires 30d",
    ),
    ("Observed indicators; each row names its type:", "mandorla ingest observed.parquet --as observed"),
    (
        "The output of a program, for as long as it runs:",
        "tail -F sign-ups.jsonl | mandorla ingest - --as observed --format jsonl",
    ),
    exit_status=(status(Code.BAD_ROWS, "with --strict; nothing was stored."),),
    see="`mandorla extract`, `mandorla matches`; docs/formats.md",
)
def ingest(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The list; -: standard input.", show_default=False)
    ],
    home: HomeOption,
    target: Annotated[
        IngestSet,
        typer.Option(
            "--as",
            metavar="SET",
            help="flagged: judged malicious. observed: seen, and not judged.",
            show_default=False,
        ),
    ],
    kind: Annotated[
        str,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Type of the rows that name none.",
            show_default=False,
            autocompletion=completion.types,
        ),
    ] = "",
    written_as: Annotated[
        IngestFormat | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="plain, csv, jsonl, json, parquet, stix or misp; by the extension if not given.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Store nothing if any row is bad.")] = False,
    suppress: Annotated[
        bool,
        typer.Option(
            "--suppress/--no-suppress",
            help="Hold back shared infrastructure, such as public resolvers and clouds.",
        ),
    ] = True,
    reason: Annotated[
        str,
        typer.Option(
            metavar="REASON",
            help="Why it was flagged: distillation, payment-fraud, disposable-identity, "
            "proxy-infrastructure or abuse.",
            autocompletion=completion.reasons,
            rich_help_panel=_LABEL_PANEL,
        ),
    ] = "",
    severity: Annotated[
        str,
        typer.Option(
            metavar="SEVERITY",
            help="low, medium, high or critical.",
            autocompletion=completion.severities,
            rich_help_panel=_LABEL_PANEL,
        ),
    ] = "",
    confidence: Annotated[
        str,
        typer.Option(metavar="PERCENT", help="0 to 100.", rich_help_panel=_LABEL_PANEL),
    ] = "",
    expires: Annotated[
        str,
        typer.Option(
            metavar="WHEN",
            help="A date, an RFC 3339 time, or a time from now: 30d, 12h.",
            rich_help_panel=_LABEL_PANEL,
        ),
    ] = "",
    tlp: Annotated[
        str,
        typer.Option(
            metavar="TLP",
            help="How far the peer may pass it on: clear, green, amber, amber-strict or red.",
            autocompletion=completion.tlps,
            rich_help_panel=_LABEL_PANEL,
        ),
    ] = "",
    group: Annotated[
        str,
        typer.Option(metavar="ID", help="Group of the rows that name none.", show_default=False),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Take in a list: plain, CSV, JSON Lines, Parquet, a STIX 2.1 bundle or a MISP event.

    CSV (with a header), JSON Lines and Parquet have the fields value, type, reason, severity, confidence,
    first_seen, expires, tlp and group; only value is required. The command recognises STIX, MISP and gzip by
    the content of the file. A group is this lab's own id for the source of several fingerprints, such as one
    prompt: matches show it, and peers never see it. Types that need several matches per group require one;
    types that are not fingerprints ignore it.

    The command reports an unusable row by position and reason, and stores the others. It holds back shared
    infrastructure from the flagged set, and counts it. The node may be running or stopped.
    """
