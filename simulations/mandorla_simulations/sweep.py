"""Sweeps: one scenario over a grid of parameters and seeds.

Each finished run is a line of `runs.jsonl`. Its key depends on all inputs of the run: the changed scenario,
the cell and the seed. After an interruption, the next start runs only what is missing.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from mandorla_node.core.worker_pools import WorkerPool
from mandorla_protocol.errors import Code, InputError

from .measures import Measures
from .scenario.loader import Lines, LoadedScenario, Location, load, parse_tree, read_text, validate
from .scenario.model import Part, Scenario, SharingText, Text
from .scenario.paths import Tree, UnknownParameter, replaced
from .scenario.units import Count, Positive
from .statistics import Estimate, estimate
from .study import Cell, Run, measure_run
from .study_options import Attack

_RUNS: Final = "runs.jsonl"
_TABLE: Final = "sweep.csv"
_VERSION: Final = "1"

MEASURES: Final = ("exchanges", "after_first_flag", "accounts", "cost_usd", "benign_blocked", "evaluations")
"""The measures of a run that a sweep keeps."""


class Vary(Part):
    """A parameter and its values, written as in a scenario."""

    parameter: Text
    values: Annotated[tuple[bool | str | int | float, ...], Field(min_length=1)]


class SweepFile(Part):
    """A sweep file: a preset, or a scenario file in the same folder, and the parameters to vary."""

    title: Text
    scenario: Text
    seeds: Positive = 1
    seed: Count | None = None
    sharing: tuple[SharingText, ...] = ()
    vary: Annotated[tuple[Vary, ...], Field(min_length=1)]


@dataclass(frozen=True)
class SweepRun:
    """A run of a sweep, with its key and the values of the varied parameters."""

    key: str
    values: tuple[str, ...]
    run: Run


@dataclass(frozen=True)
class SweepPlan:
    """All runs of a sweep."""

    title: str
    parameters: tuple[str, ...]
    runs: list[SweepRun]


@dataclass(frozen=True)
class Row:
    """One point of the grid with one way of sharing: estimates over the seeds."""

    values: tuple[str, ...]
    sharing: str
    measures: dict[str, Estimate]


def load_sweep(path: Path, scenario: str | None) -> SweepPlan:
    """Read a sweep file; `scenario` replaces the scenario that the file names.

    Raises InputError: BAD_FILE if a file is missing or not TOML, BAD_CONFIG that names the wrong lines.
    """
    text = read_text(path)
    lines = Lines(text)
    sweep = validate(SweepFile, parse_tree(text, path.name), lines, path.name)
    loaded = _scenario(path, scenario or sweep.scenario)
    parameters = tuple(vary.parameter for vary in sweep.vary)
    first = loaded.scenario.seed if sweep.seed is None else sweep.seed
    runs = []
    for point in product(*(dict.fromkeys(vary.values) for vary in sweep.vary)):
        changed = _at(loaded.tree, parameters, point, lines, path.name)
        for sharing in sweep.sharing or changed.sharing:
            for seed in range(first, first + sweep.seeds):
                run = Run(changed, Cell(Attack.CONFIGURED, sharing), seed)
                runs.append(SweepRun(_key(run), tuple(str(value) for value in point), run))
    return SweepPlan(sweep.title, parameters, runs)


def run_sweep(plan: SweepPlan, folder: Path, pool: WorkerPool, done: Callable[[], None]) -> list[Row]:
    """Run what is missing of a sweep, write each result at once, and write the table at the end."""
    kept = _kept(folder / _RUNS)
    missing = [one for one in plan.runs if one.key not in kept]
    for _ in range(len(plan.runs) - len(missing)):
        done()
    work = [one.run for one in missing]
    with (folder / _RUNS).open("a", encoding="utf-8") as file:
        for one, measures in zip(missing, pool.map(measure_run, work), strict=True):
            kept[one.key] = _kept_measures(measures)
            file.write(json.dumps({"key": one.key, "measures": kept[one.key]}) + "\n")
            file.flush()
            os.fsync(file.fileno())
            done()
    rows = _rows(plan, kept)
    _write(plan, rows, folder / _TABLE)
    return rows


def as_tree(plan: SweepPlan, rows: Sequence[Row]) -> Tree:
    """Return the rows for JSON and for the page."""
    return {
        "title": plan.title,
        "parameters": list(plan.parameters),
        "rows": [
            {
                "values": list(row.values),
                "sharing": row.sharing,
                **{
                    name: {"mean": one.mean, "low": one.low, "high": one.high}
                    for name, one in row.measures.items()
                },
            }
            for row in rows
        ],
    }


def _scenario(path: Path, name: str) -> LoadedScenario:
    file = path.parent / name
    return load(str(file)) if file.is_file() else load(name)


def _at(
    tree: Tree, parameters: Sequence[str], point: Sequence[object], lines: Lines, shown_as: str
) -> Scenario:
    """Return the scenario at one point of the grid."""
    for number, (parameter, value) in enumerate(zip(parameters, point, strict=True)):
        try:
            tree = replaced(tree, parameter, value)
        except UnknownParameter as error:
            line = lines.of(("vary", number, "parameter"))
            raise InputError(
                Code.BAD_CONFIG, f"{shown_as}, line {line}: {parameter} names no parameter: {error}."
            ) from None
    return validate(Scenario, tree, _OneLine(lines.of(("vary", 0, "values"))), shown_as)


class _OneLine(Lines):
    """Attributes each error in a scenario to the line with the values of the sweep."""

    def __init__(self, line: int) -> None:
        self._line = line

    def of(self, location: Location) -> int:
        """Return the line of the values."""
        return self._line


def _key(run: Run) -> str:
    """Return the key under which the result of a run is kept."""
    inputs = {
        "version": _VERSION,
        "scenario": run.scenario.model_dump(
            mode="json", exclude={"title", "summary", "priors", "seeds", "sharing"}
        ),
        "cell": [run.cell.attack.value, str(run.cell.sharing)],
        "seed": run.seed,
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]


def _kept(path: Path) -> dict[str, dict[str, float]]:
    """Read the results of earlier starts, and drop a last line that is not complete."""
    kept: dict[str, dict[str, float]] = {}
    if path.exists():
        try:
            whole = path.read_text("utf-8").rpartition("\n")[0]
        except (OSError, UnicodeDecodeError):
            raise InputError(Code.BAD_FILE, f"{path} cannot be read; choose another folder") from None
        for line in whole.splitlines():
            try:
                entry = json.loads(line)
                kept[entry["key"]] = entry["measures"]
            except (ValueError, KeyError, TypeError):
                raise InputError(
                    Code.BAD_FILE, f"{path}: a line is not the result of a run; choose another folder"
                ) from None
        path.write_text(whole + "\n" if whole else "", encoding="utf-8")
    return kept


def _kept_measures(measures: Measures) -> dict[str, float]:
    return {
        "exchanges": int(measures.exchanges.sum()),
        "after_first_flag": int(measures.after_first_flag.sum()),
        "accounts": int(measures.opened.sum()),
        "cost_usd": sum(measures.spent) / 100,
        "benign_blocked": measures.benign_blocked,
        "evaluations": measures.load.evaluations,
    }


def _rows(plan: SweepPlan, kept: dict[str, dict[str, float]]) -> list[Row]:
    grouped: dict[tuple[tuple[str, ...], str], list[dict[str, float]]] = {}
    for one in plan.runs:
        grouped.setdefault((one.values, str(one.run.cell.sharing)), []).append(kept[one.key])
    return [
        Row(values, sharing, {name: estimate([one[name] for one in found]) for name in MEASURES})
        for (values, sharing), found in grouped.items()
    ]


def _write(plan: SweepPlan, rows: Sequence[Row], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        ends = [f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")]
        out.writerow([*plan.parameters, "sharing", *ends])
        for row in rows:
            values = [value for one in row.measures.values() for value in (one.mean, one.low, one.high)]
            out.writerow([*row.values, row.sharing, *values])
