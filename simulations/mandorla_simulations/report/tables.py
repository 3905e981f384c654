"""The tables of the report, and how it writes numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..scenario.paths import Tree
from .findings import Estimate, configured, find, mean, sharing_name
from .svg import short


@dataclass(frozen=True)
class Table:
    """A table of text."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def number(value: Estimate | None) -> str:
    """Write an estimate with half the width of its interval, on one line; a hyphen if it is not known."""
    center = mean(value)
    if value is None or center is None:
        return "-"
    high = value["high"]
    half = 0.0 if high is None else high - center
    write: Callable[[float], str] = (lambda one: f"{one:,.0f}") if abs(center) < 1e6 else short
    return f"{write(center)}\u00a0±\u00a0{write(half)}" if half >= 0.5 else write(center)


def harm(tree: Tree) -> Table:
    """Show how many honest users each way of sharing blocks."""
    head = ("sharing", "blocked", "more than without sharing", "per 100,000 users")
    return Table(
        head,
        [
            (
                sharing_name(cell),
                number(cell["benign_blocked"]),
                number(cell["benign_blocked_more_than_alone"]),
                _per_100_000_users(cell),
            )
            for cell in configured(tree)
        ],
    )


def matches(tree: Tree) -> Table | None:
    """Show how many indicators of each kind matched; None if no cell shares."""
    cells = [cell for cell in configured(tree) if cell["scheme"] != "none"]
    if not cells:
        return None
    kinds = [kind for kind in cells[0]["matches"] if any(mean(cell["matches"][kind]) for cell in cells)]
    return Table(
        ("indicators that matched", *map(sharing_name, cells)),
        [(kind.replace("_", " "), *(number(cell["matches"][kind]) for cell in cells)) for kind in kinds],
    )


def load(tree: Tree) -> Table | None:
    """Show the cost of the protocol; None if no cell ran it."""
    cells = [cell for cell in configured(tree) if cell["scheme"].startswith("mandorla")]
    if not cells:
        return None
    measures: tuple[tuple[str, str, Callable[[Estimate | None], str]], ...] = (
        ("questions asked", "rounds", number),
        ("questions refused because the budget was spent", "rounds_refused", number),
        ("evaluations, with padding", "evaluations", number),
        ("bytes", "bytes", number),
        ("largest share of a budget that was spent", "budget_spent", _percent),
    )
    return Table(
        ("cost of the protocol", *map(sharing_name, cells)),
        [(name, *(write(cell["load"][key]) for cell in cells)) for name, key, write in measures],
    )


def targets(tree: Tree) -> Table | None:
    """Compare the simulated with the reported volumes; None if nothing can be compared."""
    alone = find(tree, "none")
    if alone is None or not tree["targets"]:
        return None
    names = [campaign["name"] for campaign in tree["scenario"]["campaigns"]]
    rows = []
    for target in tree["targets"]:
        simulated = alone["exchanges_by_campaign"][names.index(target["campaign"])]
        difference = simulated["mean"] / target["exchanges"] - 1
        rows.append(
            (
                target["campaign"],
                f"{target['exchanges']:,}",
                number(simulated),
                f"{difference:+.1%}",
                target["source"],
            )
        )
    head = ("campaign", "reported, at least", "simulated without sharing", "difference", "source")
    return Table(head, rows)


def sensitivity(tree: Tree) -> Table:
    """Show the reduction at both ends of each assumption."""
    return Table(
        ("parameter", "scenario's value", "low end", "reduction", "high end", "reduction"),
        [
            (
                one["parameter"],
                one["value"],
                one["low"],
                f"{one['at_low']:.0%}",
                one["high"],
                f"{one['at_high']:.0%}",
            )
            for one in tree["sensitivity"]["parameters"]
        ],
    )


def reported(tree: Tree) -> Table | None:
    """Show the numbers that are publicly reported; None if there are none."""
    rows = [
        (one["parameter"], one["says"], one["source"]) for one in tree["priors"] if one["kind"] == "reported"
    ]
    return Table(("parameter", "report", "source"), rows) if rows else None


def assumed(tree: Tree) -> Table | None:
    """Show the numbers that are assumed; None if there are none."""
    rows = [
        (one["parameter"], _end(one["low"]), _end(one["high"]), one["why"])
        for one in tree["priors"]
        if one["kind"] == "assumed"
    ]
    return Table(("parameter", "from", "to", "reason"), rows) if rows else None


def _per_100_000_users(cell: Tree) -> str:
    users = mean(cell["benign_users"])
    return f"{(mean(cell['benign_blocked']) or 0) / users * 100_000:,.0f}" if users else "-"


def _percent(value: Estimate | None) -> str:
    share = mean(value)
    return "-" if share is None else f"{share:.0%}"


def _end(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
