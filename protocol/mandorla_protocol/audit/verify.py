"""What bundles show, claim by claim (SPEC 17.2).

A bundle is read once, record by record, in memory that grows with the rounds and not with the evaluations.
Nothing in it is trusted: what does not verify is a finding, and never stops the others from being looked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from .. import signatures
from ..engine import Engine
from ..epochs import Epoch, LabId
from ..errors import MandorlaError
from ..header import CLOCK_SKEW, RoundHeader, RoundId
from ..merkle import Frontier, hash_leaf
from ..session.transcript import CloseStatement, Outcome, answer_digest, half_digest, request_digest
from ..sizes import CHUNK_SIZE, size_class
from ..table import TableCommitment
from .records import PROPOSED, BundleStart, ChunkRecord, CloseRecord, Record, RoundRecord, Seal, decode


class Claim(StrEnum):
    """What an auditor wants to know; the texts are SPEC 17.2's."""

    SEALED = "The file is whole, and is what the lab sealed."
    AGREED = "Both labs signed every round before it began."
    BOUNDED = "Every round stayed within what its header allows."
    PROVED = "Every evaluation used the key that the header names."
    RECORDED = "What the labs signed at the end is what was exchanged."
    BUDGETED = "No querier had more evaluations than its budget."
    TABLED = "No tag table was taken back or rewritten."
    KEYED = "Each key epoch has one key, and none comes back."
    TIMED = "Times are in order."
    CONSISTENT = "The labs' records do not contradict each other."


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong: which claim it breaks, in whose bundle, in which round, and what it is."""

    claim: Claim
    lab: str
    round_id: bytes
    what: str


@dataclass
class RoundFacts:
    """What one bundle says of one round."""

    header: RoundHeader
    encoded: bytes
    state: str
    agreed_at: int
    charged: set[int] = field(default_factory=set)
    """The indices of the chunks that this lab charged."""

    answered: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """By index: the elements and the digest of the answer, of chunks that this lab answered."""

    unanswered: int = 0
    """Elements that were charged and, by a crash, never answered."""

    closes: list[tuple[CloseStatement, bool, bool]] = field(default_factory=list)
    """Statements, and whether this lab and the peer signed each."""


@dataclass
class Bundle:
    """What one file says."""

    source: str
    start: BundleStart | None = None
    rounds: dict[RoundId, RoundFacts] = field(default_factory=dict)
    evaluations: int = 0

    @property
    def lab(self) -> LabId | None:
        """Whose file it is."""
        return None if self.start is None else self.start.lab

    @property
    def name(self) -> str:
        """How the lab calls itself, and which identity it is; of an unreadable file, the file's name."""
        return self.source if self.start is None else f"{self.start.name} ({self.start.lab.hex()[:8]})"


@dataclass
class Verdict:
    """What several bundles show together."""

    bundles: list[Bundle]
    findings: list[Finding]

    @property
    def holds(self) -> bool:
        """Whether every claim holds."""
        return not self.findings

    def of(self, claim: Claim) -> list[Finding]:
        """Return what speaks against a claim."""
        return [finding for finding in self.findings if finding.claim is claim]


MAX_FINDINGS: Final = 10_000
"""Findings that are kept of one file: a file of nothing but faults must not fill the memory."""

_STATES: Final = ("committed", "unconfirmed", "aborted", "open", PROPOSED)


