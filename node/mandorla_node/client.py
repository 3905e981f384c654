"""The client of a lab's own running node, over the Unix socket in its home (docs/gateway.md).

async with Client("/var/lib/mandorla") as client:
    verdict = await client.check("mail-domain", "x.example")
    async for match in client.follow():
        ...
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import grpc

from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_protocol.errors import Code, MandorlaError, NodeError
from mandorla_protocol.labels import Label, Reason, Severity, Tlp

from .core.backoff import Backoff
from .formats.matches import FoundMatch
from .formats.rows import IngestRow, RejectedRow
from .home.liveness import node_answers
from .ingest.report import IngestReport
from .operator.messages import match_from, row_to
from .peers.messages import CODE_KEY

__all__ = [
    "Client",
    "Code",
    "FoundMatch",
    "IngestReport",
    "Label",
    "MandorlaError",
    "Reason",
    "Severity",
    "Tlp",
    "Verdict",
    "node_answers",
]

Answer = TypeVar("Answer")

SOCKET: Final = "operator.sock"
"""The socket's name in a home."""

_MAX_MESSAGE: Final = 64 << 20
_QUICK: Final = 60.0
_LONG: Final = 24 * 3600.0
_PATIENCE: Final = 5.0
_LONGEST_WAIT: Final = 1.0
_BATCH_ROWS: Final = 2_000
_BATCH_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the node knows of an indicator; `value` is in canonical form.

    `compared_with` names the peers whose tag table the indicator was compared with. Whether the other peers
    flagged it is not known yet.
    """

    type: str
    value: str = field(repr=False)
    flagged_here: bool
    matches: tuple[FoundMatch, ...]
    compared_with: tuple[str, ...]
    actionable: bool
    """Whether this lab's policy is to act on the indicator (docs/operators.md)."""

    @property
    def flagged_by(self) -> frozenset[str]:
        """The peers that flagged it."""
        return frozenset(match.peer for match in self.matches)


