"""What a gateway waits for: checks at a rate, and the way of a flag from one lab to another.

    python -m benchmarks.gateway [--tags N] [--seconds N] [--rate N] [--flags N]
    make bench-watch [TAGS=1000000]

Two nodes are processes on this machine, with a standing `watch` over `infrastructure` between them. Lab A has
flagged `--tags` addresses. One client in this process asks lab B's node. The load is open: each call has its
moment, however long the earlier ones take, and its latency is counted from that moment, so that what waits
in this process counts too.

- known: `--rate` checks a second, over 5,000 observed addresses, of which half match, asked before
- new: 20 checks a second of addresses that nobody has seen; lab A is asked, under padding, before the answer
- flag to match: lab A's operator flags an address that lab B has observed; timed from before that call until
  the match comes out of `Follow` at lab B, one after another
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.labs import NAMES, PATIENCE, POLL, address, log_tail
from benchmarks.results import Result, machine, save
from mandorla_node.app.local_labs import make_homes, python_process
from mandorla_node.client import Client, Label, Severity
from mandorla_node.home.folder import Home
from mandorla_node.ingest.ingestor import Ingestor, IngestRow
from mandorla_node.store import IndicatorSet

KNOWN = 5_000
NEW_RATE = 20
LOT = 2_000
SETTINGS = {"MANDORLA_WATCH__COLLECTIONS": '["infrastructure"]', "MANDORLA_LOG_LEVEL": "warning"}


@dataclass(frozen=True, slots=True)
class Labs:
    """The two nodes' clients."""

    a: Client
    b: Client


def ingest(home: Home, into: IndicatorSet, numbers: range) -> None:
    """Take addresses into a set of a node that does not run."""
    store = home.open_store()
    ingestor = Ingestor(store, into)
    for start in range(numbers.start, numbers.stop, 10_000):
        values = range(start, min(start + 10_000, numbers.stop))
        ingestor.add([IngestRow(value + 1, "ipv4", address(value), Label()) for value in values])
    ingestor.finish()
    store.close()