class BundleReader:
    """Reads one bundle."""

    def __init__(self, source: str, engine: Engine) -> None:
        self.bundle = Bundle(source)
        self.findings: list[Finding] = []
        self._engine = engine
        self._frontier = Frontier()
        self._sealed = False

    def read(self, frames: Iterable[bytes]) -> None:
        """Take in all records of a file."""
        for encoded in frames:
            if self._sealed:
                self._find(Claim.SEALED, b"", "records follow the seal")
                return
            try:
                record = decode(encoded)
            except MandorlaError as error:
                self._find(Claim.SEALED, b"", f"a record does not parse: {error.detail}")
                record = None
            if isinstance(record, Seal):
                self._seal(record)
            else:
                self._frontier = self._frontier.extend([hash_leaf(encoded)])
                self._take(record)
        if not self._sealed:
            self._find(Claim.SEALED, b"", "the file has no seal: it is cut off, or was never finished")
        for facts in self.bundle.rounds.values():
            self._end(facts)

    def _take(self, record: Record | None) -> None:
        match record:
            case BundleStart():
                if self.bundle.start is not None:
                    self._find(Claim.SEALED, b"", "the file begins twice")
                else:
                    self.bundle.start = record
            case _ if self.bundle.start is None:
                self._find(Claim.SEALED, b"", "a record comes before the file says whose it is")
            case RoundRecord():
                self._round(record)
            case ChunkRecord():
                self._chunk(record)
            case CloseRecord():
                self._close(record)

    def _seal(self, seal: Seal) -> None:
        self._sealed = True
        start = self.bundle.start
        if start is None:
            return
        if (seal.count, seal.root) != (self._frontier.size, self._frontier.root):
            self._find(Claim.SEALED, b"", "records were changed, left out, added or put in another order")
        try:
            signatures.verify(start.lab, seal.signed(start), seal.signature)
        except MandorlaError:
            self._find(Claim.SEALED, b"", "the seal's signature is not that of the lab")

    def _round(self, record: RoundRecord) -> None:
        try:
            header = RoundHeader.decode(record.header)
            peer = header.other(self._lab).lab
        except MandorlaError as error:
            self._find(Claim.AGREED, b"", f"a header is not one, or not this lab's: {error.code.name}")
            return
        round_id = header.round_id
        if round_id in self.bundle.rounds:
            self._find(Claim.AGREED, round_id, "the round is recorded twice")
            return
        self.bundle.rounds[round_id] = RoundFacts(header, record.header, record.state, record.agreed_at)
        signed = [(self._lab, record.own_signature, "this lab's")]
        if record.state != PROPOSED:
            signed.append((peer, record.peer_signature, "the peer's"))
        for signer, signature, whose in signed:
            try:
                signatures.verify(signer, record.header, signature)
            except MandorlaError:
                self._find(Claim.AGREED, round_id, f"{whose} signature on the header does not verify")
        try:
            header.require_valid(header.created)
        except MandorlaError as error:
            self._find(Claim.BOUNDED, round_id, f"the header is not valid: {error.detail or error.code.name}")
        if record.state not in _STATES:
            self._find(Claim.RECORDED, round_id, "the round ended in no known way")
        if not header.created - CLOCK_SKEW <= record.agreed_at < header.expires:
            self._find(Claim.TIMED, round_id, "the round was agreed outside its header's validity")
        self._require_before_seal(round_id, record.agreed_at)

    def _chunk(self, record: ChunkRecord) -> None:
        facts = self.bundle.rounds.get(record.round_id)
        if facts is None:
            self._find(Claim.AGREED, record.round_id, "a chunk belongs to no round that was agreed before it")
            return
        header = facts.header
        if facts.state == PROPOSED:
            self._find(Claim.AGREED, record.round_id, "a chunk was answered in a round that was never agreed")
        if record.index in facts.charged:
            self._find(Claim.BOUNDED, record.round_id, f"chunk {record.index} is recorded twice")
            return
        facts.charged.add(record.index)
        self.bundle.evaluations += record.count
        if not 0 < record.count <= CHUNK_SIZE:
            self._find(Claim.BOUNDED, record.round_id, f"chunk {record.index} has {record.count} elements")
        if not record.evaluated:
            facts.unanswered += record.count
            return
        digest = answer_digest(record.request, record.evaluated, record.proof)
        facts.answered[record.index] = (record.count, digest)
        if not record.blinded:
            # A proof that cannot be checked shows nothing: else whoever has a false one would leave this out.
            what = f"chunk {record.index} is kept without the elements that its proof is about"
            self._find(Claim.PROVED, record.round_id, what)
            return
        if len(record.blinded) != 32 * record.count:
            self._find(
                Claim.PROVED, record.round_id, f"chunk {record.index} has another size than was charged"
            )
        if request_digest(header.digest(), record.index, record.blinded) != record.request:
            self._find(Claim.PROVED, record.round_id, f"chunk {record.index} is not what was asked")
        public_key = header.party(self._lab).offer.public_key
        try:
            self._engine.verify(public_key, record.blinded, record.evaluated, record.proof)
        except MandorlaError as error:
            self._find(
                Claim.PROVED, record.round_id, f"the proof of chunk {record.index} fails: {error.code.name}"
            )

    def _close(self, record: CloseRecord) -> None:
        facts = self.bundle.rounds.get(record.round_id)
        if facts is None:
            self._find(Claim.AGREED, record.round_id, "a close belongs to no round that was agreed before it")
            return
        try:
            statement = CloseStatement.decode(record.statement)
        except MandorlaError:
            self._find(Claim.RECORDED, record.round_id, "a close is no statement")
            return
        if statement.header_digest != facts.header.digest():
            self._find(Claim.RECORDED, record.round_id, "a close is that of another header")
        signed = []
        for signer, signature, whose in (
            (self._lab, record.own_signature, "this lab's"),
            (facts.header.other(self._lab).lab, record.peer_signature, "the peer's"),
        ):
            good = bool(signature)
            if signature:
                try:
                    signatures.verify(signer, record.statement, signature)
                except MandorlaError:
                    good = False
                    self._find(
                        Claim.RECORDED, record.round_id, f"{whose} signature on the close does not verify"
                    )
            signed.append(good)
        facts.closes.append((statement, signed[0], signed[1]))
        if record.at < facts.agreed_at:
            self._find(Claim.TIMED, record.round_id, "the round was closed before it was agreed")
        self._require_before_seal(record.round_id, record.at)

    def _end(self, facts: RoundFacts) -> None:
        """Hold what was exchanged against what was signed at the end."""
        header, round_id = facts.header, facts.header.round_id
        total = sum(count for count, _ in facts.answered.values())
        offer = header.party(self._lab).offer
        if total + facts.unanswered > offer.cap:
            self._find(Claim.BOUNDED, round_id, f"{total} evaluations are more than the cap of {offer.cap}")
        if facts.answered and set(facts.answered) != set(range(len(facts.answered))):
            self._find(Claim.RECORDED, round_id, "chunks are missing between those that are recorded")
        commits = [(s, own, peer) for s, own, peer in facts.closes if s.outcome is Outcome.COMMITTED]
        if facts.state == "committed" and not any(own and peer for _, own, peer in commits):
            self._find(Claim.RECORDED, round_id, "the round counts as committed without both signatures")
        if any(own for _, own, _ in commits) and any(
            own for s, own, _ in facts.closes if s.outcome is Outcome.ABORTED
        ):
            self._find(Claim.RECORDED, round_id, "this lab signed a commit and an abort")
        if commits and total != size_class(total):
            self._find(
                Claim.BOUNDED, round_id, f"{total} evaluations are no size class: the question was not padded"
            )
        for statement, _, _ in commits:
            answers = [digest for _, digest in (facts.answered[index] for index in sorted(facts.answered))]
            peer = header.other(self._lab).lab
            expected = half_digest(header, peer, answers)
            stated = (
                statement.responder_half if header.initiator.lab == self._lab else statement.initiator_half
            )
            if stated != expected:
                self._find(Claim.RECORDED, round_id, "the chunks are not those that the close was signed for")

    def _require_before_seal(self, round_id: bytes, at: int) -> None:
        if self.bundle.start is not None and at > self.bundle.start.created + CLOCK_SKEW:
            self._find(Claim.TIMED, round_id, "the record is of a time after the file was sealed")

    @property
    def _lab(self) -> LabId:
        return LabId(bytes(32)) if self.bundle.start is None else self.bundle.start.lab

    def _find(self, claim: Claim, round_id: bytes, what: str) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(claim, self.bundle.name, bytes(round_id), what))


