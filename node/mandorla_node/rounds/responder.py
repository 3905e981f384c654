"""Rounds that peers begin: what this lab offers, agrees to, and answers until the close."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Final

from structlog.contextvars import bind_contextvars

from mandorla.v1 import exchange_pb2
from mandorla_protocol import signatures
from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, MandorlaError, RoundError
from mandorla_protocol.header import PROTOCOL_VERSION, SUITE, Offer, RoundHeader, RoundMode
from mandorla_protocol.indicators import profiles

from ..peers import messages
from ..peers.client import PeerClient
from ..peers.current_cards import CurrentCards
from ..peers.rate_limits import RateLimits
from ..store import Peer
from ..tables.offers import TableOffers
from ..telemetry.metrics import kind_label
from . import deadlines, negotiation
from .comparisons import Comparisons
from .context import RoundContext
from .factory import RoundFactory
from .querier import no_progress
from .registry import RoundRegistry
from .round import Round
from .round_locks import RoundLocks

_BUSY_WAIT: Final = 1.0
"""Seconds for which a proposal waits for the round before it."""

_CONTACT: Final = 60
"""Seconds for which a contact with a peer is not recorded again: each record waits for the disk."""


class Responder:
    """This lab as the one that joins rounds."""

    def __init__(
        self,
        context: RoundContext,
        registry: RoundRegistry,
        factory: RoundFactory,
        locks: RoundLocks,
        comparisons: Comparisons,
        cards: CurrentCards,
        limits: RateLimits,
    ) -> None:
        self._context = context
        self._registry = registry
        self._factory = factory
        self._locks = locks
        self._comparisons = comparisons
        self._cards = cards
        self._limits = limits
        self._offers = TableOffers(context.tables, context.store, context.clock)
        self._offered: dict[tuple[LabId, str], Offer] = {}
        self._responses: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """End what runs for peers."""
        for task in self._responses:
            task.cancel()
        await asyncio.gather(*self._responses, self._offers.stop(), return_exceptions=True)

    async def hello(self, peer: Peer, request: exchange_pb2.HelloRequest) -> exchange_pb2.HelloResponse:
        """Offer a peer an up-to-date table.

        Raises RoundError: VERSION_MISMATCH, PROFILE_MISMATCH, POLICY_REFUSED, BUDGET_EXCEEDED, or NOT_READY
        while the table is being prepared.
        """
        self._registry.require_running()
        if (request.version, request.suite) != (PROTOCOL_VERSION, SUITE):
            raise RoundError(Code.VERSION_MISMATCH)
        collection = negotiation.require_collection(request.collection)
        if messages.profiles_from(request) != profiles(collection):
            raise RoundError(Code.PROFILE_MISMATCH)
        key = (peer.lab, collection.value)
        self._context.policies.require_open(peer, collection.value)
        offer = self._context.tables.offer(await self._offers.prepared_epoch(key))
        self._offered[key] = offer
        if self._context.clock() - peer.last_contact >= _CONTACT:
            await asyncio.to_thread(self._context.store.peers.record_contact, peer.lab)
        return exchange_pb2.HelloResponse(encoded_offer=offer.encode())

    async def propose(self, peer: Peer, request: exchange_pb2.ProposeRequest) -> exchange_pb2.ProposeResponse:
        """Join a round that a peer proposes, and begin this lab's half of it.

        Raises MandorlaError if the header is not acceptable; no round is stored and nothing is charged then.
        """
        context, encoded = self._context, request.encoded_header
        header = RoundHeader.decode(encoded)
        peer_signature = signatures.verify(peer.lab, encoded, request.signature)
        # Not the collection, which is the peer's own text until the header is acceptable.
        bind_contextvars(round=header.round_id.hex(), kind=kind_label(header.kind))
        key = (peer.lab, header.collection)
        # Of the certificates that this lab shows, the header names the one that the peer connected to.
        own = self._cards.with_certificate(header.responder.certificate_hash)
        negotiation.require_acceptable(
            header, own.card, peer, self._offered.get(key), context.settings, context.clock()
        )
        bind_contextvars(collection=header.collection)
        self._context.policies.require_open(peer, header.collection).require(header.kind)
        self._registry.require_running()
        if header.round_id in self._registry.open:
            raise RoundError(Code.WRONG_STATE, "the round is open")
        if header.mode is RoundMode.BATCH:
            self._registry.make_way(*key)
        await self._end_rounds_left_by(peer, header.collection)
        lock = self._locks.lock(key)
        try:
            async with asyncio.timeout(_BUSY_WAIT):
                await lock.acquire()
        except TimeoutError:
            raise RoundError(Code.NOT_READY, "a round with this peer is open") from None
        async with AsyncExitStack() as stack:
            stack.callback(lock.release)
            client = self._context.clients(peer.card, own)
            stack.push_async_callback(client.close)
            self._limits.admit_round(peer)
            epoch = await context.tables.current_or_new_epoch(*key)
            if epoch.held.epoch != header.epoch(context.lab):
                raise RoundError(Code.EPOCH_RETIRED)
            active = await self._factory.make(header, peer, epoch, client, no_progress)
            await self._have_log_cosigned(peer, client)
            await self._registry.enter(active)
            try:
                signature = signatures.sign(context.identity, encoded)
                await self._registry.record_and_begin(active, encoded, signature, peer_signature)
            except BaseException:
                self._registry.forget(active)
                raise
            task = asyncio.create_task(self._respond(active, stack.pop_all()))
        self._responses.add(task)
        task.add_done_callback(self._responses.discard)
        return exchange_pb2.ProposeResponse(signature=signature)

    async def _have_log_cosigned(self, peer: Peer, client: PeerClient) -> None:
        """Have the proposer cosign this lab's log.

        Raises MandorlaError: NOT_READY for a failure of that call that may pass. Its own code would answer
        the proposal, of which it says nothing.
        """
        try:
            await self._context.witness.submit(peer, client)
        except MandorlaError as error:
            if not error.code.info.retryable:
                raise
            detail = f"the proposer did not cosign this lab's log: {error.code.name}"
            raise RoundError(Code.NOT_READY, detail) from None

    async def _end_rounds_left_by(self, peer: Peer, collection: str) -> None:
        """End the rounds that a peer began and left: a lab that proposes anew does not close them."""
        for active in self._registry.with_peer(peer.lab):
            header, closer = active.header, active.closer
            mine = header.initiator.lab == peer.lab and header.collection == collection
            if mine and closer.agreed.is_set() and not closer.halted.is_set():
                await closer.lose_peer(Code.ROUND_ABORTED)

    async def _respond(self, active: Round, resources: AsyncExitStack) -> None:
        """Wait until a round that this lab joined is over, and release its turn and its channel."""
        try:
            await self._until_closed(active)
            await self._context.witness.try_submit(active.peer, active.client, deadlines.LAST_PATIENCE)
        except MandorlaError as error:
            active.log.warning("round left open", code=error.code.name)
        finally:
            # The peer must not time the comparison: no message follows it (SPEC 9.7).
            if active.closer.comparable:
                self._comparisons.compare_in_background(active)
            self._registry.forget(active)
            await resources.aclose()

    async def _until_closed(self, active: Round) -> None:
        await active.half()
        try:
            async with asyncio.timeout(deadlines.PATIENCE):
                await active.closer.halted.wait()
        except TimeoutError:
            await active.closer.lose_peer(Code.DEADLINE)
        await active.closer.last_call()

    async def close(self, peer: Peer, request: exchange_pb2.CloseRequest) -> exchange_pb2.CloseResponse:
        """Close a round, in two calls: the first asks for this lab's statement, the second brings the peer's.

        Raises RoundError: NOT_READY while this lab's half runs, ROUND_ABORTED if it failed,
        TRANSCRIPT_MISMATCH if the peer saw another round, UNKNOWN_ROUND, WRONG_STATE if the responder asks
        for a statement.
        """
        active = await self._registry.find(peer, request.round_id)
        if request.encoded_statement:
            await active.closer.receive(request.encoded_statement, request.signature)
            return exchange_pb2.CloseResponse()
        if active.header.initiator.lab == peer.lab:
            # Whatever stops the half, the closer says in its answer.
            with suppress(TimeoutError, MandorlaError):
                async with asyncio.timeout(deadlines.READY_WAIT):
                    await active.half()
        return active.closer.statement()
