"""What takes long to read is read seldom, and nobody waits for it longer than he wants."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from mandorla_node.monitoring.cache import CachedValue
from mandorla_protocol.errors import Code, NodeError
from tests.support.patience import PATIENCE


class Slow:
    """Returns how often it was read, once it may."""

    def __init__(self) -> None:
        self.readings = 0
        self.go_on = threading.Event()

    def __call__(self) -> int:
        self.readings += 1
        assert self.go_on.wait(PATIENCE)
        return self.readings


def test_who_is_impatient_gets_what_was_there() -> None:
    slow = Slow()

    async def journey() -> None:
        with ThreadPoolExecutor(1) as threads:
            value = CachedValue(slow, threads)
            assert await value.get(0.01) is None
            assert await value.get(0.01) is None
            assert slow.readings == 1, "one reading at a time"
            slow.go_on.set()
            assert await value.get(30) == 1
            slow.go_on.clear()
            while slow.readings == 1:
                assert await value.get(0.01) == 1
            slow.go_on.set()
            assert await value.get(30) == 2

    asyncio.run(journey())


def test_what_takes_long_is_read_for_a_twentieth_of_the_time() -> None:
    now = [100.0]

    def read() -> int:
        now[0] += 3
        return int(now[0])

    async def journey() -> None:
        with ThreadPoolExecutor(1) as threads:
            value = CachedValue(read, threads, lambda: now[0])
            assert await value.get(30) == 103
            now[0] = 100 + 59.9
            assert await value.get(30) == 103
            now[0] = 100 + 60
            assert await value.get(30) == 163

    asyncio.run(journey())


def test_a_failure_leaves_the_last_value_and_its_age() -> None:
    answers = [1, None, 3]

    def read() -> int:
        answer = answers.pop(0)
        if answer is None:
            raise NodeError(Code.STORE_FAILED)
        return answer

    async def journey() -> None:
        with ThreadPoolExecutor(1) as threads:
            value = CachedValue(read, threads)
            assert await value.get(30) == 1
            while len(answers) == 2:
                assert await value.get(30) == 1
            while answers:
                await value.get(30)
            assert await value.get(30, 3600) == 3

    asyncio.run(journey())
