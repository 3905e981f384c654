"""A lab with real keys that breaks the protocol: a client and a server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import grpc

from mandorla.v1 import exchange_pb2, exchange_pb2_grpc
from mandorla_node.core.clock import system_clock
from mandorla_node.crypto import certificates
from mandorla_node.home.folder import Home
from mandorla_node.peers import messages
from mandorla_node.rounds import negotiation
from mandorla_node.rounds.negotiation import Terms
from mandorla_protocol import signatures
from mandorla_protocol.card import Card
from mandorla_protocol.engine.loader import load_engine
from mandorla_protocol.epochs import Epoch, epoch_keys
from mandorla_protocol.header import PROTOCOL_VERSION, SUITE, Offer, RoundHeader, RoundKind
from mandorla_protocol.indicators import Collection, Indicator, profiles
from mandorla_protocol.labels import Label, seal, split_output
from mandorla_protocol.log.checkpoint import Checkpoint, cosign
from mandorla_protocol.log.notes import Note
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.session.transcript import (
    CloseStatement,
    Outcome,
    answer_digest,
    half_digest,
    request_digest,
)
from mandorla_protocol.table import Operation, TableCommitment, TableEntry, padding, parts_of
from tests.support.patience import CALL

T = TypeVar("T")

ENGINE = load_engine("auto")
COLLECTION = "infrastructure"
TIMEOUT = CALL


@asynccontextmanager
async def channel_to(victim: Card, own: Home) -> AsyncIterator[exchange_pb2_grpc.ExchangeAsyncStub]:
    """Dial a node with a lab's real certificate."""
    credentials = grpc.ssl_channel_credentials(
        certificates.pem_from_der(victim.certificate), own.tls_key, own.tls_certificate
    )
    options = [
        ("grpc.ssl_target_name_override", certificates.tls_name(victim.identity)),
        ("grpc.max_send_message_length", -1),
    ]
    async with grpc.aio.secure_channel(victim.endpoint, credentials, options=options) as channel:
        yield exchange_pb2_grpc.ExchangeStub(channel)


def hello_request(**changes: object) -> exchange_pb2.HelloRequest:
    """Make an honest Hello with some fields changed."""
    fields: dict[str, object] = {
        "version": PROTOCOL_VERSION,
        "suite": SUITE,
        "collection": COLLECTION,
        "profiles": [
            exchange_pb2.Profile(type=name, profile=profile)
            for name, profile in profiles(Collection(COLLECTION))
        ],
    }
    return exchange_pb2.HelloRequest(**(fields | changes))  # type: ignore[arg-type]


def blinded_chunk(count: int = 256) -> bytes:
    """Return a valid chunk of blinded random tokens."""
    return bytes(ENGINE.blind(os.urandom(32 * count), os.urandom(64 * count))[1])


@dataclass
class Table:
    """A whole tag table in memory: 256 entries of padding, unless changed."""

    entries: list[TableEntry]

    @classmethod
    def of_padding(cls) -> Table:
        """Make a table's first version."""
        filling = sorted(padding(0, os.urandom))
        return cls([TableEntry(1, Operation.ADD, tag, sealed) for tag, sealed in filling])

    @property
    def commitment(self) -> TableCommitment:
        """The commitment of an honest holder."""
        frontier = Frontier().extend(entry.leaf_hash() for entry in self.entries)
        return TableCommitment(max(entry.version for entry in self.entries), frontier.size, frontier.root)


