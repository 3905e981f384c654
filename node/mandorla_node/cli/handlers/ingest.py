"""The work of `mandorla ingest`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.indicators import REGISTRY
from mandorla_protocol.labels import Label

from ...core.clock import system_clock
from ...formats import Format, RowDefaults, format_of
from ...formats.rows import NO_LABEL, label_from
from ...home.folder import Home
from ...ingest.ingestor import require_group
from ...ingest.report import IngestReport
from ...store import IndicatorSet
from ...terminal import console, count, indented, safe, table, write_json
from ..commands.ingest import IngestFormat, IngestSet
from .indicator_sink import IndicatorSink
from .list_ingest import ingest_list, list_opened
from .stream_ingest import STREAM_FORMATS, ingest_stream

_SHOWN: Final = 10
"""Rejected rows that are printed one by one."""


def ingest(
    file: str,
    home: Path,
    target: IngestSet,
    kind: str,
    written_as: IngestFormat | None,
    strict: bool,
    suppress: bool,
    reason: str,
    severity: str,
    confidence: str,
    expires: str,
    tlp: str,
    group: str,
    as_json: bool,
) -> None:
    """Ingest a list or a stream, and print the report; raise what ended a stream early after that."""
    given = {"reason": reason, "severity": severity, "confidence": confidence, "tlp": tlp, "expires": expires}
    list_format = Format(written_as.value) if written_as else None if file == "-" else format_of(file)
    if list_format is Format.PLAIN and not kind:
        raise InputError(Code.BAD_INPUT, "a plain list needs --type")
    _require_type(kind)
    if group:
        require_group(group)
    defaults = RowDefaults(kind, _label(given, target), group, target is IngestSet.OBSERVED)
    place, failure = Home.locate(home), None
    with list_opened(file) as source, IndicatorSink(place, IndicatorSet(target.value), suppress) as sink:
        # A strict ingest stores nothing until it has seen its end, so it is none for a stream.
        if file == "-" and not strict and (list_format is None or list_format in STREAM_FORMATS):
            outcome = ingest_stream(sink, source, list_format, defaults)
            report, failure = outcome.report, outcome.failure
        else:
            report = ingest_list(sink, source, strict, list_format, defaults)
    if as_json:
        _write_json(report)
    else:
        _print(report, file, target, list_format.unit if list_format else "line")
    if failure is not None:
        raise failure


def _require_type(kind: str) -> None:
    if kind and kind not in REGISTRY:
        raise InputError(Code.UNKNOWN_TYPE, f"The types are {', '.join(sorted(REGISTRY))}.")


def _label(given: dict[str, str], target: IngestSet) -> Label:
    if target is IngestSet.OBSERVED and any(given.values()):
        raise InputError(Code.BAD_INPUT, "a label is for --as flagged: observed indicators carry none")
    if lifetime := re.fullmatch(r"([0-9]{1,4})([dh])", given["expires"]):
        seconds = int(lifetime[1]) * (86_400 if lifetime[2] == "d" else 3_600)
        given = given | {"expires": str(system_clock() + seconds)}
    return label_from(given, NO_LABEL)


def _print(report: IngestReport, file: str, target: IngestSet, unit: str) -> None:
    out = console()
    out.print("Ingested ", safe("standard input" if file == "-" else file), f" as {target.value}.", sep="")
    rows = table("", "", right=("",))
    rows.show_header, rows.box = False, None
    rows.columns[1].justify = "left"
    rows.add_row(safe(count(report.added), "bold"), "added")
    for number, what in (
        (report.known, "known before"),
        (report.duplicates, "duplicates of another row"),
        (report.held_back, "held back as shared infrastructure (--no-suppress ingests them)"),
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
