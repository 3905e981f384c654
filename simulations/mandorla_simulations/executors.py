"""Where runs are done: in this process, in local processes, or on Ray."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context
from types import ModuleType
from typing import Protocol, TypeVar

from mandorla_protocol.errors import Code, InputError

Work = TypeVar("Work")
Result = TypeVar("Result")


class Pool(Protocol):
    """Something that does work elsewhere, and gives the results in order."""

    def map(self, do: Callable[[Work], Result], work: Sequence[Work], /) -> Iterable[Result]:
        """Do all work."""


@contextmanager
def executor(workers: int, ray: bool) -> Iterator[Pool | None]:
    """Keep a pool of `workers` processes, one for each core if 0; None where this process is enough.

    Raises InputError(BAD_CONFIG) if Ray is asked for and not installed.
    """
    if ray:
        with _ray_cluster() as pool:
            yield pool
        return
    count = workers or os.cpu_count() or 1
    if count <= 1:
        yield None
        return
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as local:
        yield _Local(local)


class _Local:
    """Processes of this machine."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def map(self, do: Callable[[Work], Result], work: Sequence[Work], /) -> Iterable[Result]:
        """Do all work."""
        return self._pool.map(do, work)


class _OnRay:
    """The nodes of a Ray cluster, or this machine's cores under Ray."""

    def __init__(self, ray: ModuleType) -> None:
        self._ray = ray

    def map(self, do: Callable[[Work], Result], work: Sequence[Work], /) -> Iterable[Result]:
        """Do all work."""
        task = self._ray.remote(do)
        waiting = [task.remote(piece) for piece in work]
        for reference in waiting:
            result: Result = self._ray.get(reference)
            yield result


@contextmanager
def _ray_cluster() -> Iterator[Pool]:
    try:
        ray = import_module("ray")
    except ImportError:
        raise InputError(Code.BAD_CONFIG, "--ray needs Ray: pip install 'mandorla[ray]'") from None
    ray.init(ignore_reinit_error=True, include_dashboard=False, log_to_driver=False)
    try:
        yield _OnRay(ray)
    finally:
        ray.shutdown()


def run_all(
    work: Sequence[Work], do: Callable[[Work], Result], pool: Pool | None, done: Callable[[], None]
) -> list[Result]:
    """Do all work, in order, on the pool if there is one; call `done` after each piece."""
    collected = []
    for result in map(do, work) if pool is None else pool.map(do, work):
        collected.append(result)
        done()
    return collected
