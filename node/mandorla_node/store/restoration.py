"""A store that was restored from a backup: the node must not repeat what it did after the backup.

Without further steps, a restored store would give peers spent budget again, and would seal labels under
nonces that were used. So the node ends every key epoch, and gives later epochs numbers that no epoch can have
had. The restored log may be behind a checkpoint that a peer cosigned. So the node asks every peer for its
latest checkpoint before it shows the log to any.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import delete, func, insert, select

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, NodeError

from ..core.clock import Clock
from .database import Database
from .held_epoch import destroy_epochs
from .schema import HELD_EPOCHS, PEERS, RESTORES, UNHEARD

_STEP: Final = 1 << 16
_LAST_NUMBER: Final = (1 << 32) - 1


class Restoration:
    """The steps after a restore. Without a restore, they change nothing."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def end_all_epochs(self, holder: LabId) -> int:
        """End every key epoch, and give later ones numbers above any that was in use; count the ended epochs.

        The numbers go on from the time in Unix seconds: an epoch lasts an hour or more, so no node can have
        used so many. In case this machine's clock is behind, they also go on at least 2**16 above the numbers
        in the backup: more than seven years of epochs.

        Raises NodeError(STORE_FAILED) if no numbers of 4 bytes are left.
        """
        now = self._clock()
        with self._database.write() as connection:
            columns = (
                func.max(HELD_EPOCHS.c.number),
                select(func.max(RESTORES.c.epochs_beyond)).scalar_subquery(),
            )
            last = max(number or 0 for number in connection.execute(select(*columns)).one())
            beyond = max(now, last + _STEP)
            if beyond > _LAST_NUMBER - _STEP:
                raise NodeError(Code.STORE_FAILED, "no numbers of key epochs are left")
            ended = destroy_epochs(connection, holder, select(HELD_EPOCHS.c.id), now)
            connection.execute(insert(RESTORES).values(at=now, epochs_beyond=beyond))
            connection.execute(delete(UNHEARD))
            connection.execute(insert(UNHEARD).from_select(["peer"], select(PEERS.c.lab)))
        return ended

    def confirm_log(self, peer: LabId) -> list[str]:
        """Record that a peer saw no log entry that the store lacks; return the unconfirmed peers' names."""
        of_peer = UNHEARD.c.peer == peer
        names = select(PEERS.c.name).join(UNHEARD, UNHEARD.c.peer == PEERS.c.lab).order_by(PEERS.c.name)
        with self._database.read() as connection:
            unconfirmed = list(connection.scalars(names))
            unheard = connection.scalar(select(UNHEARD.c.peer).where(of_peer))
        if unheard is None:
            return unconfirmed
        with self._database.write() as connection:
            connection.execute(delete(UNHEARD).where(of_peer))
            return list(connection.scalars(names))
