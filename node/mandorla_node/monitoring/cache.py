"""Values that take long to read, read seldom and by one thread, whoever asks how often."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final, Generic, TypeVar

from mandorla_protocol.errors import MandorlaError

T = TypeVar("T")

_SHARE: Final = 20
"""A value is read again no sooner than after this many times as long as the reading took."""


class CachedValue(Generic[T]):
    """A value that `read` returns, with the time at which it was read.

    However often it is asked for, reading costs a twentieth of a core at most. Who asks while a reading is
    under way waits for that one.
    """

    def __init__(
        self, read: Callable[[], T], executor: Executor, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._monotonic = monotonic
        self._executor = executor
        self._value: T | None = None
        self._read_at = float("-inf")
        self._took = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def get(self, patience: float | None, older: float = 0.0) -> T | None:
        """Return the value, read again if it is older than `older` seconds, after `patience` seconds at most.

        When those have passed, it is the last value, or None if there was never one. Age and errors are the
        caller's to look at: a store that cannot be read leaves the last value too.
        """
        if self._reading is None and self.age >= max(older, self._took * _SHARE):
            self._reading = asyncio.create_task(self._refresh())
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=patience)
        return self._value

    @property
    def age(self) -> float:
        """Seconds since the value was read; infinite before the first time."""
        return self._monotonic() - self._read_at

    async def _refresh(self) -> None:
        started = self._monotonic()
        try:
            value = await asyncio.get_running_loop().run_in_executor(self._executor, self._read)
        except MandorlaError:
            # The age of what is there says that nothing newer could be read.
            return
        finally:
            self._took = self._monotonic() - started
            self._reading = None
        self._value, self._read_at = value, started
