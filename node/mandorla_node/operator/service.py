"""The Operator service: what this lab's own people and gateways ask of the running node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import grpc
import structlog
from google.protobuf.message import Message

from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_protocol.errors import Code, EncodingError, InputError, MandorlaError, NodeError, RoundError
from mandorla_protocol.indicators import Indicator

from ..core.change_feed import ChangeFeed
from ..home.folder import Home
from ..ingest.ingestor import Ingestor
from ..ingest.suppression import Suppressor
from ..monitoring.status import KIND_VALUES, SET_VALUES
from ..monitoring.view import NodeView
from ..notices.notifier import Delivery, Notifier
from ..peers.card_renewal import CardRenewal
from ..peers.messages import CODE_KEY
from ..rounds.comparisons import Comparisons
from ..rounds.initiator import Initiator, RoundReport
from ..rounds.negotiation import Terms
from ..rounds.registry import RoundRegistry
from ..store import IndicatorSet, Store
from ..telemetry.metrics import Metrics
from .checks import Checker, Verdict
from .messages import match_to, row_from

_LOG = structlog.get_logger()

Context = grpc.aio.ServicerContext[Message, Message]
K = TypeVar("K")
V = TypeVar("V")

_PROGRESS_INTERVAL = 0.1
_FOLLOWED = 512
_FOLLOW_AGAIN = 30.0
"""Seconds after which the store is asked anyway."""
_SETS = {value: key for key, value in SET_VALUES.items()}
_KINDS = {value: key for key, value in KIND_VALUES.items()}


class OperatorService(operator_pb2_grpc.OperatorServicer):
    """Answer the operator. Errors carry their code, and the detail too: it is this lab's own."""

    def __init__(
        self,
        home: Home,
        store: Store,
        registry: RoundRegistry,
        comparisons: Comparisons,
        initiator: Initiator,
        checking: Checker,
        changes: ChangeFeed,
        notifying: Notifier,
        renewal: CardRenewal,
        view: NodeView,
        metrics: Metrics,
    ) -> None:
        self._home = home
        self._store = store
        self._registry = registry
        self._comparisons = comparisons
        self._initiator = initiator
        self._checking = checking
        self._changes = changes
        self._notifying = notifying
        self._renewal = renewal
        self._view = view
        self._metrics = metrics
        self._suppressor = Suppressor(home.path, home.settings.suppression)
        self._leaving = False

    async def leave(self) -> None:
        """Let go of whoever follows matches: the node stops, and would wait for them."""
        self._leaving = True
        self._changes.matched.advance()

    async def Ingest(
        self, request_iterator: AsyncIterator[operator_pb2.IngestRequest], context: Context
    ) -> operator_pb2.IngestResponse:
        """Take indicators in."""
        async with _errors(context):
            ingestor: Ingestor | None = None
            strict = False
            async for request in request_iterator:
                if request.HasField("options") and ingestor is None:
                    target, strict = _known(_SETS, request.options.set), request.options.strict
                    suppression = await asyncio.to_thread(
                        self._suppressor.suppression_for, target, not request.options.no_suppress
                    )
                    ingestor = Ingestor(
                        self._store,
                        target,
                        strict,
                        suppression,
                        request.options.unit or "line",
                    )
                elif request.HasField("rows") and ingestor is not None:
                    rows = [row_from(row) for row in request.rows.rows]
                    stored = await asyncio.to_thread(ingestor.add, rows)
                    self._tell(target, stored)
                else:
                    raise EncodingError(Code.BAD_ENCODING, "an ingest is its options, and then rows")
            if ingestor is None:
                raise EncodingError(Code.BAD_ENCODING, "an ingest begins with its options")
            report = await asyncio.to_thread(ingestor.finish)
            # A strict ingest has stored nothing before.
            self._tell(target, None if strict else ())
            self._metrics.ingested(target, report)
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

    async def StartRound(
        self, request: operator_pb2.StartRoundRequest, context: Context
    ) -> AsyncIterator[operator_pb2.RoundProgress]:
        """Run a round and stream its progress."""
        async with _errors(context):
            terms = Terms(_known(_KINDS, request.kind), request.collection)
            latest = operator_pb2.RoundProgress()

            def show(step: str, done: int, total: int) -> None:
                nonlocal latest
                latest = operator_pb2.RoundProgress(step=step, done=done, total=total)

            task = asyncio.create_task(self._initiator.run(request.peer, terms, show))
            try:
                shown = latest
                while not (await asyncio.wait({task}, timeout=_PROGRESS_INTERVAL))[0]:
                    if latest is not shown:
                        shown = latest
                        yield latest
            finally:
                # An operator who hangs up takes the round along: it must not go on unseen.
                task.cancel()
            yield operator_pb2.RoundProgress(step="done", result=_result(task.result()))

    async def Check(self, request: operator_pb2.CheckRequest, context: Context) -> operator_pb2.CheckResponse:
        """Say what is known of indicators, and record as observed those that can match by themselves."""
        async with _errors(context):
            with self._metrics.check():
                verdicts = await self._checking.check([(one.type, one.value) for one in request.indicators])
            self._metrics.checked(
                matched=sum(bool(one.matches) for one in verdicts),
                flagged=sum(one.flagged_here and not one.matches for one in verdicts),
                unknown=sum(not one.flagged_here and not one.matches for one in verdicts),
            )
            return operator_pb2.CheckResponse(results=map(_verdict, verdicts))

    async def Matches(
        self, request: operator_pb2.MatchesRequest, context: Context
    ) -> AsyncIterator[operator_pb2.Match]:
        """Stream everything that matched."""
        async with _errors(context):
            await self._comparisons.settled()
            kind = _known(_KINDS, request.kind) if request.kind else None
            if request.peer:
                await asyncio.to_thread(self._store.peers.get, request.peer)
            pages = self._store.matches.all(request.peer or None, kind)
            while (page := await asyncio.to_thread(next, pages, None)) is not None:
                for record in page:
                    yield match_to(record)

    async def Pause(self, request: operator_pb2.PauseRequest, context: Context) -> operator_pb2.PauseResponse:
        """Pause a peer, or let it go on."""
        async with _errors(context):
            peer = await asyncio.to_thread(self._store.peers.pause, request.peer, request.paused)
            _LOG.warning("peer paused" if request.paused else "peer goes on", peer=peer.name)
            if request.paused:
                await self._registry.end_with(peer.lab, RoundError(Code.PAUSED))
            return operator_pb2.PauseResponse()

    async def Follow(
        self, request: operator_pb2.FollowRequest, context: Context
    ) -> AsyncIterator[operator_pb2.Match]:
        """Stream matches as they begin."""
        async with _errors(context):
            after = request.after
            while not self._leaving:
                seen = self._changes.matched.count
                while page := await asyncio.to_thread(self._store.matches.since, after, _FOLLOWED):
                    for record in page:
                        yield match_to(record)
                    after = page[-1].event
                await self._changes.matched.wait_beyond(seen, _FOLLOW_AGAIN)
            raise NodeError(Code.NODE_NOT_RUNNING, "the node stops")

    async def Status(
        self, request: operator_pb2.StatusRequest, context: Context
    ) -> operator_pb2.StatusResponse:
        """Say how the node is."""
        async with _errors(context):
            if not request.now:
                await self._comparisons.settled()
            status = await self._view.status(request.now)
            status.notices.extend(map(_notices, await asyncio.to_thread(self._notifying.deliveries)))
            return status

    async def RenewCard(
        self, request: operator_pb2.RenewCardRequest, context: Context
    ) -> operator_pb2.RenewCardResponse:
        """Renew this lab's card."""
        async with _errors(context):
            card = await self._renewal.renew(request.endpoint)
            return operator_pb2.RenewCardResponse(card=card.to_json())

    def _tell(self, target: IndicatorSet, stored: Iterable[Indicator] | None) -> None:
        """Wake what waits for rows of a set; None stands for any."""
        if target is IndicatorSet.OBSERVED:
            self._changes.observed.advance()
            return
        self._changes.flagged.advance()
        if stored is None:
            self._changes.invalidate(None)
        else:
            self._changes.invalidate((), stored)


