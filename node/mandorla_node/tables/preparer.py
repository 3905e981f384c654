"""The update of tables in the background, before a peer asks for them.

So a round does not wait for its table, and a peer cannot measure by the time of a Hello how many indicators
this lab flagged (SPEC 12.8).
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import MandorlaError

from ..store import Peer, Store
from ..telemetry.metrics import Metrics
from .builder import TableBuilder

_LOG = structlog.get_logger()

_SCAN_INTERVAL: Final = 5.0
"""Seconds between two scans for peers and collections that have no table yet."""


class TablePreparer:
    """Prepare a table for each pinned peer and each collection in which something is flagged."""

    def __init__(self, store: Store, tables: TableBuilder, every: int, metrics: Metrics) -> None:
        self._store = store
        self._tables = tables
        self._every = every
        self._metrics = metrics
        self._due: dict[tuple[LabId, str], float] = {}
        self._last_ingest = -1
        self._scanned_at = 0.0
        self._collections: list[str] = []

    async def run(self) -> None:
        """Prepare new tables at once, and each table again every `every` seconds, until cancelled.

        A version is padded to its size class. A version for every new flag would be mostly padding.
        """
        clock = asyncio.get_running_loop().time
        while True:
            try:
                wanted = await asyncio.to_thread(self._wanted, clock())
            except MandorlaError as error:
                _LOG.warning("no look for tables", code=error.code.name)
                wanted = []
            for peer, collection in wanted:
                if clock() >= self._due.get((peer.lab, collection), 0.0):
                    await self._prepare(peer, collection)
                    self._due[peer.lab, collection] = clock() + self._every
            await asyncio.sleep(_SCAN_INTERVAL)

    def _wanted(self, now: float) -> list[tuple[Peer, str]]:
        # The query reads the flagged set, so it runs after a new ingest only. A long ingest keeps its id
        # while it adds rows, so the query also runs after a while.
        indicators = self._store.indicators
        last = indicators.last_ingest()
        if last != self._last_ingest or now >= self._scanned_at + self._every:
            self._last_ingest, self._scanned_at = last, now
            self._collections = indicators.flagged_collections()
        peers = [peer for peer in self._store.peers.all() if not peer.caught]
        return [(peer, collection) for peer in peers for collection in self._collections]

    async def _prepare(self, peer: Peer, collection: str) -> None:
        try:
            await self._tables.prepare(peer.lab, collection)
        except MandorlaError as error:
            self._metrics.table_prepared(peer.name, collection, error.code.name)
            _LOG.warning("no table", peer=peer.name, collection=collection, code=error.code.name)
        else:
            self._metrics.table_prepared(peer.name, collection)
            _LOG.info("table ready", peer=peer.name, collection=collection)
