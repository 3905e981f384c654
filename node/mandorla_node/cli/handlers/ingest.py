"""`mandorla ingest`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from mandorla_protocol.errors import Code, InputError

from . import completion
from .help import manual, status
from .options import HomeOption, JsonOption

if TYPE_CHECKING:
    from mandorla_protocol.labels import Label

    from ..ingest.report import IngestReport

_SHOWN = 10


class IngestSet(StrEnum):
    """Where indicators go."""

    FLAGGED = "flagged"
    OBSERVED = "observed"


class IngestFormat(StrEnum):
    """How a list is written."""

    PLAIN = "plain"
    CSV = "csv"
    JSONL = "jsonl"
    JSON = "json"
    PARQUET = "parquet"
    STIX = "stix"
    MISP = "misp"


@manual(
    (
        "Addresses that were judged, one a line:",
        "mandorla ingest bad.txt --as flagged --type ipv4 --expires 30d",
    ),
    ("What was seen; the rows say their types:", "mandorla ingest observed.parquet --as observed"),
    (
        "For as long as a program writes:",
        "tail -F sign-ups.jsonl | mandorla ingest - --as observed --format jsonl",
    ),
    exit_status=(status(Code.BAD_ROWS, "with --strict, nothing was stored."),),
    see="`mandorla extract`, `mandorla matches`; docs/formats.md",
)
def ingest(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The list; - is standard input.", show_default=False)
    ],
    home: HomeOption,
    target: Annotated[
        IngestSet,
        typer.Option(
            "--as",
            metavar="SET",
            help="flagged: judged malicious. observed: merely seen.",
            show_default=False,
        ),
    ],
    kind: Annotated[
        str,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Type of rows that do not say their own.",
            show_default=False,
            autocompletion=completion.types,
        ),
    ] = "",
    written_as: Annotated[
        IngestFormat | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="plain, csv, jsonl, json, parquet, stix or misp, instead of going by the extension.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Store nothing if any row is bad.")] = False,
    suppress: Annotated[
        bool,
        typer.Option(
            "--suppress/--no-suppress", help="Hold back what many share, such as public resolvers and clouds."
        ),
    ] = True,
    reason: Annotated[
        str,
        typer.Option(
            metavar="REASON",
            help="Why it was flagged: distillation, payment-fraud, disposable-identity, "
            "proxy-infrastructure or abuse.",
            autocompletion=completion.reasons,
            rich_help_panel="Label of rows that do not say their own",
        ),
    ] = "",
    severity: Annotated[
        str,
        typer.Option(
            metavar="SEVERITY",
            help="low, medium, high or critical.",
            autocompletion=completion.severities,
            rich_help_panel="Label of rows that do not say their own",
        ),
    ] = "",
    confidence: Annotated[
        str,
        typer.Option(
            metavar="PERCENT", help="0 to 100.", rich_help_panel="Label of rows that do not say their own"
        ),
    ] = "",
    expires: Annotated[
        str,
        typer.Option(
            metavar="WHEN",
            help="A date, an RFC 3339 time, or how long from now: 30d, 12h.",
            rich_help_panel="Label of rows that do not say their own",
        ),
    ] = "",
    tlp: Annotated[
        str,
        typer.Option(
            metavar="TLP",
            help="How far the peer may pass it on: clear, green, amber, amber-strict or red.",
            autocompletion=completion.tlps,
            rich_help_panel="Label of rows that do not say their own",
        ),
    ] = "",
    group: Annotated[
        str,
        typer.Option(
            metavar="ID", help="Group of fingerprints whose rows do not say their own.", show_default=False
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Take in a list: plain, CSV, JSON Lines, Parquet, a STIX 2.1 bundle or a MISP event.

    CSV (with a header), JSON Lines and Parquet have the fields value, type, reason, severity, confidence,
    first_seen, expires, tlp and group; all but value may be left out. A .json file is STIX or MISP, by its
    content; gzip is seen by its content too. A group is an id of this lab's own for what its fingerprints
    were made from, such as one prompt: matches show it, and peers never see it. Types of which several must
    match need one; types that are no fingerprints pass it over.

    A row that cannot be used is reported by position and reason, and the rest goes in, except that what many
    share is held back from the flagged set, and counted. Works with a running node and with a stopped one.
    """
    from ..formats import Format, RowDefaults, format_of
    from ..home.folder import Home
    from ..ingest.ingestor import require_group
    from . import batch_feed, stream_feed

    given = {"reason": reason, "severity": severity, "confidence": confidence, "tlp": tlp, "expires": expires}
    source_format = Format(written_as.value) if written_as else None if file == "-" else format_of(file)
    if source_format is Format.PLAIN and not kind:
        raise InputError(Code.BAD_INPUT, "a plain list needs --type")
    _require_type(kind)
    if group:
        require_group(group)
    defaults = RowDefaults(kind, _label(given, target), group, target is IngestSet.OBSERVED)
    place, failure = Home.locate(home), None
    with batch_feed.opened(file) as source:
        if file == "-" and not strict and (source_format is None or source_format in stream_feed.STREAMS):
            streamed = stream_feed.stream(place, target.value, source, source_format, defaults, suppress)
            report, failure = streamed.report, streamed.failure
        else:
            report = batch_feed.feed(place, target.value, strict, source, source_format, defaults, suppress)
    if as_json:
        _write_json(report)
    else:
        _print(report, file, target, source_format.unit if source_format else "line")
    if failure is not None:
        raise failure


