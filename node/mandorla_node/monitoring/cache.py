"""Cached values whose reading is slow: read by one thread at a time, with a bound on the total work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final, Generic, TypeVar

from mandorla_protocol.errors import MandorlaError

T = TypeVar("T")

_REST_FACTOR: Final = 20
"""A value is read again after this many times the duration of its last reading, at the earliest."""


class CachedValue(Generic[T]):
    """The last value that `read` returned, and the time of the reading.

    Readings take at most a twentieth of a core, however often `get` is called. A call during a reading waits
    for that reading.
    """

    def __init__(
        self, read: Callable[[], T], executor: Executor, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._monotonic = monotonic
        self._executor = executor
        self._value: T | None = None
        self._read_at = float("-inf")
        self._duration = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def get(self, max_wait: float | None, max_age: float = 0.0) -> T | None:
        """Return the value, read again if it is older than `max_age` seconds, within `max_wait` seconds.

        After that wait, or if the store cannot be read, this returns the last value, or None if there is
        none. The caller judges the value by its `age`.
        """
        if self._reading is None and self.age >= max(max_age, self._duration * _REST_FACTOR):
            self._reading = asyncio.create_task(self._refresh())
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=max_wait)
        return self._value

    @property
    def age(self) -> float:
        """Seconds since the last successful reading began; infinite before the first."""
        return self._monotonic() - self._read_at

    async def _refresh(self) -> None:
        started = self._monotonic()
        try:
            value = await asyncio.get_running_loop().run_in_executor(self._executor, self._read)
        except MandorlaError:
            # The last value stays, and its growing age shows the failure.
            return
        finally:
            self._duration = self._monotonic() - started
            self._reading = None
        self._value, self._read_at = value, started
