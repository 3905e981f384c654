"""Scenarios for tests: the preset `small`, with some parameters changed."""

from __future__ import annotations

from collections.abc import Mapping

from mandorla_simulations.run_record import RunRecord
from mandorla_simulations.scenario.loader import load
from mandorla_simulations.scenario.model import Scenario, Sharing, parse_sharing
from mandorla_simulations.scenario.paths import Tree, replaced
from mandorla_simulations.study import Cell, simulate
from mandorla_simulations.study_options import Attack


def tree(**changes: object) -> Tree:
    """Return the tree of `small`; in names of parameters `__` is a dot, and `campaign_a` is campaign-a."""
    named = {path.replace("__", ".").replace("campaign_", "campaign-"): changes[path] for path in changes}
    return changed(load("small").tree, named)


def changed(start: Tree, changes: Mapping[str, object]) -> Tree:
    """Return a tree with other values, without priors, whose ranges might leave them out."""
    made = {**start, "priors": {}}
    for path, value in changes.items():
        made = {**made, path: value} if path in made else replaced(made, path, value)
    return made


def scenario(**changes: object) -> Scenario:
    """Return `small` with some parameters changed."""
    return Scenario.model_validate(tree(**changes))


def sharing(text: str) -> Sharing:
    """Read a scheme."""
    return Sharing.model_validate(parse_sharing(text))


def run(one: Scenario, scheme: str = "none", seed: int = 7, attack: Attack = Attack.CONFIGURED) -> RunRecord:
    """Run one cell in `fast` fidelity."""
    return simulate(one, Cell(attack, sharing(scheme)), seed)
