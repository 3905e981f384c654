"""The page of a study."""

from __future__ import annotations

from markupsafe import Markup

from ..scenario.paths import Tree
from . import activity_chart, findings, study_charts, tables
from .page import render_page


def render_study(tree: Tree) -> str:
    """Return the page, given the results of a study as `results.as_tree` returns them."""
    scenario, moved = tree["scenario"], tree["sensitivity"]
    computed = bool(moved["parameters"]) and moved["base"] is not None
    return render_page(
        "study.html",
        title=scenario["title"],
        summary=scenario["summary"],
        answer=findings.answer(tree),
        activity=_activity(tree),
        extraction=study_charts.extraction(tree),
        cumulative=study_charts.cumulative(tree),
        harm=study_charts.harm(tree),
        harm_by_sharing=tables.harm(tree),
        spread=study_charts.spread(tree),
        survival=study_charts.survival(tree),
        cost=study_charts.cost(tree),
        matches=tables.matches(tree),
        load=tables.load(tree),
        failures=findings.failures(tree),
        targets=tables.targets(tree),
        sensitivity=study_charts.sensitivity(tree) if computed else None,
        sensitivity_table=tables.sensitivity(tree),
        reported=tables.reported(tree),
        assumed=tables.assumed(tree),
        extent=_extent(tree),
        several_seeds=len(scenario["seeds"]) > 1,
        real_nodes=scenario["fidelity"] == "nodes",
    )


def _activity(tree: Tree) -> Markup:
    """Draw no sharing beside Mandorla, as far as the study has them."""
    alone, shared = findings.find(tree, "none"), findings.best(tree)
    named = [("Without sharing", alone)] if alone else []
    if shared:
        named.append((f"With {findings.sharing_name(shared)}", shared))
    if not named:
        named = [(findings.sharing_name(cell), cell) for cell in tree["cells"][:1]]
    return activity_chart.draw(tree, named)


def _extent(tree: Tree) -> str:
    scenario, seeds = tree["scenario"], tree["scenario"]["seeds"]
    days, labs, fidelity = scenario["days"], len(scenario["labs"]), scenario["fidelity"]
    counted = f"{len(seeds)} seeds from {seeds[0]}" if len(seeds) > 1 else f"seed {seeds[0]}"
    return f"{days} days, {labs} labs, {counted}, fidelity {fidelity}."
