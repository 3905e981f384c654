"""The Ingest call: rows that a client streams enter a set of the store, while the node runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from mandorla.v1 import operator_pb2
from mandorla_protocol.errors import Code, EncodingError, InputError
from mandorla_protocol.indicators import Indicator

from ..core.change_feed import ChangeFeed
from ..ingest.ingestor import Ingestor
from ..ingest.report import IngestReport
from ..ingest.suppression import Suppressor
from ..monitoring.status import SET_VALUES
from ..store import IndicatorSet, Store
from ..telemetry.metrics import Metrics
from .messages import row_from

_SETS = {value: key for key, value in SET_VALUES.items()}


class IngestHandler:
    """Serves Ingest calls: stores the rows, and signals the change to the tasks that wait for it."""

    def __init__(self, store: Store, suppressor: Suppressor, changes: ChangeFeed, metrics: Metrics) -> None:
        self._store = store
        self._suppressor = suppressor
        self._changes = changes
        self._metrics = metrics

    async def handle(
        self, requests: AsyncIterator[operator_pb2.IngestRequest]
    ) -> operator_pb2.IngestResponse:
        """Take in one ingest: a request with the options, then requests with rows.

        Raises EncodingError(BAD_ENCODING) for another order, InputError for an unknown set, a malformed label
        or, in a strict ingest, a row that is refused; NodeError: BAD_CONFIG, STORE_FAILED.
        """
        first = await anext(requests, None)
        if first is None or not first.HasField("options"):
            raise EncodingError(Code.BAD_ENCODING, "an ingest begins with its options")
        options = first.options
        target = _set_of(options.set)
        suppression = await asyncio.to_thread(
            self._suppressor.suppression_for, target, not options.no_suppress
        )
        ingestor = Ingestor(self._store, target, options.strict, suppression, options.unit or "line")
        async for request in requests:
            if not request.HasField("rows"):
                raise EncodingError(Code.BAD_ENCODING, "an ingest is its options, and then rows")
            rows = [row_from(row) for row in request.rows.rows]
            self._signal(target, await asyncio.to_thread(ingestor.add, rows))
        report = await asyncio.to_thread(ingestor.finish)
        # A strict ingest stores all its rows when it finishes.
        self._signal(target, None if options.strict else ())
        self._metrics.ingested(target, report.outcomes)
        return _response(report)

    def _signal(self, target: IndicatorSet, stored: Iterable[Indicator] | None) -> None:
        """Signal that indicators entered a set; None stands for any indicators."""
        if target is IndicatorSet.OBSERVED:
            self._changes.observed.advance()
            return
        self._changes.flagged.advance()
        if stored is None:
            self._changes.invalidate(None)
        else:
            self._changes.invalidate((), stored)


def _set_of(value: operator_pb2.Set.ValueType) -> IndicatorSet:
    try:
        return _SETS[value]
    except KeyError:
        raise InputError(Code.BAD_INPUT, "an unknown set") from None


def _response(report: IngestReport) -> operator_pb2.IngestResponse:
    return operator_pb2.IngestResponse(
        added=report.added,
        known=report.known,
        duplicates=report.duplicates,
        rejected=[
            operator_pb2.RejectedRow(line=row.line, code=row.code.name, reason=row.reason)
            for row in report.rejected
        ],
        rejected_total=report.rejected_total,
        held_back=report.held_back,
        held_by=report.held_by,
    )
