"""The page of a sweep: one chart, and a table of all results."""

from __future__ import annotations

from typing import Final

from ..scenario.paths import Tree
from .charts import Bar, Group, bars
from .page import render_page
from .tables import Table, number

_COLUMNS: Final = {
    "exchanges": "exchanges",
    "after_first_flag": "exchanges after the first flag",
    "accounts": "accounts",
    "cost_usd": "cost (US dollars)",
    "benign_blocked": "honest users blocked",
    "evaluations": "evaluations",
}
"""The measures of the table, and their names."""


def render_sweep(tree: Tree) -> str:
    """Return the page, given the rows of a sweep as `sweep.as_tree` returns them."""
    rows = [
        (*row["values"], row["sharing"], *(number(row[name]) for name in _COLUMNS)) for row in tree["rows"]
    ]
    head = (*tree["parameters"], "sharing", *_COLUMNS.values())
    return render_page(
        "sweep.html",
        title=tree["title"],
        chart=bars("Exchanges extracted", "exchanges in the whole scenario", _groups(tree)),
        results=Table(head, rows),
    )


def _groups(tree: Tree) -> list[Group]:
    """Make a bar of each row, grouped by the values of the parameters."""
    parameters = [name.rpartition(".")[2].replace("_", " ") for name in tree["parameters"]]
    groups: dict[str, list[Bar]] = {}
    for row in tree["rows"]:
        pairs = zip(parameters, row["values"], strict=True)
        point = ", ".join(f"{name} {value}" for name, value in pairs)
        exchanges = row["exchanges"]
        bar = Bar(row["sharing"], (exchanges["mean"],), exchanges["low"], exchanges["high"])
        groups.setdefault(point, []).append(bar)
    return [Group(point, tuple(made)) for point, made in groups.items()]
