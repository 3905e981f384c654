"""The engine of many machines: tasks of a Ray cluster, or of one that is started here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

T = TypeVar("T")
R = TypeVar("R")

_AHEAD: Final = 2

Lost = RayError
"""What Ray raises when a worker is gone."""


class Cluster:
    """The workers of a cluster."""

    def __init__(self, workers: int) -> None:
        self._ahead = _AHEAD * workers

    def map(self, task: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Apply a task to each item, on any worker; yield the results in the order of the items."""
        remote = ray.remote(max_retries=0)(_call)
        shared = ray.put(task)
        waiting: deque[Any] = deque()
        for item in items:
            waiting.append(remote.remote(shared, item))
            if len(waiting) >= self._ahead:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())


def _call(task: Callable[[T], R], item: T) -> R:
    return task(item)


def _result(reference: Any) -> Any:
    try:
        return ray.get(reference)
    except RayTaskError as error:
        # The task's own error, without Ray's account of it, which shows what the task was given.
        raise error.cause from None


@contextmanager
def cluster(address: str | None, workers: int) -> Iterator[Cluster]:
    """Join the cluster at an address, or start one here with some workers; leave it at the end."""
    here = {} if address else {"num_cpus": workers, "include_dashboard": False}
    ray.init(address=address, log_to_driver=False, logging_level="error", configure_logging=True, **here)
    try:
        # Of a cluster that others started, all workers may be had.
        yield Cluster(int(ray.cluster_resources().get("CPU", workers)))
    finally:
        ray.shutdown()
