"""One round at a time with a peer over a collection, and batch rounds before standing ones."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final, TypeAlias

from mandorla_protocol.epochs import LabId

Key: TypeAlias = tuple[LabId, str]
"""A peer and a collection."""

_RESERVED: Final = 10.0
"""Seconds for which no standing round begins where a batch round is to begin."""


class RoundLocks:
    """A lock for each peer and collection, and the reservations of batch rounds."""

    def __init__(self) -> None:
        # Two rounds at a time would ask for the same indicators twice.
        self._locks: dict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._reserved: dict[Key, float] = {}

    def lock(self, key: Key) -> asyncio.Lock:
        """Return the lock that a round holds while it lasts."""
        return self._locks[key]

    def reserve(self, key: Key) -> None:
        """Let no standing round begin for a while: a batch round is to begin."""
        self._reserved[key] = asyncio.get_running_loop().time() + _RESERVED

    def release(self, key: Key) -> None:
        """End a reservation: the batch round has begun."""
        self._reserved.pop(key, None)

    def is_reserved(self, key: Key) -> bool:
        """Say whether a batch round is to begin."""
        return asyncio.get_running_loop().time() < self._reserved.get(key, 0.0)
