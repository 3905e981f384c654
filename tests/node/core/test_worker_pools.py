"""Pools of workers: every pool gives the same results, in order, and its failures are clear."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from mandorla_node.core.worker_pools import RayPool, worker_pool
from mandorla_protocol.errors import Code, NodeError


class TaskError(Exception):
    """What Ray raises where a task raised something."""

    cause = ValueError("of the task")


class LostError(Exception):
    """What Ray raises where a worker is gone."""


class FakeRay(ModuleType):
    """The calls of Ray that a pool makes, answered in this process."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.exceptions = SimpleNamespace(RayError=(TaskError, LostError), RayTaskError=TaskError)
        self.started: dict[str, object] = {}
        self.put_count = 0
        self.running = False

    def init(self, **settings: object) -> None:
        self.started, self.running = settings, True

    def shutdown(self) -> None:
        self.running = False

    def put(self, value: object) -> object:
        self.put_count += 1
        return value

    def remote(self, **_: object) -> Callable[[Any], object]:
        return lambda function: SimpleNamespace(remote=lambda *given: (function, given))

    def get(self, reference: Any) -> object:
        function, given = reference
        return function(*given)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return fake


def squared(number: int) -> int:
    return number * number


def ends_its_process(_: int) -> None:
    os._exit(1)


def raises(error: Exception) -> Callable[[int], int]:
    def task(_: int) -> int:
        raise error

    return task


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("with_ray", [False, True])
def test_every_pool_gives_the_results_in_the_order_of_the_items(
    workers: int, with_ray: bool, ray: FakeRay
) -> None:
    with worker_pool(workers, ray=with_ray) as pool:
        assert list(pool.map(squared, range(40))) == [number * number for number in range(40)]
    assert not ray.running


def test_a_worker_that_ends_is_an_error_with_advice() -> None:
    with pytest.raises(NodeError) as caught, worker_pool(2, advice="Use fewer --workers.") as pool:
        list(pool.map(ends_its_process, [1]))
    assert caught.value.code is Code.INTERNAL
    assert caught.value.detail.endswith("Use fewer --workers.")


def test_a_worker_of_a_cluster_that_ends_is_the_same_error(ray: FakeRay) -> None:
    with pytest.raises(NodeError) as caught, worker_pool(2, ray=True, advice="Use fewer --workers.") as pool:
        list(pool.map(raises(LostError()), [1]))
    assert caught.value.code is Code.INTERNAL
    assert caught.value.detail.endswith("Use fewer --workers.")
    assert not ray.running


def test_an_error_of_a_task_comes_without_what_ray_says_of_it(ray: FakeRay) -> None:
    with pytest.raises(ValueError, match="of the task"), worker_pool(2, ray=True) as pool:
        list(pool.map(raises(TaskError()), [1]))


def test_a_cluster_gets_the_task_once(ray: FakeRay) -> None:
    assert list(RayPool(ray).map(squared, [1, 2, 3])) == [1, 4, 9]
    assert ray.put_count == 1


def test_a_cluster_is_joined_where_an_address_is_given_and_else_started(
    ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    with worker_pool(3, ray=True):
        assert ray.started["address"] == "local"
        assert ray.started["num_cpus"] == 3
    monkeypatch.setenv("RAY_ADDRESS", "cluster.example:6379")
    with worker_pool(3, ray=True):
        assert ray.started["address"] == "cluster.example:6379"
        assert "num_cpus" not in ray.started


def test_ray_that_is_missing_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(NodeError) as caught, worker_pool(2, ray=True):
        raise AssertionError
    assert caught.value.code is Code.BAD_CONFIG
    assert "pip install 'mandorla[ray]'" in caught.value.detail
