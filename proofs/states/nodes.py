"""Two nodes in one round: the node's own `rounds`, over a store in memory and a network that obeys a list.

What runs is `Initiator`, `Responder`, `RoundRegistry` and `Round`. Stand-ins: the store's transactions,
each of which is one step that a thread does and the loop hears of later; the indicators and tables of a half,
which is a question of at most one chunk; and the calls, which are delivered, answered, lost or cut off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from types import SimpleNamespace
from typing import Final, TypeAlias, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mandorla.v1 import exchange_pb2
from mandorla_node.config.settings import RoundPolicy
from mandorla_node.core.change_feed import ChangeFeed
from mandorla_node.crypto.workers import Workers
from mandorla_node.home.folder import Home
from mandorla_node.peers.card_renewal import CardRenewal
from mandorla_node.peers.client import PeerClient, Traffic
from mandorla_node.peers.rate_limits import PeerLimits
from mandorla_node.peers.witness import Witness
from mandorla_node.rounds.initiator import Initiator
from mandorla_node.rounds.negotiation import Terms
from mandorla_node.rounds.querier import Findings, Progress, Querier
from mandorla_node.rounds.registry import RoundRegistry
from mandorla_node.rounds.responder import Responder
from mandorla_node.rounds.round import Round
from mandorla_node.store import Peer, RoundState, Store, StoredChunk
from mandorla_node.tables.builder import PreparedEpoch, TableBuilder
from mandorla_node.telemetry.metrics import Metrics
from mandorla_protocol import signatures
from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, MandorlaError, RoundError, TransportError
from mandorla_protocol.header import Party, RoundHeader, RoundKind
from mandorla_protocol.log.entries import RoundClosed
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.session.querier import Phase, QuerierState
from mandorla_protocol.session.transcript import answer_digest, request_digest
from mandorla_protocol.table import TableReader

from .holder_claims import HEADER as ONE_SIDED
from .loop import ChosenLoop, Clock

NAMES: Final = ("initiator", "responder")
SLOW: Final = frozenset({"finish", "charge", "store_answer"})
"""What is written for the round: the explorer decides when. All else is there at once."""

_NOW: Final = ONE_SIDED.created
_KEYS: Final = tuple(Ed25519PrivateKey.from_private_bytes(bytes([seed] * 32)) for seed in (1, 2))
_IDS: Final = tuple(signatures.lab_id(key) for key in _KEYS)
_OFFER: Final = ONE_SIDED.initiator.offer
HEADER: Final[RoundHeader] = replace(
    ONE_SIDED,
    initiator=Party(_IDS[0], bytes(32), _OFFER),
    responder=Party(_IDS[1], bytes(32), _OFFER),
)
# One for all nodes of all runs: nobody reads what it counts.
_METRICS: Final = Metrics()
_BLINDED: Final = bytes([7] * 32)


@lru_cache
def _sign(who: int, structure: bytes) -> bytes:
    return _KEYS[who].sign(structure)


class Question(Enum):
    """What the initiator asks: nothing, a chunk that its half waits for, or one when the halves are over."""

    NONE = "none"
    CHUNK = "chunk"
    STRAY = "stray"


@dataclass(frozen=True)
class Close:
    """A log entry: a statement of an end, and whether it carries both labs' signatures."""

    statement: bytes
    both: bool


@dataclass(frozen=True)
class Charge:
    """A log entry: a chunk was charged."""

    index: int


@dataclass(frozen=True)
class Answer:
    """A log entry: a chunk was answered."""

    index: int
    digest: bytes


Entry: TypeAlias = Close | Charge | Answer | RoundState
"""An entry of a lab's log; a state is the end that it recorded."""


class Records:
    """What a lab's disk holds of the round, written as `store.rounds` and `store.holding` write it.

    `tests/proofs` holds it against them.
    """

    def __init__(self) -> None:
        self.state = RoundState.OPEN
        self.log: list[Entry] = []
        self._requests: dict[int, bytes] = {}
        self._answers: dict[int, StoredChunk] = {}

    def finish(
        self, _round_id: bytes, state: RoundState, _code: str = "", closed: RoundClosed | None = None
    ) -> None:
        """Record how the round ended, once, with the statement that was signed."""
        if closed is not None:
            self.log.append(Close(closed.statement, bool(closed.own_signature and closed.peer_signature)))
        if self.state is RoundState.OPEN:
            self.state = state
            self.log.append(state)

    def may_charge(self) -> bool:
        """Say whether a chunk may be charged that was not charged before."""
        return self.state is RoundState.OPEN

    def charge(self, _held: object, _round_id: bytes, index: int, request: bytes, _count: int) -> None:
        """Charge a chunk, once for its index and request."""
        if index in self._requests:
            if self._requests[index] != request:
                raise RoundError(Code.CHUNK_REUSED)
            return
        if not self.may_charge():
            raise RoundError(Code.UNKNOWN_ROUND)
        self._requests[index] = request
        self.log.append(Charge(index))

    def store_answer(self, _epoch: int, _round_id: bytes, index: int, chunk: StoredChunk) -> None:
        """Keep the answer to a chunk that was charged."""
        if self.state is not RoundState.OPEN:
            raise RoundError(Code.UNKNOWN_ROUND)
        if self._requests.get(index) == chunk.request and index not in self._answers:
            self._answers[index] = chunk
            self.log.append(Answer(index, answer_digest(chunk.request, chunk.evaluated, chunk.proof)))

    def answer(self, _round_id: bytes, index: int) -> StoredChunk:
        """Return the answer to a chunk."""
        if index not in self._answers:
            raise RoundError(Code.WRONG_STATE)
        return self._answers[index]


