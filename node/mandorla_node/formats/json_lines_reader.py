"""The reader of JSON Lines: one object on each line, with the fields of a row; other fields are ignored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NoReturn

from mandorla_protocol.errors import Code

from .lines import Line, Source, read_lines
from .rows import FIELDS, MATCHED, IngestRow, RejectedRow, RowDefaults, make_row


class _RefusedError(ValueError):
    """A line is not a usable object; the message is safe to show."""


def read_json_lines(source: Source, defaults: RowDefaults) -> Iterator[IngestRow | RejectedRow]:
    """Read JSON Lines; an unusable line becomes a `RejectedRow`."""
    for line in read_lines(source):
        if not isinstance(line, Line):
            yield line
        elif line.text.strip():
            try:
                yield make_row(line.number, _fields(line.text), defaults)
            except _RefusedError as error:
                yield RejectedRow(line.number, Code.BAD_INPUT, str(error))


def _fields(text: str) -> dict[str, str]:
    try:
        parsed: object = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except _RefusedError:
        raise
    except RecursionError:
        raise _RefusedError("The JSON is nested too deeply.") from None
    except ValueError:
        # The parser's own message would quote the line.
        raise _RefusedError("The line is not JSON.") from None
    if not isinstance(parsed, dict):
        raise _RefusedError("The line is not a JSON object.")
    fields = {name: _text(name, parsed[name]) for name in FIELDS if name in parsed}
    matched = parsed.get(MATCHED)
    return fields | {MATCHED: matched} if isinstance(matched, str) else fields


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _RefusedError("An object has the same key twice.")
    return fields


def _constant(_name: str) -> NoReturn:
    raise _RefusedError("NaN and Infinity are not JSON.")


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        # JSON can escape half of a surrogate pair, which UTF-8 cannot encode.
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise _RefusedError(f"The field {name} holds half of a surrogate pair.")
        return value
    if isinstance(value, int) and not isinstance(value, bool) and name not in ("type", "value"):
        return str(value)
    raise _RefusedError(f"The field {name} is not a text.")
