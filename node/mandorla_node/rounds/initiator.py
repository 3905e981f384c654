"""Rounds that this lab begins: from the first word to the close."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Final

from mandorla.v1 import exchange_pb2
from mandorla_protocol import signatures
from mandorla_protocol.errors import Code, MandorlaError, NodeError, RoundError
from mandorla_protocol.header import PROTOCOL_VERSION, SUITE, Offer, RoundId, RoundKind, RoundMode
from mandorla_protocol.indicators import profiles
from mandorla_protocol.log.entries import RoundClosed, RoundProposed
from mandorla_protocol.session.transcript import CloseStatement
from mandorla_protocol.sizes import PAGE_SIZE

from ..core.backoff import back_off
from ..peers.client import PeerClient
from ..store import Peer, RoundState
from ..tables.builder import TableBuilder
from . import negotiation
from .negotiation import Terms
from .querier import Findings, Progress, no_progress
from .registry import LAST_PATIENCE, PATIENCE, RoundRegistry
from .round import Round

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

    def __init__(self, rounds: RoundRegistry, tables: TableBuilder) -> None:
        self._rounds = rounds
        self._tables = tables

    async def run(self, name: str, terms: Terms, progress: Progress) -> RoundReport:
        """Run a round with a peer, from the first word to the close.

        Raises MandorlaError if no round came about; one that was begun and failed is reported as aborted.
        """
        peer = await asyncio.to_thread(self._rounds.store.peers.get, name)
        if peer.caught:
            raise RoundError(Code.EQUIVOCATION)
        negotiation.require_collection(terms.collection)
        self._rounds.policies.require_open(peer, terms.collection).require(terms.kind)
        started = time.monotonic()
        try:
            return await self._until_free(peer, terms, progress, started)
        except MandorlaError as error:
            self._failed(peer, terms, error)
            raise

    async def _until_free(self, peer: Peer, terms: Terms, progress: Progress, started: float) -> RoundReport:
        for attempt in range(_BUSY_RETRIES):
            try:
                self._rounds.make_way(peer.lab, terms.collection)
                async with self._rounds.busy[peer.lab, terms.collection]:
                    active = await self._initiate(peer, terms, progress)
                findings = (
                    Findings() if active.state is RoundState.ABORTED else await self._rounds.compared(active)
                )
                return _report(active, findings, time.monotonic() - started)
            except MandorlaError as error:
                # Both labs may have proposed at once: whoever waits longer joins the other's round.
                if error.code is not Code.NOT_READY or self._rounds.stopping:
                    raise
            await back_off(attempt)
        raise RoundError(Code.NOT_READY, "the peer is busy with another round")

    async def stand(self, peer: Peer, collection: str) -> Round:
        """Run a standing round with a peer until one of the labs would leave, and return how it ended.

        Raises MandorlaError if no round came about.
        """
        self._rounds.policies.require_open(peer, collection).require(RoundKind.WATCH)
        if self._rounds.is_kept_clear(peer.lab, collection):
            raise RoundError(Code.NOT_READY, "another round is to be")
        terms = Terms(RoundKind.WATCH, collection, RoundMode.STANDING)
        try:
            async with self._rounds.busy[peer.lab, collection]:
                return await self._initiate(peer, terms, no_progress)
        except MandorlaError as error:
            self._failed(peer, terms, error)
            raise

    def _failed(self, peer: Peer, terms: Terms, error: MandorlaError) -> None:
        """Count a round that did not come about; one that was agreed ended, and was counted then."""
        code = error.code.name
        self._rounds.metrics.round_ended(peer.name, terms.kind, terms.collection, "failed", code, None)

    async def _initiate(self, peer: Peer, terms: Terms, progress: Progress) -> Round:
        await self._rounds.renewal.introduce(peer)
        client = self._rounds.clients(peer.card)
        try:
            active = await self._agree(peer, client, terms, progress)
            try:
                await self._see_through(active, progress)
            finally:
                self._rounds.forget(active)
        finally:
            await client.close()
        return active

    async def _agree(self, peer: Peer, client: PeerClient, terms: Terms, progress: Progress) -> Round:
        progress("preparing", 0, 0)
        hello = asyncio.create_task(client.hello(_hello(terms.collection), PATIENCE))
        try:
            ready = await self._tables.prepare(peer.lab, terms.collection)
            peer_offer = Offer.decode((await hello).encoded_offer)
        finally:
            hello.cancel()
        own_offer = self._tables.offer(ready)
        header = negotiation.compose(
            client.own,
            peer.card,
            terms,
            own_offer,
            peer_offer,
            self._rounds.policy,
            self._rounds.lifetime(terms.mode),
            self._rounds.clock(),
        )
        header.require_valid(self._rounds.clock())
        active = await self._rounds.activate(header, peer, ready, client, progress)
        # The key and the table that this lab offers are in its log by now, and the peer signs that they are.
        await self._rounds.witness.submit(peer, client)
        encoded = header.encode()
        signature = signatures.sign(self._rounds.home.identity, encoded)
        proposed = RoundProposed(encoded, signature, self._rounds.clock())
        await asyncio.to_thread(self._rounds.store.log.append, proposed, header.round_id)
        self._rounds.enter(active)
        try:
            response = await client.propose(
                exchange_pb2.ProposeRequest(encoded_header=encoded, signature=signature)
            )
            answer = signatures.verify(peer.lab, encoded, response.signature)
            if active.ended.is_set():
                raise RoundError(Code.ROUND_ABORTED, "the node stops")
            await asyncio.to_thread(self._rounds.store.peers.touch, peer.lab)
            await self._rounds.agree(active, encoded, signature, answer)
        except BaseException:
            self._rounds.forget(active)
            raise
        self._rounds.begin(active)
        return active

    async def _see_through(self, active: Round, progress: Progress) -> None:
        """Run an agreed round to its end."""
        try:
            await active.complete()
            progress("closing", 0, 0)
            await self._report_sightings(active)
            await self._close(active)
        except MandorlaError as error:
            if active.ended.is_set():
                return
            if error.code.info.retryable and active.half_complete:
                # This lab knows what it wanted to know; the peer is gone before it said that it does too.
                await self._rounds.finish(active, RoundState.UNCONFIRMED, error.code)
            else:
                await self._rounds.abort(active, error)
        except asyncio.CancelledError:
            await self._rounds.abort(active, NodeError(Code.ROUND_ABORTED, "the operator hung up"))
            # What the round found is there, whether or not the operator still waits for it.
            if active.state is not RoundState.ABORTED:
                self._rounds.compare(active)
            raise

    async def _close(self, active: Round) -> None:
        """Take the responder's signature on what the round was, check that it saw the same, and give ours."""
        client, round_id = active.client, active.header.round_id
        theirs = await client.close_round(exchange_pb2.CloseRequest(round_id=round_id), PATIENCE)
        statement = active.commit_statement()
        CloseStatement.decode(theirs.encoded_statement).require_same(statement)
        encoded = statement.encode()
        peer_signature = signatures.verify(active.peer.lab, encoded, theirs.signature)
        active.commit_signed = True
        signature = signatures.sign(self._rounds.home.identity, encoded)
        closed = RoundClosed(round_id, encoded, signature, peer_signature, self._rounds.clock())
        await self._rounds.finish(active, RoundState.COMMITTED, closed=closed)
        request = exchange_pb2.CloseRequest(round_id=round_id, encoded_statement=encoded, signature=signature)
        # The round is committed whether or not the peer gets this; without it, its record stays unconfirmed.
        with contextlib.suppress(MandorlaError):
            await client.close_round(request, LAST_PATIENCE)
        await self._rounds.show_log(active)

    async def _report_sightings(self, active: Round) -> None:
        """Report sightings, where this lab's policy says so; a peer that does not want them loses nothing.

        This compares before the close, and lets the peer time it: that is the price of reporting (SPEC 9.7).
        """
        policy = self._rounds.policies.of(active.peer.name, active.header.collection)
        if not policy.report_sightings:
            return
        await self._rounds.compared(active)
        round_id = active.header.round_id
        tags = await asyncio.to_thread(self._rounds.store.matches.tags_of, active.half.asked, round_id)
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
    half, traffic = active.half.state, active.client.traffic
    return RoundReport(
        round_id=active.header.round_id,
        state=active.state,
        code=active.end_code.name if active.end_code else "",
        findings=findings,
        evaluated_by_peer=sum(half.counts[index] for index in half.answers),
        evaluated_for_peer=active.evaluated_for_peer,
        table_entries=half.reader.committed.size,
        bytes_sent=traffic.sent,
        bytes_received=traffic.received,
        seconds=seconds,
    )
