"""Drawing: a canvas of SVG with a title and a description, scales, ticks, and fills that read in grey."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

DASHES: Final = ("", "7 3", "2 3", "10 3 2 3", "1 4")
"""Lines differ by dash as well as by shade."""

SHADES: Final = 5
"""Fills differ by lightness; the classes f0 to f4 of the style sheet give every second one a pattern."""


@dataclass
class Canvas:
    """A drawing of a fixed size in its own units, which the page scales to the room that there is."""

    width: float
    height: float
    title: str
    description: str
    _parts: list[str] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """Draw a line; `style` names a class."""
        self._parts.append(f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" class="{style}"/>')

    def text(self, x: float, y: float, said: str, style: str = "t", anchor: str = "start") -> None:
        """Write text."""
        self._parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}" class="{style}" text-anchor="{anchor}">{escape(said)}</text>'
        )

    def rect(self, x: float, y: float, width: float, height: float, style: str, tip: str = "") -> None:
        """Draw a rectangle; `tip` shows when it is pointed at."""
        inner = f"<title>{escape(tip)}</title>" if tip else ""
        self._parts.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(max(0.0, width))}" height="{_n(max(0.0, height))}" '
            f'class="{style}">{inner}</rect>'
        )

    def path(
        self, points: Sequence[tuple[float, float]], style: str, dash: str = "", close: bool = False
    ) -> None:
        """Draw a line through points, or the area within them."""
        if not points:
            return
        drawn = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points) + ("Z" if close else "")
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(f'<path d="{drawn}" class="{style}"{dashed}/>')

    def render(self) -> str:
        """Return the drawing."""
        return (
            f'<svg viewBox="0 0 {_n(self.width)} {_n(self.height)}" role="img" '
            f'aria-label="{escape(self.title)}"><title>{escape(self.title)}</title>'
            f"<desc>{escape(self.description)}</desc>{''.join(self._parts)}</svg>"
        )


@dataclass(frozen=True)
class Scale:
    """From a quantity to a place."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a value; values outside stay outside."""
        span = self.high - self.low
        return self.start + (value - self.low) / span * (self.end - self.start) if span else self.start


def ticks(high: float, count: int = 4, low: float = 0.0) -> list[float]:
    """Return round values from `low` to at least `high`, about `count` of them."""
    if high <= low:
        return [low, low + 1]
    raw = (high - low) / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * unit for unit in (1, 2, 2.5, 5, 10) if power * unit >= raw * 0.999)
    first = math.floor(low / step)
    last = math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def short(value: float) -> str:
    """Write a number for an axis: 2.5 M, 40 k, 0.3."""
    for unit, name in ((1e9, " bn"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= unit * 0.9995:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
