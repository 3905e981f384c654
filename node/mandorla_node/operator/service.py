"""The Operator service: calls of the lab's own staff and gateways to the running node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import grpc
import structlog
from google.protobuf.message import Message

from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_protocol.errors import Code, InputError, MandorlaError, NodeError, RoundError
from mandorla_protocol.header import RoundKind

from ..core.change_feed import ChangeFeed
from ..ingest.suppression import Suppressor
from ..monitoring.status import KIND_VALUES
from ..monitoring.view import NodeView
from ..notices.notifier import Delivery, Notifier
from ..peers.card_renewal import CardRenewal
from ..peers.messages import CODE_KEY
from ..rounds.comparisons import Comparisons
from ..rounds.initiator import Initiator, RoundReport
from ..rounds.negotiation import Terms
from ..rounds.registry import RoundRegistry
from ..store import Store
from ..telemetry.metrics import Metrics
from .checks import Checker, Verdict
from .ingest_handler import IngestHandler
from .messages import match_to

_LOG = structlog.get_logger()

Context = grpc.aio.ServicerContext[Message, Message]

_PROGRESS_INTERVAL: Final = 0.1
_FOLLOW_PAGE: Final = 512
_FOLLOW_POLL_INTERVAL: Final = 30.0
"""Seconds after which Follow reads the store even without a signal."""
_KINDS = {value: key for key, value in KIND_VALUES.items()}


@dataclass(frozen=True, slots=True)
class OperatorContext:
    """The parts of the running node on which the operator's calls act."""

    store: Store
    registry: RoundRegistry
    comparisons: Comparisons
    initiator: Initiator
    checker: Checker
    changes: ChangeFeed
    notifier: Notifier
    renewal: CardRenewal
    view: NodeView
    metrics: Metrics


