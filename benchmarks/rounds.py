"""A `shared` round between two real nodes, at several sizes: time, curve arithmetic, bytes and peak memory.

    python -m benchmarks.rounds [--runs N] [--cores N] [--json FILE] 4096 16384 65536

Both nodes are processes on this machine, with mutual TLS, stores on disk and proofs checked. Each lab flags n
addresses, half of them in common. *Prepare* is from the first node's beginning until each has its table for
the other, side by side; *round* is from the operator's request until both labs know what they share: both
directions, the close, and the comparison. Memory is the peak of a node, and of its workers. *Curve* is how
much of the CPU time of both nodes, from the first table to the end of the round, is spent in the engine's
operations, measured in the nodes (`serve_profile.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.labs import Round, run_round, two_labs
from benchmarks.results import machine

COLUMNS = "{:>9} {:>10} {:>10} {:>10} {:>11} {:>9} {:>7} {:>9} {:>9}"
HEADINGS = (
    "n",
    "prepare s",
    "round s",
    "us/element",
    "bytes/elem.",
    "CPU s",
    "curve",
    "node MiB",
    "a worker",
)


def measure(size: int, runs: int, *cores: int) -> list[list[Round]]:
    """Run a round several times, from the same homes, on each number of cores in turn."""
    with two_labs(size) as made:
        ran = [[asyncio.run(run_round(made, size, count)) for count in cores] for _ in range(runs)]
    return [list(rounds) for rounds in zip(*ran, strict=True)]


def median(rounds: list[Round], name: str) -> float:
    """Return the median of a figure."""
    return statistics.median(getattr(one, name) for one in rounds)


def curve_share(rounds: list[Round]) -> float | None:
    """Return the median share of the CPU time that is the engine's operations."""
    shares = [one.curve / one.cpu for one in rounds if one.curve is not None]
    return statistics.median(shares) if shares else None


def print_row(size: int, rounds: list[Round]) -> None:
    """Print the medians of some rounds of a size."""
    share = curve_share(rounds)
    row = (
        size,
        f"{median(rounds, 'prepare'):.1f}",
        f"{median(rounds, 'round'):.1f}",
        f"{median(rounds, 'round') / (2 * size) * 1e6:.0f}",
        f"{(median(rounds, 'sent') + median(rounds, 'received')) / (2 * size):.0f}",
        f"{median(rounds, 'cpu'):.1f}",
        "" if share is None else f"{share:.1%}",
        f"{median(rounds, 'node'):.0f}",
        f"{median(rounds, 'workers'):.0f}",
    )
    print(COLUMNS.format(*row), flush=True)


def main() -> None:
    """Measure each size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=int, default=[4_096, 16_384, 65_536])
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--cores", type=int, default=2, help="cores, and workers of each node")
    parser.add_argument("--json", type=Path, help="write every run to this file")
    arguments = parser.parse_args()
    print(machine())
    print(COLUMNS.format(*HEADINGS))
    written: list[dict[str, Any]] = []
    for size in arguments.sizes:
        (rounds,) = measure(size, arguments.runs, arguments.cores)
        print_row(size, rounds)
        written += [{"size": size, "cores": arguments.cores} | asdict(one) for one in rounds]
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "rounds": written}, indent=1) + "\n")


if __name__ == "__main__":
    main()
