"""The rounds that are open, whoever began them: how each is found, ended, and compared."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from typing import Final

import structlog
from structlog.contextvars import bind_contextvars

from mandorla.v1 import exchange_pb2
from mandorla_protocol import signatures
from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, MandorlaError, NodeError, RoundError
from mandorla_protocol.header import RoundHeader, RoundId, RoundMode
from mandorla_protocol.log.entries import RoundClosed
from mandorla_protocol.session.transcript import CloseStatement

from ..core.change_feed import ChangeFeed
from ..core.clock import Clock, Timer, machine_timer
from ..crypto.workers import Workers
from ..home.folder import Home
from ..peers import messages
from ..peers.card_renewal import CardRenewal
from ..peers.client import ClientFactory, PeerClient
from ..peers.policy import Policies
from ..peers.witness import Witness
from ..store import Peer, RoundState, Store
from ..tables.builder import PreparedEpoch, TableBuilder
from ..telemetry.metrics import Metrics
from .pace import Pace, of_questions
from .querier import Findings, Progress, Querier
from .round import Round
from .standing_querier import StandingQuerier
from .standing_round import StandingRound

_LOG = structlog.get_logger()

PATIENCE: Final = 1800.0
"""Seconds that a lab waits for a peer that prepares its table, or finishes its half."""

LAST_PATIENCE: Final = 5.0
"""Seconds for a peer to take the last words of a round, which it can do without."""

_AGREEMENT_WAIT: Final = 10.0

_KEPT_CLEAR: Final = 10.0
"""Seconds for which no standing round begins where another round is to be."""


class RoundRegistry:
    """The rounds that are open, with what both sides of them need."""

    def __init__(
        self,
        home: Home,
        store: Store,
        pool: Workers,
        witness: Witness,
        clients: ClientFactory,
        tables: TableBuilder,
        changes: ChangeFeed,
        clock: Clock,
        renewal: CardRenewal,
        metrics: Metrics,
        timer: Timer = machine_timer,
    ) -> None:
        self.home = home
        self.policy = home.settings.rounds
        self.policies = Policies(home.settings.rounds, home.settings.peers, store)
        self.store = store
        self.witness = witness
        self.renewal = renewal
        self.clients = clients
        self.tables = tables
        self.changes = changes
        self.clock = clock
        self._timer = timer
        self.metrics = metrics
        self.open: dict[RoundId, Round] = {}
        # One round at a time with a peer over a collection: two would ask for the same indicators twice.
        self.busy: dict[tuple[LabId, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._pool = pool
        self._turns: dict[tuple[LabId, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._comparing: set[asyncio.Task[Findings]] = set()
        self._kept_clear: dict[tuple[LabId, str], float] = {}
        # A round that begins anew has no more to spend than the one before it.
        self._paces: dict[tuple[LabId, str], Pace] = {}
        self.stopping = False
        # Rounds that are over, and whose end the store did not take.
        self._unrecorded: set[RoundId] = set()

    async def stop_opening(self) -> None:
        """Begin no more rounds, and join none: the node stops. What is open goes on."""
        self.stopping = True

    def require_going_on(self) -> None:
        """Raise RoundError(NOT_READY) if the node stops: a round that is begun now would be left at once."""
        if self.stopping:
            raise RoundError(Code.NOT_READY, "the node stops")

    def enter(self, active: Round) -> None:
        """Take a round among the open ones, which are ended when the node stops, before it is agreed.

        Raises RoundError: NOT_READY if the node stops already, WRONG_STATE if the id is an open round's.
        """
        self.require_going_on()
        if active.header.round_id in self.open:
            raise RoundError(Code.WRONG_STATE, "the round is open")
        self.open[active.header.round_id] = active

    async def abort_all(self) -> None:
        """End every round, and tell the peers, all at once: the node stops."""
        stops = NodeError(Code.ROUND_ABORTED, "the node stops")
        aborts = (self.abort(active, stops) for active in list(self.open.values()))
        for failed in await asyncio.gather(*aborts, return_exceptions=True):
            if isinstance(failed, MandorlaError):
                # As after a crash: the next start records that it is unconfirmed.
                _LOG.warning("round left open", code=failed.code.name)

    async def agree(self, active: Round, encoded: bytes, own: bytes, peers: bytes) -> None:
        """Record that both labs signed the header of an open round; begin it before anything else is awaited.

        Raises RoundError: WRONG_STATE if the id was used before; ROUND_ABORTED if the round was ended
        meanwhile, by whoever stopped or cancelled it. A thread that writes goes on all the same, so the end
        is recorded behind the agreement.
        """
        recording = asyncio.create_task(self._record_agreement(active, encoded, own, peers))
        try:
            await asyncio.shield(recording)
        except asyncio.CancelledError:
            active.end(RoundState.ABORTED, Code.ROUND_ABORTED)
            await asyncio.gather(recording, return_exceptions=True)
            raise
        if active.ended.is_set():
            await self._record_early_end(active)
            raise RoundError(Code.ROUND_ABORTED, "the round was ended before it began")

    async def _record_agreement(self, active: Round, encoded: bytes, own: bytes, peers: bytes) -> None:
        header, store = active.header, self.store.rounds
        for over in tuple(self._unrecorded):
            # As after a crash: what was to be said of it is lost.
            await asyncio.to_thread(store.finish, over, RoundState.UNCONFIRMED, Code.ROUND_ABORTED.name)
            self._unrecorded.discard(over)
        await asyncio.to_thread(store.agree, header, active.peer.lab, encoded, own, peers)
        if active.ended.is_set():
            await self._record_early_end(active)

    async def _record_early_end(self, active: Round) -> None:
        ended = (active.header.round_id, RoundState.ABORTED, Code.ROUND_ABORTED.name)
        await asyncio.to_thread(self.store.rounds.finish, *ended)

    def lifetime(self, mode: RoundMode) -> int:
        """Return for how many seconds a round that this lab proposes is to be valid."""
        return self.policy.lifetime if mode is RoundMode.BATCH else self.home.settings.watch.lifetime

    async def find(self, peer: Peer, round_id: bytes) -> Round:
        """Return an agreed round with a peer.

        Raises RoundError: UNKNOWN_ROUND, NOT_READY while this lab waits for the peer's signature, or the code
        of this lab's abort, which the peer may not have heard of yet.
        """
        active = self.open.get(messages.round_id_from(round_id))
        if active is None or active.peer.lab != peer.lab:
            raise RoundError(Code.UNKNOWN_ROUND)
        # Should the call be refused after all, the log says what it was about.
        bind_contextvars(**active.names)
        try:
            async with asyncio.timeout(_AGREEMENT_WAIT):
                await active.agreed.wait()
        except TimeoutError:
            raise RoundError(Code.NOT_READY) from None
        if active.ended.is_set():
            raise active.over()
        return active

    async def activate(
        self, header: RoundHeader, peer: Peer, ready: PreparedEpoch, client: PeerClient, progress: Progress
    ) -> Round:
        """Make a round of a header that is acceptable, and plan this lab's half; nothing is stored yet."""
        lab = self.home.card.identity
        beside = (self.store, self._pool)
        planned = (header, lab, *beside, client, self.policy.max_table, progress)
        if header.mode is RoundMode.BATCH:
            half = Querier(*planned)
            await half.open()
            return Round(header, lab, peer, ready, half, client, *beside)
        if self.is_kept_clear(peer.lab, header.collection):
            raise RoundError(Code.NOT_READY, "another round is to be")
        standing = StandingQuerier(*planned)
        turn = self._turns[peer.lab, header.collection]
        pace = self._paces.setdefault(
            (peer.lab, header.collection), of_questions(header.other(lab).offer.budget, self._timer.now)
        )
        delay = self.home.settings.watch.delay
        standing.stand(self.changes, turn, delay, pace, self._timer, lambda found: self._tell(active, found))
        await standing.open()
        active = StandingRound(header, lab, peer, ready, standing, client, *beside)
        active.publish_with(self.tables, self.changes, self._timer)
        return active

    def standing(self) -> list[StandingRound]:
        """Return the rounds that stand, on both sides."""
        rounds = [active for active in self.open.values() if isinstance(active, StandingRound)]
        return [active for active in rounds if active.agreed.is_set() and not active.ended.is_set()]

    def make_way(self, lab: LabId, collection: str) -> None:
        """Have a standing round over a collection closed, and none begun for a while: another is to be."""
        self._kept_clear[lab, collection] = asyncio.get_running_loop().time() + _KEPT_CLEAR
        for active in self.standing():
            self._leave_if_in_the_way(active)

    def is_kept_clear(self, lab: LabId, collection: str) -> bool:
        """Say whether another round is to be over a collection than a standing one."""
        return asyncio.get_running_loop().time() < self._kept_clear.get((lab, collection), 0.0)

    def begin(self, active: Round) -> None:
        """Begin this lab's half of a round that both labs have signed."""
        active.begin(self.clock())
        if isinstance(active, StandingRound):
            self._leave_if_in_the_way(active)
        else:
            self._kept_clear.pop((active.peer.lab, active.header.collection), None)

    def _leave_if_in_the_way(self, active: StandingRound) -> None:
        if self.is_kept_clear(active.peer.lab, active.header.collection):
            active.half.leave.set()

    async def abort_with(self, lab: LabId, error: MandorlaError) -> None:
        """End the rounds with one peer, and tell it."""
        for active in list(self.open.values()):
            if active.peer.lab == lab:
                await self.abort(active, error)

    async def leave_all(self, patience: float) -> None:
        """Close the rounds that stand, as far as the peers answer in so many seconds."""
        standing = self.standing()
        for active in standing:
            active.half.leave.set()
        # Until peers are told, too: those who are not keep the round open, and do not confirm it.
        over = [asyncio.create_task(active.forgotten.wait()) for active in standing]
        if over:
            _, late = await asyncio.wait(over, timeout=patience)
            for task in late:
                task.cancel()

    async def abort(self, active: Round, error: MandorlaError) -> None:
        """End a round that cannot go on, and tell the peer with a signature, if it listens.

        If this lab has signed a commit, the round is unconfirmed instead; if it is over, it stays as it is.
        """
        if active.ending is not None:
            await asyncio.shield(active.ending)
            return
        if active.ended.is_set() or active.abort_signed:
            return
        if not active.agreed.is_set():
            # There is no round yet that a statement could be about.
            active.end(RoundState.ABORTED, error.code)
            return
        if active.commit_signed:
            await self.finish(active, RoundState.UNCONFIRMED, error.code)
            self.compare(active)
            return
        active.abort_signed, active.abort_code = True, error.code
        active.log.warning("round aborted", code=error.code.name, detail=error.detail)
        encoded = CloseStatement.abort(active.header.digest(), error.code).encode()
        signature = signatures.sign(self.home.identity, encoded)
        closed = RoundClosed(active.header.round_id, encoded, signature, b"", self.clock())
        await self.finish(active, RoundState.ABORTED, error.code, closed)
        with contextlib.suppress(MandorlaError):
            await active.client.close_round(
                exchange_pb2.CloseRequest(
                    round_id=active.header.round_id, encoded_statement=encoded, signature=signature
                ),
                LAST_PATIENCE,
            )

    async def finish(
        self,
        active: Round,
        state: RoundState,
        code: Code | None = None,
        closed: RoundClosed | None = None,
    ) -> None:
        """Record how a round ended, with the statement about it, and answer nothing in it any more.

        The first end that is decided is the one: a later one waits for it. Who waits may be cancelled; the
        record is not, since its thread writes all the same, and disk and memory would part.
        """
        if active.ending is None:
            active.ending = asyncio.create_task(self._record_end(active, state, code, closed))
        await asyncio.shield(active.ending)

    async def _record_end(
        self, active: Round, state: RoundState, code: Code | None, closed: RoundClosed | None
    ) -> None:
        reason = code.name if code else ""
        try:
            await asyncio.to_thread(self.store.rounds.finish, active.header.round_id, state, reason, closed)
        except BaseException:
            # Nothing was recorded, so another end may be.
            active.ending = None
            raise
        active.end(state, code)
        header, seconds = active.header, active.seconds
        active.log.info("round ended", state=state.value, code=reason, seconds=seconds)
        self.metrics.round_ended(
            active.peer.name,
            header.kind,
            header.collection,
            state.value,
            reason,
            # A standing round takes as long as it may.
            seconds if header.mode is RoundMode.BATCH else None,
        )

    def forget(self, active: Round) -> None:
        """Let a round go that nobody works on; one without an end gets it when the next is agreed."""
        if active.agreed.is_set() and not active.ended.is_set():
            self._unrecorded.add(active.header.round_id)
        active.end(RoundState.ABORTED)
        self.open.pop(active.header.round_id, None)
        active.forgotten.set()

    async def show_log(self, active: Round) -> None:
        """Have the peer cosign what was logged of a round; if it is gone, the next round does it."""
        with contextlib.suppress(MandorlaError, TimeoutError):
            async with asyncio.timeout(LAST_PATIENCE):
                await self.witness.submit(active.peer, active.client)

    def compare(self, active: Round) -> asyncio.Task[Findings]:
        """Compare in the background, once, and one round of a peer and collection after another.

        To be called when the round is over for the peer, so that it cannot tell how long this takes.
        """
        if active.comparison is None:
            active.comparison = asyncio.create_task(self._compare_in_turn(active))
            self._comparing.add(active.comparison)
            active.comparison.add_done_callback(self._comparing.discard)
        return active.comparison

    async def compared(self, active: Round) -> Findings:
        """Wait for the comparison, which goes on if nobody waits any more."""
        return await asyncio.shield(self.compare(active))

    async def _compare_in_turn(self, active: Round) -> Findings:
        header = active.header
        async with self._turns[active.peer.lab, header.collection]:
            found = await asyncio.to_thread(active.half.compare)
        if not isinstance(active, StandingRound):
            # What a standing round found was told as it came.
            self.changes.tell(None)
            self._tell(active, found)
        return found

    def _tell(self, active: Round, found: Findings) -> None:
        """Log and count what a comparison found; from any thread."""
        if found.new_matches or not isinstance(active, StandingRound):
            active.log.info("round compared", matches=found.matches, new_matches=found.new_matches)
        header = active.header
        self.metrics.compared(
            active.peer.name, header.kind, header.collection, found.new_matches, found.bad_labels
        )

    @property
    def comparing(self) -> int:
        """How many comparisons after rounds are under way."""
        return len(self._comparing)

    async def settled(self) -> None:
        """Wait for the comparisons that are under way."""
        if self._comparing:
            await asyncio.wait(self._comparing)