def _require_type(kind: str) -> None:
    from mandorla_protocol.indicators import REGISTRY

    if kind and kind not in REGISTRY:
        raise InputError(Code.UNKNOWN_TYPE, f"The types are {', '.join(sorted(REGISTRY))}.")


def _label(given: dict[str, str], target: IngestSet) -> Label:
    import re

    from ..core.clock import system_clock
    from ..formats.rows import NO_LABEL, label_from

    if target is IngestSet.OBSERVED and any(given.values()):
        raise InputError(Code.BAD_INPUT, "a label is for --as flagged: what was merely seen carries none")
    if lasting := re.fullmatch(r"([0-9]{1,4})([dh])", given["expires"]):
        seconds = int(lasting[1]) * (86_400 if lasting[2] == "d" else 3_600)
        given = given | {"expires": str(system_clock() + seconds)}
    return label_from(given, NO_LABEL)


def _print(report: IngestReport, file: str, target: IngestSet, unit: str) -> None:
    from ..terminal import console, count, indented, safe, table

    out = console()
    out.print("Ingested ", safe("standard input" if file == "-" else file), f" as {target.value}.", sep="")
    rows = table("", "", right=("",))
    rows.show_header, rows.box = False, None
    rows.columns[1].justify = "left"
    rows.add_row(safe(count(report.added), "bold"), "added")
    for number, what in (
        (report.known, "known before"),
        (report.duplicates, "duplicates of another row"),
        (report.held_back, "held back: many share them (--no-suppress takes them in)"),
        (report.rejected_total, "rejected"),
    ):
        if number:
            rows.add_row(count(number), what)
    out.print(rows)
    for name, number in report.held_by.items():
        out.print(indented(safe(f"{name} held back {number:,}", "dim")))
    for row in report.rejected[:_SHOWN]:
        out.print(indented(safe(f"{unit} {row.line:,}: {row.reason}", "dim")))
    if report.rejected_total > _SHOWN:
        out.print(f"  ... and {report.rejected_total - _SHOWN:,} more; --json lists them", style="dim")


def _write_json(report: IngestReport) -> None:
    from ..terminal import write_json

    write_json(
        {
            "added": report.added,
            "known": report.known,
            "duplicates": report.duplicates,
            "held_back": {"total": report.held_back, "by_list": report.held_by},
            "rejected_total": report.rejected_total,
            "rejected": [
                {"line": row.line, "code": row.code.name, "reason": row.reason} for row in report.rejected
            ],
        }
    )