@dataclass
class Call:
    """A call between the labs: on its way, being served, or answered; `heard` by the caller or not."""

    caller: int
    what: str
    serve: Callable[[Node], Coroutine[object, object, object]]
    future: asyncio.Future[object]
    handler: asyncio.Task[object] | None = None
    heard: bool = False


@dataclass(frozen=True)
class Setting:
    """A kind of world, how many faults there are in a run at most, and whose code it runs."""

    question: Question
    faults: int
    rounds: type[RoundRegistry] = RoundRegistry
    active: type[Round] = Round
    records: type[Records] = Records


class Node:
    """One lab's node, from the header that both have signed to the end of the round."""

    def __init__(self, world: World, who: int, setting: Setting) -> None:
        asks = who == 0 and setting.question is Question.CHUNK
        self.who = who
        self.dead = False
        self.records = setting.records()
        self.signed: set[bytes] = set()
        self.compared_aborted = False
        self.stopped = False
        self.loop = ChosenLoop(world.clock, SLOW)
        self.gate: asyncio.Future[None] = self.loop.create_future()
        self.gate_is_chosen = setting.question is Question.NONE
        if not self.gate_is_chosen:
            self.gate.set_result(None)
        client = cast(PeerClient, Client(world, self))
        home = SimpleNamespace(
            identity=SimpleNamespace(sign=self._sign),
            card=SimpleNamespace(identity=_IDS[who]),
            settings=SimpleNamespace(rounds=RoundPolicy(), peers={}),
        )
        self.peer = cast(
            Peer,
            SimpleNamespace(lab=_IDS[1 - who], name=NAMES[1 - who], caught=False, paused_at=0, card=None),
        )
        store = cast(
            Store,
            SimpleNamespace(
                rounds=self.records,
                holding=self.records,
                peers=SimpleNamespace(get=lambda _name: self.peer),
            ),
        )
        self.rounds = setting.rounds(
            cast(Home, home),
            store,
            cast(Workers, self),
            cast(Witness, self),
            lambda card, own=None: client,
            cast(TableBuilder, None),
            ChangeFeed(),
            _clock,
            cast(CardRenewal, SimpleNamespace(introduce=_introduced)),
            _METRICS,
        )
        half = cast(Querier, Half(self, client, asks))
        ready = cast(
            PreparedEpoch,
            SimpleNamespace(held=SimpleNamespace(id=1, epoch=HEADER.epoch(_IDS[who])), seed=b"", keys=None),
        )
        pool = cast(Workers, self)
        self.active = setting.active(HEADER, _IDS[who], self.peer, ready, half, client, store, pool)
        self.responder = Responder(self.rounds, cast(TableBuilder, None), cast(PeerLimits, None))
        self.initiator = Agreed(self.rounds, self.active)

    def _sign(self, structure: bytes) -> bytes:
        if not self.dead:
            self.signed.add(structure)
        return _sign(self.who, structure)

    async def run(self, work: Callable[..., object], *arguments: object) -> object:
        """Stand in for the worker processes: an answer is made of its question."""
        return (b"evaluated", b"proof") if len(arguments) > 1 else None

    async def submit(self, _peer: Peer, _client: PeerClient) -> None:
        """Stand in for the witness: nothing is cosigned here."""

    def start(self) -> None:
        """Begin what runs once the header is agreed."""
        self.rounds.open[HEADER.round_id] = self.active
        self.spawn(self._start()).set_name("operator")
        self.loop.settle()

    async def _start(self) -> None:
        if self.who == 0:
            await self.initiator.run(NAMES[1], Terms(RoundKind.SHARED, "accounts"), _silent)
        else:
            busy = asyncio.Lock()
            await busy.acquire()
            self.active.begin(_NOW)
            await self.responder._respond(self.active, busy)

    def spawn(self, work: Coroutine[object, object, object]) -> asyncio.Task[object]:
        """Run something on this node."""
        return self.loop.create_task(work)

    async def stop(self) -> None:
        """Stop as the node does: its rounds are ended, and then what runs for peers."""
        await self.rounds.abort_all()
        await self.responder.stop()
        await self.rounds.settled()

    def kill(self) -> None:
        """Lose all but the disk, and start again: what was open is unconfirmed."""
        self.dead = True
        self.loop.abandon()
        self.records.finish(HEADER.round_id, RoundState.UNCONFIRMED)


async def _introduced(_peer: Peer) -> None:
    """Have no card that the peer does not know."""


