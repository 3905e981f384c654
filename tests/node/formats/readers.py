"""What the tests of readers share."""

from __future__ import annotations

import io
import json

from mandorla_node.formats import Format, IngestRow, RejectedRow, RowDefaults, read_rows
from mandorla_node.formats.matches import FoundMatch
from mandorla_protocol.labels import Label

Row = IngestRow | RejectedRow


def read(content: bytes | object, written_as: Format, defaults: RowDefaults | None = None) -> list[Row]:
    """Read bytes, or a value as JSON."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return list(read_rows(io.BytesIO(raw), written_as, defaults or RowDefaults()))


def named(rows: list[Row]) -> list[tuple[int, str, str]]:
    return [(row.line, row.type, row.value) for row in rows if isinstance(row, IngestRow)]


def rejected(rows: list[Row]) -> list[int]:
    return [row.line for row in rows if isinstance(row, RejectedRow)]


def label_of(rows: list[Row]) -> Label:
    (row,) = rows
    assert isinstance(row, IngestRow), row
    return row.label


def match(kind: str, value: str, label: Label | None = None, peer: str = "birch") -> FoundMatch:
    return FoundMatch(kind, value, peer, "shared", 1_790_000_000, label or Label(), b"\x01" * 16)
