"""The kinds of chart: bars with intervals, lines, and a tornado; each has a title, units and a legend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from .svg import DASHES, SHADES, Canvas, Scale, short, ticks

_WIDTH = 640.0
_LEFT = 200.0
_RIGHT = 84.0


@dataclass(frozen=True)
class Bar:
    """A bar: its name, the parts that add up to it, and the confidence interval of the sum."""

    name: str
    parts: tuple[float, ...]
    low: float | None = None
    high: float | None = None

    @property
    def value(self) -> float:
        """The sum of the parts."""
        return sum(self.parts)


@dataclass(frozen=True)
class Group:
    """Bars under one heading."""

    name: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Series:
    """A line: its name and its points."""

    name: str
    points: tuple[tuple[float, float], ...]


def bars(
    title: str,
    unit: str,
    groups: Sequence[Group],
    parts: Sequence[str] = (),
    write: Callable[[float], str] = short,
) -> Markup:
    """Draw horizontal bars; each has its value beside it, and its interval as a whisker."""
    rows = sum(len(group.bars) + (1 if group.name else 0) for group in groups)
    top, row = 34.0 + (18 if parts else 0), 24.0
    height = top + rows * row + 34
    highest = max((bar.high or bar.value for group in groups for bar in group.bars), default=0.0)
    marks = ticks(highest)
    x = Scale(0, marks[-1], _LEFT, _WIDTH - _RIGHT)
    values = "; ".join(
        f"{group.name} {bar.name}: {write(bar.value)}" for group in groups for bar in group.bars
    )
    canvas = Canvas(_WIDTH, height, title, f"{unit}. {values}")
    _heading(canvas, title, unit)
    _legend(canvas, parts, 40.0)
    for mark in marks:
        canvas.line(x(mark), top, x(mark), top + rows * row, "grid")
        canvas.text(x(mark), top + rows * row + 16, short(mark), "tick", "middle")
    y = top
    for group in groups:
        if group.name:
            canvas.text(0, y + 17, group.name, "group")
            y += row
        for bar in group.bars:
            canvas.text(_LEFT - 8, y + 16, bar.name, "t", "end")
            at = 0.0
            for number, part in enumerate(bar.parts):
                shade = f"f{number % SHADES}"
                canvas.rect(x(at), y + 5, x(at + part) - x(at), row - 10, shade, f"{bar.name}: {write(part)}")
                at += part
            end = x(bar.value)
            if bar.low is not None and bar.high is not None:
                low, high = x(max(0.0, bar.low)), x(bar.high)
                canvas.line(low, y + row / 2, high, y + row / 2, "whisker")
                for place in (low, high):
                    canvas.line(place, y + 8, place, y + row - 8, "whisker")
                end = max(end, high)
            canvas.text(end + 6, y + 16, write(bar.value), "value")
            y += row
    return canvas.render()


def lines(
    title: str,
    x_unit: str,
    y_unit: str,
    series: Sequence[Series],
    *,
    places: Sequence[tuple[float, str]] = (),
    share: bool = False,
) -> Markup:
    """Draw lines with their names at their ends; `places` are the ticks of x if round numbers do not fit."""
    height, top, bottom = 330.0, 52.0, 46.0
    points = [point for one in series for point in one.points]
    marks = ticks(1.0 if share else max((y for _, y in points), default=0.0))
    longest = max((x for x, _ in points), default=1.0) or 1.0
    along = list(places) or [(mark, short(mark)) for mark in ticks(longest, 6) if mark <= longest]
    right = 224.0
    x = Scale(0, longest, 56, _WIDTH - right)
    y = Scale(0, marks[-1], height - bottom, top)
    values = "; ".join(f"{one.name} ends at {short(one.points[-1][1])}" for one in series if one.points)
    canvas = Canvas(_WIDTH, height, title, f"{y_unit} over {x_unit}. {values}")
    _heading(canvas, title, y_unit)
    for mark in marks:
        canvas.line(56, y(mark), _WIDTH - right, y(mark), "grid")
        canvas.text(50, y(mark) + 4, f"{mark:.0%}" if share else short(mark), "tick", "end")
    for place, name in along:
        canvas.text(x(place), height - bottom + 16, name, "tick", "middle")
    canvas.text((56 + _WIDTH - right) / 2, height - 8, x_unit, "tick", "middle")
    ends = _apart([y(one.points[-1][1]) if one.points else y(0) for one in series], 15)
    for number, (one, end) in enumerate(zip(series, ends, strict=True)):
        dash = DASHES[number % len(DASHES)]
        canvas.path([(x(at), y(value)) for at, value in one.points], f"line l{number % SHADES}", dash)
        canvas.path([(_WIDTH - right + 8, end), (_WIDTH - right + 30, end)], f"line l{number % SHADES}", dash)
        canvas.text(_WIDTH - right + 35, end + 4, one.name, "value")
    return canvas.render()


def tornado(title: str, unit: str, base: float, rows: Sequence[tuple[str, str, float, str, float]]) -> Markup:
    """Draw how a share moves from `base`.

    A row holds a name, and for each end of its range the value and the share there.
    """
    row, top, left, right = 24.0, 52.0, 250.0, 40.0
    width = 760.0
    height = top + len(rows) * row + 40
    shares = [base, *(share for _, _, low, _, high in rows for share in (low, high))]
    marks = ticks(max(shares), 5, min(0.0, *shares))
    x = Scale(marks[0], marks[-1], left, width - right)
    values = "; ".join(
        f"{name} at {at_low}: {low:.0%}, at {at_high}: {high:.0%}"
        for name, at_low, low, at_high, high in rows
    )
    canvas = Canvas(width, height, title, f"{unit}. {values}")
    _heading(canvas, title, unit)
    for mark in marks:
        canvas.line(x(mark), top, x(mark), height - 38, "grid")
        canvas.text(x(mark), height - 22, f"{mark:.0%}", "tick", "middle")
    canvas.line(x(base), top - 6, x(base), height - 38, "whisker")
    canvas.text(x(base), top - 10, f"the scenario: {base:.0%}", "tick", "middle")
    for number, (name, at_low, low, at_high, high) in enumerate(rows):
        y = top + number * row
        canvas.text(left - 8, y + 16, name, "t", "end")
        ends = [(low, "f2", at_low), (high, "f0", at_high)]
        # If both ends are on one side of the base, the longer bar must not hide the shorter one.
        for share, shade, end in sorted(ends, key=lambda one: -abs(one[0] - base)):
            start = min(x(base), x(share))
            canvas.rect(
                start, y + 5, abs(x(share) - x(base)), row - 10, shade, f"{name} = {end}: {share:.0%}"
            )
    _swatch(canvas, left, height - 14, "f2", "low end of the range")
    _swatch(canvas, left + 200, height - 14, "f0", "high end")
    return canvas.render()


def _heading(canvas: Canvas, title: str, unit: str) -> None:
    canvas.text(0, 14, title, "title")
    canvas.text(0, 29, unit, "tick")


def _legend(canvas: Canvas, names: Sequence[str], y: float) -> None:
    at = 0.0
    for number, name in enumerate(names):
        at = _swatch(canvas, at, y, f"f{number % SHADES}", name)


def _swatch(canvas: Canvas, x: float, y: float, shade: str, name: str) -> float:
    """Explain a fill; return the x at which the next explanation may begin."""
    canvas.rect(x, y, 12, 10, shade)
    canvas.text(x + 17, y + 9, name, "tick")
    return x + 34 + 6.3 * len(name)


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """Move labels apart that would overlap; their order stays."""
    order = sorted(range(len(places)), key=lambda number: places[number])
    moved = list(places)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + gap)
    excess = max(0.0, max(moved, default=0.0) - 284)
    return [place - excess for place in moved]
