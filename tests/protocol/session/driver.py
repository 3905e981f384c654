"""Two labs in memory, which perform the effects of the pure protocol.

A `Lab` has the contents of a node's store. `run_round` signs a header and drives both halves. The caller
chooses the order in which concurrent chunks complete, so that a test can try all orders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mandorla_protocol import signatures
from mandorla_protocol.engine import OUTPUT_SIZE, TOKEN_SIZE, Engine, split
from mandorla_protocol.epochs import Epoch, LabId, epoch_keys, proof_nonce
from mandorla_protocol.errors import MandorlaError
from mandorla_protocol.header import Offer, Party, RoundHeader, RoundId, RoundKind, RoundMode
from mandorla_protocol.labels import Label, LabelKey, Tag, open_sealed, seal, split_output
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.oprf import KeyPair
from mandorla_protocol.session import holder, querier
from mandorla_protocol.session.transcript import CloseStatement, Outcome
from mandorla_protocol.table import (
    Operation,
    TableCommitment,
    TableEntry,
    TablePart,
    TableReader,
    padding,
    parts_of,
)

NOW: Final = 1_700_000_000

Choose = Callable[[int], int]
"""Given how many events wait, say which happens next."""


class Randomness:
    """Bytes that look random, and are the same in each run."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._drawn = 0

    def __call__(self, size: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_256(self._seed + self._drawn.to_bytes(8, "big")).digest(size)


def token(indicator: str) -> bytes:
    return hashlib.sha256(indicator.encode()).digest()


@dataclass
class Table:
    """A holder's tag table."""

    entries: list[TableEntry] = field(default_factory=list)
    frontier: Frontier = field(default_factory=Frontier)
    published: dict[str, Label] = field(default_factory=dict)

    @property
    def commitment(self) -> TableCommitment:
        version = self.entries[-1].version if self.entries else 0
        return TableCommitment(version, self.frontier.size, self.frontier.root)

    def append(self, entries: Iterable[TableEntry]) -> None:
        version = sorted(entries, key=lambda entry: entry.tag)
        self.entries += version
        self.frontier = self.frontier.extend(entry.leaf_hash() for entry in version)


@dataclass
class PeerEpoch:
    """A querier's records of a holder's key epoch."""

    verified: TableCommitment = field(default_factory=TableCommitment)
    frontier: Frontier = field(default_factory=Frontier)
    entries: list[TableEntry] = field(default_factory=list)
    tags: dict[Tag, tuple[str, LabelKey]] = field(default_factory=dict)


class Lab:
    """A lab: its keys, its flagged set, and its records of its peer."""

    def __init__(self, name: str, engine: Engine) -> None:
        self.random = Randomness(name.encode())
        self.identity = Ed25519PrivateKey.from_private_bytes(self.random(32))
        self.id = signatures.lab_id(self.identity)
        self.engine = engine
        self.seed = self.random(32)
        self.flagged: dict[str, Label] = {}
        self.table = Table()
        self.asked = PeerEpoch()
        self.charged = 0
        self.answers: dict[tuple[RoundId, int], tuple[bytes, bytes]] = {}

    def flag(self, indicators: Iterable[str], label: Label | None = None) -> None:
        self.flagged |= {indicator: label or Label() for indicator in indicators}

    def keys(self, peer: LabId) -> KeyPair:
        return epoch_keys(self.engine, self.seed, self.epoch(peer))

    def epoch(self, peer: LabId) -> Epoch:
        return Epoch(self.id, peer, "accounts", 1)

    def publish(self, peer: LabId) -> None:
        """Publish a version with the changes of the flagged set since the last version."""
        table, keys, epoch = self.table, self.keys(peer), self.epoch(peer)
        version = table.commitment.version + 1
        additions = [i for i, label in self.flagged.items() if table.published.get(i) != label]
        revocations = [i for i in table.published if i not in self.flagged]
        if table.entries and not (additions or revocations):
            return
        entries = []
        for indicator in additions:
            tag, key = split_output(self.engine.evaluate(keys, token(indicator)))
            sealed = seal(self.flagged[indicator], key, tag, epoch, version)
            entries.append(TableEntry(version, Operation.ADD, tag, sealed))
        for indicator in revocations:
            tag, _ = split_output(self.engine.evaluate(keys, token(indicator)))
            entries.append(TableEntry(version, Operation.REVOKE, tag, b""))
        for tag, sealed in padding(len(entries), self.random):
            entries.append(TableEntry(version, Operation.ADD, tag, sealed))
        table.append(entries)
        table.published = dict(self.flagged)

    def offer(self, peer: LabId) -> Offer:
        return Offer(1, self.keys(peer).public, budget=100_000, cap=50_000, table=self.table.commitment)


class HolderHalf:
    """The holder's half, with its effects performed."""

    def __init__(self, lab: Lab, header: RoundHeader) -> None:
        self.lab = lab
        self.state = holder.HolderState(header, lab.id)

    def evaluate(self, index: int, blinded: bytes) -> tuple[bytes, bytes]:
        effects = self._step(holder.EvaluationRequested(index, blinded, NOW))
        while True:
            outcome = [self._perform(effect) for effect in effects][-1]
            if isinstance(outcome, tuple):
                return outcome
            effects = self._step(outcome)

    def page(self, start: int, limit: int) -> tuple[TablePart, ...]:
        (reply,) = self._step(holder.PageRequested(start, NOW))
        committed = self.lab.table.entries[: self.state.header.party(self.lab.id).offer.table.size]
        return parts_of(committed[start : start + min(limit, reply.limit)])

    def _step(self, event: holder.Event) -> tuple[holder.Effect, ...]:
        self.state, effects = holder.step(self.state, event)
        return effects

    def _perform(self, effect: holder.Effect) -> holder.Event | tuple[bytes, bytes] | None:
        lab, header = self.lab, self.state.header
        match effect:
            case holder.CheckElements(_, blinded):
                lab.engine.decode_elements(blinded)
            case holder.Charge(_, _, count):
                lab.charged += count
            case holder.Evaluate(index, request, blinded):
                nonce = proof_nonce(lab.seed, header.epoch(lab.id), request)
                keys = lab.keys(self.state.querier)
                return holder.EvaluationDone(index, *lab.engine.evaluate_and_prove(keys, blinded, nonce))
            case holder.StoreAnswer(index, _, evaluated, proof):
                lab.answers[header.round_id, index] = (evaluated, proof)
                return holder.AnswerStored(index, evaluated, proof)
            case holder.SendAnswer(index):
                return lab.answers[header.round_id, index]
        return None


class Querier:
    """The querier's half, with its effects performed. `sent` is all that the holder sees of it."""

    def __init__(self, lab: Lab, header: RoundHeader, indicators: Iterable[str], peer: HolderHalf) -> None:
        self.lab, self.header, self.peer = lab, header, peer
        tagged = {indicator for indicator, _ in lab.asked.tags.values()}
        self.indicators = sorted(set(indicators) - tagged)
        self.matches: dict[str, Label] = {}
        self.sent: list[object] = []
        self._blinded: dict[int, tuple[list[str], bytes, bytes, bytes]] = {}
        self._offer = header.other(lab.id).offer
        reader = TableReader.resume(lab.asked.verified, lab.asked.frontier, self._offer.table)
        self._staged = list(lab.asked.entries)
        self.state = querier.open_half(header, lab.id, len(self.indicators), reader)

    def run(self, choose: Choose, page_size: int) -> None:
        waiting: list[querier.Event] = [querier.Started()]
        while waiting:
            event = waiting.pop(choose(len(waiting)))
            self.state, effects = querier.step(self.state, event)
            for effect in effects:
                if (outcome := self._perform(effect, page_size)) is not None:
                    waiting.append(outcome)

    def _perform(self, effect: querier.Effect, page_size: int) -> querier.Event | None:
        match effect:
            case querier.Blind(index, count):
                return self._blind(index, count)
            case querier.RequestEvaluation(index, blinded):
                self.sent.append((index, blinded))
                return querier.ChunkAnswered(index, *self.peer.evaluate(index, blinded))
            case querier.Finalize(index, evaluated, proof):
                self._finalize(index, evaluated, proof)
                return querier.ChunkFinalized(index, evaluated, proof)
            case querier.RequestPage(start):
                self.sent.append(start)
                return querier.PageReceived(self.peer.page(start, page_size))
            case querier.StageEntries(start, parts):
                self._staged[start:] = [entry for part in parts for entry in part.entries()]
            case querier.AcceptTable(reader):
                asked = self.lab.asked
                asked.verified, asked.frontier, asked.entries = (
                    reader.committed,
                    reader.frontier,
                    self._staged,
                )
                self.matches = self._compare()
        return None

    def _blind(self, index: int, count: int) -> querier.Event:
        mine, self.indicators = self.indicators[:count], self.indicators[count:]
        tokens = b"".join(map(token, mine)) + self.lab.random(TOKEN_SIZE * (count - len(mine)))
        blinds, blinded = self.lab.engine.blind(tokens, self.lab.random(2 * len(tokens)))
        self._blinded[index] = (mine, tokens, blinds, blinded)
        return querier.ChunkBlinded(index, bytes(blinded))

    def _finalize(self, index: int, evaluated: bytes, proof: bytes) -> None:
        mine, tokens, blinds, blinded = self._blinded.pop(index)
        outputs = self.lab.engine.verify_and_finalize(
            self._offer.public_key, tokens, blinds, blinded, evaluated, proof
        )
        for indicator, output in zip(mine, split(outputs, OUTPUT_SIZE), strict=False):
            tag, key = split_output(output)
            self.lab.asked.tags[tag] = (indicator, key)

    def _compare(self) -> dict[str, Label]:
        epoch, found = self.header.epoch(self.peer.lab.id), {}
        for entry in self.lab.asked.entries:
            if entry.tag not in self.lab.asked.tags:
                continue
            indicator, key = self.lab.asked.tags[entry.tag]
            found.pop(indicator, None)
            if entry.operation is Operation.ADD:
                try:
                    found[indicator] = open_sealed(entry.sealed, key, entry.tag, epoch, entry.version)
                except MandorlaError:
                    continue
        return found


@dataclass(frozen=True)
class FinishedRound:
    """A round after both halves are complete."""

    header: RoundHeader
    initiator: Querier
    responder: Querier

    def statement(self, querying: Mapping[LabId, bytes]) -> CloseStatement:
        return CloseStatement(
            self.header.digest(),
            querying[self.header.initiator.lab],
            querying[self.header.responder.lab],
            Outcome.COMMITTED,
        )

    def statements(self) -> tuple[CloseStatement, CloseStatement]:
        """Return each lab's statement: its own half as the querier, and the peer's half as the holder."""
        one, other = self.initiator, self.responder
        return (
            self.statement({one.lab.id: one.state.digest(), other.lab.id: other.peer.state.digest()}),
            self.statement({one.lab.id: one.peer.state.digest(), other.lab.id: other.state.digest()}),
        )


def first(waiting: int) -> int:
    """Choose the event that waits longest."""
    return 0


def agree(one: Lab, other: Lab) -> RoundHeader:
    """Publish both tables; return the header."""
    for lab, peer in ((one, other), (other, one)):
        lab.publish(peer.id)
    header = RoundHeader(
        round_id=RoundId(one.random(16)),
        mode=RoundMode.BATCH,
        kind=RoundKind.SHARED,
        collection="accounts",
        profiles=(("email", 1),),
        initiator=Party(one.id, bytes(32), one.offer(other.id)),
        responder=Party(other.id, bytes(32), other.offer(one.id)),
        purpose="find shared attackers",
        legal_basis="legitimate interest",
        created=NOW,
        expires=NOW + 3600,
    )
    header.require_valid(NOW)
    for lab in (one, other):
        signatures.verify(lab.id, header.encode(), signatures.sign(lab.identity, header.encode()))
    return RoundHeader.decode(header.encode())


def run_round(one: Lab, other: Lab, choose: Choose = first, page_size: int = 8_192) -> FinishedRound:
    """Run a round over both labs' flagged sets until both halves are complete."""
    header = agree(one, other)
    holders = {lab.id: HolderHalf(lab, header) for lab in (one, other)}
    halves = [
        Querier(lab, header, lab.flagged, holders[peer.id]) for lab, peer in ((one, other), (other, one))
    ]
    for half in halves:
        half.run(choose, page_size)
    finished = FinishedRound(header, *halves)
    mine, theirs = finished.statements()
    CloseStatement.decode(theirs.encode()).require_same(mine)
    return finished
