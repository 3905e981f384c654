"""Studies: one scenario with several attacks, ways of sharing and seeds."""

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
    """One combination of attackers and sharing."""

    attack: Attack
    sharing: Sharing


@dataclass(frozen=True)
class Run:
    """One cell with one seed."""

    scenario: Scenario
    cell: Cell
    seed: int


def cells_of(scenario: Scenario) -> list[Cell]:
    """List the cells of a scenario.

    The configured attack meets every way of sharing; the other attacks meet no sharing and the watch.
    """
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
    """Run a cell with fidelity `fast`: set logic finds the matches.

    `collections` names the collection in which labs ask about each kind.
    """
    changed = with_attack(scenario, cell.attack)

    def channel(sightings: Sightings, book: ResourceBook) -> Channel:
        if cell.sharing.scheme is Scheme.NONE:
            return NoSharing()
        return SetLogic(changed, cell.sharing, sightings, book, collections)

    with _without_collector():
        return World(changed, _population(scenario, seed), seed, channel).run()


@contextmanager
def _without_collector() -> Iterator[None]:
    """Stop the collector of cycles: a run makes millions of objects, and no cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def measure_run(run: Run) -> Measures:
    """Run a cell with a seed, and compute its measures."""
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
    # The parts of a scenario on which honest users depend.
    key = scenario.model_dump_json(include={"benign", "relays", "labs", "days"})
    return _CACHE.get(key, scenario, seed)


class _PopulationCache:
    """Keeps the last population: runs of one seed follow each other, and share their honest users."""

    def __init__(self) -> None:
        self._key: tuple[str, int] | None = None
        self._population: Population | None = None

    def get(self, key: str, scenario: Scenario, seed: int) -> Population:
        if self._population is None or self._key != (key, seed):
            self._key, self._population = (key, seed), make_population(scenario, seed)
        return self._population


_CACHE = _PopulationCache()