class Client:
    """A connection to the node of a home: an async context manager, which any number of tasks can share.

    The client connects at its first call, and again when the node comes back. A call waits up to `patience`
    seconds for a node that does not run. Every call may raise MandorlaError: NODE_NOT_RUNNING, DEADLINE, or
    the code of the node's answer.
    """

    def __init__(self, home: Path | str, patience: float = _PATIENCE) -> None:
        """Set up a client for the folder of a home, or for its socket; connect at the first call."""
        path = Path(home).absolute()
        self._path = path / SOCKET if path.is_dir() else path
        self._patience = patience
        self._channel = grpc.aio.insecure_channel(
            f"unix:{self._path}",
            options=[
                ("grpc.max_receive_message_length", _MAX_MESSAGE),
                ("grpc.max_send_message_length", _MAX_MESSAGE),
                ("grpc.enable_http_proxy", 0),
                ("grpc.use_local_subchannel_pool", 1),
                # The default is the socket's path, which is no host name: a server may refuse it.
                ("grpc.default_authority", "localhost"),
                ("grpc.initial_reconnect_backoff_ms", 50),
                ("grpc.min_reconnect_backoff_ms", 50),
                ("grpc.max_reconnect_backoff_ms", 1000),
            ],
        )
        self._stub: operator_pb2_grpc.OperatorAsyncStub = operator_pb2_grpc.OperatorStub(self._channel)

    async def __aenter__(self) -> Self:
        """Return the client; the first call connects."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self._channel.close()

    async def check(self, kind: str, value: str, deadline: float = _QUICK) -> Verdict:
        """Check one indicator, by type and text; the node also records it as observed.

        Raises MandorlaError: BAD_INDICATOR or UNKNOWN_TYPE for an invalid indicator.
        """
        (verdict,) = await self.check_many([(kind, value)], deadline)
        return verdict

    async def check_many(
        self, indicators: Iterable[tuple[str, str]], deadline: float = _QUICK
    ) -> list[Verdict]:
        """Check indicators in one call; the verdicts have the same order.

        Raises MandorlaError: BAD_INDICATOR or UNKNOWN_TYPE if one is invalid; then none is checked.
        """
        request = operator_pb2.CheckRequest(
            indicators=[operator_pb2.Indicator(type=kind, value=value) for kind, value in indicators]
        )
        answer = await self._answered(lambda left: self._stub.Check(request, timeout=left), deadline)
        return [
            Verdict(
                type=result.indicator.type,
                value=result.indicator.value,
                flagged_here=result.flagged_here,
                matches=tuple(map(match_from, result.matches)),
                compared_with=tuple(result.compared_with),
                actionable=result.actionable,
            )
            for result in answer.results
        ]

    async def observe(self, indicators: Iterable[tuple[str, str]], group: str = "") -> IngestReport:
        """Record indicators as observed: seen, and not judged. `follow` yields their matches.

        The report's `rejected` names invalid indicators by their position from 1.
        """
        return await self._take(operator_pb2.SET_OBSERVED, indicators, Label(), group)

    async def flag(
        self, indicators: Iterable[tuple[str, str]], label: Label, group: str = "", suppress: bool = True
    ) -> IngestReport:
        """Flag indicators as malicious, with a label; flagging them again replaces the label.

        The node holds back shared infrastructure and counts it, unless `suppress` is off. The report's
        `rejected` names invalid indicators by their position from 1.
        """
        return await self._take(operator_pb2.SET_FLAGGED, indicators, label, group, suppress)

    async def follow(self, after: int = 0) -> AsyncIterator[FoundMatch]:
        """Yield the matches after event number `after`: first the present ones, then each new one, for ever.

        Each match is yielded at least once, and in order. If the node stops, the iterator waits until it runs
        again, and goes on after the last match. Keep the event number of the last match that you acted
        upon, and pass it as `after` the next time.
        """
        backoff = Backoff(longest=_LONGEST_WAIT)
        while True:
            call = self._stub.Follow(operator_pb2.FollowRequest(after=after))
            try:
                async for message in call:
                    yield match_from(message)
                    after = message.event
                    backoff.reset()
            except grpc.aio.AioRpcError as error:
                failure = self._error_from(error)
                if failure.code is not Code.NODE_NOT_RUNNING:
                    raise failure from None
            finally:
                call.cancel()
            await backoff.wait()

    async def matches(
        self, peer: str = "", kind: operator_pb2.Kind.ValueType = operator_pb2.KIND_UNSPECIFIED
    ) -> AsyncIterator[FoundMatch]:
        """Yield the present matches, oldest first; only those of a peer or of a kind of round if given."""
        request = operator_pb2.MatchesRequest(peer=peer, kind=kind)
        try:
            async for match in self._stub.Matches(request, timeout=_LONG):
                yield match_from(match)
        except grpc.aio.AioRpcError as error:
            raise self._error_from(error) from None

    async def ingest(
        self,
        target: operator_pb2.Set.ValueType,
        rows: Iterable[IngestRow],
        strict: bool = False,
        suppress: bool = True,
        unit: str = "line",
    ) -> IngestReport:
        """Ingest rows; `suppress` holds back shared infrastructure from the flagged set.

        An exception of `rows` ends the ingest and is raised; a strict ingest then stores nothing.
        """
        failure: list[Exception] = []

        async def requests() -> AsyncIterator[operator_pb2.IngestRequest]:
            options = operator_pb2.IngestOptions(
                set=target, strict=strict, no_suppress=not suppress, unit=unit
            )
            yield operator_pb2.IngestRequest(options=options)
            try:
                for batch in _batches(rows):
                    yield operator_pb2.IngestRequest(rows=operator_pb2.IngestRows(rows=batch))
            except Exception as error:
                # gRPC would swallow the exception and end the stream, and the node would finish the ingest.
                failure.append(error)
                call.cancel()

        call = self._stub.Ingest(requests(), timeout=_LONG)
        try:
            return _report_from(await call)
        except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
            if failure:
                raise failure[0] from None
            if isinstance(error, grpc.aio.AioRpcError):
                raise self._error_from(error) from None
            raise

    async def start_round(
        self, peer: str, kind: operator_pb2.Kind.ValueType, collection: str
    ) -> AsyncIterator[operator_pb2.RoundProgress]:
        """Run a round, and yield its progress; the last message holds the result."""
        request = operator_pb2.StartRoundRequest(peer=peer, kind=kind, collection=collection)
        try:
            async for progress in self._stub.StartRound(request, timeout=_LONG):
                yield progress
        except grpc.aio.AioRpcError as error:
            raise self._error_from(error) from None

    async def status(self, deadline: float = _QUICK, now: bool = False) -> operator_pb2.StatusResponse:
        """Return the node's state, within `deadline` seconds; `now` does not wait for running comparisons."""
        request = operator_pb2.StatusRequest(now=now)
        return await self._answered(lambda left: self._stub.Status(request, timeout=left), deadline)

    async def pause(self, peer: str, paused: bool) -> None:
        """Pause a peer, or resume it."""
        try:
            await self._stub.Pause(operator_pb2.PauseRequest(peer=peer, paused=paused), timeout=_QUICK)
        except grpc.aio.AioRpcError as error:
            raise self._error_from(error) from None

    async def renew_card(self, endpoint: str) -> str:
        """Renew the lab's card, with a new endpoint unless it is empty; return the text of the card file."""
        try:
            request = operator_pb2.RenewCardRequest(endpoint=endpoint)
            return (await self._stub.RenewCard(request, timeout=_QUICK)).card
        except grpc.aio.AioRpcError as error:
            raise self._error_from(error) from None

    async def _take(
        self,
        target: operator_pb2.Set.ValueType,
        indicators: Iterable[tuple[str, str]],
        label: Label,
        group: str,
        suppress: bool = True,
    ) -> IngestReport:
        rows = [
            IngestRow(number, kind, value, label, group) for number, (kind, value) in enumerate(indicators, 1)
        ]
        return await self.take(target, rows, suppress, "indicator")

    async def take(
        self, target: operator_pb2.Set.ValueType, rows: Sequence[IngestRow], suppress: bool, unit: str
    ) -> IngestReport:
        """Ingest a few rows; if the node stops meanwhile, send them again when it is back."""
        return await self._present(lambda: self.ingest(target, rows, suppress=suppress, unit=unit))

    async def _answered(self, call: Callable[[float], Awaitable[Answer]], deadline: float) -> Answer:
        """Make a call that may be repeated, for up to `deadline` seconds."""
        ends = time.monotonic() + deadline

        async def once() -> Answer:
            try:
                return await call(max(0.0, ends - time.monotonic()))
            except grpc.aio.AioRpcError as error:
                raise self._error_from(error) from None

        return await self._present(once, deadline)

    async def _present(self, call: Callable[[], Awaitable[Answer]], deadline: float = _LONG) -> Answer:
        """Repeat a call while the node does not run, for as long as patience lasts."""
        gives_up = time.monotonic() + min(self._patience, deadline)
        backoff = Backoff(longest=_LONGEST_WAIT)
        while True:
            try:
                return await call()
            except MandorlaError as error:
                if error.code is not Code.NODE_NOT_RUNNING or time.monotonic() >= gives_up:
                    raise
            await backoff.wait()

    def _error_from(self, error: grpc.aio.AioRpcError) -> MandorlaError:
        for key, value in error.trailing_metadata() or ():
            if key == CODE_KEY and isinstance(value, str) and value in Code.__members__:
                code = Code[value]
                # The detail follows the public message: only this lab's own node sends one.
                details = (error.details() or "").removeprefix(code.info.message)
                return NodeError(code, details.strip())
        match error.code():
            # A stopping node cancels its calls.
            case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
                return NodeError(Code.NODE_NOT_RUNNING, str(self._path))
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return NodeError(Code.DEADLINE, "the node did not answer in time")
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                return NodeError(Code.MESSAGE_TOO_LARGE)
            case other:
                return NodeError(Code.INTERNAL, f"the node answered {other.name}")


def _report_from(answer: operator_pb2.IngestResponse) -> IngestReport:
    return IngestReport(
        added=answer.added,
        known=answer.known,
        duplicates=answer.duplicates,
        rejected=tuple(RejectedRow(row.line, Code[row.code], row.reason) for row in answer.rejected),
        rejected_total=answer.rejected_total,
        held_back=answer.held_back,
        held_by=dict(answer.held_by),
    )


def _batches(rows: Iterable[IngestRow]) -> Iterator[list[operator_pb2.IngestRow]]:
    """Group rows into batches far below the size limit of a message."""
    batch: list[operator_pb2.IngestRow] = []
    size = 0
    for row in rows:
        message = row_to(row)
        batch.append(message)
        size += message.ByteSize()
        if len(batch) >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
