"""A round while it lasts: its two halves and its close."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from google.protobuf.message import Message

from mandorla.v1 import exchange_pb2
from mandorla_protocol.errors import Code, MandorlaError, NodeError, RoundError
from mandorla_protocol.header import RoundHeader
from mandorla_protocol.labels import Tag

from ..peers.client import PeerClient
from ..store import Peer
from ..tables.builder import PreparedEpoch
from .closer import Closer
from .context import RoundContext, round_log
from .holder import Answer, Holder
from .querier import Findings, Querier

T = TypeVar("T")


class Round:
    """One round between this lab and a peer."""

    def __init__(
        self,
        header: RoundHeader,
        peer: Peer,
        epoch: PreparedEpoch,
        querier: Querier,
        client: PeerClient,
        context: RoundContext,
    ) -> None:
        self.header = header
        self.peer = peer
        self.client = client
        self.querier = querier
        self.holder = Holder(header, peer, epoch, context)
        self.closer = Closer(header, peer, client, self.holder, context)
        self.log = round_log(header, peer)
        # Set once nobody works on the round any more: it has ended, and the peer was told.
        self.forgotten = asyncio.Event()
        self.comparison: asyncio.Task[Findings] | None = None
        self._context = context
        self._half: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin this lab's half as the querier: both labs have signed the header."""
        self.log.info("round agreed", initiated=self.header.initiator.lab == self._context.lab)
        self._half = asyncio.create_task(self._run_half())

    async def _run_half(self) -> None:
        """Run the half, and let the closer decide what its end means; raise nothing of it."""
        run = asyncio.create_task(self._run_querier())
        ended = asyncio.create_task(self.closer.halted.wait())
        try:
            await asyncio.wait({run, ended}, return_when=asyncio.FIRST_COMPLETED)
            if run.done():
                run.result()
                self.closer.half_completed(self.querier.state.digest())
        except MandorlaError as error:
            await self.closer.fail(error)
        except Exception as error:
            self.log.exception("half failed", error=type(error).__name__)
            await self.closer.fail(NodeError(Code.INTERNAL, type(error).__name__))
        finally:
            for task in (run, ended):
                task.cancel()
            await asyncio.gather(run, ended, return_exceptions=True)

    async def _run_querier(self) -> None:
        """Run the querier until the header expires.

        Raises RoundError(HEADER_EXPIRED), or what stops the querier.
        """
        lifetime = self.header.expires - self._context.clock()
        expiry = asyncio.create_task(self._context.timer.sleep(lifetime))
        run = asyncio.create_task(self.querier.run())
        try:
            await asyncio.wait({run, expiry}, return_when=asyncio.FIRST_COMPLETED)
            if not run.done():
                raise RoundError(Code.HEADER_EXPIRED)
            run.result()
        finally:
            for task in (run, expiry):
                task.cancel()
            await asyncio.gather(run, expiry, return_exceptions=True)

    async def half(self) -> None:
        """Wait until this lab's half is complete or the round has ended.

        Raises NodeError(STORE_FAILED) if the half failed and the end could not be recorded.
        """
        if self._half is not None:
            await asyncio.shield(self._half)

    def progress(self) -> tuple[str, int, int]:
        """Return the step that this lab's half is in, and how much of how much of it is done."""
        if self._half is None:
            return "agreeing", 0, 0
        return ("closing", 0, 0) if self.closer.half_complete else self.querier.progress()

    async def evaluate(self, index: int, blinded: bytes, now: int) -> Answer:
        """Answer a chunk as the holder.

        Raises RoundError or CryptoError if the chunk may not be answered. If the round ended meanwhile, the
        error says so, at whatever step of the answer the end came.
        """
        return await self._unless_ended(self.holder.evaluate(index, blinded, now))

    async def page(self, start: int, now: int) -> exchange_pb2.ListTagsResponse:
        """Answer with a page of the table that the header commits to."""
        return await self._unless_ended(self.holder.page(start, now))

    async def _unless_ended(self, answer: Awaitable[T]) -> T:
        """Return an answer of the holder's half; raise the closer's refusal if the round ended meanwhile."""
        try:
            return await answer
        except RoundError as error:
            if error.code in (Code.WRONG_STATE, Code.UNKNOWN_ROUND):
                await self.closer.settled()
                if self.closer.halted.is_set():
                    raise self.closer.refusal() from None
            raise

    async def subscribe(self, version: int) -> exchange_pb2.SubscribeResponse:
        """Answer with news of the table; raises RoundError(WRONG_STATE), for this is no standing round."""
        raise RoundError(Code.WRONG_STATE, "this is no standing round")

    def count(self, request: Message, response: Message) -> None:
        """Add a call of the peer's to the round's traffic, which holds this lab's own calls already."""
        self.client.traffic.received += request.ByteSize()
        self.client.traffic.sent += response.ByteSize()

    def record_sightings(self, tags: Sequence[Tag]) -> None:
        """Record which flagged indicators the peer reports to have seen; called in a thread.

        Raises RoundError, the closer's refusal, if the round ended while the call waited for its turn.
        """
        if self.closer.halted.is_set():
            raise self.closer.refusal()
        self.holder.record_sightings(tags)
