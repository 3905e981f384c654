"""A store that came from a backup: what it must not do again, because the node that it was has done it since.

Budgets that were spent would be whole again, and labels be sealed under nonces that were used: so every key
epoch ends, and the next ones have numbers that none can have had. The log may be behind what peers cosigned:
so each of them is asked before it is shown to any.
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
    """What follows from a restore, and from none: nothing."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def end_all_epochs(self, holder: LabId) -> int:
        """End every key epoch, and let later ones have numbers beyond any that was in use; count the ended.

        Epochs last an hour or more, so their numbers stay behind the time in seconds, from which they go on;
        and should this machine's clock be behind, beyond what the backup knows by more than years of them.

        Raises NodeError(STORE_FAILED) where the numbers of 4 bytes are used up.
        """
        now = self._clock()
        with self._database.write() as connection:
            known = (
                func.max(HELD_EPOCHS.c.number),
                select(func.max(RESTORES.c.epochs_beyond)).scalar_subquery(),
            )
            last = max(number or 0 for number in connection.execute(select(*known)).one())
            beyond = max(now, last + _STEP)
            if beyond > _LAST_NUMBER - _STEP:
                raise NodeError(Code.STORE_FAILED, "no numbers of key epochs are left")
            ended = destroy_epochs(connection, holder, select(HELD_EPOCHS.c.id), now)
            connection.execute(insert(RESTORES).values(at=now, epochs_beyond=beyond))
            connection.execute(delete(UNHEARD))
            connection.execute(insert(UNHEARD).from_select(["peer"], select(PEERS.c.lab)))
        return ended

    def confirm_log(self, peer: LabId) -> list[str]:
        """Note that a peer saw nothing of the log that the store lacks; name the peers still to be heard."""
        mine = UNHEARD.c.peer == peer
        names = select(PEERS.c.name).join(UNHEARD, UNHEARD.c.peer == PEERS.c.lab).order_by(PEERS.c.name)
        with self._database.read() as connection:
            waiting = list(connection.scalars(names))
            known = connection.scalar(select(UNHEARD.c.peer).where(mine))
        if known is None:
            return waiting
        with self._database.write() as connection:
            connection.execute(delete(UNHEARD).where(mine))
            return list(connection.scalars(names))
