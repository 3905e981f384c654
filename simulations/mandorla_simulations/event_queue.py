"""The events of a run, in order of time; each event may schedule others."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from enum import IntEnum, auto

_FIRST, _LAST = 0, 1
"""Among the events of one second, a round comes last: it sees all that happened by then."""


class Event(IntEnum):
    """The kinds of events."""

    REPLACE = auto()
    """An attacker wants an account for a slot of its pool."""

    OPEN = auto()
    """An attacker opens an account."""

    NOTICE = auto()
    """An attacker notices that it lost an account."""

    SUBSTITUTE = auto()
    """An attacker changes a resource on its living accounts."""

    MOVE = auto()
    """An account moves to the lab that released a model."""

    FINISH = auto()
    """A campaign ends."""

    RELEASE = auto()
    """A lab releases a model."""

    LEASE = auto()
    """The exits of a relay get new addresses."""

    DETECT = auto()
    """A detection signal fires on an account."""

    CONVICT = auto()
    """A lab has confirmed that an account belongs to an attacker."""

    CONVICT_WRONGLY = auto()
    """A lab takes an honest user for an attacker."""

    REVIEW = auto()
    """The review of an account ends."""

    BLOCK = auto()
    """A lab blocks a resource."""

    HEAR = auto()
    """A lab learns of a match."""

    ROUND = auto()
    """The labs run the rounds that are due."""


Handler = Callable[..., None]
"""Takes the time of the event, in seconds, and the event's arguments."""


class EventQueue:
    """The events to come, up to the horizon of the scenario.

    Events of one second happen in the order in which they were scheduled, but rounds come last. So a run
    depends only on its inputs.
    """

    def __init__(self, horizon: int) -> None:
        self._horizon = horizon
        self._queue: list[tuple[int, int, int, Event, tuple[object, ...]]] = []
        self._order = 0

    def schedule(self, time: int, event: Event, *arguments: object) -> None:
        """Have an event happen at a time; an event at or after the horizon never happens."""
        if time < self._horizon:
            self._order += 1
            place = _LAST if event is Event.ROUND else _FIRST
            heapq.heappush(self._queue, (time, place, self._order, event, arguments))

    def run(self, handlers: Mapping[Event, Handler]) -> None:
        """Handle all events in order."""
        queue = self._queue
        while queue:
            now, _, _, event, arguments = heapq.heappop(queue)
            handlers[event](now, *arguments)
