"""Who does the work: processes of this machine, or the workers of a Ray cluster. The work is the same."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from enum import StrEnum
from multiprocessing import get_context
from typing import Final, Protocol, TypeVar

from mandorla_protocol.errors import Code, NodeError

T = TypeVar("T")
R = TypeVar("R")

_AHEAD: Final = 2
"""Tasks for each worker that are handed out before the first result is taken."""


class EngineName(StrEnum):
    """The engines."""

    POLARS = "polars"
    RAY = "ray"


class Engine(Protocol):
    """What stages are run on."""

    def map(self, task: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Apply a task to each item, on any worker; yield the results in the order of the items."""
        ...


class Here:
    """This process alone."""

    def map(self, task: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Apply a task to each item, one after the other."""
        return map(task, items)


class Processes:
    """Processes of this machine."""

    def __init__(self, pool: ProcessPoolExecutor, workers: int) -> None:
        self._pool = pool
        self._ahead = _AHEAD * workers

    def map(self, task: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Apply a task to each item, on any process."""
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(self._pool.submit(task, item))
            if len(waiting) >= self._ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _worker_died() -> NodeError:
    """Return the error for a worker that ended before its task did: most likely the memory was full."""
    return NodeError(
        Code.INTERNAL, "A worker died. With more --parts or fewer --workers it needs less memory."
    )


@contextmanager
def engine(name: EngineName, workers: int) -> Iterator[Engine]:
    """Start an engine with some workers; end it when the context is left.

    Raises NodeError(BAD_CONFIG) if Ray is wanted and not installed.
    """
    if name is EngineName.RAY:
        with _ray(workers) as started:
            yield started
    elif workers == 1:
        yield Here()
    else:
        # A forked process would have the locks of polars' threads, and not the threads.
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            try:
                yield Processes(pool, workers)
            except BrokenProcessPool:
                raise _worker_died() from None
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


@contextmanager
def _ray(workers: int) -> Iterator[Engine]:
    try:
        from . import ray_engine  # noqa: PLC0415 - an extra, which may be missing
    except ImportError:
        raise NodeError(
            Code.BAD_CONFIG,
            "`--engine ray` needs ray, which is not installed: pip install 'mandorla[extract,ray]'",
        ) from None
    with ray_engine.cluster(os.environ.get("RAY_ADDRESS"), workers) as started:
        try:
            yield started
        except ray_engine.Lost:
            raise _worker_died() from None
