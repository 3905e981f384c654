"""Pinned peers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from mandorla_protocol.card import Card
from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, InputError

from .. import certificates
from ..clock import Clock
from .database import Database
from .schema import CAUGHT, PEERS

_PEERS = select(PEERS, CAUGHT.c.peer.label("caught")).outerjoin(CAUGHT, CAUGHT.c.peer == PEERS.c.lab)


@dataclass(frozen=True, slots=True)
class Peer:
    """A lab whose card the operator pinned. `last_contact` is Unix seconds, 0 for never.

    One that was caught showing its log in two ways stays so, whoever pins it again.
    """

    card: Card
    added_at: int
    last_contact: int
    caught: bool = False

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.card.name

    @property
    def lab(self) -> LabId:
        """The lab's identity."""
        return self.card.identity


class Peers:
    """The peers that this lab pinned, by name and by identity."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add(self, card: Card) -> None:
        """Pin a card. The same identity may come again with a new card; a name belongs to one identity.

        Raises InputError(BAD_CARD) if another lab has the name, or the certificate is not one of this lab's:
        it must carry the identity's name, so that no two cards can share one.
        """
        certificates.require_certificate_of(card.identity, card.certificate)
        with self._database.write() as connection:
            owner = connection.scalar(select(PEERS.c.lab).where(PEERS.c.name == card.name))
            if owner is not None and owner != card.identity:
                raise InputError(Code.BAD_CARD, f"another pinned lab is called {card.name}; remove it first")
            changed = connection.execute(
                update(PEERS).where(PEERS.c.lab == card.identity).values(name=card.name, card=card.to_json())
            )
            if not changed.rowcount:
                connection.execute(
                    insert(PEERS).values(
                        lab=card.identity,
                        name=card.name,
                        card=card.to_json(),
                        added_at=self._clock(),
                        last_contact=0,
                    )
                )

    def remove(self, name: str) -> None:
        """Unpin a peer; raises InputError(UNKNOWN_PEER)."""
        with self._database.write() as connection:
            if not connection.execute(delete(PEERS).where(PEERS.c.name == name)).rowcount:
                raise InputError(Code.UNKNOWN_PEER)

    def all(self) -> list[Peer]:
        """Return the pinned peers, by name."""
        with self._database.read() as connection:
            rows = connection.execute(_PEERS.order_by(PEERS.c.name)).all()
        return [_peer(row) for row in rows]

    def get(self, key: str | LabId) -> Peer:
        """Return the peer with a name or an identity; raises InputError(UNKNOWN_PEER)."""
        with self._database.read() as connection:
            mine = PEERS.c.name == key if isinstance(key, str) else PEERS.c.lab == key
            row = connection.execute(_PEERS.where(mine)).one_or_none()
        if row is None:
            raise InputError(Code.UNKNOWN_PEER)
        return _peer(row)

    def touch(self, lab: LabId) -> None:
        """Record that a peer was heard of now."""
        with self._database.write() as connection:
            connection.execute(update(PEERS).where(PEERS.c.lab == lab).values(last_contact=self._clock()))


# Reading a card verifies its signature, and every call looks for its caller among all of them.
_card = lru_cache(maxsize=1024)(Card.from_json)


def _peer(row: Row[Any]) -> Peer:
    return Peer(_card(row.card), row.added_at, row.last_contact, row.caught is not None)
