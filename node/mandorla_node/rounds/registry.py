"""The open rounds, of both labs: the registry finds them and ends them."""

from __future__ import annotations

import asyncio

import structlog
from structlog.contextvars import bind_contextvars

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, MandorlaError, NodeError, RoundError
from mandorla_protocol.header import RoundId

from ..peers import messages
from ..store import Peer
from .closer import Closer
from .context import RoundContext, log_names
from .round import Round
from .round_locks import RoundLocks
from .standing_round import StandingRound

_LOG = structlog.get_logger()

_AGREEMENT_WAIT = 10.0
"""Seconds for which a peer's call waits until the header of its round is agreed."""


class RoundRegistry:
    """Holds the open rounds."""

    def __init__(self, context: RoundContext, locks: RoundLocks) -> None:
        self.open: dict[RoundId, Round] = {}
        self.stopping = False
        self._context = context
        self._locks = locks
        # Rounds that nobody works on any more, and whose end the store did not take.
        self._unrecorded: dict[RoundId, Closer] = {}

    async def stop_opening(self) -> None:
        """Begin no more rounds, and join none: the node stops. Open rounds go on."""
        self.stopping = True

    def require_running(self) -> None:
        """Raise RoundError(NOT_READY) if the node stops: a round that began now would be ended at once."""
        if self.stopping:
            raise RoundError(Code.NOT_READY, "the node stops")

    async def enter(self, active: Round) -> None:
        """Add a round before this lab signs its header: from now on a stop or a pause ends the round.

        Raises RoundError: NOT_READY if the node stops already, WRONG_STATE if an open round has the id,
        PAUSED if the operator paused the peer while the round was prepared.
        """
        self.require_running()
        if active.header.round_id in self.open:
            raise RoundError(Code.WRONG_STATE, "the round is open")
        self.open[active.header.round_id] = active
        try:
            peer = await asyncio.to_thread(self._context.store.peers.get, active.peer.lab)
            if peer.paused_at:
                raise RoundError(Code.PAUSED)
        except BaseException:
            self.forget(active)
            raise

    async def record_and_begin(
        self, active: Round, encoded: bytes, own_signature: bytes, peer_signature: bytes
    ) -> None:
        """Record that both labs signed the header of a round that was entered, and begin the round.

        Raises RoundError: WRONG_STATE if the id was used before, or the reason for which the round was ended
        meanwhile.
        """
        recording = asyncio.create_task(
            self._record_agreement(active, encoded, own_signature, peer_signature)
        )
        try:
            await asyncio.shield(recording)
        except asyncio.CancelledError:
            # The thread that writes the agreement goes on, and the end is recorded behind it.
            ending = active.closer.fail(NodeError(Code.ROUND_ABORTED, "the caller hung up"))
            await asyncio.gather(asyncio.shield(recording), ending, return_exceptions=True)
            raise
        if active.closer.decided:
            raise active.closer.withdrawal()
        active.begin()
        if isinstance(active, StandingRound):
            self._leave_if_reserved(active)
        else:
            self._locks.release((active.peer.lab, active.header.collection))

    async def _record_agreement(
        self, active: Round, encoded: bytes, own_signature: bytes, peer_signature: bytes
    ) -> None:
        for round_id, closer in tuple(self._unrecorded.items()):
            await closer.record_again()
            self._unrecorded.pop(round_id, None)
        record = self._context.store.rounds.record_agreement
        await asyncio.to_thread(
            record, active.header, active.peer.lab, encoded, own_signature, peer_signature
        )
        try:
            await active.closer.header_agreed()
        except MandorlaError:
            # The round was given up meanwhile, and the store did not take its end.
            self._unrecorded[active.header.round_id] = active.closer
            raise

    async def find(self, peer: Peer, round_id: bytes) -> Round:
        """Return an agreed round with a peer.

        Raises RoundError: UNKNOWN_ROUND, NOT_READY while this lab waits for the peer's signature, or the
        reason of this lab's abort, which the peer may not have received.
        """
        active = self.open.get(messages.round_id_from(round_id))
        if active is None or active.peer.lab != peer.lab:
            raise RoundError(Code.UNKNOWN_ROUND)
        # If the call is refused after all, the log says what it was about.
        bind_contextvars(**log_names(active.header, active.peer))
        try:
            async with asyncio.timeout(_AGREEMENT_WAIT):
                await active.closer.agreed.wait()
        except TimeoutError:
            raise RoundError(Code.NOT_READY) from None
        if active.closer.halted.is_set():
            raise active.closer.refusal()
        return active

    def with_peer(self, lab: LabId) -> list[Round]:
        """Return the open rounds with a peer."""
        return [active for active in self.open.values() if active.peer.lab == lab]

    def standing(self) -> list[StandingRound]:
        """Return the standing rounds that are agreed and have not ended, on both sides."""
        rounds = [active for active in self.open.values() if isinstance(active, StandingRound)]
        return [one for one in rounds if one.closer.agreed.is_set() and not one.closer.halted.is_set()]

    def make_way(self, lab: LabId, collection: str) -> None:
        """Close the standing round over a collection, and reserve its place for a batch round for a while."""
        self._locks.reserve((lab, collection))
        for active in self.standing():
            self._leave_if_reserved(active)

    def _leave_if_reserved(self, active: StandingRound) -> None:
        if self._locks.is_reserved((active.peer.lab, active.header.collection)):
            active.querier.leave.set()

    async def end_with(self, lab: LabId, error: MandorlaError) -> None:
        """End the rounds with one peer, and tell the peer."""
        for active in self.with_peer(lab):
            await active.closer.fail(error)

    async def end_all(self) -> None:
        """End every round, and tell the peers, all at once: the node stops."""
        stops = NodeError(Code.ROUND_ABORTED, "the node stops")
        ends = (active.closer.fail(stops) for active in list(self.open.values()))
        for failed in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(failed, MandorlaError):
                # As after a crash, the next start records that the round is unconfirmed.
                _LOG.warning("round left open", code=failed.code.name)

    async def leave_all(self, patience: float) -> None:
        """Close the standing rounds, as far as the peers answer within `patience` seconds."""
        standing = self.standing()
        for active in standing:
            active.querier.leave.set()
        # Until the peers have the last statement, too: without it they would keep the round open.
        over = [asyncio.create_task(active.forgotten.wait()) for active in standing]
        if over:
            _, late = await asyncio.wait(over, timeout=patience)
            for task in late:
                task.cancel()

    def forget(self, active: Round) -> None:
        """Remove a round that no task works on.

        If the store did not take the end, the registry tries again before it records the next agreement. This
        round is then not compared: the comparison of the next round covers its tags.
        """
        if active.closer.unrecorded:
            active.log.warning("round left open", code=active.closer.code.name if active.closer.code else "")
            self._unrecorded[active.header.round_id] = active.closer
        active.closer.release()
        self.open.pop(active.header.round_id, None)
        active.forgotten.set()
