"""Pools of workers for long computations: this process, processes of this machine, or tasks of a Ray cluster.

The result of a computation does not depend on the pool. Cryptography has a pool of its own
(`crypto.workers`), which an event loop drives.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context
from types import ModuleType
from typing import Any, Protocol, TypeVar

from mandorla_protocol.errors import Code, NodeError

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerPool(Protocol):
    """Workers that apply a task to many items."""

    def map(self, task: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Apply a task to each item, on any worker; yield the results in the order of the items."""
        ...


class SerialPool:
    """This process alone, which applies the task to one item after the other."""

    def map(self, task: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Apply a task to each item."""
        return map(task, items)


class ProcessPool:
    """Processes of this machine; task, items and results are pickled."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    def map(self, task: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Apply a task to each item, on any process."""
        return self._executor.map(task, items)


class RayPool:
    """The workers of a Ray cluster; task, items and results are pickled."""

    def __init__(self, ray: ModuleType) -> None:
        self._ray = ray

    def map(self, task: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Apply a task to each item, on any worker of the cluster."""
        ray = self._ray
        apply = ray.remote(max_retries=0)(_apply)
        # A task may hold much, such as a list of accounts: the cluster gets it once, not with every item.
        shared = ray.put(task)
        references = [apply.remote(shared, item) for item in items]
        for reference in references:
            yield self._result(reference)

    def _result(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            # Ray's own text would show the arguments of the task.
            raise error.cause from None


def _apply(task: Callable[[Item], Result], item: Item) -> Result:
    return task(item)


@contextmanager
def worker_pool(workers: int, *, ray: bool = False, advice: str = "") -> Iterator[WorkerPool]:
    """Start a pool, and stop it when the context ends.

    The pool has `workers` workers, one for each core of this machine if 0. With `ray`, it is the whole Ray
    cluster at RAY_ADDRESS; if that is not set, a cluster of `workers` workers starts on this machine.

    Raises NodeError: BAD_CONFIG if Ray is wanted and not installed; INTERNAL, with `advice`, if a worker ends
    before its task does.
    """
    count = workers or os.cpu_count() or 1
    if ray:
        with _ray_pool(count, advice) as pool:
            yield pool
    elif count == 1:
        yield SerialPool()
    else:
        # A forked process would copy the locks that other threads hold, but not those threads.
        with ProcessPoolExecutor(count, get_context("spawn")) as executor:
            try:
                yield ProcessPool(executor)
            except BrokenProcessPool:
                raise _worker_lost(advice) from None
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                raise


@contextmanager
def _ray_pool(workers: int, advice: str) -> Iterator[RayPool]:
    try:
        ray = import_module("ray")
    except ImportError:
        raise NodeError(Code.BAD_CONFIG, "Ray is not installed: pip install 'mandorla[ray]'") from None
    address = os.environ.get("RAY_ADDRESS")
    # Without `local`, Ray would look for a cluster that runs on this machine, and then refuse `num_cpus`.
    here = {} if address else {"num_cpus": workers, "include_dashboard": False}
    ray.init(
        address=address or "local", log_to_driver=False, logging_level="error", configure_logging=True, **here
    )
    try:
        yield RayPool(ray)
    except ray.exceptions.RayError:
        raise _worker_lost(advice) from None
    finally:
        ray.shutdown()


def _worker_lost(advice: str) -> NodeError:
    return NodeError(
        Code.INTERNAL,
        f"A worker ended before its task did; most likely it had no memory left. {advice}".rstrip(),
    )
