"""A soak, run: nodes are started, loaded, troubled and judged."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.soak import laws
from benchmarks.soak.labs import Lab, Trouble, make_labs
from benchmarks.soak.load import Account, Driver
from benchmarks.soak.plan import Deed, Load, plan

_SETTLED = 180.0
"""Seconds within which everything has to match once all is well again."""

_CALM = 15.0
"""Seconds after a trouble from which it is over for all: rounds stand again."""

_LOOK = 5.0


@dataclass(frozen=True, slots=True)
class Troubles:
    """How often a node is troubled, in seconds, and for how long one is frozen; which labs are spared."""

    every: float = 30.0
    frozen: float = 20.0
    spared: frozenset[str] = frozenset()
    kinds: Sequence[str] = ("kill",) * 7 + ("freeze", "stop", "stop")


@dataclass(slots=True)
class Outcome:
    """What a soak came to. `faults` says what did not hold; times are seconds."""

    labs: list[Lab]
    deeds: list[Deed]
    accounts: dict[str, Account]
    faults: list[str] = field(default_factory=list)
    troubles: Counter[str] = field(default_factory=Counter)
    moments: list[Trouble] = field(default_factory=list)
    rounds: dict[str, laws.Rounds] = field(default_factory=dict)
    begun: float = 0.0
    lasted: float = 0.0
    settled: float = 0.0
    matched: int = 0

    def latencies(self, calm: bool = True) -> list[float]:
        """Return how long it took from a flag to the matches of those who had seen the indicator.

        With `calm` those count alone that fell into no trouble of any node.
        """
        taken = []
        for account in self.accounts.values():
            told: set[tuple[str, object]] = set()
            for at, match in account.followed:
                flagged = self.accounts[match.peer].flagged.get(match.thing)
                seen = account.observed.get(match.thing)
                first = (match.peer, match.thing) not in told
                told.add((match.peer, match.thing))
                if not first or flagged is None or seen is None or seen > flagged:
                    continue
                if calm and any(one.begin < at and one.end > flagged for one in self.moments):
                    continue
                taken.append(at - flagged)
        return sorted(taken)


async def soak(
    folder: Path,
    load: Load,
    troubles: Troubles,
    seed: int,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run a soak in a folder with a path short enough for sockets, and judge it."""
    labs = make_labs(folder)
    deeds = plan(seed, load)
    outcome = Outcome(labs, deeds, {})
    try:
        for lab in labs:
            lab.start()
        await asyncio.gather(*(lab.answers() for lab in labs))
        outcome.begun = time.monotonic()
        drivers = [Driver(lab, deeds, outcome.begun) for lab in labs]
        outcome.accounts = {lab.name: driver.account for lab, driver in zip(labs, drivers, strict=True)}
        beside = [_forever(driver.follow()) for driver in drivers]
        beside += [_forever(_looking(labs)), _forever(_trouble(outcome, load, troubles, seed, say))]
        try:
            await _unless_failed(asyncio.gather(*(driver.run() for driver in drivers)), beside)
            outcome.lasted = time.monotonic() - outcome.begun
            await beside[-1]
            await _settle(outcome, say)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        await _judge(outcome, folder)
    finally:
        await asyncio.gather(*(lab.kill() for lab in labs))
    return outcome


def _forever(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(work)


async def _unless_failed(work: asyncio.Future[Any], beside: Sequence[asyncio.Task[None]]) -> None:
    """Wait for the work; raise what ended anything beside it."""
    waiting = {work, *(task for task in beside)}
    while not work.done():
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    work.result()


async def _looking(labs: Sequence[Lab]) -> None:
    while True:
        await asyncio.sleep(_LOOK)
        for lab in labs:
            lab.look()


async def _trouble(
    outcome: Outcome, load: Load, troubles: Troubles, seed: int, say: Callable[[str], None]
) -> None:
    """Trouble one node after another, until shortly before the load ends."""
    draws = random.Random(seed + 1)
    victims = [lab for lab in outcome.labs if lab.name not in troubles.spared]
    number = 1
    while troubles.every and number * troubles.every < load.seconds:
        await asyncio.sleep(max(0.0, outcome.begun + number * troubles.every - time.monotonic()))
        number += 1
        lab, kind = draws.choice(victims), draws.choice(troubles.kinds)
        begin = time.monotonic()
        outcome.moments.append(Trouble(begin, float("inf")))
        outcome.troubles[kind] += 1
        match kind:
            case "freeze":
                lab.signal(signal.SIGSTOP)
                await asyncio.sleep(troubles.frozen)
                lab.signal(signal.SIGCONT)
            case "stop":
                lab.require_alive()
                if status := await lab.stop():
                    outcome.faults.append(f"a node that was asked to stop ended with {status}")
                lab.start()
                await lab.answers()
            case _:
                lab.require_alive()
                await lab.kill()
                lab.start()
                await lab.answers()
        outcome.moments[-1] = Trouble(begin, time.monotonic() + _CALM)
        say(f"{time.monotonic() - outcome.begun:6.0f} s  {kind} {lab.name}")


async def _settle(outcome: Outcome, say: Callable[[str], None]) -> None:
    """Wait until every lab has the matches that it has to have."""
    begun = time.monotonic()
    while True:
        wrong = {}
        for lab in outcome.labs:
            lab.require_alive()
            wanted, found = laws.expected(outcome.deeds, lab.name), await laws.matches(lab)
            wrong[lab.name] = [
                *laws.differences(wanted, found),
                *laws.untold(outcome.accounts[lab.name], found),
            ]
        outcome.settled = time.monotonic() - begun
        if not any(wrong.values()):
            return
        if outcome.settled > _SETTLED:
            outcome.faults += [f"{name}: {fault}" for name, faults in wrong.items() for fault in faults]
            return
        await asyncio.sleep(0.2)


async def _judge(outcome: Outcome, folder: Path) -> None:
    """Hold the labs to the laws: while they run, and stopped."""
    for lab in outcome.labs:
        wanted, found = laws.expected(outcome.deeds, lab.name), await laws.matches(lab)
        outcome.matched += len(found)
        anew = await laws.told_anew(lab)
        told = laws.told_wrongly(outcome.deeds, outcome.accounts[lab.name], found, anew)
        _add(outcome, lab, [*laws.differences(wanted, found), *told])
    for lab in outcome.labs:
        if status := await lab.stop():
            outcome.faults.append(f"{lab.name}: it ended with {status}")
    for lab in outcome.labs:
        _add(outcome, lab, [*laws.log_of(lab), *laws.recorded(lab)])
        outcome.rounds[lab.name] = laws.rounds_of(lab)
    outcome.faults += laws.audited(outcome.labs, folder)


def _add(outcome: Outcome, lab: Lab, faults: Sequence[str]) -> None:
    said = [f"{lab.name}: {fault}" for fault in faults]
    outcome.faults += [fault for fault in said if fault not in outcome.faults]
