"""What attacks get, and what they cost an honest peer.

    python -m benchmarks.attacks [--seconds 6]

Every attack of the tests' catalogue runs once against a node, and the codes that it gets are counted. Then
each flood runs for some seconds, over and over, in a process of its own, while an honest lab's rounds and
Hellos, and the victim's own Checks, are timed: one after another, against the same at rest. All labs are on
this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path

import grpc

from benchmarks.labs import peak_memory
from benchmarks.results import Result, machine, save
from mandorla.v1 import exchange_pb2_grpc, operator_pb2, operator_pb2_grpc
from mandorla_node.app.local_labs import python_process
from mandorla_node.home.folder import Home
from mandorla_node.store import IndicatorSet
from mandorla_protocol.card import Card
from tests.support.attacks.answers import TRAPS
from tests.support.attacks.floods import FLOODS, Flood
from tests.support.attacks.model import field, trapped
from tests.support.attacks.requests import ATTACKS
from tests.support.hostile import channel_to, hello_request
from tests.support.labs import WATCH, addresses, answering, code_of, ingest, make_labs, run_round

SERVE = ("-m", "mandorla_node.cli", "serve", "--exit-with-parent", "--home")
QUIET = {"MANDORLA_WATCH__ENABLED": "false"}
"""Without a watch, which would have the honest lab's rounds wait for its own."""

PATIENCE = 60.0
ROUND = "watch round of 30 against 30"

Taken = dict[str, list[float]]

_LONGEST = 60.0
"""Seconds after which an attacker ends by itself."""


class Bench:
    """A victim, an honest lab that is timed, and an attacker."""

    def __init__(
        self,
        homes: list[Home],
        at_victim: operator_pb2_grpc.OperatorAsyncStub,
        at_honest: operator_pb2_grpc.OperatorAsyncStub,
        stub: exchange_pb2_grpc.ExchangeAsyncStub,
    ) -> None:
        self.victim, self.attacker, self.honest = homes
        self.at_victim, self.at_honest, self.stub = at_victim, at_honest, stub
        self.failures: list[str] = []

    async def timed_for(self, seconds: float) -> Taken:
        """Time an honest peer's calls, one after another, in milliseconds."""
        taken: Taken = defaultdict(list)
        until = time.perf_counter() + seconds
        check = operator_pb2.CheckRequest(
            indicators=[operator_pb2.Indicator(type="ipv4", value="198.18.0.1")]
        )
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            ROUND: self._round,
            "Hello": lambda: self.stub.Hello(hello_request(), timeout=PATIENCE),
            "Check": lambda: self.at_victim.Check(check, timeout=PATIENCE),
        }
        while time.perf_counter() < until:
            for name, call in calls.items():
                for _ in range(1 if name == ROUND else 5):
                    start = time.perf_counter()
                    try:
                        await call()
                    except grpc.aio.AioRpcError as error:
                        self.failures.append(f"{name}: {code_of(error)}")
                    taken[name].append((time.perf_counter() - start) * 1e3)
        return taken

    async def _round(self) -> None:
        result = await asyncio.wait_for(run_round(self.at_honest, self.victim.card.name, WATCH), PATIENCE)
        if (result.outcome, result.matches) != ("committed", 10):
            self.failures.append(f"a round ended {result.outcome} {result.code}")

    async def under(self, flood: Flood, epoch: int, seconds: float) -> Taken:
        """Time the same while a flood goes on."""
        arguments = ("-m", "benchmarks.attacks", "--flood", flood.name, str(self.attacker.path), str(epoch))
        card = self.victim.path.with_suffix(".card")
        async with python_process(self.attacker, (*arguments, str(card)), pipe_output=True) as process:
            if process.stdout is not None:
                await process.stdout.readline()
            return await self.timed_for(seconds)

    async def catalogue(self) -> tuple[int, int]:
        """Run every attack once; return how many there are, and how many got the right code."""
        right = 0
        for epoch, attack in enumerate(ATTACKS, 1):
            async with field(self.attacker, self.victim.card, epoch) as ground:
                right += await attack.run(ground) == attack.code
        for epoch, trap in enumerate(TRAPS, len(ATTACKS) + 1):
            async with field(self.attacker, self.victim.card, epoch, trap) as ground:
                right += await trapped(ground, self.at_victim) == trap.code
        return len(ATTACKS) + len(TRAPS), right


