"""The summary of results in a terminal: measures first, then comparisons, costs and a legend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from mandorla_node.terminal import count, duration, indented, pairs, plural, safe, size, table

from .results import CellResult, StudyResults
from .scenario.loader import LoadedScenario
from .scenario.model import Scheme
from .statistics import Estimate, estimate
from .study_options import ATTACK_NAMES, Attack
from .sweep import Row, SweepPlan

_LEGEND: Final = (
    ("after flag", "change of extraction after the first flag at any lab, against no sharing"),
    ("half gone", "time until half of the attackers' accounts are blocked"),
    ("$/1,000", "cost of a thousand exchanges for the attacker"),
    ("harmed", "honest users blocked, counted once for each lab that blocked them"),
)

_UNITS: Final = ((1_000_000.0, " M", 1), (10_000.0, " k", 1), (1.0, "", 0))
"""The smallest mean for which a unit is used, its name, and its number of decimals."""


def print_study(out: Console, study: StudyResults, paths: Sequence[Path]) -> None:
    """Print the summary of a study."""
    scenario = study.scenario
    out.print(safe(scenario.title, "bold"))
    seeds = plural(len(study.seeds), "seed")
    labs = plural(len(scenario.labs), "lab")
    out.print(safe(f"{scenario.days} days, {labs}, {seeds}, fidelity {study.fidelity}", "dim"))
    out.print()
    for attack in Attack:
        cells = [result for result in study.cells if result.cell.attack is attack]
        if cells:
            _print_attack(out, study, attack, cells)
    _print_targets(out, study)
    _print_costs(out, study)
    _print_sensitivity(out, study)
    legend = pairs()
    for name, meaning in _LEGEND:
        legend.add_row(name, meaning)
    out.print(legend)
    if len(study.seeds) > 1:
        out.print(safe("±           half of the 95% confidence interval over the seeds (Student's t)", "dim"))
    out.print(safe(f"Ran for {duration(study.seconds)}.", "dim"))
    for path in paths:
        out.print(safe(f"  {path}"))


def print_presets(out: Console, presets: Sequence[LoadedScenario]) -> None:
    """Print a list of presets."""
    rows = table("preset", "description", wide=("description",))
    for one in presets:
        rows.add_row(safe(one.name, "bold"), safe(" ".join(one.scenario.summary.split())))
    out.print(rows)
    out.print()
    out.print(safe("mandorla simulate NAME --out FOLDER   runs a preset and writes its report", "dim"))


def print_sweep(out: Console, plan: SweepPlan, rows: Sequence[Row], folder: Path) -> None:
    """Print the summary of a sweep."""
    out.print(safe(plan.title, "bold"))
    names = [parameter.rpartition(".")[2] for parameter in plan.parameters]
    numbers = ("exchanges", "after first flag", "accounts", "honest blocked")
    shown = table(*names, "sharing", *numbers, right=(*names, *numbers))
    for row in rows:
        estimates = [
            row.measures[name] for name in ("exchanges", "after_first_flag", "accounts", "benign_blocked")
        ]
        shown.add_row(
            *(safe(value) for value in row.values), safe(row.sharing), *(_number(one) for one in estimates)
        )
    out.print(indented(shown))
    for name in ("sweep.csv", "sweep.html"):
        out.print(safe(f"  {folder / name}"))


def _print_attack(out: Console, study: StudyResults, attack: Attack, cells: Sequence[CellResult]) -> None:
    out.print(safe(f"Attackers {ATTACK_NAMES[attack]}", "bold"))
    numbers = ("exchanges", "after flag", "accounts", "half gone", "$/1,000", "harmed")
    rows = table("sharing", *numbers, right=numbers)
    for result in cells:
        runs = result.measures
        survival = [one.median_survival for one in runs if one.median_survival is not None]
        unit = [sum(one.spent) / 100 / max(1, int(one.exchanges.sum())) * 1000 for one in runs]
        rows.add_row(
            safe(str(result.cell.sharing)),
            _number(estimate([float(one.exchanges.sum()) for one in runs])),
            _fall(result, study.reduction(result)),
            _number(estimate([float(one.opened.sum()) for one in runs])),
            _hours(sum(survival) / len(survival)) if len(survival) == len(runs) else "most live on",
            f"{sum(unit) / len(unit):.2f}",
            _number(estimate([float(one.benign_blocked) for one in runs])),
        )
    out.print(indented(rows))
    out.print()


def _print_targets(out: Console, study: StudyResults) -> None:
    alone = study.find(Scheme.NONE)
    if not study.scenario.targets or alone is None:
        return
    names = [campaign.name for campaign in study.scenario.campaigns]
    out.print(safe("Reported volumes, and simulated volumes without sharing", "bold"))
    rows = table(
        "campaign", "reported", "simulated", "difference", right=("reported", "simulated", "difference")
    )
    for target in study.scenario.targets:
        place = names.index(target.campaign)
        simulated = estimate([float(one.exchanges[place].sum()) for one in alone.measures])
        off = simulated.mean / target.exchanges - 1
        rows.add_row(safe(target.campaign), count(target.exchanges), _number(simulated), f"{off:+.1%}")
    out.print(indented(rows))
    out.print()


def _print_costs(out: Console, study: StudyResults) -> None:
    cells = [
        result
        for result in study.cells
        if result.cell.attack is Attack.CONFIGURED
        and result.cell.sharing.scheme in {Scheme.BATCH, Scheme.WATCH}
    ]
    if not cells:
        return
    out.print(safe("Cost of the protocol", "bold"))
    numbers = ("questions", "refused", "evaluations", "sent", "of a budget")
    rows = table("sharing", *numbers, right=numbers)
    for result in cells:
        load = [one.load for one in result.measures]
        rows.add_row(
            safe(str(result.cell.sharing)),
            count(sum(one.rounds for one in load) // len(load)),
            count(sum(one.refused for one in load) // len(load)),
            count(sum(one.evaluations for one in load) // len(load)),
            size(sum(one.bytes for one in load) // len(load)),
            f"{max(one.budget_spent for one in load):.0%}",
        )
    out.print(indented(rows))
    out.print()


def _print_sensitivity(out: Console, study: StudyResults) -> None:
    if study.sensitivity_base is None:
        return
    out.print(safe("Reduction of extraction after the first flag, with one assumption changed", "bold"))
    numbers = ("low", "reduction", "high", "reduction ")
    rows = table(
        "parameter", "scenario", *numbers, right=("scenario", *numbers), wide=("parameter", "scenario")
    )
    for one in study.sensitivity:
        rows.add_row(
            safe(one.parameter),
            safe(one.value),
            safe(one.low),
            f"{one.at_low:.0%}",
            safe(one.high),
            f"{one.at_high:.0%}",
        )
    out.print(indented(rows))
    out.print(safe(f"  The scenario itself gives {study.sensitivity_base:.0%} with the first seed.", "dim"))
    out.print()


def _number(value: Estimate) -> str:
    """Write an estimate with half the width of its interval, in the unit that suits the mean."""
    unit, name, digits = next((unit for unit in _UNITS if abs(value.mean) >= unit[0]), _UNITS[-1])
    unit = min(unit, 1_000.0) if name == " k" else unit
    half = 0.0 if value.high is None else (value.high - value.mean) / unit
    mean = f"{value.mean / unit:,.{digits}f}"
    width = f" ± {half:,.{digits}f}" if round(half, digits) else ""
    return f"{mean}{width}{name}"


def _fall(result: CellResult, fall: Estimate | None) -> str:
    if result.cell.sharing.scheme is Scheme.NONE or fall is None:
        return ""
    width = "" if fall.high is None else f" ± {100 * (fall.high - fall.mean):.0f}"
    return f"{-100 * fall.mean:+.0f}{width} %".replace("+0 ", "0 ").replace("-0 ", "0 ")


def _hours(hours: float) -> str:
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.1f} days"