class HostileLab(exchange_pb2_grpc.ExchangeServicer):
    """A lab with real keys. It is honest until a test replaces one of its behaviours.

    `answer` maps a response, by the method's name, to what is sent instead.
    """

    def __init__(self, home: Home, victim: Card, epoch: int = 1) -> None:
        self.home = home
        self.victim = victim
        self.table = Table.of_padding()
        self.epoch = Epoch(home.card.identity, victim.identity, COLLECTION, epoch)
        self.keys = epoch_keys(ENGINE, bytes(32), self.epoch)
        self.answer: Callable[[str, T], T] = lambda _method, response: response
        self.header: RoundHeader | None = None
        self.calls: list[str] = []
        self.closed: CloseStatement | None = None
        self.cosigned = b""

    def offer(self) -> Offer:
        """Offer the table and the key."""
        return Offer(self.epoch.number, self.keys.public, 2**20, 2**20, self.table.commitment)

    def compose(self, peer_offer: Offer, kind: RoundKind = RoundKind.SHARED) -> RoundHeader:
        """Compose an honest header with this lab as the initiator."""
        return negotiation.compose(
            self.home.card,
            self.victim,
            Terms(kind, COLLECTION),
            self.offer(),
            peer_offer,
            self.home.settings.rounds,
            self.home.settings.rounds.lifetime,
            system_clock(),
        )

    def sign(self, header: RoundHeader) -> exchange_pb2.ProposeRequest:
        """Sign a header and propose it."""
        encoded = header.encode()
        return exchange_pb2.ProposeRequest(
            encoded_header=encoded, signature=signatures.sign(self.home.identity, encoded)
        )

    async def agree(self, stub: exchange_pb2_grpc.ExchangeAsyncStub) -> RoundHeader:
        """Agree to a round with the victim, as an honest initiator would."""
        response = await stub.Hello(hello_request(), timeout=TIMEOUT)
        self.header = self.compose(Offer.decode(response.encoded_offer))
        await stub.Propose(self.sign(self.header), timeout=TIMEOUT)
        return self.header

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answer on the lab's endpoint, with its real certificate."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        exchange_pb2_grpc.add_ExchangeServicer_to_server(self, server)
        credentials = grpc.ssl_server_credentials(
            [(self.home.tls_key, self.home.tls_certificate)],
            certificates.pem_from_der(self.victim.certificate),
            require_client_auth=True,
        )
        server.add_secure_port(self.home.card.endpoint, credentials)
        await server.start()
        try:
            yield
        finally:
            await server.stop(None)

    async def Hello(self, request, context):
        """Offer."""
        return self._send("Hello", exchange_pb2.HelloResponse(encoded_offer=self.offer().encode()))

    async def Propose(self, request, context):
        """Countersign."""
        self.header = RoundHeader.decode(request.encoded_header)
        signature = signatures.sign(self.home.identity, request.encoded_header)
        return self._send("Propose", exchange_pb2.ProposeResponse(signature=signature))

    async def Evaluate(self, request, context):
        """Evaluate and prove."""
        evaluated, proof = await asyncio.to_thread(
            ENGINE.evaluate_and_prove, self.keys, request.blinded, os.urandom(64)
        )
        return self._send("Evaluate", exchange_pb2.EvaluateResponse(evaluated=evaluated, proof=proof))

    async def ListTags(self, request, context):
        """Send the rest of the table."""
        return self._send("ListTags", messages.parts_to(parts_of(self.table.entries[request.start :])))

    async def AddCheckpoint(self, request, context):
        """Cosign every checkpoint."""
        cosignature = b""
        if request.checkpoint:
            checkpoint = Checkpoint.parse(Note.decode(request.checkpoint).text)
            cosignature = cosign(self.home.identity, checkpoint, system_clock())
            self.cosigned = request.checkpoint
        response = exchange_pb2.AddCheckpointResponse(cosignature=cosignature, latest=self.cosigned)
        return self._send("AddCheckpoint", response)

    async def Close(self, request, context):
        """Take aborts; state nothing."""
        if request.encoded_statement:
            self.closed = CloseStatement.decode(request.encoded_statement)
        return self._send("Close", exchange_pb2.CloseResponse())

    def _send(self, method: str, response: T) -> T:
        self.calls.append(method)
        return self.answer(method, response)


class WithholdingLab(HostileLab):
    """An initiator that answers, withholds its table, and states a commit all the same."""

    def __init__(self, home: Home, victim: Card, epoch: int = 1) -> None:
        super().__init__(home, victim, epoch)
        self.answers: list[bytes] = []
        self.answered = asyncio.Event()
        self.asked_for_table = asyncio.Event()

    async def Evaluate(self, request, context):
        """Evaluate, and keep the transcript."""
        response = await super().Evaluate(request, context)
        digest = request_digest(self.header.digest(), request.index, request.blinded)
        self.answers.append(answer_digest(digest, response.evaluated, response.proof))
        self.answered.set()
        return response

    async def ListTags(self, request, context):
        """Answer nothing."""
        self.asked_for_table.set()
        await asyncio.Event().wait()

    def commit(self) -> exchange_pb2.CloseRequest:
        """State the commit, with the half that the victim would compute."""
        header = self.header
        halves = (
            half_digest(header, self.home.card.identity, []),
            half_digest(header, self.victim.identity, self.answers),
        )
        encoded = CloseStatement(header.digest(), *halves, Outcome.COMMITTED).encode()
        signature = signatures.sign(self.home.identity, encoded)
        return exchange_pb2.CloseRequest(
            round_id=header.round_id, encoded_statement=encoded, signature=signature
        )


class CommittingLab(HostileLab):
    """A responder that asks nothing, states a commit, and takes the initiator's without an answer."""

    def __init__(self, home: Home, victim: Card, epoch: int = 1) -> None:
        super().__init__(home, victim, epoch)
        self.answers: list[bytes] = []
        self.outcomes: list[Outcome] = []
        self.confirmed = asyncio.Event()

    def flag(self, value: str) -> None:
        """List an address in the table."""
        tag, key = split_output(ENGINE.evaluate(self.keys, Indicator.parse("ipv4", value).token()))
        flagged = TableEntry(1, Operation.ADD, tag, seal(Label(), key, tag, self.epoch, 1))
        self.table = Table(sorted([*self.table.entries[1:], flagged], key=lambda entry: entry.tag))

    async def Evaluate(self, request, context):
        """Evaluate, and keep the transcript."""
        response = await super().Evaluate(request, context)
        digest = request_digest(self.header.digest(), request.index, request.blinded)
        self.answers.append(answer_digest(digest, response.evaluated, response.proof))
        return response

    async def Close(self, request, context):
        """State the commit; leave the initiator's unanswered."""
        if request.encoded_statement:
            self.outcomes.append(CloseStatement.decode(request.encoded_statement).outcome)
            self.confirmed.set()
            await asyncio.Event().wait()
        header = self.header
        halves = (
            half_digest(header, self.victim.identity, self.answers),
            half_digest(header, self.home.card.identity, []),
        )
        encoded = CloseStatement(header.digest(), *halves, Outcome.COMMITTED).encode()
        return exchange_pb2.CloseResponse(
            encoded_statement=encoded, signature=signatures.sign(self.home.identity, encoded)
        )
