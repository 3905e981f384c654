"""Drawings: SVG with a title and a description, scales and ticks. All text is escaped.

Lines and fills stay distinct in print without colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup

DASHES: Final = ("", "7 3", "2 3", "10 3 2 3", "1 4")
"""Lines differ by dash as well as by shade."""

SHADES: Final = 5
"""Fills differ by lightness. The classes f0 to f4 of the style sheet give every second fill a pattern."""


@dataclass
class Canvas:
    """A drawing of a fixed size in its own units, which the page scales to its width."""

    width: float
    height: float
    title: str
    description: str
    _parts: list[Markup] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """Draw a line; `style` names a class."""
        self._add('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>', _n(x1), _n(y1), _n(x2), _n(y2), style)

    def text(self, x: float, y: float, text: str, style: str = "t", anchor: str = "start") -> None:
        """Write text."""
        element = '<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>'
        self._add(element, _n(x), _n(y), style, anchor, text)

    def rect(self, x: float, y: float, width: float, height: float, style: str, tip: str = "") -> None:
        """Draw a rectangle; the browser shows `tip` under the pointer."""
        inner = Markup("<title>{}</title>").format(tip) if tip else ""
        element = '<rect x="{}" y="{}" width="{}" height="{}" class="{}">{}</rect>'
        size = _n(max(0.0, width)), _n(max(0.0, height))
        self._add(element, _n(x), _n(y), *size, style, inner)

    def path(
        self, points: Sequence[tuple[float, float]], style: str, dash: str = "", close: bool = False
    ) -> None:
        """Draw a line through points, or the area that they enclose."""
        if not points:
            return
        drawn = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points) + ("Z" if close else "")
        dashed = Markup(' stroke-dasharray="{}"').format(dash) if dash else ""
        self._add('<path d="{}" class="{}"{}/>', drawn, style, dashed)

    def render(self) -> Markup:
        """Return the drawing."""
        return Markup(
            '<svg viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title><desc>{}</desc>{}</svg>'
        ).format(
            _n(self.width),
            _n(self.height),
            self.title,
            self.title,
            self.description,
            Markup().join(self._parts),
        )

    def _add(self, element: str, *values: object) -> None:
        """Add an element; its values are escaped unless they are markup."""
        self._parts.append(Markup(element).format(*values))  # noqa: S704 - `element` is a literal of this class


@dataclass(frozen=True)
class Scale:
    """Places of quantities on an axis."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a value; a value outside the axis has a place outside it."""
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
