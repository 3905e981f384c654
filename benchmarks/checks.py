"""How long a gateway waits for an answer: `Check` of one known indicator, through the operator socket.

    python -m benchmarks.checks [--size N] [--calls N]

The node has `size` flagged addresses and has run a `shared` round with its peer, which flagged half of them;
the peer's node runs, too. Each call asks about another flagged address, in turn shared and not. A call is one
gRPC call over a Unix socket by a client in this process, one after another; the node records each address as
observed, durably, before it answers.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from pathlib import Path

from benchmarks.labs import address, ready, two_labs
from benchmarks.results import machine


async def latencies(made: Path, size: int, calls: int) -> list[float]:
    """Return how many milliseconds each call took."""
    taken = []
    async with ready(made, cores=2) as labs:
        await labs.run_round()
        operator = labs.nodes[0].operator
        # Lab A flags the first `size` addresses, of which lab B flags the upper half.
        numbers = [number % 2 * (size // 2) + number // 2 for number in range(calls)]
        for number in numbers:
            start = time.perf_counter()
            (answer,) = await operator.check_many([("ipv4", address(number))])
            taken.append((time.perf_counter() - start) * 1e3)
            if not answer.flagged_here or bool(answer.matches) != (number >= size // 2):
                raise SystemExit("a check gave a wrong answer")
    return taken


def measure(size: int, calls: int) -> tuple[float, float]:
    """Return the median and the 99th percentile, in milliseconds."""
    with two_labs(size) as made:
        taken = asyncio.run(latencies(made, size, calls))
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]


def main() -> None:
    """Measure, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=4_000)
    arguments = parser.parse_args()
    print(machine())
    median, worst = measure(arguments.size, arguments.calls)
    print(f"{arguments.calls} checks at {arguments.size}: median {median:.2f} ms, p99 {worst:.2f} ms")


if __name__ == "__main__":
    main()