class Agreed(Initiator):
    """An initiator whose header the peer has signed."""

    def __init__(self, rounds: RoundRegistry, active: Round) -> None:
        super().__init__(rounds, cast(TableBuilder, None))
        self._active = active

    async def _agree(self, peer: Peer, client: PeerClient, terms: Terms, progress: Progress) -> Round:
        self._active.begin(_NOW)
        return self._active


class Half:
    """A lab's half: one chunk that it asks for through the network, or none; it ends when it is chosen to."""

    def __init__(self, node: Node, client: PeerClient, asks: bool) -> None:
        self._node = node
        self._client = client
        self._asks = asks
        reader = TableReader(_OFFER.table, Frontier(), 0)
        self.state = QuerierState(HEADER, _IDS[node.who], (1,) if asks else (), reader)

    async def run(self) -> None:
        """Ask, and end."""
        if self._asks:
            request = exchange_pb2.EvaluateRequest(round_id=HEADER.round_id, index=0, blinded=_BLINDED)
            answer = await self._client.evaluate(request)
            asked = request_digest(HEADER.digest(), 0, _BLINDED)
            self.state = replace(
                self.state,
                requests={0: asked},
                answers={0: answer_digest(asked, answer.evaluated, answer.proof)},
            )
        else:
            await self._node.gate
        self.state = replace(self.state, phase=Phase.COMPLETE)

    def compare(self) -> Findings:
        """Take note of when tags and table are compared."""
        if self._node.records.state is RoundState.ABORTED:
            self._node.compared_aborted = True
        return Findings()


class Client:
    """Calls to the peer; one that failed in a way that may pass is repeated once."""

    def __init__(self, world: World, node: Node) -> None:
        self.traffic = Traffic()
        self._world = world
        self._node = node

    async def close_round(
        self, request: exchange_pb2.CloseRequest, _patience: float
    ) -> exchange_pb2.CloseResponse:
        """Call Close."""
        what = "statement" if request.encoded_statement else "close"
        response = await self._repeat(what, lambda node: node.responder.close(node.peer, request), waits=True)
        return cast(exchange_pb2.CloseResponse, response)

    async def evaluate(self, request: exchange_pb2.EvaluateRequest) -> exchange_pb2.EvaluateResponse:
        """Call Evaluate."""
        response = await self._repeat("evaluate", lambda node: _evaluate(node, request))
        return cast(exchange_pb2.EvaluateResponse, response)

    async def _repeat(
        self, what: str, serve: Callable[[Node], Coroutine[object, object, object]], waits: bool = False
    ) -> object:
        """Call, and repeat once what may pass; `waits` says to go on for as long as the peer is not ready."""
        repeated = False
        while True:
            try:
                return await self._world.call(self._node, what, serve)
            except MandorlaError as error:
                patient = waits and error.code is Code.NOT_READY
                if not patient and (repeated or not error.code.info.retryable):
                    raise
                repeated = repeated or not patient

    async def close(self) -> None:
        """Close nothing."""


async def _evaluate(node: Node, request: exchange_pb2.EvaluateRequest) -> exchange_pb2.EvaluateResponse:
    """Serve Evaluate as `ExchangeService` does, without its limits."""
    active = await node.rounds.find(node.peer, request.round_id)
    answer = await active.evaluate(request.index, request.blinded, _NOW)
    return exchange_pb2.EvaluateResponse(evaluated=answer.evaluated, proof=answer.proof)


class World:
    """Two nodes, the calls between them, and how many faults there were."""

    def __init__(self, setting: Setting) -> None:
        self.clock = Clock()
        self.calls: list[Call] = []
        self.faults = 0
        self.most_faults = setting.faults
        self.nodes = (Node(self, 0, setting), Node(self, 1, setting))
        for node in self.nodes:
            node.start()
        if setting.question is Question.STRAY:
            # The initiator asks one chunk more than its half has, and does not wait for the answer.
            request = exchange_pb2.EvaluateRequest(round_id=HEADER.round_id, index=0, blinded=_BLINDED)
            self.nodes[0].spawn(self.call(self.nodes[0], "stray", lambda node: _evaluate(node, request)))
        self.settle()

    async def call(
        self, node: Node, what: str, serve: Callable[[Node], Coroutine[object, object, object]]
    ) -> object:
        """Send a call, and wait for its answer."""
        if node.dead:
            raise TransportError(Code.PEER_UNAVAILABLE)
        future: asyncio.Future[object] = node.loop.create_future()
        self.calls.append(Call(node.who, what, serve, future))
        return await future

    def settle(self) -> None:
        """Run both nodes until only choices are left; drop the calls that nobody waits for or serves."""
        for node in self.nodes:
            if not node.dead:
                node.loop.settle()
        self.calls = [
            call
            for call in self.calls
            if not (call.heard or call.future.done())
            or (call.handler is not None and not call.handler.done())
        ]

    def abandon(self) -> None:
        """Let everything go."""
        for node in self.nodes:
            if not node.dead:
                node.dead = True
                node.loop.abandon()


def _clock() -> int:
    return _NOW


def _silent(_step: str, _done: int, _total: int) -> None:
    """Show nothing."""


def lab(who: int) -> LabId:
    """Return a lab's identity."""
    return _IDS[who]
