"""All rounds of a node: those that it starts, those that it is asked to join, and how each ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from dataclasses import dataclass

import structlog

from mandorla.v1 import exchange_pb2
from mandorla_protocol import signatures
from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, MandorlaError, NodeError, RoundError
from mandorla_protocol.header import PROTOCOL_VERSION, SUITE, Offer, RoundHeader, RoundId
from mandorla_protocol.indicators import profiles
from mandorla_protocol.log.entries import RoundClosed, RoundProposed
from mandorla_protocol.session.transcript import CloseStatement, Outcome
from mandorla_protocol.sizes import PAGE_SIZE

from .. import wire
from ..client import ClientFactory, PeerClient, back_off
from ..clock import Clock
from ..home import Home
from ..store import Peer, RoundState, Store
from ..tables import Ready, Tables
from ..witness import Witness
from ..workers import Workers
from . import agreement
from .active import ActiveRound
from .agreement import Terms
from .half import Findings, Progress, QuerierHalf

_LOG = structlog.get_logger()

_PATIENCE = 1800.0
"""Seconds that a lab waits for a peer that prepares its table, or finishes its half."""

_ABORT_PATIENCE = 5.0
_READY_WAIT = 20.0
_AGREEMENT_WAIT = 10.0
_BUSY_RETRIES = 30
_BUSY_WAIT = 1.0


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


class Rounds:
    """The rounds that are open, and the way into each."""

    def __init__(
        self,
        home: Home,
        store: Store,
        pool: Workers,
        tables: Tables,
        witness: Witness,
        clients: ClientFactory,
        clock: Clock,
    ) -> None:
        self._home = home
        self._witness = witness
        self._policy = home.settings.rounds
        self._store = store
        self._pool = pool
        self._tables = tables
        self._clients = clients
        self._clock = clock
        self._open: dict[RoundId, ActiveRound] = {}
        self._offers: dict[tuple[LabId, str], Offer] = {}
        # One round at a time with a peer over a collection: two would ask for the same indicators twice.
        self._busy: dict[tuple[LabId, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._preparing: dict[tuple[LabId, str], asyncio.Task[Ready]] = {}
        self._responding: set[asyncio.Task[None]] = set()
        self._turns: dict[tuple[LabId, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._comparing: set[asyncio.Task[Findings]] = set()

    async def stop(self) -> None:
        """End every round, and tell the peers."""
        for active in list(self._open.values()):
            await self._abort(active, NodeError(Code.ROUND_ABORTED, "the node stops"))
        for task in (*self._responding, *self._preparing.values()):
            task.cancel()
        await asyncio.gather(*self._responding, *self._preparing.values(), return_exceptions=True)
        await self.settled()

    # As the initiator.

    async def run(self, name: str, terms: Terms, progress: Progress) -> RoundReport:
        """Run a round with a peer, from the first word to the close.

        Raises MandorlaError if no round came about; one that was begun and failed is reported as aborted.
        """
        peer = await asyncio.to_thread(self._store.peers.get, name)
        if peer.caught:
            raise RoundError(Code.EQUIVOCATION)
        agreement.require_collection(terms.collection)
        started = time.monotonic()
        for attempt in range(_BUSY_RETRIES):
            try:
                async with self._busy[peer.lab, terms.collection]:
                    active = await self._initiate(peer, terms, progress)
                findings = Findings() if active.state is RoundState.ABORTED else await self._compared(active)
                return _report(active, findings, time.monotonic() - started)
            except MandorlaError as error:
                # Both labs may have proposed at once: whoever waits longer joins the other's round.
                if error.code is not Code.NOT_READY:
                    raise
            await back_off(attempt)
        raise RoundError(Code.NOT_READY, "the peer is busy with another round")

    async def _initiate(self, peer: Peer, terms: Terms, progress: Progress) -> ActiveRound:
        client = self._clients(peer.card)
        try:
            active = await self._agree(peer, client, terms, progress)
            try:
                await self._see_through(active, progress)
            finally:
                self._forget(active)
        finally:
            await client.close()
        return active

    async def _agree(self, peer: Peer, client: PeerClient, terms: Terms, progress: Progress) -> ActiveRound:
        progress("preparing", 0, 0)
        hello = asyncio.create_task(client.hello(_hello(terms.collection), _PATIENCE))
        try:
            ready = await self._tables.prepare(peer.lab, terms.collection)
            peer_offer = Offer.decode((await hello).encoded_offer)
        finally:
            hello.cancel()
        own_offer = self._tables.offer(ready)
        header = agreement.compose(
            self._home.card, peer.card, terms, own_offer, peer_offer, self._policy, self._clock()
        )
        header.require_valid(self._clock())
        active = await self._activate(header, peer, ready, client, progress)
        # The key and the table that this lab offers are in its log by now, and the peer signs that they are.
        await self._witness.submit(peer, client)
        encoded = header.encode()
        signature = signatures.sign(self._home.identity, encoded)
        proposed = RoundProposed(encoded, signature, self._clock())
        await asyncio.to_thread(self._store.log.append, proposed, header.round_id)
        self._open[header.round_id] = active
        try:
            response = await client.propose(
                exchange_pb2.ProposeRequest(encoded_header=encoded, signature=signature)
            )
            answer = signatures.verify(peer.lab, encoded, response.signature)
            if active.ended.is_set():
                raise RoundError(Code.ROUND_ABORTED, "the node stops")
            await asyncio.to_thread(self._store.rounds.agree, header, peer.lab, encoded, signature, answer)
        except BaseException:
            self._forget(active)
            raise
        await asyncio.to_thread(self._store.peers.touch, peer.lab)
        active.begin(self._clock())
        return active

    async def _see_through(self, active: ActiveRound, progress: Progress) -> None:
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
                await self._finish(active, RoundState.UNCONFIRMED, error.code)
            else:
                await self._abort(active, error)
        except asyncio.CancelledError:
            await self._abort(active, NodeError(Code.ROUND_ABORTED, "the operator hung up"))
            # What the round found is there, whether or not the operator still waits for it.
            if active.state is not RoundState.ABORTED:
                self._compare(active)
            raise

    async def _close(self, active: ActiveRound) -> None:
        """Take the responder's signature on what the round was, check that it saw the same, and give ours."""
        client, round_id = active.client, active.header.round_id
        theirs = await client.close_round(exchange_pb2.CloseRequest(round_id=round_id), _PATIENCE)
        statement = active.commit_statement()
        CloseStatement.decode(theirs.encoded_statement).require_same(statement)
        encoded = statement.encode()
        peer_signature = signatures.verify(active.peer.lab, encoded, theirs.signature)
        active.commit_signed = True
        signature = signatures.sign(self._home.identity, encoded)
        closed = RoundClosed(round_id, encoded, signature, peer_signature, self._clock())
        await self._finish(active, RoundState.COMMITTED, closed=closed)
        request = exchange_pb2.CloseRequest(round_id=round_id, encoded_statement=encoded, signature=signature)
        # The round is committed whether or not the peer gets this; without it, its record stays unconfirmed.
        with contextlib.suppress(MandorlaError):
            await client.close_round(request, _ABORT_PATIENCE)
        await self._show_log(active)

    async def _report_sightings(self, active: ActiveRound) -> None:
        """Report sightings, where this lab's policy says so; a peer that does not want them loses nothing.

        This compares before the close, and lets the peer time it: that is the price of reporting (SPEC 9.7).
        """
        if not self._policy.report_sightings:
            return
        await self._compared(active)
        round_id = active.header.round_id
        tags = await asyncio.to_thread(self._store.matches.tags_of, active.half.asked, round_id)
        with contextlib.suppress(MandorlaError):
            for start in range(0, len(tags), PAGE_SIZE):
                page = b"".join(tags[start : start + PAGE_SIZE])
                await active.client.report(exchange_pb2.ReportRequest(round_id=round_id, tags=page))

    # As the responder.

    async def hello(self, peer: Peer, request: exchange_pb2.HelloRequest) -> exchange_pb2.HelloResponse:
        """Offer a peer an up-to-date table.

        Raises RoundError: VERSION_MISMATCH, PROFILE_MISMATCH, POLICY_REFUSED, BUDGET_EXCEEDED, or NOT_READY
        while the table is being prepared.
        """
        if (request.version, request.suite) != (PROTOCOL_VERSION, SUITE):
            raise RoundError(Code.VERSION_MISMATCH)
        collection = agreement.require_collection(request.collection)
        if wire.profiles_from(request) != profiles(collection):
            raise RoundError(Code.PROFILE_MISMATCH)
        key = (peer.lab, collection.value)
        task = self._preparing.get(key)
        # What was ready before this call may miss what was flagged since.
        if task is None or task.done():
            task = self._preparing[key] = asyncio.create_task(self._tables.prepare(*key))
        done, _ = await asyncio.wait({task}, timeout=_READY_WAIT)
        if not done:
            raise RoundError(Code.NOT_READY)
        offer = self._tables.offer(task.result())
        self._offers[key] = offer
        await asyncio.to_thread(self._store.peers.touch, peer.lab)
        return exchange_pb2.HelloResponse(encoded_offer=offer.encode())

    async def propose(self, peer: Peer, request: exchange_pb2.ProposeRequest) -> exchange_pb2.ProposeResponse:
        """Join a round that a peer proposes, and begin this lab's half of it.

        Raises MandorlaError if the header is not acceptable; nothing is stored then.
        """
        encoded = request.encoded_header
        header = RoundHeader.decode(encoded)
        peer_signature = signatures.verify(peer.lab, encoded, request.signature)
        key = (peer.lab, header.collection)
        agreement.require_acceptable(
            header, self._home.card, peer, self._offers.get(key), self._policy, self._clock()
        )
        if header.round_id in self._open:
            raise RoundError(Code.WRONG_STATE, "the round is open")
        busy = self._busy[key]
        await self._give_up_rounds_of(peer, header.collection)
        try:
            async with asyncio.timeout(_BUSY_WAIT):
                await busy.acquire()
        except TimeoutError:
            raise RoundError(Code.NOT_READY, "a round with this peer is open") from None
        client = self._clients(peer.card)
        try:
            ready = await self._tables.epoch(*key)
            if ready.held.epoch != header.epoch(self._home.card.identity):
                raise RoundError(Code.EPOCH_RETIRED)
            active = await self._activate(header, peer, ready, client, _no_progress)
            await self._witness.submit(peer, client)
            signature = signatures.sign(self._home.identity, encoded)
            signed = (encoded, signature, peer_signature)
            await asyncio.to_thread(self._store.rounds.agree, header, peer.lab, *signed)
        except BaseException:
            busy.release()
            await client.close()
            raise
        self._open[header.round_id] = active
        active.begin(self._clock())
        task = asyncio.create_task(self._respond(active, busy))
        self._responding.add(task)
        task.add_done_callback(self._responding.discard)
        return exchange_pb2.ProposeResponse(signature=signature)

    async def _give_up_rounds_of(self, peer: Peer, collection: str) -> None:
        """End the rounds that a peer began and left: proposing anew says that it will not close them."""
        for active in list(self._open.values()):
            header = active.header
            mine = (header.initiator.lab, header.collection) == (peer.lab, collection)
            if mine and not active.ended.is_set():
                left = RoundState.UNCONFIRMED if active.half_complete else RoundState.ABORTED
                await self._finish(active, left, Code.ROUND_ABORTED)
                if active.half_complete:
                    self._compare(active)

    async def _respond(self, active: ActiveRound, busy: asyncio.Lock) -> None:
        """Run this lab's half of a round that it joined, and wait for the initiator to close it."""
        try:
            await self._until_closed(active)
            await self._show_log(active)
        finally:
            # Nothing that the peer can time may follow this (SPEC 9.7).
            if active.ended.is_set() and active.state is not RoundState.ABORTED:
                self._compare(active)
            self._forget(active)
            busy.release()
            await active.client.close()

    async def _until_closed(self, active: ActiveRound) -> None:
        try:
            await active.complete()
            async with asyncio.timeout(_PATIENCE):
                await active.ended.wait()
        except TimeoutError:
            await self._finish(active, RoundState.UNCONFIRMED, Code.DEADLINE)
        except MandorlaError as error:
            if not active.ended.is_set():
                await self._abort(active, error)
        except Exception as error:
            await self._abort(active, NodeError(Code.INTERNAL, type(error).__name__))

    async def _show_log(self, active: ActiveRound) -> None:
        """Have the peer cosign what was logged of a round; if it is gone, the next round does it."""
        with contextlib.suppress(MandorlaError, TimeoutError):
            async with asyncio.timeout(_ABORT_PATIENCE):
                await self._witness.submit(active.peer, active.client)

    async def close(self, peer: Peer, request: exchange_pb2.CloseRequest) -> exchange_pb2.CloseResponse:
        """Close a round, in two calls: the first asks for this lab's statement, the second brings the peer's.

        Raises RoundError: NOT_READY while this lab's half runs, ROUND_ABORTED if it failed,
        TRANSCRIPT_MISMATCH if the peer saw another round, UNKNOWN_ROUND.
        """
        active = await self.find(peer, request.round_id)
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
            encoded_statement=encoded, signature=signatures.sign(self._home.identity, encoded)
        )

    async def _accept_close(self, active: ActiveRound, request: exchange_pb2.CloseRequest) -> None:
        statement = CloseStatement.decode(request.encoded_statement)
        encoded = statement.encode()
        peer_signature = signatures.verify(active.peer.lab, encoded, request.signature)
        if statement.header_digest != active.header.digest():
            raise RoundError(Code.TRANSCRIPT_MISMATCH)
        own_signature = b""
        if statement.outcome is Outcome.COMMITTED:
            statement.require_same(active.commit_statement())
            active.commit_signed = True
            own_signature = signatures.sign(self._home.identity, encoded)
            state = RoundState.COMMITTED
        else:
            # Whoever holds this lab's signature on a commit cannot make it say that there was none.
            active.abort_signed = True
            state = RoundState.UNCONFIRMED if active.commit_signed else RoundState.ABORTED
        closed = RoundClosed(active.header.round_id, encoded, own_signature, peer_signature, self._clock())
        await self._finish(active, state, Code[statement.code] if statement.code else None, closed)

    async def find(self, peer: Peer, round_id: bytes) -> ActiveRound:
        """Return an agreed round with a peer.

        Raises RoundError: UNKNOWN_ROUND, or NOT_READY while this lab waits for the peer's signature.
        """
        active = self._open.get(wire.round_id_from(round_id))
        if active is None or active.peer.lab != peer.lab:
            raise RoundError(Code.UNKNOWN_ROUND)
        try:
            async with asyncio.timeout(_AGREEMENT_WAIT):
                await active.agreed.wait()
        except TimeoutError:
            raise RoundError(Code.NOT_READY) from None
        if active.ended.is_set():
            raise RoundError(Code.UNKNOWN_ROUND)
        return active

    # As either.

    def _compare(self, active: ActiveRound) -> asyncio.Task[Findings]:
        """Compare in the background, once, and one round of a peer and collection after another.

        To be called when the round is over for the peer, so that it cannot tell how long this takes.
        """
        if active.comparison is None:
            active.comparison = asyncio.create_task(self._compare_in_turn(active))
            self._comparing.add(active.comparison)
            active.comparison.add_done_callback(self._comparing.discard)
        return active.comparison

    async def _compared(self, active: ActiveRound) -> Findings:
        """Wait for the comparison, which goes on if nobody waits any more."""
        return await asyncio.shield(self._compare(active))

    async def _compare_in_turn(self, active: ActiveRound) -> Findings:
        async with self._turns[active.peer.lab, active.header.collection]:
            return await asyncio.to_thread(active.half.compare)

    async def settled(self) -> None:
        """Wait for the comparisons that are under way."""
        if self._comparing:
            await asyncio.wait(self._comparing)

    async def _activate(
        self, header: RoundHeader, peer: Peer, ready: Ready, client: PeerClient, progress: Progress
    ) -> ActiveRound:
        lab = self._home.card.identity
        half = QuerierHalf(header, lab, self._store, self._pool, client, self._policy.max_table, progress)
        await half.open()
        return ActiveRound(header, lab, peer, ready, half, client, self._store, self._pool)

    async def _abort(self, active: ActiveRound, error: MandorlaError) -> None:
        """End a round that cannot go on, and tell the peer with a signature, if it listens.

        If this lab has signed a commit, the round is unconfirmed instead; if it is over, it stays as it is.
        """
        if active.ended.is_set() or active.abort_signed:
            return
        if not active.agreed.is_set():
            # There is no round yet that a statement could be about.
            active.end(RoundState.ABORTED, error.code)
            return
        if active.commit_signed:
            await self._finish(active, RoundState.UNCONFIRMED, error.code)
            self._compare(active)
            return
        active.abort_signed = True
        _LOG.warning(
            "round aborted",
            round=active.header.round_id.hex(),
            peer=active.peer.name,
            code=error.code.name,
            detail=error.detail,
        )
        encoded = CloseStatement.abort(active.header.digest(), error.code).encode()
        signature = signatures.sign(self._home.identity, encoded)
        closed = RoundClosed(active.header.round_id, encoded, signature, b"", self._clock())
        await self._finish(active, RoundState.ABORTED, error.code, closed)
        with contextlib.suppress(MandorlaError):
            await active.client.close_round(
                exchange_pb2.CloseRequest(
                    round_id=active.header.round_id, encoded_statement=encoded, signature=signature
                ),
                _ABORT_PATIENCE,
            )

    async def _finish(
        self,
        active: ActiveRound,
        state: RoundState,
        code: Code | None = None,
        closed: RoundClosed | None = None,
    ) -> None:
        reason = code.name if code else ""
        await asyncio.to_thread(self._store.rounds.finish, active.header.round_id, state, reason, closed)
        active.end(state, code)

    def _forget(self, active: ActiveRound) -> None:
        active.end(RoundState.ABORTED)
        self._open.pop(active.header.round_id, None)


def _hello(collection: str) -> exchange_pb2.HelloRequest:
    return exchange_pb2.HelloRequest(
        version=PROTOCOL_VERSION,
        suite=SUITE,
        collection=collection,
        profiles=[
            exchange_pb2.Profile(type=name, profile=profile)
            for name, profile in profiles(agreement.require_collection(collection))
        ],
    )


def _report(active: ActiveRound, findings: Findings, seconds: float) -> RoundReport:
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


def _no_progress(_step: str, _done: int, _total: int) -> None:
    """Show nothing: nobody watches the rounds that peers begin."""
