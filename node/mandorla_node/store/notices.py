"""The last match that each receiver of notices has acknowledged."""

from __future__ import annotations

from sqlalchemy import func, insert, select, update

from ..core.clock import Clock
from .database import Database
from .match_events import is_current, next_event
from .queries import count
from .schema import GROUP_MATCHES, MATCHES, NOTICES, PEERS


class Notices:
    """Receivers of notices, by name, and the number of the last match that each has acknowledged."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def begin(self, receiver: str) -> int:
        """Return a receiver's last acknowledged match; a new receiver starts after the newest match."""
        with self._database.write() as connection:
            acknowledged = select(NOTICES.c.event).where(NOTICES.c.receiver == receiver)
            event = connection.scalar(acknowledged)
            if event is None:
                event = next_event(connection) - 1
                connection.execute(insert(NOTICES).values(receiver=receiver, event=event))
            return int(event)

    def advance(self, receiver: str, event: int) -> None:
        """Record that a receiver has acknowledged all matches up to a number."""
        with self._database.write() as connection:
            of_receiver = update(NOTICES).where(NOTICES.c.receiver == receiver)
            connection.execute(of_receiver.values(event=event))

    def waiting(self, receiver: str) -> int:
        """Count the current matches that a receiver has not acknowledged."""
        total = 0
        last = select(NOTICES.c.event).where(NOTICES.c.receiver == receiver).scalar_subquery()
        with self._database.read() as connection:
            for table in (MATCHES, GROUP_MATCHES):
                later = (
                    select(func.count())
                    .select_from(table.join(PEERS, PEERS.c.lab == table.c.peer))
                    .where(table.c.event > last, is_current(table, self._clock()))
                )
                total += count(connection, later)
        return total
