"""The reader of plain lists: one value on each line; empty lines and lines that begin with # are skipped."""

from __future__ import annotations

from collections.abc import Iterator

from mandorla_protocol.errors import Code, InputError

from .lines import Line, Source, read_lines
from .rows import IngestRow, RejectedRow, RowDefaults


def read_plain(source: Source, defaults: RowDefaults) -> Iterator[IngestRow | RejectedRow]:
    """Read a plain list. All its values have the default type and group.

    Raises InputError(BAD_INPUT) if there is no default type.
    """
    if not defaults.type:
        raise InputError(Code.BAD_INPUT, "a plain list needs --type")
    for line in read_lines(source):
        if not isinstance(line, Line):
            yield line
            continue
        value = line.text.strip()
        if value and not value.startswith("#"):
            yield IngestRow(line.number, defaults.type, value, defaults.label, defaults.group)