def join(readers: Iterable[BundleReader]) -> Verdict:
    """Say what bundles show together: each by itself, over all its rounds, and against each other."""
    known = list(readers)
    findings = [finding for reader in known for finding in reader.findings]
    for reader in known:
        findings += _over_rounds(reader.bundle)
    bundles = [reader.bundle for reader in known]
    findings += _between(bundles)
    return Verdict(bundles, findings)


def _over_rounds(bundle: Bundle) -> Iterator[Finding]:
    """Recompute budgets, and follow keys and tables, over a lab's rounds in the order of their agreement."""
    spent: dict[Epoch, int] = {}
    keys: dict[Epoch, bytes] = {}
    latest: dict[tuple[LabId, LabId, str], int] = {}
    tables: dict[Epoch, TableCommitment] = {}

    def find(claim: Claim, facts: RoundFacts, what: str) -> Finding:
        return Finding(claim, bundle.name, facts.header.round_id, what)

    for facts in bundle.rounds.values():
        header = facts.header
        if facts.state == PROPOSED:
            # What a header says of a peer that did not sign it is nobody's word.
            continue
        for party in (header.initiator, header.responder):
            epoch, offer = header.epoch(party.lab), party.offer
            line = (epoch.holder, epoch.querier, epoch.collection)
            if keys.setdefault(epoch, offer.public_key) != offer.public_key:
                yield find(Claim.KEYED, facts, f"epoch {epoch.number} has two keys")
            if epoch.number < latest.get(line, 0):
                yield find(Claim.KEYED, facts, f"epoch {epoch.number} comes back after epoch {latest[line]}")
            latest[line] = max(epoch.number, latest.get(line, 0))
            try:
                offer.table.require_extends(tables.get(epoch, TableCommitment()))
            except MandorlaError as error:
                yield find(Claim.TABLED, facts, error.detail)
            tables[epoch] = offer.table
        if bundle.lab is None or bundle.lab not in (header.initiator.lab, header.responder.lab):
            continue
        epoch, offer = header.epoch(bundle.lab), header.party(bundle.lab).offer
        answered = facts.unanswered + sum(count for count, _ in facts.answered.values())
        spent[epoch] = spent.get(epoch, 0) + answered
        if spent[epoch] > offer.budget:
            yield find(
                Claim.BUDGETED, facts, f"{spent[epoch]} evaluations are over the budget of {offer.budget}"
            )


