"""The close of a round, driven: `session.closing` decides, and this performs its effects (SPEC 10.3)."""

from __future__ import annotations

import asyncio
import contextlib

from mandorla.v1 import exchange_pb2
from mandorla_protocol import signatures
from mandorla_protocol.errors import Code, MandorlaError, RoundError
from mandorla_protocol.header import RoundHeader, RoundMode
from mandorla_protocol.log.entries import RoundClosed
from mandorla_protocol.session import closing
from mandorla_protocol.session.closing import ClosingState, End, Phase, RoundState
from mandorla_protocol.session.transcript import CloseStatement

from ..core.tasks import retrieve_exception
from ..peers.client import PeerClient
from ..store import Peer
from . import deadlines
from .context import RoundContext, round_log
from .holder import Holder


class Closer:
    """Decides, records and sends the end of one round; nothing else does.

    `agreed` is set once both signatures on the header are recorded. `halted` is set when this lab stops
    answering calls in the round: its end is recorded, the lab gave it up before the agreement, or no task
    works on it. It also sets `agreed`, to wake calls that wait for an agreement which does not come.
    """

    def __init__(
        self, header: RoundHeader, peer: Peer, client: PeerClient, holder: Holder, context: RoundContext
    ) -> None:
        self.agreed = asyncio.Event()
        self.halted = asyncio.Event()
        # Whether tags may be compared with the table: the round is over, and was not aborted.
        self.comparable = False
        self._header = header
        self._peer = peer
        self._client = client
        self._holder = holder
        self._context = context
        self._log = round_log(header, peer)
        self._state = ClosingState(header.digest(), header.initiator.lab == context.lab)
        self._agreed_at: float | None = None
        self._withdrawn = self._released = False
        # The store's transaction that records the end, and the call that sends this lab's statement.
        self._record: asyncio.Task[None] | None = None
        self._last_call: asyncio.Task[None] | None = None

    @property
    def state(self) -> RoundState:
        """How the round stands in this lab's records."""
        end = self._state.end
        return end.state if end is not None and self.halted.is_set() else RoundState.OPEN

    @property
    def code(self) -> Code | None:
        """Why the round ended without a commit."""
        return None if self._state.end is None else self._state.end.code

    @property
    def seconds(self) -> float | None:
        """Seconds since the header was agreed, None if it was not."""
        return None if self._agreed_at is None else asyncio.get_running_loop().time() - self._agreed_at

    @property
    def decided(self) -> bool:
        """Whether an end is decided, recorded or not."""
        return self._state.end is not None

    @property
    def unrecorded(self) -> bool:
        """Whether the agreement is recorded, and no end is."""
        return self._state.unrecorded

    @property
    def half_complete(self) -> bool:
        """Whether this lab's half as the querier is complete."""
        return bool(self._state.half)

    async def header_agreed(self) -> None:
        """Open the round, both signatures on the header being recorded.

        If the round was given up meanwhile, this records its end, behind the agreement.
        """
        self._withdrawn = self._state.phase is Phase.WITHDRAWN
        self._agreed_at = asyncio.get_running_loop().time()
        self._step(closing.HeaderAgreed())
        await self._recorded()
        self.agreed.set()

    def half_completed(self, digest: bytes) -> None:
        """Let this lab sign a commit from now on; `digest` is the transcript digest of its half."""
        self._step(closing.HalfCompleted(digest))

    def statement(self) -> exchange_pb2.CloseResponse:
        """Answer an initiator that asks for this lab's statement.

        Raises RoundError: NOT_READY before this lab's half is complete, TRANSCRIPT_MISMATCH if a chunk of the
        peer's is missing, ROUND_ABORTED, WRONG_STATE, UNKNOWN_ROUND.
        """
        for effect in self._step(closing.StatementRequested(self._holder.digest())):
            if isinstance(effect, closing.ReplyStatement):
                encoded = effect.statement.encode()
                return exchange_pb2.CloseResponse(encoded_statement=encoded, signature=self._sign(encoded))
        raise RoundError(Code.WRONG_STATE)

    async def receive(self, encoded_statement: bytes, signature: bytes) -> None:
        """Take the peer's statement, and record the end that follows from it.

        Raises EncodingError, CryptoError(BAD_SIGNATURE), NodeError(STORE_FAILED), or RoundError: NOT_READY
        before this lab's half is complete, TRANSCRIPT_MISMATCH if the peer saw another round, ROUND_ABORTED,
        UNKNOWN_ROUND.
        """
        statement = CloseStatement.decode(encoded_statement)
        verified = signatures.verify(self._peer.lab, encoded_statement, signature)
        self._step(closing.StatementReceived(statement, verified, self._holder.digest()))
        await self._recorded()

    async def fail(self, error: MandorlaError) -> None:
        """End a round that cannot go on at this lab, and tell the peer, if it listens.

        Raises NodeError(STORE_FAILED) if the end cannot be recorded now; calling this again tries again.
        """
        before = self._state.end
        self._step(closing.Failed(error.code))
        end = self._state.end
        if before is None and end is not None and end.own and end.state is RoundState.ABORTED:
            self._log.warning("round aborted", code=error.code.name, detail=error.detail)
        await self._recorded()
        await self.last_call()

    async def lose_peer(self, code: Code) -> None:
        """End a round whose peer is gone, without waiting for `last_call`; raises as `fail` does."""
        self._step(closing.PeerLost(code))
        await self._recorded()

    async def record_again(self) -> None:
        """Try again to record the end of a round that nobody works on; raises as `fail` does."""
        self._step(closing.Failed(Code.ROUND_ABORTED))
        await self._recorded()

    def release(self) -> None:
        """Stop both halves of a round that nobody works on; what is not recorded stays to be recorded."""
        self._released = True
        if self._state.phase is Phase.PROPOSED:
            self._step(closing.Failed(Code.ROUND_ABORTED))
        else:
            self._close_halves()

    def withdrawal(self) -> RoundError:
        """Return the error for the task that was to begin a round which this lab gave up meanwhile."""
        return RoundError(self.code or Code.ROUND_ABORTED, "the round was ended before it began")

    def refusal(self) -> RoundError:
        """Return the error for a peer that calls after the end (SPEC 9.5)."""
        return RoundError(self._state.refusal, "the round has ended")

    async def last_call(self) -> None:
        """Wait until this lab's statement is sent, if one is to be sent after the record of the end."""
        if self._last_call is not None:
            await asyncio.shield(self._last_call)

    async def settled(self) -> None:
        """Wait for the record of an end that is decided; nothing is raised if it fails."""
        if self._record is not None:
            await asyncio.wait({self._record})

    async def _recorded(self) -> None:
        """Wait for the record of the end.

        Whoever waits may be cancelled; the record may not: its thread writes all the same, and what is on
        disk would differ from what this lab remembers.
        """
        if self._record is not None:
            await asyncio.shield(self._record)

    def _step(self, event: closing.Event) -> tuple[closing.Effect, ...]:
        """Advance the state machine, and perform all effects but the reply.

        This never awaits, so no Evaluate can be admitted between the decision to sign and the barring of
        chunks.
        """
        self._state, effects = closing.step(self._state, event)
        for effect in effects:
            match effect:
                case closing.BarChunks():
                    self._holder.bar()
                case closing.RecordEnd(end):
                    self._record = asyncio.create_task(self._record_end(end))
                    # Whoever waits for the record may be cancelled before it fails.
                    self._record.add_done_callback(retrieve_exception)
                case closing.CloseHalves():
                    self._close_halves()
                case closing.SendStatement(statement) if not self._released:
                    self._last_call = asyncio.create_task(self._send(statement))
                case closing.AllowComparison():
                    self.comparable = True
        return effects

    def _close_halves(self) -> None:
        self._holder.close()
        self.halted.set()
        self.agreed.set()

    async def _record_end(self, end: End) -> None:
        round_id, reason = self._header.round_id, end.code.name if end.code else ""
        closed = None
        if end.statement is not None:
            encoded = end.statement.encode()
            own = self._sign(encoded) if end.own else b""
            closed = RoundClosed(round_id, encoded, own, end.peer_signature, self._context.clock())
        try:
            await asyncio.to_thread(self._context.store.rounds.finish, round_id, end.state, reason, closed)
        except BaseException:
            self._step(closing.RecordFailed())
            raise
        self._step(closing.EndRecorded())
        if not self._withdrawn:
            self._report(end.state, reason)

    def _report(self, state: RoundState, reason: str) -> None:
        header = self._header
        self._log.info("round ended", state=state.value, code=reason, seconds=self.seconds)
        # A standing round lasts as long as it may: its duration says nothing.
        seconds = self.seconds if header.mode is RoundMode.BATCH else None
        self._context.metrics.round_ended(
            self._peer.name, header.kind, header.collection, state.value, reason, seconds
        )

    async def _send(self, statement: CloseStatement) -> None:
        """Send this lab's statement; without it, the peer's record of the round stays unconfirmed."""
        encoded = statement.encode()
        request = exchange_pb2.CloseRequest(
            round_id=self._header.round_id, encoded_statement=encoded, signature=self._sign(encoded)
        )
        with contextlib.suppress(MandorlaError):
            await self._client.close_round(request, deadlines.LAST_PATIENCE)

    def _sign(self, encoded: bytes) -> signatures.Signature:
        return signatures.sign(self._context.identity, encoded)
