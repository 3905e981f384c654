"""A pool that runs cryptography outside the event loop, on every core.

An engine that releases the GIL runs in threads. The portable engine runs in processes, which are spawned, not
forked: gRPC does not survive a fork.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from typing import TypeVar, TypeVarTuple

from mandorla_protocol.engine import OUTPUT_SIZE, ElementBatch, Engine
from mandorla_protocol.engine.loader import load_engine
from mandorla_protocol.epochs import Epoch
from mandorla_protocol.errors import Code, NodeError
from mandorla_protocol.group import Element
from mandorla_protocol.labels import Label, seal_labels, split_outputs
from mandorla_protocol.oprf import KeyPair

from .library_copy import remove_library_copy

A = TypeVarTuple("A")
R = TypeVar("R")


@lru_cache
def engine_named(choice: str) -> Engine:
    """Return this process's engine: `portable`, `native`, or `auto` for the fastest one installed."""
    engine = load_engine(choice)
    remove_library_copy()
    return engine


class Workers:
    """A pool that runs the batch functions of this module, one batch on each core."""

    def __init__(self, choice: str, count: int = 0) -> None:
        self._choice = choice
        self.engine = engine_named(choice)
        self.count = count or os.cpu_count() or 1
        self._pool = self._make_pool()

    async def run(self, function: Callable[[Engine, *A], R], *args: *A) -> R:
        """Run a function of this module in the pool, with the engine as its first argument.

        Raises the function's errors, and NodeError(INTERNAL) if a worker process died.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, _call, function, self._choice, args
            )
        except BrokenProcessPool:
            # A broken pool accepts no more work.
            self._pool = self._make_pool()
            raise NodeError(Code.INTERNAL, "a worker process died") from None

    def close(self) -> None:
        """Stop the workers."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _make_pool(self) -> Executor:
        if self.engine.releases_gil:
            return ThreadPoolExecutor(self.count, thread_name_prefix="engine")
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.count, mp_context=spawn)


def derive_keys(engine: Engine, seed: bytes, epoch: Epoch) -> KeyPair:
    """Derive the key pair of an epoch."""
    return engine.derive_key_pair(seed, epoch.encode())


def blind(engine: Engine, tokens: bytes) -> tuple[bytes, ElementBatch]:
    """Blind tokens with fresh randomness; return joined blinding scalars and the blinded elements."""
    return engine.blind(tokens, os.urandom(2 * len(tokens)))


def decode_elements(engine: Engine, elements: bytes) -> ElementBatch:
    """Decode joined elements; refuse the identity, and encodings that are not canonical."""
    return engine.decode_elements(elements)


def evaluate_and_prove(
    engine: Engine, keys: KeyPair, blinded: ElementBatch, nonce: bytes
) -> tuple[bytes, bytes]:
    """Evaluate a chunk; return the joined evaluated elements and the proof."""
    return engine.evaluate_and_prove(keys, blinded, nonce)


def finalize_tags(
    engine: Engine,
    public_key: Element,
    tokens: bytes,
    blinds: bytes,
    blinded: ElementBatch,
    evaluated: bytes,
    proof: bytes,
    count: int,
) -> tuple[bytes, bytes]:
    """Verify an answer; return joined tags and label keys of the first `count` tokens; the rest pads."""
    outputs = engine.verify_and_finalize(public_key, tokens, blinds, blinded, evaluated, proof)
    return split_outputs(outputs[: count * OUTPUT_SIZE])


def tag_and_seal(
    engine: Engine, keys: KeyPair, epoch: Epoch, version: int, tokens: bytes, labels: list[Label]
) -> tuple[bytes, bytes]:
    """Compute tags of the holder's own tokens, and seal labels for a table version; return both joined."""
    tags, label_keys = split_outputs(engine.evaluate(keys, tokens))
    return tags, seal_labels(labels, label_keys, tags, epoch, version)


def own_tags(engine: Engine, keys: KeyPair, tokens: bytes) -> bytes:
    """Compute the tags of the holder's own tokens; return them joined."""
    return split_outputs(engine.evaluate(keys, tokens))[0]


def _call(function: Callable[..., R], choice: str, args: tuple[object, ...]) -> R:
    return function(engine_named(choice), *args)
