"""Conversion of matches, labels and rows to messages of the Operator service and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mandorla.v1 import operator_pb2
from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.labels import Label, Reason, Severity, Tlp

from ..formats.matches import FoundMatch
from ..formats.rows import IngestRow

if TYPE_CHECKING:
    from ..store import MatchRecord


def label_to(label: Label) -> operator_pb2.Label:
    """Convert a label to a message."""
    return operator_pb2.Label(
        reason=int(label.reason),
        severity=int(label.severity),
        confidence=label.confidence,
        first_seen=label.first_seen,
        expires=label.expires,
        tlp=int(label.tlp),
    )


def label_from(message: operator_pb2.Label) -> Label:
    """Convert a message to a label; raises ValueError for an unknown reason, severity or TLP."""
    return Label(
        reason=Reason(message.reason),
        severity=Severity(message.severity),
        confidence=message.confidence,
        first_seen=message.first_seen,
        expires=message.expires,
        tlp=Tlp(message.tlp),
    )


def kind_name(kind: operator_pb2.Kind.ValueType) -> str:
    """Return the name of a round kind, as in the command line."""
    return operator_pb2.Kind.Name(kind).removeprefix("KIND_").lower()


def match_to(record: MatchRecord) -> operator_pb2.Match:
    """Convert a match to a message."""
    return operator_pb2.Match(
        indicator=operator_pb2.Indicator(type=record.type, value=record.value),
        peer=record.peer_name,
        kind=operator_pb2.Kind.Value(f"KIND_{record.kind.name}"),
        first_matched=record.first_matched,
        label=label_to(record.label),
        round_id=record.round_id,
        group=record.group,
        tokens=record.tokens,
        event=record.event,
    )


def match_from(message: operator_pb2.Match) -> FoundMatch:
    """Convert a message to a match; raises ValueError for an unknown reason, severity or TLP in its label."""
    return FoundMatch(
        type=message.indicator.type,
        value=message.indicator.value,
        peer=message.peer,
        kind=kind_name(message.kind),
        first_matched=message.first_matched,
        label=label_from(message.label),
        round_id=message.round_id,
        group=message.group,
        tokens=message.tokens,
        event=message.event,
    )


def row_to(row: IngestRow) -> operator_pb2.IngestRow:
    """Convert a row of an ingest to a message."""
    return operator_pb2.IngestRow(
        line=row.line, type=row.type, value=row.value, label=label_to(row.label), group=row.group
    )


def row_from(message: operator_pb2.IngestRow) -> IngestRow:
    """Convert a message to a row of an ingest.

    Raises InputError(BAD_LABEL) for an unknown reason, severity or TLP.
    """
    if not message.HasField("label"):
        return IngestRow(message.line, message.type, message.value, group=message.group)
    try:
        label = label_from(message.label)
    except ValueError:
        detail = f"line {message.line}: an unknown reason, severity or TLP"
        raise InputError(Code.BAD_LABEL, detail) from None
    return IngestRow(message.line, message.type, message.value, label, message.group)
