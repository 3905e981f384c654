"""Checks of one lab's rounds: signatures, proofs, and the terms of each header (SPEC 17.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from .. import signatures
from ..engine import Engine
from ..epochs import LabId
from ..errors import MandorlaError
from ..header import CLOCK_SKEW, RoundHeader, RoundId, RoundMode
from ..log.entries import ChunkCharged, ChunkEvaluated, RoundAgreed, RoundClosed, RoundEnded, RoundProposed
from ..session.closing import RoundState
from ..session.transcript import CloseStatement, Outcome, answer_digest, half_digest, request_digest
from ..sizes import CHUNK_SIZE, STANDING_SMALLEST, size_class
from .bundle import OPEN, PROPOSED, Bundle, RoundFacts
from .findings import Claim
from .key_epochs import KeyEpochLedger
from .records import ElementsRecord

_ENDS: Final = (RoundState.COMMITTED, RoundState.UNCONFIRMED, RoundState.ABORTED)

Faults: TypeAlias = Iterator[tuple[Claim, str]]


class RoundLedger:
    """The rounds of one bundle. Each method takes the next entry or record, and yields its faults."""

    def __init__(self, bundle: Bundle, lab: LabId, keys: KeyEpochLedger, engine: Engine) -> None:
        self._bundle = bundle
        self._lab = lab
        self._keys = keys
        self._engine = engine
        self._awaited: ChunkEvaluated | None = None

    def propose(self, entry: RoundProposed) -> Faults:
        """Add a round that this lab proposed."""
        try:
            header = RoundHeader.decode(entry.header)
            signatures.verify(self._lab, entry.header, entry.own_signature)
            header.other(self._lab)
        except MandorlaError as error:
            yield Claim.AGREED, f"a proposal does not come from this lab: {error.code.name}"
            return
        if header.round_id in self._bundle.rounds:
            yield Claim.AGREED, "the log has the round before its proposal"
            return
        self._bundle.rounds[header.round_id] = RoundFacts(header, entry.header, PROPOSED, entry.at)

    def agree(self, entry: RoundAgreed) -> Faults:
        """Add a round whose header both labs signed."""
        try:
            header = RoundHeader.decode(entry.header)
            peer = header.other(self._lab).lab
        except MandorlaError as error:
            yield Claim.AGREED, f"a header is malformed, or names other labs: {error.code.name}"
            return
        proposed = self._bundle.rounds.get(header.round_id)
        if proposed is not None and proposed.state != PROPOSED:
            yield Claim.AGREED, "the log has the round twice"
            return
        if header.initiator.lab == self._lab and (proposed is None or proposed.encoded != entry.header):
            yield Claim.AGREED, "the round was agreed, and this lab did not propose it"
        self._bundle.rounds[header.round_id] = RoundFacts(header, entry.header, OPEN, entry.at)
        for signer, signature, whose in (
            (self._lab, entry.own_signature, "this lab's"),
            (peer, entry.peer_signature, "the peer's"),
        ):
            try:
                signatures.verify(signer, entry.header, signature)
            except MandorlaError:
                yield Claim.AGREED, f"{whose} signature on the header does not verify"
        try:
            header.require_valid(header.created)
        except MandorlaError as error:
            yield Claim.BOUNDED, f"the header is not valid: {error.detail or error.code.name}"
        if not header.created - CLOCK_SKEW <= entry.at < header.expires:
            yield Claim.TIMED, "the round was agreed outside its header's validity"
        yield from self._keys.agree(self._lab, header)

    def charge(self, entry: ChunkCharged) -> Faults:
        """Add a chunk that this lab charged."""
        facts = self._bundle.rounds.get(entry.round_id)
        if facts is None or facts.state == PROPOSED:
            yield Claim.AGREED, "a chunk belongs to no agreed round"
            return
        if entry.index in facts.charged:
            yield Claim.BOUNDED, f"chunk {entry.index} was charged twice"
            return
        facts.charged[entry.index] = (entry.count, entry.request)
        self._bundle.evaluations += entry.count
        if facts.state != OPEN:
            yield Claim.RECORDED, f"chunk {entry.index} was charged after the round's end"
        if not 0 < entry.count <= CHUNK_SIZE:
            yield Claim.BOUNDED, f"chunk {entry.index} has {entry.count} elements"
        yield from self._keys.charge(self._lab, facts.header, entry.count)

    def answer(self, entry: ChunkEvaluated) -> Faults:
        """Add the answer to a chunk."""
        facts = self._bundle.rounds.get(entry.round_id)
        if facts is None or entry.index not in facts.charged:
            yield Claim.BUDGETED, f"chunk {entry.index} was answered without a charge"
            return
        if entry.index in facts.answered:
            yield Claim.RECORDED, f"chunk {entry.index} was answered twice"
            return
        facts.answered[entry.index] = entry.answer
        facts.unproved.add(entry.index)
        self._awaited = entry

    def prove(self, record: ElementsRecord) -> Faults:
        """Verify the proof of the chunk in the entry before, with its elements."""
        entry, self._awaited = self._awaited, None
        if entry is None or (entry.round_id, entry.index) != (record.round_id, record.index):
            yield Claim.PROVED, f"the elements of chunk {record.index} do not follow its answer"
            return
        facts, index = self._bundle.rounds[record.round_id], record.index
        count, request = facts.charged[index]
        facts.unproved.discard(index)
        if len(record.blinded) != 32 * count:
            yield Claim.PROVED, f"chunk {index} has another size than its charge"
        if request_digest(facts.header.digest(), index, record.blinded) != request:
            yield Claim.PROVED, f"chunk {index} is not the one that the querier requested"
        if answer_digest(request, record.evaluated, entry.proof) != entry.answer:
            yield Claim.PROVED, f"the answer to chunk {index} is not the one in the log"
        public_key = facts.header.party(self._lab).offer.public_key
        try:
            self._engine.verify(public_key, record.blinded, record.evaluated, entry.proof)
        except MandorlaError as error:
            yield Claim.PROVED, f"the proof of chunk {index} does not verify: {error.code.name}"

    def close(self, entry: RoundClosed) -> Faults:
        """Add a statement that closes a round."""
        facts = self._bundle.rounds.get(entry.round_id)
        if facts is None or facts.state == PROPOSED:
            yield Claim.AGREED, "a close belongs to no agreed round"
            return
        try:
            statement = CloseStatement.decode(entry.statement)
        except MandorlaError:
            yield Claim.RECORDED, "a close has a malformed statement"
            return
        if statement.header_digest != facts.header.digest():
            yield Claim.RECORDED, "a close belongs to another header"
        signed = []
        for signer, signature, whose in (
            (self._lab, entry.own_signature, "this lab's"),
            (facts.header.other(self._lab).lab, entry.peer_signature, "the peer's"),
        ):
            good = bool(signature)
            if signature:
                try:
                    signatures.verify(signer, entry.statement, signature)
                except MandorlaError:
                    good = False
                    yield Claim.RECORDED, f"{whose} signature on the close does not verify"
            signed.append(good)
        facts.closes.append((statement, signed[0], signed[1]))
        if entry.at < facts.agreed_at:
            yield Claim.TIMED, "the round was closed before it was agreed"

    def end(self, entry: RoundEnded) -> Faults:
        """Set the final state of a round."""
        facts = self._bundle.rounds.get(entry.round_id)
        if facts is None or facts.state != OPEN or entry.state not in _ENDS:
            yield Claim.RECORDED, "the round has an unknown end, or two ends"
            return
        facts.state, facts.ended_at = entry.state, entry.at

    def finish(self) -> Iterator[tuple[Claim, RoundId, str]]:
        """Compare the recorded chunks of each round with the signed statements; yield the faults by round."""
        for round_id, facts in self._bundle.rounds.items():
            for claim, fault in self._finish(facts):
                yield claim, round_id, fault

    def _finish(self, facts: RoundFacts) -> Faults:
        header, total = facts.header, facts.elements
        offer = header.party(self._lab).offer
        if total > offer.cap:
            yield Claim.BOUNDED, f"{total} evaluations are more than the cap of {offer.cap}"
        if facts.answered and set(facts.answered) != set(range(len(facts.answered))):
            yield Claim.RECORDED, "some chunks between recorded ones are missing"
        if facts.unproved:
            yield from self._unproved(facts)
        commits = [(s, own, peer) for s, own, peer in facts.closes if s.outcome is Outcome.COMMITTED]
        if facts.state == RoundState.COMMITTED and not any(own and peer for _, own, peer in commits):
            yield Claim.RECORDED, "the round is recorded as committed without both signatures"
        if any(own for _, own, _ in commits) and any(
            own for s, own, _ in facts.closes if s.outcome is Outcome.ABORTED
        ):
            yield Claim.RECORDED, "this lab signed a commit and an abort"
        if header.mode is RoundMode.STANDING:
            small = [count for count, _ in facts.charged.values() if count < STANDING_SMALLEST]
            if small:
                yield Claim.BOUNDED, f"a chunk of {min(small)} evaluations is no size class"
        elif commits and total != size_class(total):
            yield Claim.BOUNDED, f"{total} evaluations are no size class: the querier did not pad"
        answers = [facts.answered[index] for index in sorted(facts.answered)]
        expected = half_digest(header, header.other(self._lab).lab, answers)
        initiated = header.initiator.lab == self._lab
        for statement, _, _ in commits:
            if (statement.responder_half if initiated else statement.initiator_half) != expected:
                yield Claim.RECORDED, "the close covers other chunks than the recorded ones"

    def _unproved(self, facts: RoundFacts) -> Faults:
        """Yield a fault for each missing proof, unless the lab may have deleted the elements by now."""
        start = self._bundle.start
        kept = start is None or start.keep_elements == 0
        if kept or facts.state in (OPEN, PROPOSED):
            overdue = False
        else:
            overdue = start is not None and facts.ended_at + start.keep_elements <= start.created
        if overdue:
            self._bundle.unchecked += sum(facts.charged[index][0] for index in facts.unproved)
            return
        for index in sorted(facts.unproved):
            # Otherwise a lab with a false proof could leave out the elements.
            yield Claim.PROVED, f"the elements of chunk {index} are missing, so its proof cannot be checked"
