"""Asking this lab's own running node, over the Unix socket in its home."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import grpc

from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_protocol.errors import Code, MandorlaError, NodeError
from mandorla_protocol.labels import Label, Reason, Severity, Tlp

from .formats.matches import FoundMatch
from .formats.rows import IngestRow
from .wire import CODE_KEY

_MAX_MESSAGE: Final = 64 << 20
_QUICK: Final = 60.0
_LONG: Final = 24 * 3600.0
_BATCH_ROWS: Final = 2_000
_BATCH_BYTES: Final = 1 << 20


def node_answers(path: Path) -> bool:
    """Say whether a node listens on a socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


class Client:
    """A connection to the node of a home; use it as an async context manager.

    Every call may raise MandorlaError: NODE_NOT_RUNNING, DEADLINE, or the code that the node answers.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._channel = grpc.aio.insecure_channel(
            f"unix:{path}",
            options=[
                ("grpc.max_receive_message_length", _MAX_MESSAGE),
                ("grpc.max_send_message_length", _MAX_MESSAGE),
                ("grpc.enable_http_proxy", 0),
                ("grpc.use_local_subchannel_pool", 1),
                # The name of a socket's path is no host name, and a server may refuse it as one.
                ("grpc.default_authority", "localhost"),
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

    async def ingest(
        self,
        target: operator_pb2.Set.ValueType,
        rows: Iterable[IngestRow],
        strict: bool = False,
        suppress: bool = True,
        unit: str = "line",
    ) -> operator_pb2.IngestResponse:
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
            return await call
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

    async def check(self, indicators: Sequence[tuple[str, str]]) -> Sequence[operator_pb2.CheckResult]:
        """Ask what is known of indicators, given as type and value."""
        request = operator_pb2.CheckRequest(
            indicators=[operator_pb2.Indicator(type=kind, value=value) for kind, value in indicators]
        )
        try:
            return (await self._stub.Check(request, timeout=_QUICK)).results
        except grpc.aio.AioRpcError as error:
            raise self._error_from(error) from None

    async def matches(
        self, peer: str = "", kind: operator_pb2.Kind.ValueType = operator_pb2.KIND_UNSPECIFIED
    ) -> AsyncIterator[FoundMatch]:
        """Yield what matched, oldest first; of one peer or of one kind if asked."""
        request = operator_pb2.MatchesRequest(peer=peer, kind=kind)
        try:
            async for match in self._stub.Matches(request, timeout=_LONG):
                yield match_from(match)
        except grpc.aio.AioRpcError as error:
            raise self._error_from(error) from None

    async def status(self, patience: float = _QUICK, now: bool = False) -> operator_pb2.StatusResponse:
        """Ask how the node is, for up to `patience` seconds; `now` waits for nothing that is compared."""
        try:
            return await self._stub.Status(operator_pb2.StatusRequest(now=now), timeout=patience)
        except grpc.aio.AioRpcError as error:
            raise self._error_from(error) from None

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

    def _error_from(self, error: grpc.aio.AioRpcError) -> MandorlaError:
        for key, value in error.trailing_metadata() or ():
            if key == CODE_KEY and isinstance(value, str) and value in Code.__members__:
                code = Code[value]
                # This lab's own node may say more than the public message.
                details = (error.details() or "").removeprefix(code.info.message)
                return NodeError(code, details.strip())
        match error.code():
            case grpc.StatusCode.UNAVAILABLE:
                return NodeError(Code.NODE_NOT_RUNNING, str(self._path))
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return NodeError(Code.DEADLINE, "the node did not answer in time")
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                return NodeError(Code.MESSAGE_TOO_LARGE)
            case other:
                return NodeError(Code.INTERNAL, f"the node answered {other.name}")


def match_from(message: operator_pb2.Match) -> FoundMatch:
    """Read a match."""
    label = message.label
    return FoundMatch(
        type=message.indicator.type,
        value=message.indicator.value,
        peer=message.peer,
        kind=kind_name(message.kind),
        first_matched=message.first_matched,
        label=Label(
            reason=Reason(label.reason),
            severity=Severity(label.severity),
            confidence=label.confidence,
            first_seen=label.first_seen,
            expires=label.expires,
            tlp=Tlp(label.tlp),
        ),
        round_id=message.round_id,
        group=message.group,
        tokens=message.tokens,
    )


def kind_name(kind: operator_pb2.Kind.ValueType) -> str:
    """Write a kind of round as the command line does."""
    return operator_pb2.Kind.Name(kind).removeprefix("KIND_").lower()


def _batches(rows: Iterable[IngestRow]) -> Iterator[list[operator_pb2.IngestRow]]:
    """Group rows so that no message comes near the limit."""
    batch: list[operator_pb2.IngestRow] = []
    size = 0
    for row in rows:
        message = operator_pb2.IngestRow(
            line=row.line,
            type=row.type,
            value=row.value,
            label=operator_pb2.Label(
                reason=row.label.reason,
                severity=row.label.severity,
                confidence=row.label.confidence,
                first_seen=row.label.first_seen,
                expires=row.label.expires,
                tlp=row.label.tlp,
            ),
            group=row.group,
        )
        batch.append(message)
        size += message.ByteSize()
        if len(batch) >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
