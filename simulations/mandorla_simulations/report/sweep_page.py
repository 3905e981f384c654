"""The page of a sweep: one plot, and the table behind it."""

from __future__ import annotations

from html import escape

from ..scenario.paths import Tree
from .charts import Bar, Group, bars
from .page import frame, number, table

_COLUMNS = ("exchanges", "after_first_flag", "accounts", "cost_usd", "benign_blocked", "evaluations")


def sweep_page(tree: Tree) -> str:
    """Return the page."""
    parameters = [name.rpartition(".")[2].replace("_", " ") for name in tree["parameters"]]
    groups = []
    for values in dict.fromkeys(tuple(row["values"]) for row in tree["rows"]):
        named = ", ".join(f"{name} {value}" for name, value in zip(parameters, values, strict=True))
        found = [row for row in tree["rows"] if tuple(row["values"]) == values]
        groups.append(
            Group(
                named,
                tuple(
                    Bar(
                        row["sharing"],
                        (row["exchanges"]["mean"],),
                        row["exchanges"]["low"],
                        row["exchanges"]["high"],
                    )
                    for row in found
                ),
            )
        )
    chart = bars("Exchanges extracted", "exchanges, whole scenario; whiskers are 95 % intervals", groups)
    rows = [
        [*row["values"], row["sharing"], *(number(row[name]) for name in _COLUMNS)] for row in tree["rows"]
    ]
    head = [*tree["parameters"], "sharing", *(name.replace("_", " ") for name in _COLUMNS)]
    return frame(
        tree["title"],
        [
            f"<header><h1>{escape(tree['title'])}</h1></header>",
            f"<section><figure>{chart}</figure></section>",
            f'<section class="wide"><h2>Every point</h2>{table(head, rows)}</section>',
        ],
    )