def _verdict(verdict: Verdict) -> operator_pb2.CheckResult:
    indicator = verdict.indicator
    return operator_pb2.CheckResult(
        indicator=operator_pb2.Indicator(type=indicator.type, value=indicator.value),
        flagged_here=verdict.flagged_here,
        matches=map(match_to, verdict.matches),
        compared_with=verdict.compared_with,
        actionable=verdict.actionable,
    )


def _notices(delivery: Delivery) -> operator_pb2.NoticeStatus:
    return operator_pb2.NoticeStatus(
        receiver=delivery.receiver,
        waiting=delivery.waiting,
        failures=delivery.failures,
        failing_since=delivery.failing_since,
        last_error=delivery.last_error,
    )


def _result(report: RoundReport) -> operator_pb2.RoundResult:
    return operator_pb2.RoundResult(
        round_id=report.round_id,
        outcome=report.state.value,
        code=report.code,
        matches=report.findings.matches,
        new_matches=report.findings.new_matches,
        evaluated_by_peer=report.evaluated_by_peer,
        evaluated_for_peer=report.evaluated_for_peer,
        table_entries=report.table_entries,
        bytes_sent=report.bytes_sent,
        bytes_received=report.bytes_received,
        seconds=report.seconds,
        bad_labels=report.findings.bad_labels,
    )


def _known(values: Mapping[K, V], key: K) -> V:
    try:
        return values[key]
    except KeyError:
        raise InputError(Code.BAD_INPUT, "an unknown set or kind") from None


@asynccontextmanager
async def _errors(context: Context) -> AsyncIterator[None]:
    """Give an error its status and its code."""
    try:
        yield
    except MandorlaError as error:
        failure = error
    except Exception as error:
        _LOG.exception("operator call failed", error=type(error).__name__)
        failure = NodeError(Code.INTERNAL, type(error).__name__)
    else:
        return
    info = failure.code.info
    await context.abort(
        grpc.StatusCode[info.status.name],
        f"{info.message} {failure.detail}".strip(),
        ((CODE_KEY, failure.code.name),),
    )