def results(rest: Taken, attacked: Taken) -> Iterator[Result]:
    """Yield the latencies under attack beside those at rest."""
    for name, quiet in rest.items():
        for what, of in (("median", statistics.median), ("99th percentile", p99)):
            yield Result(
                metric=f"{name}, {what}, under attack",
                size=len(attacked[name]),
                ours=of(attacked[name]),
                peer="the same at rest",
                value=of(quiet),
                unit="ms",
            )


def p99(taken: Iterable[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(taken, n=100, method="inclusive")[98]


async def measure(folder: Path, seconds: float) -> None:
    """Measure, print, and write it down."""
    homes = make_labs(folder, "lab-a", "lab-b", "lab-c")
    victim, _, honest = homes
    victim.path.with_suffix(".card").write_text(victim.card.to_json(), encoding="utf-8")
    ingest(victim, addresses(range(30)))
    ingest(honest, addresses(range(20, 50)), IndicatorSet.OBSERVED)
    async with (
        python_process(victim, (*SERVE, str(victim.path)), settings=QUIET) as process,
        python_process(honest, (*SERVE, str(honest.path)), settings=QUIET),
        channel_to(victim.card, honest) as stub,
    ):
        bench = Bench(homes, await answering(victim), await answering(honest), stub)
        await bench.timed_for(2)
        attacks, right = await bench.catalogue()
        print(f"{attacks} attacks, {right} refused with the right code, or answered as they must be")
        rest = await bench.timed_for(4 * seconds)
        under: Taken = defaultdict(list)
        worst = (0.0, "")
        for epoch, flood in enumerate(FLOODS, attacks + 1):
            taken = await bench.under(flood, epoch, seconds)
            for name, values in taken.items():
                under[name] += values
            hello, check = (statistics.median(taken[name]) for name in ("Hello", "Check"))
            slowest = max(taken[ROUND])
            print(
                f"{flood.name:32} Hello {hello:.1f} ms, Check {check:.1f} ms, slowest round {slowest:.0f} ms"
            )
            worst = max(worst, (slowest, flood.name))
        memory = peak_memory(process.pid)
    found = [
        Result(metric="attacks of the catalogue", size=attacks, ours=attacks, unit="attacks"),
        Result(metric="that got the right code", size=attacks, ours=right, unit="attacks"),
        Result(metric="floods", size=len(FLOODS), ours=len(FLOODS), unit="floods"),
        Result(metric="honest calls that failed", size=len(FLOODS), ours=len(bench.failures), unit="calls"),
        *results(rest, under),
        Result(metric="peak memory of the victim", size=len(FLOODS), ours=memory, unit="MiB"),
    ]
    for result in found:
        print(result.line())
    for failure in sorted(set(bench.failures)):
        print(failure)
    preface = (
        f"{machine()}; attackers, victim and honest lab share it. {seconds:.0f} s under each flood; "
        f"the slowest round, of {worst[0]:,.0f} ms, was under `{worst[1]}`."
    )
    save("attacks", found, preface)


async def flood_for_long(name: str, home: Home, epoch: int, victim: Card) -> None:
    """Run one flood over and over, until killed; for a minute at most, and not without the parent."""
    parent, end = os.getppid(), time.monotonic() + _LONGEST
    (flood,) = (flood for flood in FLOODS if flood.name == name)
    async with field(home, victim, epoch) as ground:
        print("begun", flush=True)
        while os.getppid() == parent and time.monotonic() < end:
            with contextlib.suppress(grpc.aio.AioRpcError, OSError, TimeoutError):
                async with asyncio.timeout(end - time.monotonic()):
                    await flood.run(ground)


def main() -> None:
    """Measure, or be an attacker."""
    if sys.argv[1:2] == ["--flood"]:
        name, home, epoch, card = sys.argv[2:]
        victim = Card.from_json(Path(card).read_text("utf-8"))
        asyncio.run(flood_for_long(name, Home.open(Path(home)), int(epoch), victim))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=6.0)
    folder = Path(tempfile.mkdtemp(prefix="md-"))
    try:
        asyncio.run(measure(folder, parser.parse_args().seconds))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
