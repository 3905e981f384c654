"""The destination of ingested rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice
from types import TracebackType
from typing import Final, Self

from ...client import Client, node_answers
from ...formats import IngestRow
from ...home.folder import Home, HomeFolder
from ...ingest.ingestor import Ingestor
from ...ingest.report import IngestReport
from ...ingest.suppression import Suppressor
from ...monitoring.status import SET_VALUES
from ...store import IndicatorSet

_BATCH: Final = 2_000


class IndicatorSink:
    """A set of a home, which takes rows by the running node, or into the store of a stopped one.

    The sink looks for a node at each ingest until it has found one. From then on it sends rows to the node
    only: a node that has stopped may be about to start again, and rows then wait for it.
    """

    def __init__(self, home: HomeFolder, target: IndicatorSet, suppress: bool = True) -> None:
        self._home = home
        self._target = target
        self._suppress = suppress
        self._suppressor = Suppressor(home.path, home.settings.suppression)
        self._runner = asyncio.Runner()
        self._client: Client | None = None
        self._opened: Home | None = None

    def __enter__(self) -> Self:
        """Return the sink; the first ingest connects to the node, or opens the home."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection to the node."""
        if self._client is not None:
            self._runner.run(self._client.__aexit__(None, None, None))
        self._runner.close()

    def ingest(self, rows: Iterable[IngestRow], strict: bool = False, unit: str = "line") -> IngestReport:
        """Ingest rows, in bounded memory unless `strict`. `unit` names a row's position in errors.

        Raises MandorlaError: NODE_NOT_RUNNING if the node stopped, BAD_ROWS for a bad row if `strict`.
        """
        if self._client is None and not node_answers(self._home.operator_socket):
            return self._into_store(rows, strict, unit)
        return self._runner.run(self._into_node(rows, strict, unit))

    async def _into_node(self, rows: Iterable[IngestRow], strict: bool, unit: str) -> IngestReport:
        if self._client is None:
            self._client = Client(self._home.operator_socket, patience=0)
        return await self._client.ingest(SET_VALUES[self._target], rows, strict, self._suppress, unit)

    def _into_store(self, rows: Iterable[IngestRow], strict: bool, unit: str) -> IngestReport:
        suppression = self._suppressor.suppression_for(self._target, self._suppress)
        self._opened = self._opened or Home.open(self._home.path)
        # The store is closed after each ingest, so that a node can start between two.
        store = self._opened.open_store()
        try:
            ingestor = Ingestor(store, self._target, strict, suppression, unit)
            waiting = iter(rows)
            while batch := list(islice(waiting, _BATCH)):
                ingestor.add(batch)
            return ingestor.finish()
        finally:
            store.close()
