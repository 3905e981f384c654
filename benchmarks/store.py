"""A store of many indicators: what it takes to fill it, to make a table of it, and to find things in it.

    python -m benchmarks.store 10000000 [--database sqlite|postgresql] [--table N]

PostgreSQL is a server of its own, as the tests start it, with its `fsync` off. Half of the indicators are
flagged and all are observed; a table is made of `--table` in a store of their own, since its cost is the
cryptography's. It prints a line for each figure, and the memory of this process at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from mandorla_node.config.peer_settings import RoundSettings
from mandorla_node.crypto.vault import Vault, new_key
from mandorla_node.crypto.workers import Workers
from mandorla_node.peers.policy import Policies
from mandorla_node.store import IndicatorSet, LabelledIndicator, Store
from mandorla_node.tables.builder import TableBuilder
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.group import Element
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label
from tests.support.databases import BACKENDS, server, stop_server

ME, PEER = LabId(bytes(32)), LabId(b"p" * 32)
BATCH = 16_384
LOOK_UPS = 200


def clock() -> int:
    """Return a time that stands still."""
    return 1_800_000_000


def rows(start: int, end: int) -> Iterator[list[LabelledIndicator]]:
    """Yield indicators of numbers, by batch, whose values come in no order."""
    label = Label()
    numbers = iter(range(start, end))
    while some := list(islice(numbers, BATCH)):
        # An odd factor shuffles the numbers of four bytes, as real addresses are.
        values = ((number * 2_654_435_761) % 2**32 for number in some)
        yield [
            LabelledIndicator(Indicator("ipv4", 1, ".".join(map(str, value.to_bytes(4, "big")))), label)
            for value in values
        ]


@contextmanager
def timed(name: str, count: int = 1) -> Iterator[None]:
    """Print how long something took, and for each of several."""
    began = time.perf_counter()
    yield
    took = time.perf_counter() - began
    print(f"{name}: {took:.2f} s" + (f", {1e6 * took / count:.1f} us each" if count > 1 else ""), flush=True)


def latency(name: str, once: Callable[[int], object]) -> None:
    """Print the median and the worst of a hundred of many calls."""
    took = []
    for number in range(LOOK_UPS):
        began = time.perf_counter()
        once(number)
        took.append(1e3 * (time.perf_counter() - began))
    worst = statistics.quantiles(took, n=100)[98]
    print(f"{name}: median {statistics.median(took):.2f} ms, p99 {worst:.2f} ms", flush=True)


def measure(store: Store, count: int) -> None:
    """Fill a store, and look things up in it."""
    indicators, holding, asking = store.indicators, store.holder, store.querier
    flagged, observed = IndicatorSet.FLAGGED, IndicatorSet.OBSERVED
    first = None
    with timed(f"flag {count // 2:,}", count // 2):
        for batch in rows(0, count // 2):
            first = indicators.add(flagged, batch, first).ingest_id
    second = None
    with timed(f"observe {count:,}", count):
        for batch in rows(0, count):
            second = indicators.add(observed, batch, second).ingest_id
    with timed(f"observe {min(count, 10**6):,} again", min(count, 10**6)):
        for batch in rows(0, min(count, 10**6)):
            indicators.add(observed, batch, None)
    with timed("count by type"):
        indicators.sizes()

    draw = random.Random(1)
    known = [next(rows(n, n + 1))[0].indicator for n in (draw.randrange(count) for _ in range(LOOK_UPS))]
    unknown = [next(rows(n, n + 1))[0].indicator for n in range(count, count + LOOK_UPS)]
    latency("memberships of one that is known", lambda n: indicators.memberships([known[n]]))
    latency("memberships of one that is not", lambda n: indicators.memberships([unknown[n]]))
    latency("flag one", lambda n: indicators.add(flagged, [LabelledIndicator(unknown[n], Label())], None))

    held = holding.create(Epoch(ME, PEER, "infrastructure", 1), bytes(32), bytes(32), 1 << 30, 3600)
    until = holding.flag_state()
    with timed(f"read additions of {count // 2:,}", count // 2):
        last = None
        while (last := holding.additions(held, until, last, BATCH)) is not None:
            pass
    holding.record_coverage(held, until)
    held = holding.get(held.epoch)
    indicators.add(flagged, next(rows(count + LOOK_UPS, count + LOOK_UPS + 10)), None)
    state = holding.flag_state()
    latency("additions since a change of ten", lambda _: holding.additions(held, state, None, BATCH))
    latency("revocations, of none", lambda _: holding.revocations(held, state, 0, BATCH))

    epoch = Epoch(PEER, ME, "infrastructure", 1)
    asked = asking.begin(asking.look_up(epoch, Element(bytes(32))))
    with timed(f"read untagged of {count:,} and keep tags", count):
        after = 0
        while (found := asking.untagged(asked, observed, after, 1 << 40, BATCH))[0]:
            ids = found[0]
            asking.store_tags(asked, ids, os.urandom(16 * len(ids)), bytes(32 * len(ids)))
            after = ids[-1]
    seen = asking.last_observed()
    indicators.add(observed, next(rows(count + 1000, count + 1010)), None)
    latency(
        "arrivals since a change of ten", lambda _: asking.newly_observed(asked, seen, asking.last_observed())
    )


def prepare(store: Store, count: int) -> None:
    """Make a table of what a store has flagged."""
    pool = Workers("auto", 0)
    try:
        tables = TableBuilder(ME, store, pool, Policies(RoundSettings(), {}, store))
        with timed(f"prepare a table of {count:,}", count):
            asyncio.run(tables.prepare(PEER, "infrastructure"))
    finally:
        pool.close()


def main() -> None:
    """Measure one database, or both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--database", choices=BACKENDS)
    parser.add_argument("--table", type=int, default=1 << 17)
    asked = parser.parse_args()
    for name in [asked.database] if asked.database else BACKENDS:
        print(f"\n{name}")
        with tempfile.TemporaryDirectory(prefix="md-bench-", dir=".") as folder:
            try:
                place = Path(folder)
                for part in ("large", "table"):
                    url = server().database() if name == "postgresql" else ""
                    store = Store.open(place / part, Vault(new_key()), clock, url)
                    if part == "large":
                        measure(store, asked.count)
                        with timed("scrub"):
                            store.scrub()
                    else:
                        for batch in rows(0, asked.table):
                            store.indicators.add(IndicatorSet.FLAGGED, batch, None)
                        prepare(store, asked.table)
                    store.close()
                paths = server().data.glob("base/*/*") if name == "postgresql" else place.glob("large*")
                print(f"on disk: {sum(path.stat().st_size for path in paths) / 2**20:,.0f} MiB")
            finally:
                stop_server()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"\npeak memory of this process: {peak / 2**10:,.0f} MiB")


if __name__ == "__main__":
    main()
