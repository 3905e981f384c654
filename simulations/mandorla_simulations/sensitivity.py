"""Sensitivity: the reduction of extraction with one assumption at either end of its range.

The reduction is the share by which extraction after the first flag falls with a watch, against no sharing. If
the scenario has no watch, its last scheme takes the watch's place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from mandorla_node.core.worker_pools import WorkerPool
from mandorla_protocol.errors import Code, InputError

from .measures import Measures
from .results import AssumptionEffect, reduction
from .scenario.loader import LoadedScenario
from .scenario.model import Assumed, Scenario, Scheme, Sharing
from .scenario.paths import End, Tree, lookup, matching, moved
from .study import Cell, Run, measure_run, run_all
from .study_options import Attack


@dataclass(frozen=True)
class SensitivityRun:
    """One run for the reduction with one value of one parameter."""

    parameter: str
    value: str
    chosen: str
    """The value in the scenario."""

    run: Run


def sensitivity_runs(loaded: LoadedScenario, seeds: Sequence[int]) -> list[SensitivityRun]:
    """List the runs, without and with sharing: the scenario itself, and each assumption at both ends."""
    variants: list[tuple[str, str, str, Scenario]] = [("", "", "", loaded.scenario)]
    for path, prior in loaded.scenario.priors.items():
        if isinstance(prior, Assumed):
            for end in (prior.low, prior.high):
                changed = _with(loaded, path, end)
                variants.append((path, _text(end), _chosen(loaded.tree, path), changed))
    return [
        SensitivityRun(path, value, chosen, Run(scenario, Cell(Attack.CONFIGURED, sharing), seed))
        for path, value, chosen, scenario in variants
        for sharing in (Sharing(scheme=Scheme.NONE), _best(loaded.scenario))
        for seed in seeds
    ]


def measure_sensitivity(
    moved: Sequence[SensitivityRun], pool: WorkerPool, done: Callable[[], None]
) -> tuple[float | None, list[AssumptionEffect]]:
    """Run all; return the reduction of the scenario itself, and the effects of assumptions, largest first."""
    if not moved:
        return None, []
    measured = run_all([one.run for one in moved], measure_run, pool, done)
    reductions = _reductions(moved, measured)
    base = reductions.pop(("", ""), None)
    found: dict[str, list[tuple[str, float]]] = {}
    for (parameter, value), share in reductions.items():
        found.setdefault(parameter, []).append((value, share))
    chosen = {one.parameter: one.chosen for one in moved}
    rows = [
        AssumptionEffect(parameter, chosen[parameter], ends[0][0], ends[1][0], ends[0][1], ends[1][1])
        for parameter, ends in found.items()
        if len(ends) == 2
    ]
    return base, sorted(rows, key=lambda row: (-abs(row.at_high - row.at_low), row.parameter))


def _reductions(
    moved: Sequence[SensitivityRun], measured: Sequence[Measures]
) -> dict[tuple[str, str], float]:
    runs: dict[tuple[str, str], dict[bool, list[Measures]]] = {}
    for one, measures in zip(moved, measured, strict=True):
        without = one.run.cell.sharing.scheme is Scheme.NONE
        runs.setdefault((one.parameter, one.value), {}).setdefault(without, []).append(measures)
    reductions = {}
    for key, both in runs.items():
        falls = [reduction(with_it, alone) for with_it, alone in zip(both[False], both[True], strict=True)]
        known = [fall for fall in falls if fall is not None]
        if known:
            reductions[key] = sum(known) / len(known)
    return reductions


def _with(loaded: LoadedScenario, path: str, end: End) -> Scenario:
    try:
        return Scenario.model_validate(moved(loaded.tree, path, end))
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise InputError(
            Code.BAD_CONFIG, f"priors: {_text(end)} is not a possible value of {path}: {reason}"
        ) from None


def _chosen(tree: Tree, pattern: str) -> str:
    """Write the value in the scenario; `as given` if a pattern names several values."""
    values = {_text(lookup(tree, path)) for path in matching(tree, pattern)}
    return values.pop() if len(values) == 1 else "as given"


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _best(scenario: Scenario) -> Sharing:
    shared = [sharing for sharing in scenario.sharing if sharing.scheme is not Scheme.NONE]
    watch = [sharing for sharing in shared if sharing.scheme is Scheme.WATCH]
    return (watch or shared or [Sharing(scheme=Scheme.WATCH)])[-1]
