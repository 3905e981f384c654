"""An event loop whose every delay is a choice: threads and timers end when the explorer says so.

The node's own coroutines run on it. What is ready runs at once, in the order in which it became ready, as on
asyncio's own loop; a thread's work and a timer wait until they are chosen. Nothing else of asyncio is left to
chance, so that a list of choices names one run, and runs it again.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, TypeVar, TypeVarTuple, Unpack

from mandorla_protocol.errors import MandorlaError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MOST_STEPS = 10_000


@dataclass
class Job:
    """Work of a thread: first it is done, then the loop hears of it."""

    name: str
    arguments: tuple[object, ...]
    work: Callable[[], None]
    hear: Callable[[], None]
    done: bool = False


@dataclass
class Clock:
    """The time that all loops of a world share, in seconds."""

    now: float = 0.0


@dataclass
class _Outcome:
    value: list[Any] = field(default_factory=list)
    error: MandorlaError | None = None


class ChosenLoop(asyncio.BaseEventLoop):
    """A loop without sockets. `slow` names the functions whose threads the explorer schedules."""

    def __init__(self, clock: Clock, slow: frozenset[str]) -> None:
        super().__init__()
        self.jobs: list[Job] = []
        self.timers: list[asyncio.TimerHandle] = []
        self._shared = clock
        self._slow = slow
        self._queue: deque[asyncio.Handle] = deque()
        self._abandoned = False
        self._tasks: list[asyncio.Task[Any]] = []

    def time(self) -> float:
        """Return the world's time."""
        return self._shared.now

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """Begin a task, and remember it."""
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=None if name is None else str(name))
        self._tasks.append(task)
        return task

    def tasks(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that are not done, in the order in which they began."""
        self._tasks = [task for task in self._tasks if not task.done()]
        return self._tasks

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a callback when the loop settles."""
        handle = asyncio.Handle(callback, args, self, context)
        self._queue.append(handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Keep a timer until it is chosen."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self.timers.append(timer)
        return timer

    def run_in_executor(
        self, executor: object, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Give work to a thread: at once, or when it is chosen."""
        future: asyncio.Future[T] = self.create_future()
        outcome = _Outcome()

        def work() -> None:
            try:
                outcome.value.append(func(*args))
            except MandorlaError as error:
                outcome.error = error

        def hear() -> None:
            if future.done():
                return
            if outcome.error is not None:
                future.set_exception(outcome.error)
            else:
                future.set_result(outcome.value[0])

        name, arguments = _named(func)
        if self._abandoned:
            future.cancel()
        elif name in self._slow:
            self.jobs.append(Job(name, arguments, work, hear))
        else:
            work()
            hear()
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Pass over tasks that were abandoned with their world."""

    def settle(self) -> None:
        """Run what is ready until only choices are left."""
        asyncio._set_running_loop(self)
        try:
            for _ in range(_MOST_STEPS):
                if not self._queue:
                    break
                handle = self._queue.popleft()
                if not handle.cancelled():
                    handle._run()
            else:
                raise RuntimeError("the loop does not settle")
        finally:
            asyncio._set_running_loop(None)
        self.timers = [timer for timer in self.timers if not timer.cancelled()]

    def fire(self, timer: asyncio.TimerHandle) -> None:
        """Let a timer end, at its time."""
        self._shared.now = max(self._shared.now, timer.when())
        self.timers.remove(timer)
        timer._run()

    def abandon(self) -> None:
        """Let the node go with all that it had in memory; what its threads have not done is never done."""
        self._abandoned = True
        self.jobs.clear()
        for _ in range(_MOST_STEPS):
            if not (tasks := self.tasks()):
                break
            for task in tasks:
                task.cancel()
            self.settle()
        else:
            raise RuntimeError("a task does not end")
        self.timers.clear()
        self.close()


def _named(func: Callable[..., object]) -> tuple[str, tuple[object, ...]]:
    """Name what `asyncio.to_thread` was given, and its arguments."""
    if isinstance(func, functools.partial) and func.args:
        return getattr(func.args[0], "__name__", ""), func.args[1:]
    return getattr(func, "__name__", ""), ()
