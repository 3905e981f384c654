"""The results of a study: estimates over seeds, written as JSON and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TextIO

import numpy as np

from .kinds import ResourceKind
from .measures import SPREAD_HOURS, SURVIVAL_HOURS, Measures, Numbers
from .scenario.loader import LoadedScenario
from .scenario.model import Reported, Scenario, Scheme
from .scenario.paths import Tree
from .scenario.units import DAY
from .statistics import Estimate, estimate, estimate_known
from .study import Cell
from .study_options import Attack

FORMAT: Final = "mandorla simulation 1"


@dataclass(frozen=True)
class CellResult:
    """The measures of a cell, one for each seed, in the order of the seeds."""

    cell: Cell
    measures: list[Measures]


@dataclass(frozen=True)
class AssumptionEffect:
    """The reduction of extraction with one assumption at either end of its range."""

    parameter: str
    value: str
    low: str
    high: str
    at_low: float
    at_high: float


@dataclass(frozen=True)
class StudyResults:
    """The results of all cells of a study."""

    loaded: LoadedScenario
    fidelity: str
    seeds: list[int]
    cells: list[CellResult]
    seconds: float
    sensitivity: list[AssumptionEffect]
    sensitivity_base: float | None = None

    @property
    def scenario(self) -> Scenario:
        """The scenario of the study."""
        return self.loaded.scenario

    def find(self, scheme: Scheme, attack: Attack = Attack.CONFIGURED) -> CellResult | None:
        """Return the cell of a scheme; of batches, that with the shortest period."""
        fitting = [
            result
            for result in self.cells
            if result.cell.attack is attack and result.cell.sharing.scheme is scheme
        ]
        return min(fitting, key=lambda result: result.cell.sharing.period, default=None)

    def reduction(self, result: CellResult) -> Estimate | None:
        """Estimate the reduction of extraction after the first flag against no sharing, seed by seed."""
        base = self.find(Scheme.NONE, result.cell.attack)
        if base is None:
            return None
        return estimate_known(
            [
                reduction(with_it, without)
                for with_it, without in zip(result.measures, base.measures, strict=True)
            ]
        )

    def extra_harm(self, result: CellResult) -> Estimate | None:
        """Estimate how many more honest users are blocked than without sharing, seed by seed."""
        base = self.find(Scheme.NONE, result.cell.attack)
        if base is None:
            return None
        pairs = zip(result.measures, base.measures, strict=True)
        return estimate(
            [float(with_it.benign_blocked - without.benign_blocked) for with_it, without in pairs]
        )

    def rotation_gain(self) -> Estimate | None:
        """Estimate how much more rotation extracts than a stay at one lab, without sharing, seed by seed."""
        rotating, staying = self.find(Scheme.NONE), self.find(Scheme.NONE, Attack.STAY)
        if rotating is None or staying is None:
            return None
        pairs = zip(rotating.measures, staying.measures, strict=True)
        return estimate_known(
            [
                moved / stayed - 1 if (stayed := int(without.exchanges.sum())) else None
                for with_it, without in pairs
                for moved in [int(with_it.exchanges.sum())]
            ]
        )


def reduction(with_it: Measures, without: Measures) -> float | None:
    """Return the share by which extraction after the first flag falls; None if there was none."""
    before, after = int(without.after_first_flag.sum()), int(with_it.after_first_flag.sum())
    return 1 - after / before if before else None


def as_tree(study: StudyResults) -> Tree:
    """Return the results for JSON; an estimate is {mean, low, high}, with the 95% confidence interval."""
    scenario = study.scenario
    return {
        "format": FORMAT,
        "scenario": {
            "name": study.loaded.name,
            "title": scenario.title,
            "summary": " ".join(scenario.summary.split()),
            "days": scenario.days,
            "seeds": study.seeds,
            "fidelity": study.fidelity,
            "labs": [
                {"name": lab.name, "releases_days": [release / DAY for release in lab.releases]}
                for lab in scenario.labs
            ],
            "campaigns": [
                {"name": one.name, "rotation": one.rotation.policy.value, "pool": one.pool}
                for one in scenario.campaigns
            ],
            "source": study.loaded.tree,
        },
        "targets": [target.model_dump() for target in scenario.targets],
        "priors": [
            {
                "parameter": path,
                "kind": "reported" if isinstance(prior, Reported) else "assumed",
                **prior.model_dump(),
            }
            for path, prior in scenario.priors.items()
        ],
        "rotation_gain": _estimate(study.rotation_gain()),
        "cells": [_cell(study, result) for result in study.cells],
        "sensitivity": {
            "base": study.sensitivity_base,
            "parameters": [asdict(one) for one in study.sensitivity],
        },
    }


def _cell(study: StudyResults, result: CellResult) -> Tree:
    scenario, runs, load = study.scenario, result.measures, [one.load for one in result.measures]
    labs, campaigns = range(len(scenario.labs)), range(len(scenario.campaigns))
    causes = sorted({cause for one in runs for cause in one.benign_by_cause})
    return {
        "attack": result.cell.attack.value,
        "sharing": str(result.cell.sharing),
        "scheme": result.cell.sharing.scheme.value,
        "period_seconds": result.cell.sharing.period,
        "exchanges": _mean(one.exchanges.sum() for one in runs),
        "exchanges_by_campaign": [_mean(one.exchanges[c].sum() for one in runs) for c in campaigns],
        "exchanges_by_lab": [_mean(one.exchanges[:, lab].sum() for one in runs) for lab in labs],
        "exchanges_by_day": _daily([one.exchanges for one in runs]),
        "accounts_by_day": _daily([one.accounts for one in runs]),
        "after_first_flag": _mean(one.after_first_flag.sum() for one in runs),
        "reduction_after_first_flag": _estimate(study.reduction(result)),
        "first_flag_days": [_known(_days(one.first_flag[c]) for one in runs) for c in campaigns],
        "accounts": _mean(one.opened.sum() for one in runs),
        "accounts_by_campaign": [_mean(one.opened[c] for one in runs) for c in campaigns],
        "accounts_by_ending": {end: _mean(one.endings[end] for one in runs) for end in runs[0].endings},
        "median_survival_hours": _known(one.median_survival for one in runs),
        "survival": [
            {"hours": hours, **_mean(one.survival[place] for one in runs)}
            for place, hours in enumerate(SURVIVAL_HOURS)
            if hours <= scenario.days * 24
        ],
        "spread": [
            {"hours": hours, **_mean(one.spread[place] for one in runs)}
            for place, hours in enumerate(SPREAD_HOURS)
            if hours <= scenario.days * 24
        ],
        "spread_pairs": _mean(one.spread_pairs for one in runs),
        "cost_usd": _mean(sum(one.spent) / 100 for one in runs),
        "cost_usd_per_1000_exchanges": _known(
            _unit_cost(sum(one.spent), int(one.exchanges.sum())) for one in runs
        ),
        "cost_usd_per_1000_exchanges_by_campaign": [
            _known(_unit_cost(one.spent[c], int(one.exchanges[c].sum())) for one in runs) for c in campaigns
        ],
        "benign_blocked": _mean(one.benign_blocked for one in runs),
        "benign_blocked_more_than_alone": _estimate(study.extra_harm(result)),
        "benign_blocked_by_cause": {
            cause: _mean(one.benign_by_cause.get(cause, 0) for one in runs) for cause in causes
        },
        "benign_users": _mean(one.benign_visits for one in runs),
        "flags": {kind.value: _mean(one.flags[kind] for one in runs) for kind in ResourceKind},
        "false_flags": _mean(one.false_flags for one in runs),
        "matches": {kind.value: _mean(one.matches[kind] for one in runs) for kind in ResourceKind},
        "load": {
            "rounds": _mean(one.rounds for one in load),
            "rounds_refused": _mean(one.refused for one in load),
            "evaluations": _mean(one.evaluations for one in load),
            "bytes": _mean(one.bytes for one in load),
            "budget_spent": _mean(one.budget_spent for one in load),
        },
    }


def _daily(runs: Sequence[Numbers]) -> list[list[list[float]]]:
    """Return means over the runs: [campaign][lab][day]."""
    total = np.sum(np.stack(runs), axis=0)
    return [[[round(day / len(runs), 3) for day in lab] for lab in campaign] for campaign in total.tolist()]


def _mean(values: Iterable[float]) -> dict[str, float | None]:
    return _written(estimate([float(value) for value in values]))


def _known(values: Iterable[float | None]) -> dict[str, float | None] | None:
    return _estimate(estimate_known(list(values)))


def _estimate(value: Estimate | None) -> dict[str, float | None] | None:
    return None if value is None else _written(value)


def _written(value: Estimate) -> dict[str, float | None]:
    return {"mean": _rounded(value.mean), "low": _rounded(value.low), "high": _rounded(value.high)}


def _days(at: int | None) -> float | None:
    return None if at is None else at / DAY


def _unit_cost(cents: int, exchanges: int) -> float | None:
    return cents / 100 / exchanges * 1000 if exchanges else None


def _rounded(value: float | None) -> float | None:
    """Keep nine significant digits, which give the same text on every machine."""
    return None if value is None else float(f"{value:.9g}")


def write(study: StudyResults, folder: Path) -> list[Path]:
    """Write `results.json`, `summary.csv` and `daily.csv`; return their paths."""
    tree = as_tree(study)
    paths = [folder / "results.json", folder / "summary.csv", folder / "daily.csv"]
    paths[0].write_text(json.dumps(tree, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with paths[1].open("w", newline="", encoding="utf-8") as file:
        _write_summary(file, tree)
    with paths[2].open("w", newline="", encoding="utf-8") as file:
        _write_daily(file, tree)
    return paths


def _write_summary(file: TextIO, tree: Tree) -> None:
    """Write a row for each cell and estimate."""
    out = csv.writer(file)
    out.writerow(["attack", "sharing", "measure", "mean", "low", "high"])
    for cell in tree["cells"]:
        for name, value in cell.items():
            if isinstance(value, dict) and set(value) == {"mean", "low", "high"}:
                out.writerow(
                    [cell["attack"], cell["sharing"], name, value["mean"], value["low"], value["high"]]
                )


def _write_daily(file: TextIO, tree: Tree) -> None:
    """Write a row for each cell, campaign, lab and day, with means over the seeds."""
    out = csv.writer(file)
    out.writerow(["attack", "sharing", "campaign", "lab", "day", "exchanges", "accounts"])
    labs = [lab["name"] for lab in tree["scenario"]["labs"]]
    campaigns = [campaign["name"] for campaign in tree["scenario"]["campaigns"]]
    for cell in tree["cells"]:
        for c, campaign in enumerate(campaigns):
            for number, lab in enumerate(labs):
                exchanges, accounts = cell["exchanges_by_day"][c][number], cell["accounts_by_day"][c][number]
                for day, (made, alive) in enumerate(zip(exchanges, accounts, strict=True)):
                    out.writerow([cell["attack"], cell["sharing"], campaign, lab, day, made, alive])
