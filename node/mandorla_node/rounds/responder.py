"""Rounds that peers begin: what this lab offers, agrees to, and states at the end."""

from __future__ import annotations

import asyncio
from typing import Final

from structlog.contextvars import bind_contextvars

from mandorla.v1 import exchange_pb2
from mandorla_protocol import signatures
from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, MandorlaError, NodeError, RoundError
from mandorla_protocol.header import PROTOCOL_VERSION, SUITE, Offer, RoundHeader, RoundMode
from mandorla_protocol.indicators import profiles
from mandorla_protocol.log.entries import RoundClosed
from mandorla_protocol.session.transcript import CloseStatement, Outcome

from ..peers import messages
from ..peers.rate_limits import PeerLimits
from ..store import Peer, RoundState
from ..tables.builder import TableBuilder
from ..tables.offers import TableOffers
from ..telemetry.metrics import kind_label
from . import negotiation
from .querier import no_progress
from .registry import PATIENCE, RoundRegistry
from .round import Round

_READY_WAIT: Final = 20.0
_BUSY_WAIT: Final = 1.0
_CONTACT: Final = 60
"""Seconds for which it is not recorded again that a peer was heard of: each record waits for the disk."""


class Responder:
    """This lab as the one that is asked."""

    def __init__(self, rounds: RoundRegistry, tables: TableBuilder, limits: PeerLimits) -> None:
        self._rounds = rounds
        self._tables = tables
        self._limits = limits
        self._offers = TableOffers(tables, rounds.store, rounds.clock)
        self._offered: dict[tuple[LabId, str], Offer] = {}
        self._responding: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """End what runs for peers."""
        for task in self._responding:
            task.cancel()
        await asyncio.gather(*self._responding, self._offers.stop(), return_exceptions=True)

    async def hello(self, peer: Peer, request: exchange_pb2.HelloRequest) -> exchange_pb2.HelloResponse:
        """Offer a peer an up-to-date table.

        Raises RoundError: VERSION_MISMATCH, PROFILE_MISMATCH, POLICY_REFUSED, BUDGET_EXCEEDED, or NOT_READY
        while the table is being prepared.
        """
        self._rounds.require_going_on()
        if (request.version, request.suite) != (PROTOCOL_VERSION, SUITE):
            raise RoundError(Code.VERSION_MISMATCH)
        collection = negotiation.require_collection(request.collection)
        if messages.profiles_from(request) != profiles(collection):
            raise RoundError(Code.PROFILE_MISMATCH)
        key = (peer.lab, collection.value)
        self._rounds.policies.require_open(peer, collection.value)
        offer = self._tables.offer(await self._offers.ready(key))
        self._offered[key] = offer
        if self._rounds.clock() - peer.last_contact >= _CONTACT:
            await asyncio.to_thread(self._rounds.store.peers.touch, peer.lab)
        return exchange_pb2.HelloResponse(encoded_offer=offer.encode())

    async def propose(self, peer: Peer, request: exchange_pb2.ProposeRequest) -> exchange_pb2.ProposeResponse:
        """Join a round that a peer proposes, and begin this lab's half of it.

        Raises MandorlaError if the header is not acceptable; nothing is stored then.
        """
        encoded = request.encoded_header
        header = RoundHeader.decode(encoded)
        peer_signature = signatures.verify(peer.lab, encoded, request.signature)
        # Not the collection, which is the peer's own word until the header is acceptable.
        bind_contextvars(round=header.round_id.hex(), kind=kind_label(header.kind))
        key = (peer.lab, header.collection)
        # Of the certificates that this lab shows, the header names the one that the peer went by.
        own = self._rounds.renewal.own.named(header.responder.certificate_hash)
        negotiation.require_acceptable(
            header,
            own.card,
            peer,
            self._offered.get(key),
            self._rounds.policy,
            self._rounds.clock(),
        )
        bind_contextvars(collection=header.collection)
        self._rounds.policies.require_open(peer, header.collection).require(header.kind)
        self._rounds.require_going_on()
        if header.round_id in self._rounds.open:
            raise RoundError(Code.WRONG_STATE, "the round is open")
        busy = self._rounds.busy[key]
        if header.mode is RoundMode.BATCH:
            self._rounds.make_way(*key)
        await self._give_up_rounds_of(peer, header.collection)
        try:
            async with asyncio.timeout(_BUSY_WAIT):
                await busy.acquire()
        except TimeoutError:
            raise RoundError(Code.NOT_READY, "a round with this peer is open") from None
        client = self._rounds.clients(peer.card, own)
        try:
            self._limits.take_round(peer.lab)
            ready = await self._tables.epoch(*key)
            if ready.held.epoch != header.epoch(self._rounds.home.card.identity):
                raise RoundError(Code.EPOCH_RETIRED)
            active = await self._rounds.activate(header, peer, ready, client, no_progress)
            await self._rounds.witness.submit(peer, client)
            signature = signatures.sign(self._rounds.home.identity, encoded)
            self._rounds.enter(active)
            try:
                await self._rounds.agree(active, encoded, signature, peer_signature)
            except BaseException:
                self._rounds.forget(active)
                raise
        except BaseException:
            busy.release()
            await client.close()
            raise
        self._rounds.begin(active)
        task = asyncio.create_task(self._respond(active, busy))
        self._responding.add(task)
        task.add_done_callback(self._responding.discard)
        return exchange_pb2.ProposeResponse(signature=signature)

    async def _give_up_rounds_of(self, peer: Peer, collection: str) -> None:
        """End the rounds that a peer began and left: proposing anew says that it will not close them."""
        for active in list(self._rounds.open.values()):
            header = active.header
            mine = (header.initiator.lab, header.collection) == (peer.lab, collection)
            if mine and active.agreed.is_set() and not active.ended.is_set():
                left = RoundState.UNCONFIRMED if active.half_complete else RoundState.ABORTED
                await self._rounds.finish(active, left, Code.ROUND_ABORTED)
                if active.half_complete:
                    self._rounds.compare(active)

    async def _respond(self, active: Round, busy: asyncio.Lock) -> None:
        """Run this lab's half of a round that it joined, and wait for the initiator to close it."""
        try:
            await self._until_closed(active)
            await self._rounds.show_log(active)
        finally:
            # Nothing that the peer can time may follow this (SPEC 9.7).
            if active.ended.is_set() and active.state is not RoundState.ABORTED:
                self._rounds.compare(active)
            self._rounds.forget(active)
            busy.release()
            await active.client.close()

    async def _until_closed(self, active: Round) -> None:
        try:
            await active.complete()
            async with asyncio.timeout(PATIENCE):
                await active.ended.wait()
        except TimeoutError:
            await self._rounds.finish(active, RoundState.UNCONFIRMED, Code.DEADLINE)
        except MandorlaError as error:
            if not active.ended.is_set():
                await self._rounds.abort(active, error)
        except Exception as error:
            await self._rounds.abort(active, NodeError(Code.INTERNAL, type(error).__name__))

    async def close(self, peer: Peer, request: exchange_pb2.CloseRequest) -> exchange_pb2.CloseResponse:
        """Close a round, in two calls: the first asks for this lab's statement, the second brings the peer's.

        Raises RoundError: NOT_READY while this lab's half runs, ROUND_ABORTED if it failed,
        TRANSCRIPT_MISMATCH if the peer saw another round, UNKNOWN_ROUND.
        """
        active = await self._rounds.find(peer, request.round_id)
        if request.encoded_statement:
            await self._accept_close(active, request)
            return exchange_pb2.CloseResponse()
        if active.task is None or active.header.initiator.lab != peer.lab:
            raise RoundError(Code.WRONG_STATE, "only the initiator asks for a statement")
        done, _ = await asyncio.wait({active.task}, timeout=_READY_WAIT)
        if not done:
            raise RoundError(Code.NOT_READY)
        if active.task.cancelled() or active.task.exception() is not None:
            raise RoundError(Code.ROUND_ABORTED)
        encoded = active.commit_statement().encode()
        active.commit_signed = True
        return exchange_pb2.CloseResponse(
            encoded_statement=encoded, signature=signatures.sign(self._rounds.home.identity, encoded)
        )

    async def _accept_close(self, active: Round, request: exchange_pb2.CloseRequest) -> None:
        statement = CloseStatement.decode(request.encoded_statement)
        encoded = statement.encode()
        peer_signature = signatures.verify(active.peer.lab, encoded, request.signature)
        if statement.header_digest != active.header.digest():
            raise RoundError(Code.TRANSCRIPT_MISMATCH)
        own_signature = b""
        if statement.outcome is Outcome.COMMITTED:
            statement.require_same(active.commit_statement())
            active.commit_signed = True
            own_signature = signatures.sign(self._rounds.home.identity, encoded)
            state = RoundState.COMMITTED
        else:
            # Whoever holds this lab's signature on a commit cannot make it say that there was none.
            active.abort_signed = True
            state = RoundState.UNCONFIRMED if active.commit_signed else RoundState.ABORTED
        closed = RoundClosed(
            active.header.round_id, encoded, own_signature, peer_signature, self._rounds.clock()
        )
        await self._rounds.finish(active, state, Code[statement.code] if statement.code else None, closed)
