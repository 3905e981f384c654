"""The plan of a study: a scenario, changed by the options of the command line, and its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from mandorla_protocol.errors import Code, InputError

from .nodes.run import require_rounds, require_small
from .scenario.loader import LoadedScenario, load
from .scenario.model import Scheme, Sharing, parse_sharing
from .study import Cell, Run, cells_of, seeds_of
from .study_options import Attack, Fidelity


@dataclass(frozen=True)
class Overrides:
    """Options that replace values of the scenario; an empty or missing option replaces nothing."""

    sharing: Sequence[str] = ()
    attacks: Sequence[Attack] = ()
    seeds: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class StudyPlan:
    """The cells and seeds of a study."""

    loaded: LoadedScenario
    cells: list[Cell]
    seeds: list[int]
    fidelity: Fidelity

    @property
    def runs(self) -> list[Run]:
        """Every cell with every seed."""
        return [Run(self.loaded.scenario, cell, seed) for seed in self.seeds for cell in self.cells]


def plan_study(name: str, overrides: Overrides, fidelity: Fidelity) -> StudyPlan:
    """Read a scenario, a preset or a file, and plan its study.

    Raises InputError: what `load` raises; BAD_INPUT for sharing that does not exist, or that real nodes
    cannot run.
    """
    loaded = load(name)
    scenario = loaded.scenario.model_copy(update=_changes(loaded, overrides))
    cells, seeds = cells_of(scenario), seeds_of(scenario)
    if fidelity is Fidelity.NODES:
        require_small(scenario)
        # Seeds differ only by luck, and real nodes take long for each: one seed unless the caller wants more.
        seeds = seeds if overrides.seeds else seeds[:1]
        cells = [
            cell
            for cell in cells
            if cell.attack is Attack.CONFIGURED and (overrides.sharing or _for_nodes(cell))
        ]
        for cell in cells:
            if cell.sharing.scheme is not Scheme.NONE:
                require_rounds(scenario, cell)
        if not cells:
            raise InputError(
                Code.BAD_INPUT, "with fidelity nodes, the attack is configured, and labs share by rounds"
            )
    return StudyPlan(LoadedScenario(loaded.name, scenario, loaded.tree), cells, seeds, fidelity)


def _changes(loaded: LoadedScenario, overrides: Overrides) -> dict[str, object]:
    changes: dict[str, object] = {}
    if overrides.sharing:
        changes["sharing"] = tuple(_sharing(text) for text in overrides.sharing)
    if overrides.attacks:
        changes["attacks"] = tuple(overrides.attacks)
        if Attack.ADAPTIVE in overrides.attacks and loaded.scenario.adaptive is None:
            raise InputError(
                Code.BAD_INPUT, "the scenario has no table [adaptive], which says how attackers adapt"
            )
    if overrides.seeds is not None:
        changes["seeds"] = overrides.seeds
    if overrides.seed is not None:
        changes["seed"] = overrides.seed
    return changes


def _for_nodes(cell: Cell) -> bool:
    return cell.sharing.scheme in {Scheme.NONE, Scheme.BATCH, Scheme.WATCH}


def _sharing(text: str) -> Sharing:
    try:
        return TypeAdapter(Sharing).validate_python(parse_sharing(text))
    except (ValueError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InputError(Code.BAD_INPUT, f"--sharing {text}: {reason}") from None
