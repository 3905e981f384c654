"""Rounds that this lab begins, from the first message to the close."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from mandorla.v1 import exchange_pb2
from mandorla_protocol import signatures
from mandorla_protocol.errors import Code, MandorlaError, NodeError, RoundError
from mandorla_protocol.header import PROTOCOL_VERSION, SUITE, Offer, RoundId, RoundKind, RoundMode
from mandorla_protocol.indicators import profiles
from mandorla_protocol.log.entries import RoundProposed
from mandorla_protocol.session.closing import RoundState
from mandorla_protocol.sizes import PAGE_SIZE

from ..core.backoff import Backoff
from ..peers.client import PeerClient
from ..store import Peer
from . import deadlines, negotiation
from .comparisons import Comparisons
from .context import RoundContext
from .factory import RoundFactory
from .negotiation import Terms
from .querier import Findings, Progress, no_progress
from .registry import RoundRegistry
from .round import Round
from .round_locks import RoundLocks

_BUSY_RETRIES: Final = 30


@dataclass(frozen=True, slots=True)
class RoundReport:
    """What a round did, as its initiator saw it. Sizes are bytes of messages; times are seconds."""

    round_id: RoundId
    state: RoundState
    code: str
    findings: Findings
    evaluated_by_peer: int
    evaluated_for_peer: int
    table_entries: int
    bytes_sent: int
    bytes_received: int
    seconds: float


class Initiator:
    """This lab as the one that proposes."""

    def __init__(
        self,
        context: RoundContext,
        registry: RoundRegistry,
        factory: RoundFactory,
        locks: RoundLocks,
        comparisons: Comparisons,
        deliver_card: Callable[[Peer], Awaitable[None]],
    ) -> None:
        self._context = context
        self._registry = registry
        self._factory = factory
        self._locks = locks
        self._comparisons = comparisons
        self._deliver_card = deliver_card

    async def run(self, name: str, terms: Terms, progress: Progress) -> RoundReport:
        """Run a batch round with a peer, from the first message to the close.

        Raises MandorlaError if no round begins; the report says how a round that begins ends.
        """
        peer = await asyncio.to_thread(self._context.store.peers.get, name)
        if peer.caught:
            raise RoundError(Code.EQUIVOCATION)
        negotiation.require_collection(terms.collection)
        self._context.policies.require_open(peer, terms.collection).require(terms.kind)
        started = asyncio.get_running_loop().time()
        try:
            active = await self._begin_when_free(peer, terms, progress)
        except MandorlaError as error:
            self._count_failure(peer, terms, error)
            raise
        comparable = active.closer.comparable
        findings = await self._comparisons.compare(active) if comparable else Findings()
        return _report(active, findings, asyncio.get_running_loop().time() - started)

    async def _begin_when_free(self, peer: Peer, terms: Terms, progress: Progress) -> Round:
        key = (peer.lab, terms.collection)
        backoff = Backoff()
        for _ in range(_BUSY_RETRIES):
            try:
                self._registry.make_way(*key)
                async with self._locks.lock(key):
                    return await self._initiate(peer, terms, progress)
            except MandorlaError as error:
                # If both labs propose at once, both get NOT_READY. The lab whose random wait is longer
                # answers the proposal of the other first, and then tries its own round.
                if error.code is not Code.NOT_READY or self._registry.stopping:
                    raise
            await backoff.wait()
        raise RoundError(Code.NOT_READY, "the peer is busy with another round")

    async def stand(self, peer: Peer, collection: str) -> Round:
        """Run a standing round with a peer until one of the labs leaves it, and return the ended round.

        Raises MandorlaError if no round begins.
        """
        key = (peer.lab, collection)
        self._context.policies.require_open(peer, collection).require(RoundKind.WATCH)
        if self._locks.is_reserved(key):
            raise RoundError(Code.NOT_READY, "a batch round is to begin")
        terms = Terms(RoundKind.WATCH, collection, RoundMode.STANDING)
        try:
            async with self._locks.lock(key):
                return await self._initiate(peer, terms, no_progress)
        except MandorlaError as error:
            self._count_failure(peer, terms, error)
            raise

    def _count_failure(self, peer: Peer, terms: Terms, error: MandorlaError) -> None:
        """Count a round that did not begin; one that was agreed is counted when it ends."""
        code = error.code.name
        self._context.metrics.round_ended(peer.name, terms.kind, terms.collection, "failed", code, None)

    async def _initiate(self, peer: Peer, terms: Terms, progress: Progress) -> Round:
        await self._deliver_card(peer)
        client = self._context.clients(peer.card)
        try:
            active = await self._negotiate(peer, client, terms, progress)
            try:
                await self._see_through(active, progress)
                await active.closer.last_call()
            finally:
                self._registry.forget(active)
        finally:
            await client.close()
        return active

    async def _negotiate(self, peer: Peer, client: PeerClient, terms: Terms, progress: Progress) -> Round:
        """Exchange offers, sign a header, have the peer sign it, and begin the round."""
        context = self._context
        progress("preparing", 0, 0)
        hello = asyncio.create_task(client.hello(_hello(terms.collection), deadlines.PATIENCE))
        try:
            epoch = await context.tables.prepare(peer.lab, terms.collection)
            peer_offer = Offer.decode((await hello).encoded_offer)
        finally:
            hello.cancel()
        batch = terms.mode is RoundMode.BATCH
        header = negotiation.compose(
            client.own_card,
            peer.card,
            terms,
            context.tables.offer(epoch),
            peer_offer,
            context.settings,
            context.settings.lifetime if batch else context.watch.lifetime,
            context.clock(),
        )
        header.require_valid(context.clock())
        active = await self._factory.make(header, peer, epoch, client, progress)
        # This lab's log holds the offered key and table. The peer cosigns it before it sees the proposal.
        await self._context.witness.submit(peer, client)
        await self._registry.enter(active)
        try:
            encoded = header.encode()
            signature = signatures.sign(context.identity, encoded)
            proposed = RoundProposed(encoded, signature, context.clock())
            await asyncio.to_thread(context.store.log.append, proposed, header.round_id)
            if active.closer.decided:
                raise active.closer.withdrawal()
            response = await client.propose(
                exchange_pb2.ProposeRequest(encoded_header=encoded, signature=signature)
            )
            peer_signature = signatures.verify(peer.lab, encoded, response.signature)
            if active.closer.decided:
                raise active.closer.withdrawal()
            await asyncio.to_thread(context.store.peers.record_contact, peer.lab)
            await self._registry.record_and_begin(active, encoded, signature, peer_signature)
        except BaseException:
            self._registry.forget(active)
            raise
        return active

    async def _see_through(self, active: Round, progress: Progress) -> None:
        """Run an agreed round to its end."""
        closer = active.closer
        try:
            await active.half()
            if not closer.half_complete or closer.decided:
                await closer.settled()
                return
            progress("closing", 0, 0)
            await self._report_sightings(active)
            await self._close(active)
        except MandorlaError as error:
            if error.code.info.retryable:
                await closer.lose_peer(error.code)
            else:
                await closer.fail(error)
        except asyncio.CancelledError:
            # A store that fails now must not hide the cancellation; `forget` keeps what is not recorded.
            with contextlib.suppress(MandorlaError):
                await closer.fail(NodeError(Code.ROUND_ABORTED, "the operator hung up"))
            # What the round found is recorded, whether or not the operator still waits for it.
            if closer.comparable:
                self._comparisons.compare_in_background(active)
            raise

    async def _close(self, active: Round) -> None:
        """Take the responder's signed statement, check that it saw the same round, and send this lab's."""
        request = exchange_pb2.CloseRequest(round_id=active.header.round_id)
        theirs = await active.client.close_round(request, deadlines.PATIENCE)
        await active.closer.receive(theirs.encoded_statement, theirs.signature)
        await active.closer.last_call()
        await self._context.witness.try_submit(active.peer, active.client, deadlines.LAST_PATIENCE)

    async def _report_sightings(self, active: Round) -> None:
        """Report sightings, if this lab's policy says so; a peer that refuses them loses nothing.

        This compares before the close, and lets the peer time it: that is the price of reporting (SPEC 9.7).
        """
        if not self._context.policies.of(active.peer.name, active.header.collection).report_sightings:
            return
        await self._comparisons.compare(active)
        round_id = active.header.round_id
        tags_of = self._context.store.matches.tags_of
        tags = await asyncio.to_thread(tags_of, active.querier.peer_epoch, round_id)
        with contextlib.suppress(MandorlaError):
            for start in range(0, len(tags), PAGE_SIZE):
                page = b"".join(tags[start : start + PAGE_SIZE])
                await active.client.report(exchange_pb2.ReportRequest(round_id=round_id, tags=page))


def _hello(collection: str) -> exchange_pb2.HelloRequest:
    return exchange_pb2.HelloRequest(
        version=PROTOCOL_VERSION,
        suite=SUITE,
        collection=collection,
        profiles=[
            exchange_pb2.Profile(type=name, profile=profile)
            for name, profile in profiles(negotiation.require_collection(collection))
        ],
    )


def _report(active: Round, findings: Findings, seconds: float) -> RoundReport:
    half, traffic, closer = active.querier.state, active.client.traffic, active.closer
    return RoundReport(
        round_id=active.header.round_id,
        state=closer.state,
        code=closer.code.name if closer.code else "",
        findings=findings,
        evaluated_by_peer=sum(half.counts[index] for index in half.answers),
        evaluated_for_peer=active.holder.elements,
        table_entries=half.reader.committed.size,
        bytes_sent=traffic.sent,
        bytes_received=traffic.received,
        seconds=seconds,
    )
