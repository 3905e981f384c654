"""How far the lab's own systems have been told of matches."""

from __future__ import annotations

from sqlalchemy import func, insert, select, update

from ..core.clock import Clock
from .database import Database
from .match_events import holds, next_event
from .schema import GROUP_MATCHES, MATCHES, NOTICES, PEERS


class Notices:
    """For each receiver, by name: the number of the last match that it has acknowledged."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def begin(self, receiver: str) -> int:
        """Return where a receiver stands; one that is new begins with the next match."""
        with self._database.write() as connection:
            known = select(NOTICES.c.event).where(NOTICES.c.receiver == receiver)
            event = connection.scalar(known)
            if event is None:
                event = next_event(connection) - 1
                connection.execute(insert(NOTICES).values(receiver=receiver, event=event))
            return int(event)

    def advance(self, receiver: str, event: int) -> None:
        """Record that a receiver has acknowledged all matches up to one."""
        with self._database.write() as connection:
            mine = update(NOTICES).where(NOTICES.c.receiver == receiver)
            connection.execute(mine.values(event=event))

    def waiting(self, receiver: str) -> int:
        """Count the matches that hold and that a receiver has not acknowledged."""
        total = 0
        last = select(NOTICES.c.event).where(NOTICES.c.receiver == receiver).scalar_subquery()
        with self._database.read() as connection:
            for table in (MATCHES, GROUP_MATCHES):
                later = (
                    select(func.count())
                    .select_from(table.join(PEERS, PEERS.c.lab == table.c.peer))
                    .where(table.c.event > last, holds(table, self._clock()))
                )
                total += int(connection.scalar(later) or 0)
        return total