@asynccontextmanager
async def watching(tags: int, flags: int) -> AsyncIterator[Labs]:
    """Run two nodes until left, from when lab B has compared what it observed with lab A's table."""
    folder = Path(tempfile.mkdtemp(prefix="md-"))
    try:
        homes = make_homes(folder, NAMES)
        first, second = homes.values()
        ingest(first, IndicatorSet.FLAGGED, range(tags))
        # Half of what is known matches, and the last are for lab A to flag.
        ingest(second, IndicatorSet.OBSERVED, range(tags - KNOWN // 2, tags + KNOWN // 2 + flags))
        async with (
            serving(first) as a,
            serving(second) as b,
        ):
            await asyncio.wait_for(caught_up(b), PATIENCE)
            yield Labs(a, b)
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def serving(home: Home) -> AsyncIterator[Client]:
    """Run a home's node, and a client of it."""
    command = ("-m", "mandorla_node.cli", "serve", "--exit-with-parent", "--home", str(home.path))
    async with python_process(home, command, settings=SETTINGS) as process, Client(home.path, 60) as client:
        await client.status()
        yield client
        if process.returncode is not None:
            raise SystemExit(f"a node ended: {log_tail(home)}")


async def caught_up(client: Client) -> None:
    """Wait until what the other lab flagged long ago matches."""
    while True:
        status = await client.status()
        if sum(peer.matches for peer in status.peers) >= KNOWN // 2:
            return
        await asyncio.sleep(10 * POLL)


async def at_rate(rate: float, seconds: float, call: Callable[[], Awaitable[None]]) -> list[float]:
    """Make calls at a rate, and return for each the milliseconds from its moment until it was answered."""
    taken: list[float] = []

    async def timed(moment: float) -> None:
        await call()
        taken.append((time.perf_counter() - moment) * 1e3)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as calls:
        for number in range(int(rate * seconds)):
            moment = begun + number / rate
            if (wait := moment - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            calls.create_task(timed(moment))
    return taken


async def known(labs: Labs, tags: int, rate: float, seconds: float) -> list[float]:
    """Check what lab B has observed, and was asked about before."""
    numbers = range(tags - KNOWN // 2, tags + KNOWN // 2)
    for start in range(numbers.start, numbers.stop, LOT):
        lot = range(start, min(start + LOT, numbers.stop))
        await labs.b.check_many([("ipv4", address(number)) for number in lot])
    drawn = random.Random(1)

    async def call() -> None:
        number = drawn.choice(numbers)
        verdict = await labs.b.check("ipv4", address(number))
        if bool(verdict.matches) != (number < tags):
            raise SystemExit("a check gave a wrong answer")

    return await at_rate(rate, seconds, call)


async def new(labs: Labs, first: int, seconds: float) -> tuple[list[float], int]:
    """Check what nobody has seen; return also how many answers came without lab A's."""
    numbers: Iterator[int] = iter(range(first, first + 1_000_000))
    without = 0

    async def call() -> None:
        nonlocal without
        verdict = await labs.b.check("ipv4", address(next(numbers)))
        without += verdict.compared_with != (NAMES[0],)

    return await at_rate(NEW_RATE, seconds, call), without


async def flag_to_match(labs: Labs, first: int, flags: int) -> list[float]:
    """Flag at lab A, and wait at lab B."""
    last = max([match.event async for match in labs.b.matches()], default=0)
    taken: list[float] = []
    drawn = random.Random(2)
    async with aclosing(labs.b.follow(last)) as matches:
        for number in range(first, first + flags):
            # Out of step with whatever the nodes do by the clock.
            await asyncio.sleep(drawn.uniform(0.05, 0.25))
            begun = time.perf_counter()
            flagged = asyncio.create_task(
                labs.a.flag([("ipv4", address(number))], Label(severity=Severity.HIGH))
            )
            async for match in matches:
                if match.value == address(number):
                    break
            taken.append((time.perf_counter() - begun) * 1e3)
            await flagged
    return taken


def percentile(taken: list[float], which: int) -> float:
    """Return a percentile."""
    return statistics.quantiles(taken, n=100, method="inclusive")[which - 1]


async def measure(tags: int, rate: int, seconds: float, flags: int) -> list[Result]:
    """Measure all three."""
    results: list[Result] = []

    def keep(metric: str, taken: list[float]) -> None:
        for name, value in (("median", percentile(taken, 50)), ("99th percentile", percentile(taken, 99))):
            result = Result(metric=f"{metric}, {name} of {len(taken):,}", size=tags, ours=value, unit="ms")
            print(result.line(), flush=True)
            results.append(result)

    async with watching(tags, flags) as labs:
        after = tags + KNOWN // 2
        keep(f"check of a known indicator, {rate:,} a second", await known(labs, tags, rate, seconds))
        taken, without = await new(labs, after + flags, seconds)
        keep(f"check of a new indicator, {NEW_RATE} a second", taken)
        metric = f"new indicators answered without lab A, of {len(taken):,}"
        results.append(Result(metric=metric, size=tags, ours=without, unit="answers"))
        keep("from a flag at one lab to the match at another", await flag_to_match(labs, after, flags))
    return results


def main() -> None:
    """Measure, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tags", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--flags", type=int, default=100)
    parser.add_argument("--print", action="store_true", help="write nothing down")
    arguments = parser.parse_args()
    if arguments.tags < KNOWN // 2:
        parser.error(f"--tags is {KNOWN // 2} or more")
    print(machine())
    results = asyncio.run(measure(arguments.tags, arguments.rate, arguments.seconds, arguments.flags))
    if not arguments.print:
        save("watch", results, f"{machine()}. One run.")


if __name__ == "__main__":
    main()
