"""Compare engines per operation, in one run: microseconds an element, medians, and ratios to PyPI `voprf`."""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

from voprf import ristretto

from mandorla_protocol.engine import Engine, PortableEngine, load_engine, split
from mandorla_protocol.errors import InputError

OPERATIONS = ("blind", "evaluate and prove", "verify and finalize", "own evaluation")
SEED, INFO = bytes(range(32)), b"benchmark"


def of_engine(engine: Engine, tokens: bytes) -> list[Callable[[], object]]:
    uniform, nonce = os.urandom(2 * len(tokens)), os.urandom(64)
    keys = engine.derive_key_pair(SEED, INFO)
    blinds, blinded = engine.blind(tokens, uniform)
    evaluated, proof = engine.evaluate_and_prove(keys, blinded, nonce)
    return [
        lambda: engine.blind(tokens, uniform),
        lambda: engine.evaluate_and_prove(keys, blinded, nonce),
        lambda: engine.verify_and_finalize(keys.public, tokens, blinds, blinded, evaluated, proof),
        lambda: engine.evaluate(keys, tokens),
    ]


def of_voprf(tokens: bytes) -> list[Callable[[], object]]:
    values = list(split(tokens, 32))
    server = ristretto.Evaluator.from_seed(SEED, INFO)
    clients, inputs = map(list, zip(*map(ristretto.Client.blind, values), strict=True))
    answer = server.evaluate_batch(inputs)
    return [
        lambda: [ristretto.Client.blind(value) for value in values],
        lambda: server.evaluate_batch(inputs),
        lambda: ristretto.Client.finalize_batch(clients, answer, server.public_key),
        lambda: [server.evaluate_known_input(value) for value in values],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=4096, help="elements in a batch")
    parser.add_argument("--runs", type=int, default=5, help="runs of which the median is taken")
    arguments = parser.parse_args()
    tokens = os.urandom(32 * arguments.count)
    few = 32 * min(arguments.count, 512)  # the portable engine has one cost an element
    subjects = {"voprf": (of_voprf(tokens), arguments.count)}
    subjects["portable"] = (of_engine(PortableEngine(), tokens[:few]), few // 32)
    try:
        for threads in (1, 2):
            subjects[f"native {threads}"] = (
                of_engine(load_engine("native", threads), tokens),
                arguments.count,
            )
    except InputError as missing:
        print(missing.detail)
    samples: dict[tuple[str, int], list[float]] = {}
    for _ in range(arguments.runs):  # interleaved, so that a busy moment falls on all
        for name, (works, count) in subjects.items():
            for place, work in enumerate(works):
                start = time.perf_counter()
                work()
                elapsed = (time.perf_counter() - start) * 1e6 / count
                samples.setdefault((name, place), []).append(elapsed)
    print("us an element (ratio to voprf)".ljust(32) + "".join(name.rjust(18) for name in subjects))
    for place, operation in enumerate(OPERATIONS):
        base = statistics.median(samples["voprf", place])
        cells = (statistics.median(samples[name, place]) for name in subjects)
        print(operation.ljust(32) + "".join(f"{cell:.1f} ({cell / base:.2f})".rjust(18) for cell in cells))


if __name__ == "__main__":
    main()
