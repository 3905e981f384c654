"""Asking this lab's own running node, over the Unix socket in its home (docs/gateway.md).

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
    """What is known of an indicator, in its canonical spelling.

    `compared_with` names the peers against whose table it was compared, matching or not: what the others
    flagged is not known yet.
    """

    type: str
    value: str = field(repr=False)
    flagged_here: bool
    matches: tuple[FoundMatch, ...]
    compared_with: tuple[str, ...]
    actionable: bool
    """Whether this lab's policy is to act on it (docs/operators.md)."""

    @property
    def flagged_by(self) -> frozenset[str]:
        """The peers that flagged it."""
        return frozenset(match.peer for match in self.matches)


class Client:
    """A connection to the node of a home; use it as an async context manager, from as many tasks as you like.

    It connects when it is first asked, and again whenever the node comes back: calls wait up to `patience`
    seconds for a node that is away. Every call may raise MandorlaError: NODE_NOT_RUNNING, DEADLINE, or the
    code that the node answers.
    """

    def __init__(self, home: Path | str, patience: float = _PATIENCE) -> None:
        """Take the folder of a home, or its socket; raises nothing until the first call."""
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
                # The name of a socket's path is no host name, and a server may refuse it as one.
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
        """Ask what is known of one indicator, by type and text, and have it recorded as observed.

        Raises MandorlaError: BAD_INDICATOR or UNKNOWN_TYPE for what is no indicator.
        """
        (verdict,) = await self.check_many([(kind, value)], deadline)
        return verdict

    async def check_many(
        self, indicators: Iterable[tuple[str, str]], deadline: float = _QUICK
    ) -> list[Verdict]:
        """Ask what is known of indicators, in one call; verdicts come in the same order.

        Raises MandorlaError: BAD_INDICATOR or UNKNOWN_TYPE if one is no indicator; then none is answered.
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
        """Record indicators as observed: what was merely seen. Matches come by `follow`.

        What is no indicator is in the report's `rejected`, by its position from 1.
        """
        return await self._take(operator_pb2.SET_OBSERVED, indicators, Label(), group)

    async def flag(
        self, indicators: Iterable[tuple[str, str]], label: Label, group: str = "", suppress: bool = True
    ) -> IngestReport:
        """Flag indicators as malicious, with what is said of them; flagging again replaces the label.

        What many share is held back and counted, unless `suppress` is off. What is no indicator is in the
        report's `rejected`, by its position from 1.
        """
        return await self._take(operator_pb2.SET_FLAGGED, indicators, label, group, suppress)

    async def follow(self, after: int = 0) -> AsyncIterator[FoundMatch]:
        """Yield matches as they begin, from the one after event number `after` on, for ever.

        First those that hold, and then each that comes, at least once and in order. If the node goes away,
        this waits for it, however long, and goes on where it was. Keep the number of the last match that you
        acted upon, and begin there the next time.
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
        """Yield what matches now, oldest first; of one peer or of one kind if asked."""
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
        """Have rows taken in; `suppress` holds back from the flagged set what many share.

        What `rows` raises ends the ingest; a strict one then leaves nothing behind.
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
                # gRPC would swallow it and end the stream, and the node would finish as if all were well.
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
        """Run a round and yield its progress; the last message holds the result."""
        request = operator_pb2.StartRoundRequest(peer=peer, kind=kind, collection=collection)
        try:
            async for progress in self._stub.StartRound(request, timeout=_LONG):
                yield progress
        except grpc.aio.AioRpcError as error:
            raise self._error_from(error) from None

    async def status(self, deadline: float = _QUICK, now: bool = False) -> operator_pb2.StatusResponse:
        """Ask how the node is, for up to `deadline` seconds; `now` waits for nothing that is compared."""
        request = operator_pb2.StatusRequest(now=now)
        return await self._answered(lambda left: self._stub.Status(request, timeout=left), deadline)

    async def pause(self, peer: str, paused: bool) -> None:
        """Have a peer paused, or let it go on."""
        try:
            await self._stub.Pause(operator_pb2.PauseRequest(peer=peer, paused=paused), timeout=_QUICK)
        except grpc.aio.AioRpcError as error:
            raise self._error_from(error) from None

    async def renew_card(self, endpoint: str) -> str:
        """Have the lab's card renewed, with another endpoint unless it is empty; return its file's text."""
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
        """Have a few rows taken in; if the node goes away meanwhile, they are sent again when it is back."""
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
        """Repeat a call while the node is away, as long as patience lasts."""
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
                # This lab's own node may say more than the public message.
                details = (error.details() or "").removeprefix(code.info.message)
                return NodeError(code, details.strip())
        match error.code():
            # A node that stops cancels what is still going on.
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
    """Group rows so that no message comes near the limit."""
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