class OperatorService(operator_pb2_grpc.OperatorServicer):
    """Serves the operator's calls.

    An error carries its detail besides its code, unlike one for a peer, because the detail is about this lab.
    """

    def __init__(self, context: OperatorContext, suppressor: Suppressor) -> None:
        self._node = context
        self._ingests = IngestHandler(context.store, suppressor, context.changes, context.metrics)
        self._stopping = False

    async def end_follows(self) -> None:
        """End all Follow calls, because the server waits for open calls when the node stops."""
        self._stopping = True
        self._node.changes.matched.advance()

    async def Ingest(
        self, request_iterator: AsyncIterator[operator_pb2.IngestRequest], context: Context
    ) -> operator_pb2.IngestResponse:
        """Take indicators into a set."""
        async with _errors(context):
            return await self._ingests.handle(request_iterator)

    async def StartRound(
        self, request: operator_pb2.StartRoundRequest, context: Context
    ) -> AsyncIterator[operator_pb2.RoundProgress]:
        """Run a round and stream its progress."""
        async with _errors(context):
            terms = Terms(_kind_of(request.kind), request.collection)
            latest = operator_pb2.RoundProgress()

            def show(step: str, done: int, total: int) -> None:
                nonlocal latest
                latest = operator_pb2.RoundProgress(step=step, done=done, total=total)

            task = asyncio.create_task(self._node.initiator.run(request.peer, terms, show))
            try:
                shown = latest
                while not (await asyncio.wait({task}, timeout=_PROGRESS_INTERVAL))[0]:
                    if latest is not shown:
                        shown = latest
                        yield latest
            finally:
                # If the operator hangs up, the round ends too: nobody would see how it ends.
                task.cancel()
            yield operator_pb2.RoundProgress(step="done", result=_round_result(task.result()))

    async def Check(self, request: operator_pb2.CheckRequest, context: Context) -> operator_pb2.CheckResponse:
        """Return verdicts on indicators; new indicators that can match alone enter the observed set."""
        async with _errors(context):
            with self._node.metrics.check():
                verdicts = await self._node.checker.check(
                    [(indicator.type, indicator.value) for indicator in request.indicators]
                )
            self._node.metrics.checked(
                matched=sum(bool(verdict.matches) for verdict in verdicts),
                flagged=sum(verdict.flagged_here and not verdict.matches for verdict in verdicts),
                unknown=sum(not verdict.flagged_here and not verdict.matches for verdict in verdicts),
            )
            return operator_pb2.CheckResponse(results=map(_check_result, verdicts))

    async def Matches(
        self, request: operator_pb2.MatchesRequest, context: Context
    ) -> AsyncIterator[operator_pb2.Match]:
        """Stream all matches, or those with a peer or of a round kind."""
        async with _errors(context):
            await self._node.comparisons.settled()
            kind = _kind_of(request.kind) if request.kind else None
            if request.peer:
                await asyncio.to_thread(self._node.store.peers.get, request.peer)
            pages = self._node.store.matches.all(request.peer or None, kind)
            while (page := await asyncio.to_thread(next, pages, None)) is not None:
                for record in page:
                    yield match_to(record)

    async def Pause(self, request: operator_pb2.PauseRequest, context: Context) -> operator_pb2.PauseResponse:
        """Pause a peer, or end its pause."""
        async with _errors(context):
            peer = await asyncio.to_thread(self._node.store.peers.pause, request.peer, request.paused)
            _LOG.warning("peer paused" if request.paused else "peer goes on", peer=peer.name)
            if request.paused:
                await self._node.registry.end_with(peer.lab, RoundError(Code.PAUSED))
            return operator_pb2.PauseResponse()

    async def Follow(
        self, request: operator_pb2.FollowRequest, context: Context
    ) -> AsyncIterator[operator_pb2.Match]:
        """Stream the matches after an event number, and then new matches as they begin."""
        async with _errors(context):
            after = request.after
            while not self._stopping:
                seen = self._node.changes.matched.count
                while page := await asyncio.to_thread(self._node.store.matches.since, after, _FOLLOW_PAGE):
                    for record in page:
                        yield match_to(record)
                    after = page[-1].event
                await self._node.changes.matched.wait_beyond(seen, _FOLLOW_POLL_INTERVAL)
            raise NodeError(Code.NODE_NOT_RUNNING, "the node stops")

    async def Status(
        self, request: operator_pb2.StatusRequest, context: Context
    ) -> operator_pb2.StatusResponse:
        """Report the state of the node."""
        async with _errors(context):
            if not request.now:
                await self._node.comparisons.settled()
            status = await self._node.view.status(request.now)
            status.notices.extend(
                map(_notice_status, await asyncio.to_thread(self._node.notifier.deliveries))
            )
            return status

    async def RenewCard(
        self, request: operator_pb2.RenewCardRequest, context: Context
    ) -> operator_pb2.RenewCardResponse:
        """Renew this lab's card."""
        async with _errors(context):
            card = await self._node.renewal.renew(request.endpoint)
            return operator_pb2.RenewCardResponse(card=card.to_json())


def _check_result(verdict: Verdict) -> operator_pb2.CheckResult:
    indicator = verdict.indicator
    return operator_pb2.CheckResult(
        indicator=operator_pb2.Indicator(type=indicator.type, value=indicator.value),
        flagged_here=verdict.flagged_here,
        matches=map(match_to, verdict.matches),
        compared_with=verdict.compared_with,
        actionable=verdict.actionable,
    )


def _notice_status(delivery: Delivery) -> operator_pb2.NoticeStatus:
    return operator_pb2.NoticeStatus(
        receiver=delivery.receiver,
        waiting=delivery.waiting,
        failures=delivery.failures,
        failing_since=delivery.failing_since,
        last_error=delivery.last_error,
    )


def _round_result(report: RoundReport) -> operator_pb2.RoundResult:
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


def _kind_of(value: operator_pb2.Kind.ValueType) -> RoundKind:
    try:
        return _KINDS[value]
    except KeyError:
        raise InputError(Code.BAD_INPUT, "an unknown round kind") from None


@asynccontextmanager
async def _errors(context: Context) -> AsyncIterator[None]:
    """Answer an error with its gRPC status, code, message and detail."""
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
