"""The chart of activity: exchanges a day at each lab, without and with sharing, side by side on one scale."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ..scenario.paths import Tree
from .svg import SHADES, Canvas, Scale, short, ticks

_PANEL = 520.0
_GAP = 46.0
_LEFT = 62.0
_LANE = 118.0
_TOP = 64.0
_SPACE = 14.0


def draw(tree: Tree, cells: Sequence[tuple[str, Tree]]) -> Markup:
    """Draw the cells, each under its name, with a lane for each lab: exchanges a day, by campaign."""
    scenario = tree["scenario"]
    labs = [lab["name"] for lab in scenario["labs"]]
    campaigns = [campaign["name"] for campaign in scenario["campaigns"]]
    days = scenario["days"]
    width = _LEFT + len(cells) * _PANEL + (len(cells) - 1) * _GAP + 10
    height = _TOP + len(labs) * (_LANE + _SPACE) + 66
    peak = max(
        (_peak(cell["exchanges_by_day"], lab, days) for _, cell in cells for lab in range(len(labs))),
        default=0,
    )
    crowd = max(
        (_peak(cell["accounts_by_day"], lab, days) for _, cell in cells for lab in range(len(labs))),
        default=0,
    )
    totals = "; ".join(f"{name}: {short(cell['exchanges']['mean'])} exchanges" for name, cell in cells)
    title = "Where the attackers are, day by day"
    canvas = Canvas(width, height, title, f"Exchanges a day at each lab, by campaign. {totals}.")
    marks = ticks(peak, 2)
    for number, (name, cell) in enumerate(cells):
        left = _LEFT + number * (_PANEL + _GAP)
        x = Scale(0, days, left, left + _PANEL)
        canvas.text(left, 18, name, "panel")
        canvas.text(
            left,
            36,
            f"{short(cell['exchanges']['mean'])} exchanges, {short(cell['accounts']['mean'])} accounts",
            "tick",
        )
        for lab, lab_name in enumerate(labs):
            top = _TOP + lab * (_LANE + _SPACE)
            y = Scale(0, marks[-1], top + _LANE, top)
            for mark in marks:
                canvas.line(left, y(mark), left + _PANEL, y(mark), "grid")
                if number == 0:
                    canvas.text(left - 6, y(mark) + 4, short(mark), "tick", "end")
            _stack(canvas, cell["exchanges_by_day"], lab, x, y)
            accounts = Scale(0, crowd or 1, top + _LANE, top)
            line = [
                (x(day + 0.5), accounts(sum(one[lab][day] for one in cell["accounts_by_day"])))
                for day in range(days)
            ]
            canvas.path(line, "line accounts", "3 2")
            canvas.text(left + _PANEL - 4, top + 9, lab_name, "lane", "end")
            for release in scenario["labs"][lab]["releases_days"]:
                canvas.path(
                    [(x(release) - 5, top - 2), (x(release) + 5, top - 2), (x(release), top + 7)],
                    "mark",
                    close=True,
                )
                canvas.text(x(release) - 8, top + 6, "release", "lane", "end")
        _flags(canvas, cell, x, _TOP + len(labs) * (_LANE + _SPACE) - _SPACE)
        bottom = _TOP + len(labs) * (_LANE + _SPACE)
        for mark in ticks(days, 6):
            if mark <= days:
                canvas.text(x(mark), bottom + 2, short(mark), "tick", "middle")
        canvas.text(left + _PANEL / 2, bottom + 17, "days", "tick", "middle")
    _key(canvas, campaigns, crowd, height - 24)
    return canvas.render()


def _stack(canvas: Canvas, series: list[list[list[float]]], lab: int, x: Scale, y: Scale) -> None:
    """Stack the campaigns' exchanges at one lab as areas."""
    days = len(series[0][lab]) if series else 0
    below = [0.0] * days
    for number, campaign in enumerate(series):
        above = [low + made for low, made in zip(below, campaign[lab], strict=True)]
        upper = [(x(day + step), y(value)) for day, value in enumerate(above) for step in (0, 1)]
        lower = [(x(day + step), y(value)) for day, value in enumerate(below) for step in (0, 1)]
        canvas.path([*upper, *reversed(lower)], f"f{number % SHADES} area", close=True)
        below = above


def _flags(canvas: Canvas, cell: Tree, x: Scale, bottom: float) -> None:
    """Mark the first flag, at any lab, on a resource of a campaign."""
    firsts = [flag["mean"] for flag in cell["first_flag_days"] if flag]
    if firsts:
        first = min(firsts)
        canvas.line(x(first), _TOP - 12, x(first), bottom, "flag")
        canvas.text(x(first) + 4, _TOP - 5, "first flag at any lab", "tick")


def _key(canvas: Canvas, campaigns: Sequence[str], crowd: float, y: float) -> None:
    at = _LEFT
    for number, name in enumerate(campaigns):
        canvas.rect(at, y, 14, 11, f"f{number % SHADES}")
        canvas.text(at + 19, y + 10, f"exchanges a day of {name}", "tick")
        at += 40 + 6.4 * (len(name) + 19)
    canvas.path([(at, y + 6), (at + 26, y + 6)], "line accounts", "3 2")
    canvas.text(at + 32, y + 10, f"accounts alive (a lane is {short(crowd)} high)", "tick")


def _peak(series: list[list[list[float]]], lab: int, days: int) -> float:
    return max((sum(campaign[lab][day] for campaign in series) for day in range(days)), default=0.0)
