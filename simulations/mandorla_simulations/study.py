"""A study: one scenario under several attacks, ways of sharing and seeds, run on local processes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mandorla_node.core.worker_pools import WorkerPool
from mandorla_protocol.indicators import Collection

from .attack_variants import with_attack
from .kinds import COLLECTIONS, ResourceKind
from .measures import Measures, measure
from .population import Population, make_population
from .resources import ResourceBook
from .run_record import RunRecord
from .scenario.model import Scenario, Scheme, Sharing
from .sharing.channel import Channel
from .sharing.set_logic import NoSharing, SetLogic
from .sightings import Sightings
from .study_options import Attack
from .world import World


@dataclass(frozen=True)
class Cell:
    """One combination of a study."""

    attack: Attack
    sharing: Sharing


@dataclass(frozen=True)
class Run:
    """One run of a cell."""

    scenario: Scenario
    cell: Cell
    seed: int


def cells_of(scenario: Scenario) -> list[Cell]:
    """List the cells of a scenario: all sharing for the configured attack, none and watch for others."""
    ends = [sharing for sharing in scenario.sharing if sharing.scheme in {Scheme.NONE, Scheme.WATCH}]
    cells = [
        Cell(attack, sharing)
        for attack in scenario.attacks
        for sharing in (scenario.sharing if attack is Attack.CONFIGURED else ends or scenario.sharing[:1])
    ]
    return list(dict.fromkeys(cells))


def seeds_of(scenario: Scenario) -> list[int]:
    """List the seeds of a scenario."""
    return list(range(scenario.seed, scenario.seed + scenario.seeds))


def simulate(
    scenario: Scenario, cell: Cell, seed: int, collections: Mapping[ResourceKind, Collection] = COLLECTIONS
) -> RunRecord:
    """Run a cell in `fast` fidelity: matching is set logic. `collections` says what is asked together."""
    changed = with_attack(scenario, cell.attack)

    def channel(sightings: Sightings, book: ResourceBook) -> Channel:
        if cell.sharing.scheme is Scheme.NONE:
            return NoSharing()
        return SetLogic(changed, cell.sharing, sightings, book, collections)

    with _undisturbed():
        return World(changed, _population(scenario, seed), seed, channel).run()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep Python from looking for cycles: a run makes millions of objects, and no cycles among them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def measure_run(run: Run) -> Measures:
    """Run a cell and compute its results."""
    return measure(run.scenario, simulate(run.scenario, run.cell, run.seed))


def run_all(
    runs: Sequence[Run], task: Callable[[Run], Measures], pool: WorkerPool, done: Callable[[], None]
) -> list[Measures]:
    """Apply a task to all runs on a pool, and call `done` after each; return the results in order."""
    measured = []
    for measures in pool.map(task, runs):
        measured.append(measures)
        done()
    return measured


def _population(scenario: Scenario, seed: int) -> Population:
    # Everything that people depend on; runs of one seed, which differ in attack and sharing, meet the same.
    key = scenario.model_dump_json(include={"benign", "relays", "labs", "days"})
    return _CACHE.get(key, scenario, seed)


class _PopulationCache:
    """Keeps the last population: drawing one takes a while, and runs of one seed follow each other."""

    def __init__(self) -> None:
        self._key: tuple[str, int] | None = None
        self._population: Population | None = None

    def get(self, key: str, scenario: Scenario, seed: int) -> Population:
        if self._population is None or self._key != (key, seed):
            self._key, self._population = (key, seed), make_population(scenario, seed)
        return self._population


_CACHE = _PopulationCache()
