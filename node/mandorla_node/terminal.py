"""Output on a terminal or in a pipe: tables, numbers, durations, and text that is safe to print."""

from __future__ import annotations

import json
import os
import sys
from typing import Final

from rich.box import Box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .core.clock import system_clock

PIPED_WIDTH: Final = 100

_RULED: Final = Box("    \n    \n ── \n    \n    \n    \n    \n    \n")
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def console(stderr: bool = False, width: int | None = None) -> Console:
    """Return a console; its width is fixed off a terminal, so that piped output is the same everywhere."""
    stream = sys.stderr if stderr else sys.stdout
    if width is None and not stream.isatty() and "COLUMNS" not in os.environ:
        width = PIPED_WIDTH
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=width)


def interactive() -> bool:
    """Return whether standard error is a terminal that can draw progress."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def write_json(value: object) -> None:
    """Write a value to standard output as JSON."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def table(*columns: str, right: tuple[str, ...] = (), wide: tuple[str, ...] = ()) -> Table:
    """Return a table with a ruled head; columns in `right` hold numbers, those in `wide` may be folded."""
    empty = Table(box=_RULED, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim", show_edge=False)
    for name in columns:
        empty.add_column(
            name,
            justify="right" if name in right else "left",
            no_wrap=name not in wide,
            overflow="fold",
        )
    return empty


def pairs() -> Table:
    """Return a table of names and their values, without a head."""
    empty = Table.grid(padding=(0, 2))
    empty.add_column(style="dim", no_wrap=True)
    empty.add_column(overflow="fold")
    return empty


def safe(text: str, style: str = "") -> Text:
    """Return text without control characters and markup, which could change what the terminal shows."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return Text(text, style=style)


def indented(content: RenderableType, by: int = 2) -> Padding:
    """Indent all lines of a content."""
    return Padding(content, (0, 0, 0, by), expand=False)


def count(number: int) -> str:
    """Format a count."""
    return f"{number:,}"


def size(number: int) -> str:
    """Format a number of bytes, in decimal units."""
    value, unit = float(number), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.{1 if unit and value < 100 else 0}f} {_UNITS[unit]}"


def duration(seconds: float) -> str:
    """Format a duration in seconds."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} days"


def lasted(seconds: int) -> str:
    """Format a duration that was measured in whole seconds."""
    return duration(max(0, seconds)).replace(".0 s", " s")


def ago(moment: int) -> str:
    """Format the time since a moment in Unix seconds; 0 is never."""
    return f"{lasted(system_clock() - moment)} ago" if moment else "never"


def until(moment: int) -> str:
    """Format the time until a moment in Unix seconds."""
    seconds = moment - system_clock()
    return f"in {lasted(seconds)}" if seconds > 0 else "now"


def plural(number: int, one: str, many: str = "") -> str:
    """Format a count with its noun."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"
