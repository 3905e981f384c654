"""The charts of a study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from ..scenario.paths import Tree
from ..study_options import ATTACK_NAMES
from .charts import Bar, Group, Series, bars, lines, tornado
from .findings import configured, mean, sharing_name
from .tables import number

_CAUSES = {
    "detected": "detection error",
    "linked": "own lab's flag",
    "peer": "peer's flag",
    "reviewed": "review error",
}
_TORNADO_ROWS = 24


@dataclass(frozen=True)
class Figure:
    """A chart with its caption."""

    chart: Markup
    caption: str


def extraction(tree: Tree) -> Markup:
    """Draw how much each cell lets attackers extract."""
    return bars("Exchanges extracted", "exchanges in the whole scenario", _groups(tree, _bar("exchanges")))


def cumulative(tree: Tree) -> Markup:
    """Draw how the extraction adds up over the days."""
    series = []
    for cell in configured(tree):
        total, points = 0.0, [(0.0, 0.0)]
        for day in range(tree["scenario"]["days"]):
            total += sum(lab[day] for campaign in cell["exchanges_by_day"] for lab in campaign)
            points.append((day + 1.0, total))
        series.append(Series(sharing_name(cell), tuple(points)))
    return lines("Extraction over time", "days", "exchanges so far", series)


def harm(tree: Tree) -> Markup:
    """Draw how many honest users are blocked, and why."""
    causes = sorted({cause for cell in tree["cells"] for cause in cell["benign_blocked_by_cause"]})

    def bar(cell: Tree) -> Bar:
        by_cause = cell["benign_blocked_by_cause"]
        parts = tuple(mean(by_cause.get(cause)) or 0.0 for cause in causes)
        whole = cell["benign_blocked"]
        return Bar(sharing_name(cell), parts, whole["low"], whole["high"])

    return bars(
        "Honest users blocked",
        "users, counted once for each lab that blocked them",
        _groups(tree, bar),
        [_CAUSES.get(cause, cause) for cause in causes],
    )


def spread(tree: Tree) -> Figure | None:
    """Draw how fast other labs act after a first flag; None if no other lab met a flagged resource."""
    cells = configured(tree)
    if not cells or not cells[0]["spread"] or not any(mean(cell["spread_pairs"]) for cell in cells):
        return None
    series = [
        Series(sharing_name(cell), tuple((place, step["mean"]) for place, step in enumerate(cell["spread"])))
        for cell in cells
    ]
    places = [(place, _hours(step["hours"])) for place, step in enumerate(cells[0]["spread"])]
    chart = lines(
        "From one lab's flag to another lab's action",
        "time since the first flag",
        "share of pairs in which the other lab has acted",
        series,
        places=places,
        share=True,
    )
    pairs = ", ".join(f"{sharing_name(cell)}: {number(cell['spread_pairs'])}" for cell in cells)
    return Figure(
        chart,
        "A pair is a flagged payment instrument, template or sequence, and another lab that meets it. "
        f"Number of pairs: {pairs}.",
    )


def survival(tree: Tree) -> Markup:
    """Draw how long accounts live."""
    longest = tree["scenario"]["days"] * 24
    series = [
        Series(
            sharing_name(cell),
            (
                (0.0, 1.0),
                *(
                    (step["hours"] / 24, step["mean"])
                    for step in cell["survival"]
                    if step["hours"] <= longest
                ),
            ),
        )
        for cell in configured(tree)
    ]
    return lines("Accounts still alive", "age in days", "share of accounts", series, share=True)


def cost(tree: Tree) -> Markup:
    """Draw what attackers pay for extraction."""
    return bars(
        "Cost of extraction for the attacker",
        "US dollars per 1,000 exchanges",
        _groups(tree, _bar("cost_usd_per_1000_exchanges")),
        write=lambda value: f"{value:.2f}",
    )


def sensitivity(tree: Tree) -> Markup:
    """Draw the reduction at both ends of the assumptions that change it most."""
    rows = [
        (one["parameter"], one["low"], one["at_low"], one["high"], one["at_high"])
        for one in tree["sensitivity"]["parameters"][:_TORNADO_ROWS]
    ]
    return tornado(
        "Reduction of the extraction after the first flag",
        "share, with one assumption changed",
        tree["sensitivity"]["base"],
        rows,
    )


def _groups(tree: Tree, bar: Callable[[Tree], Bar | None]) -> list[Group]:
    """Make a bar of each cell, grouped by attack."""
    groups = []
    for attack, name in ATTACK_NAMES.items():
        made = [bar(cell) for cell in tree["cells"] if cell["attack"] == attack]
        if known := tuple(one for one in made if one is not None):
            groups.append(Group(f"Attackers {name}", known))
    return groups


def _bar(key: str) -> Callable[[Tree], Bar | None]:
    def bar(cell: Tree) -> Bar | None:
        value = cell[key]
        if value is None:
            return None
        return Bar(sharing_name(cell), (value["mean"],), value["low"], value["high"])

    return bar


def _hours(hours: float) -> str:
    return f"{hours:g} h" if hours < 24 else f"{hours / 24:g} d"
