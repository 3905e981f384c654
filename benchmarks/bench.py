"""Ours, measured whole: operations, rounds, scaling, memory, bytes, and the latency of a check.

    make bench [LARGE=1]

It prints as it goes, and writes `results/bench.json` and the first table of `README.md`, which says what each
figure includes. LARGE=1 adds a round of 1,048,576 on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks import checks, operations, rounds
from benchmarks.results import Result, machine, save

SIZES = (2**12, 2**14, 2**16, 2**17)
LARGE = 2**20
SCALED = 2**16
"""The largest round that is also run on one core."""

BATCH = 16_384
"""The most that a chunk holds (SPEC 5.3), so what nodes give an engine at once."""


def of_operations(runs: int) -> Iterator[Result]:
    """Yield the cost of each operation: of the native engine, of a second thread, of the portable engine."""
    medians = operations.measure(BATCH, runs, with_peer=False)
    for operation in operations.OPERATIONS:
        portable = medians["portable", operation]
        one = medians.get(("native 1", operation))
        unit = "us an element"
        if one is None:
            yield Result(
                metric=f"{operation}, portable", size=operations.PORTABLE_COUNT, ours=portable, unit=unit
            )
            continue
        two = medians["native 2", operation]
        against_portable = {"peer": "ours, portable, 1 thread", "value": portable}
        against_one = {"peer": "ours, native, 1 thread", "value": one}
        yield Result(
            metric=f"{operation}, native, 1 thread", size=BATCH, ours=one, unit=unit, **against_portable
        )
        yield Result(metric=f"{operation}, native, 2 threads", size=BATCH, ours=two, unit=unit, **against_one)


def of_rounds(size: int, runs: int, on_one_core: bool = False) -> Iterator[Result]:
    """Yield what rounds of a size took on two cores, and how that compares with one core."""
    measured, *others = rounds.measure(size, runs, *((2, 1) if on_one_core else (2,)))

    def median(name: str) -> float:
        return rounds.median(measured, name)

    for metric, name in (("shared round", "round"), ("tables for it, prepared before", "prepare")):
        one = (
            {"peer": "ours, both nodes on 1 core", "value": rounds.median(others[0], name)} if others else {}
        )
        yield Result(metric=f"{metric}, 2 cores", size=size, ours=median(name), unit="s", **one)
    carried = (median("sent") + median("received")) / (2 * size)
    yield Result(
        metric="on the wire in a round", size=size, ours=carried, unit="bytes an indicator of either lab"
    )
    yield Result(metric="peak memory of a node", size=size, ours=median("node"), unit="MiB")
    yield Result(metric="CPU time of both nodes", size=size, ours=median("cpu"), unit="s")
    share = rounds.curve_share(measured)
    if share is not None:
        unit = "% of the CPU time"
        yield Result(
            metric="curve arithmetic in a round and its tables", size=size, ours=100 * share, unit=unit
        )


def of_checks(size: int, calls: int) -> Iterator[Result]:
    """Yield the latency of a check."""
    for name, taken in zip(("median", "99th percentile"), checks.measure(size, calls), strict=True):
        yield Result(
            metric=f"check of a known indicator, {name} of {calls:,}", size=size, ours=taken, unit="ms"
        )


def main() -> None:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    results: list[Result] = []

    def keep(more: Iterator[Result]) -> None:
        for result in more:
            results.append(result)
            print(result.line(), flush=True)

    print(machine())
    keep(of_operations(2 * arguments.runs - 1))
    for size in arguments.sizes:
        keep(of_rounds(size, arguments.runs, on_one_core=size <= SCALED))
    if arguments.large:
        keep(of_rounds(LARGE, 1))
    keep(of_checks(100_000, 4_000))
    once = f"; of one at {LARGE:,}" if arguments.large else ""
    runs = f"Medians of {arguments.runs} runs, of {2 * arguments.runs - 1} of each operation{once}."
    save("bench", results, f"{machine()}. {runs}")


if __name__ == "__main__":
    main()