def _between(bundles: list[Bundle]) -> Iterator[Finding]:
    """Hold each pair of labs' records of their common rounds against each other."""
    for place, one in enumerate(bundles):
        for other in bundles[place + 1 :]:
            if one.lab is None or other.lab is None:
                continue
            if one.lab == other.lab:
                yield Finding(Claim.CONSISTENT, other.name, b"", "two files are of the same lab")
                continue
            yield from _pair(one, other)


def _pair(one: Bundle, other: Bundle) -> Iterator[Finding]:
    for mine, theirs in ((one, other), (other, one)):
        for round_id, facts in mine.rounds.items():
            parties = {facts.header.initiator.lab, facts.header.responder.lab}
            if theirs.lab not in parties:
                continue
            seen = theirs.rounds.get(round_id)
            if seen is None:
                if facts.state != PROPOSED:
                    yield Finding(Claim.CONSISTENT, theirs.name, round_id, _missing(mine, facts, theirs))
                continue
            if mine is one and seen.encoded != facts.encoded:
                what = f"{mine.name} and {theirs.name} hold different headers of the round"
                yield Finding(Claim.CONSISTENT, theirs.name, round_id, what)
            yield from _halves(mine, facts, theirs)


def _missing(mine: Bundle, facts: RoundFacts, theirs: Bundle) -> str:
    """Say why a round is missing: accusing a lab of a round that came after its file would be wrong."""
    if theirs.start is not None and facts.agreed_at >= theirs.start.created - CLOCK_SKEW:
        return (
            f"as {mine.name} has it, the round began when this file was sealed or later: ask for a new file"
        )
    return f"the round is missing here, and {mine.name} holds this lab's signature on it"


def _halves(mine: Bundle, facts: RoundFacts, theirs: Bundle) -> Iterator[Finding]:
    """Hold the commit that another lab signed against what this lab says that it answered."""
    seen = theirs.rounds[facts.header.round_id]
    commits = [s for s, own, _ in seen.closes if own and s.outcome is Outcome.COMMITTED]
    answers = [facts.answered[index][1] for index in sorted(facts.answered)]
    if theirs.lab is None or mine.lab is None:
        return
    expected = half_digest(facts.header, theirs.lab, answers)
    for statement in commits:
        stated = (
            statement.initiator_half if facts.header.initiator.lab == theirs.lab else statement.responder_half
        )
        if stated != expected:
            what = f"{theirs.name} signed for other chunks than {mine.name} recorded"
            if facts.state == "open":
                what = f"the round, which {theirs.name} saw end, was open in this file: ask for a new file"
            yield Finding(Claim.CONSISTENT, mine.name, facts.header.round_id, what)
    if {s.outcome for s, own, _ in facts.closes if own} == {Outcome.ABORTED} and commits:
        what = f"{theirs.name} signed a commit of a round that {mine.name} signed as aborted"
        if facts.state == "committed" or seen.state == "committed":
            yield Finding(Claim.CONSISTENT, mine.name, facts.header.round_id, what)
