"""Compare engines per operation, in one run: microseconds an element, medians, and ratios to PyPI `voprf`.

    python -m benchmarks.operations [--count N] [--runs N]

Every subject does the same on the same tokens, in this process, with its keys and randomness ready. The runs
are interleaved, so that a busy moment falls on all. `verify and finalize` is of a batch with one proof.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mandorla_protocol.engine import Engine, split
from mandorla_protocol.engine.loader import load_engine
from mandorla_protocol.engine.portable import PortableEngine
from mandorla_protocol.errors import InputError

OPERATIONS = ("blind", "evaluate and prove", "verify and finalize", "own evaluation")
SEED, INFO = bytes(range(32)), b"benchmark"
PORTABLE_COUNT = 512
"""Elements for the portable engine, which has one cost an element."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One whose operations are measured, in the order of OPERATIONS."""

    count: int
    operations: Sequence[Callable[[], object]]


def of_engine(engine: Engine, tokens: bytes) -> Subject:
    """Return the operations of one of our engines."""
    uniform, nonce = os.urandom(2 * len(tokens)), os.urandom(64)
    keys = engine.derive_key_pair(SEED, INFO)
    blinds, blinded = engine.blind(tokens, uniform)
    # As a holder has them, who has only their bytes; and as the querier who has just blinded them.
    asked = bytes(blinded)
    evaluated, proof = engine.evaluate_and_prove(keys, asked, nonce)
    operations = (
        lambda: engine.blind(tokens, uniform),
        lambda: engine.evaluate_and_prove(keys, asked, nonce),
        lambda: engine.verify_and_finalize(keys.public, tokens, blinds, blinded, evaluated, proof),
        lambda: engine.evaluate(keys, tokens),
    )
    return Subject(len(tokens) // 32, operations)


def of_voprf(tokens: bytes) -> Subject:
    """Return the operations of PyPI `voprf`; it is in Rust, on one thread."""
    from voprf import ristretto  # noqa: PLC0415 - a peer, which may be missing

    values = list(split(tokens, 32))
    server = ristretto.Evaluator.from_seed(SEED, INFO)
    clients, inputs = map(list, zip(*map(ristretto.Client.blind, values), strict=True))
    answer = server.evaluate_batch(inputs)
    operations = (
        lambda: [ristretto.Client.blind(value) for value in values],
        lambda: server.evaluate_batch(inputs),
        lambda: ristretto.Client.finalize_batch(clients, answer, server.public_key),
        lambda: [server.evaluate_known_input(value) for value in values],
    )
    return Subject(len(values), operations)


def subjects(count: int, with_peer: bool) -> dict[str, Subject]:
    """Return what can be measured here, by name."""
    tokens = os.urandom(32 * count)
    found = {"voprf": of_voprf(tokens)} if with_peer else {}
    found["portable"] = of_engine(PortableEngine(), tokens[: 32 * min(count, PORTABLE_COUNT)])
    try:
        for threads in (1, 2):
            found[f"native {threads}"] = of_engine(load_engine("native", threads), tokens)
    except InputError as missing:
        print(missing.detail)
    return found


def measure(count: int, runs: int, *, with_peer: bool) -> dict[tuple[str, str], float]:
    """Return the median of each subject and operation, in microseconds an element."""
    samples: dict[tuple[str, str], list[float]] = {}
    measured = subjects(count, with_peer)
    for _ in range(runs):
        for name, subject in measured.items():
            for operation, work in zip(OPERATIONS, subject.operations, strict=True):
                start = time.perf_counter()
                work()
                elapsed = (time.perf_counter() - start) * 1e6 / subject.count
                samples.setdefault((name, operation), []).append(elapsed)
    return {key: statistics.median(times) for key, times in samples.items()}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=4096, help="elements in a batch")
    parser.add_argument("--runs", type=int, default=5, help="runs of which the median is taken")
    arguments = parser.parse_args()
    medians = measure(arguments.count, arguments.runs, with_peer=True)
    names = list(dict.fromkeys(name for name, _ in medians))
    print("us an element (ratio to voprf)".ljust(32) + "".join(name.rjust(18) for name in names))
    for operation in OPERATIONS:
        base = medians["voprf", operation]
        cells = (medians[name, operation] for name in names)
        print(operation.ljust(32) + "".join(f"{cell:.1f} ({cell / base:.2f})".rjust(18) for cell in cells))


if __name__ == "__main__":
    main()
