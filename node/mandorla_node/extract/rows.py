"""Rows in a common form: an account, a time, the classes of a step, a prompt, and texts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar

import polars as pl

from mandorla_protocol.fingerprints.steps import Endpoint, ModelClass, Tool, text_size_class

from .log_map import LogMap, classify
from .log_reader import Batch, Faults

TEXTS: Final = ("mail", "address", "payment", "user_agent", "ja4")
"""The columns whose texts are indicators."""

SCHEMA: Final = {
    "account": pl.String,
    "time": pl.Int64,
    "step": pl.UInt64,
    "prompt": pl.String,
    **dict.fromkeys(TEXTS, pl.String),
}
"""`time` is in Unix seconds; `step` is the first five bytes of a step as a number (SPEC A.9)."""

MAX_NAME: Final = 1024
"""The longest name of an account, in characters."""

_MAX_TIME: Final = 1 << 40
_DIGITS: Final = re.compile(r"[0-9]{1,19}")
_SEPARATORS: Final = re.compile(r"[\s,;|]+")

T = TypeVar("T")


class _BadError(ValueError):
    """A value does not fit its column."""


class Rows:
    """Turns rows of a log into frames of `SCHEMA`, and counts bad rows."""

    def __init__(self, log_map: LogMap, faults: Faults) -> None:
        self._map = log_map
        self._faults = faults
        self._endpoint = _Classes(log_map.endpoints, Endpoint.OTHER)
        self._model = _Classes(log_map.models, ModelClass.OTHER)
        self._tool = _Classes(log_map.tools, Tool.OTHER)

    def frame(self, batch: Batch) -> pl.DataFrame:
        """Return the good rows of a batch."""
        columns, bad = batch.columns, dict[int, str]()
        account = _each(
            columns["account"], _name, bad, "The row has no account, or its account is not a name."
        )
        time = _each(columns["time"], self._time, bad, "The time is not RFC 3339 or a number.")
        prompt = _texts(columns["prompt"], bad, "The prompt is not a text.")
        texts = {name: _texts(columns[name], bad, f"The {name} is not a text.") for name in TEXTS}
        endpoints = map(self._endpoint.of, _texts(columns["endpoint"], bad, "The endpoint is not a text."))
        models = map(self._model.of, _texts(columns["model"], bad, "The model is not a text."))
        tools = _each(columns["tools"], self._tools, bad, "The tools are neither a list nor a text.")
        asked, answered = (
            _each(columns[name], _size, bad, f"The {name} is not a size.")
            for name in ("prompt_size", "answer_size")
        )
        scale = self._map.characters
        steps = [
            endpoint << 32
            | model << 24
            | (tool or 0) << 16
            | text_size_class(len(text or "") if size is None else scale * size) << 8
            | text_size_class(scale * (answer or 0))
            for endpoint, model, tool, text, size, answer in zip(
                endpoints, models, tools, prompt, asked, answered, strict=True
            )
        ]
        frame = pl.DataFrame(
            {"account": account, "time": time, "step": steps, "prompt": prompt, **texts}, schema=SCHEMA
        )
        for place in sorted(bad):
            self._faults.add(batch.numbers[place], bad[place])
        return (
            frame.with_row_index().filter(~pl.col("index").is_in(list(bad))).drop("index") if bad else frame
        )

    def _time(self, value: object) -> int:
        seconds = _seconds(value, self._map.ticks)
        if not 0 <= seconds < _MAX_TIME:
            raise _BadError
        return seconds

    def _tools(self, value: object) -> int:
        if value is None or value == "":
            return 0
        names: Iterable[object] = _SEPARATORS.split(value) if isinstance(value, str) else ()
        if isinstance(value, list):
            names = value
        elif not isinstance(value, str):
            raise _BadError
        found = 0
        for name in names:
            if name != "":
                found |= self._tool.of(_text(name))
        return found


class _Classes:
    """The classes of names, with a cache."""

    def __init__(self, patterns: dict[str, int] | object, other: int) -> None:
        self._patterns = patterns if isinstance(patterns, dict) else {}
        self._other = other
        self._known: dict[str, int] = {}

    def of(self, name: str | None) -> int:
        """Return the class of a name."""
        if name is None:
            return 0
        kind = self._known.get(name)
        if kind is None:
            kind = classify(self._patterns, name, self._other)
            # The cache is bounded: a log may have a new name in every row.
            if len(self._known) < 10_000:
                self._known[name] = kind
        return kind


def _each(
    values: Sequence[object], convert: Callable[[object], T | None], bad: dict[int, str], reason: str
) -> list[T | None]:
    """Convert a column; a value that does not fit makes its row bad."""
    made: list[T | None] = []
    for place, value in enumerate(values):
        try:
            made.append(convert(value))
        except _BadError:
            bad.setdefault(place, reason)
            made.append(None)
    return made


def _texts(values: Sequence[object], bad: dict[int, str], reason: str) -> list[str | None]:
    """Convert a column of texts; an empty text is no text."""
    texts = [value for value in values if type(value) is str]
    if len(texts) == len(values) and all(texts):
        return list(texts)
    return _each(values, _text, bad, reason)


def _text(value: object) -> str | None:
    if type(value) is str:
        return value or None
    if value is None:
        return None
    raise _BadError


def _name(value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not 0 < len(text) <= MAX_NAME:
        raise _BadError
    return text


def _size(value: object) -> int | None:
    if value is None or value == "":
        return None
    number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < _MAX_TIME:
        raise _BadError
    return number


def _seconds(value: object, ticks: int) -> int:
    """Return the Unix seconds of a number in ticks, of an RFC 3339 time, or of a date and time."""
    if isinstance(value, str):
        if _DIGITS.fullmatch(value):
            return int(value) // ticks
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise _BadError from None
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return math.floor(aware.timestamp())
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _BadError
    return int(value // ticks)
