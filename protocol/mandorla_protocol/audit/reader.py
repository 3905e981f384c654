"""The reader of one bundle (SPEC 17).

It reads record by record. Its memory grows with the log, and not with the evaluations. It trusts nothing in
the file: a record that does not verify becomes a finding, and the reader goes on to find the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from .. import signatures
from ..card import Card
from ..engine import Engine
from ..epochs import LabId
from ..errors import MandorlaError
from ..header import CLOCK_SKEW, RoundHeader
from ..log.checkpoint import LogKey, open_checkpoint, verify_cosignature
from ..log.entries import (
    ChunkCharged,
    ChunkEvaluated,
    KeyEpochBegun,
    KeyEpochEnded,
    PeerCaught,
    PeerCosigned,
    RoundAgreed,
    RoundClosed,
    RoundEnded,
    RoundProposed,
    TableVersionPublished,
)
from ..log.fraud import FraudProof
from ..log.notes import Note
from ..merkle import Frontier, hash_leaf
from .bundle import Bundle, CosignedCheckpoint, Stamp
from .findings import MAX_FINDINGS, Claim, Finding
from .key_epochs import KeyEpochLedger
from .records import (
    BundleStart,
    CardRecord,
    CheckpointRecord,
    ElementsRecord,
    Record,
    Seal,
    TimeStampRecord,
    decode,
)
from .rounds import Faults, RoundLedger


class BundleReader:
    """Reads one bundle; collects its contents in `bundle`, and its faults in `findings`."""

    def __init__(self, source: str, engine: Engine) -> None:
        self.bundle = Bundle(source)
        self.findings: list[Finding] = []
        self._engine = engine
        self._file = Frontier()
        self._log = Frontier()
        self._sealed = False
        self._signed_size = -1
        self._latest_entry = 0
        self._latest_cosigned = 0
        self._cosigned_by: dict[LabId, int] = {}
        self._checkpoint: CheckpointRecord | None = None

    def read(self, frames: Iterable[bytes]) -> None:
        """Read all records of a file, given their encodings in order."""
        for encoded in frames:
            if self._sealed:
                self._find(Claim.SEALED, "there are records after the seal")
                return
            try:
                record = decode(encoded)
            except MandorlaError as error:
                self._find(Claim.SEALED, f"a record is malformed: {error.detail}")
                record = None
            if isinstance(record, Seal):
                self._seal(record)
                continue
            self._file = self._file.extend([hash_leaf(encoded)])
            if record is not None:
                self._take(record, encoded)
        if not self._sealed:
            self._find(Claim.SEALED, "the file has no seal: it is cut off, or its writer stopped")
        if self.bundle.start is not None:
            if self._signed_size != self._log.size:
                self._find(Claim.LOGGED, "the last entries of the log have no signed checkpoint")
            for claim, round_id, fault in self._rounds.finish():
                self._find(claim, fault, round_id)

    def _take(self, record: Record, encoded: bytes) -> None:
        if isinstance(record, BundleStart):
            self._start(record)
        elif self.bundle.start is None:
            self._find(Claim.SEALED, "a record stands before the start of the file")
        elif isinstance(record, CardRecord):
            card = Card.from_json(record.card)
            self.bundle.cards[card.identity] = card
        elif isinstance(record, CheckpointRecord):
            self._take_checkpoint(record)
        elif isinstance(record, TimeStampRecord):
            self._take_stamp(record)
        elif isinstance(record, ElementsRecord):
            self._report(self._rounds.prove(record), record.round_id)
        elif not isinstance(record, Seal):
            leaf = hash_leaf(encoded)
            self._log = self._log.extend([leaf])
            self.bundle.leaves += leaf
            self._take_entry(record)

    def _start(self, record: BundleStart) -> None:
        if self.bundle.start is not None:
            self._find(Claim.SEALED, "the file has two starts")
            return
        self.bundle.start = record
        self._keys = KeyEpochLedger()
        self._rounds = RoundLedger(self.bundle, record.lab, self._keys, self._engine)

    def _take_entry(self, entry: Record) -> None:
        match entry:
            case KeyEpochBegun():
                self._report(self._keys.begin(self._lab, entry))
            case KeyEpochEnded():
                self._report(self._keys.end(entry))
            case TableVersionPublished():
                self._report(self._keys.publish(self._log.size - 1, entry))
            case RoundProposed():
                self._report(self._rounds.propose(entry))
            case RoundAgreed():
                self._report(self._rounds.agree(entry))
                self._require_cosigned(entry)
            case ChunkCharged(round_id):
                self._report(self._rounds.charge(entry), round_id)
            case ChunkEvaluated(round_id):
                self._report(self._rounds.answer(entry), round_id)
            case RoundClosed(round_id):
                self._report(self._rounds.close(entry), round_id)
            case RoundEnded(round_id):
                self._report(self._rounds.end(entry), round_id)
            case PeerCosigned():
                self._take_cosigned(entry)
                return
            case PeerCaught():
                self._take_caught(entry)
        self._require_in_time(getattr(entry, "at", 0))

    def _seal(self, seal: Seal) -> None:
        self._sealed = True
        start = self.bundle.start
        if start is None:
            return
        if (seal.count, seal.root) != (self._file.size, self._file.root):
            self._find(Claim.SEALED, "records are changed, left out, added or in another order")
        try:
            signatures.verify(start.lab, seal.signed(start), seal.signature)
        except MandorlaError:
            self._find(Claim.SEALED, "the seal does not have the lab's signature")

    def _take_checkpoint(self, record: CheckpointRecord) -> None:
        """Compare a checkpoint of this log with the entries before it, and verify its cosignatures."""
        start = self.bundle.start
        if start is None:
            return
        try:
            checkpoint = open_checkpoint(record.note, start.log)
        except MandorlaError as error:
            self._find(Claim.LOGGED, f"a checkpoint is not one of this log: {error.detail}")
            return
        if (checkpoint.size, checkpoint.root) != (self._log.size, self._log.root):
            fault = f"the lab signed another tree of {checkpoint.size} entries than this file has"
            self._find(Claim.LOGGED, fault)
            return
        self._signed_size, self._checkpoint = checkpoint.size, record
        for cosigner, cosignature in record.cosignatures:
            try:
                at = verify_cosignature(cosigner.lab, checkpoint, cosignature)
            except MandorlaError as error:
                self._find(Claim.LOGGED, f"a cosignature does not verify: {error.detail}")
                continue
            self.bundle.own_checkpoints.append(CosignedCheckpoint(start.lab, cosigner.lab, checkpoint, at))
            self._cosigned_by[cosigner.lab] = checkpoint.size
            if self._latest_entry > at + CLOCK_SKEW:
                self._find(Claim.TIMED, "an entry has a later time than a peer's cosignature on it")
            self._latest_cosigned = max(self._latest_cosigned, at)

    def _require_cosigned(self, entry: RoundAgreed) -> None:
        """Check that the peer cosigned the entries with this lab's key and table before the round."""
        with suppress(MandorlaError):
            header = RoundHeader.decode(entry.header)
            declared = self._keys.declared_at(self._lab, header)
            if declared is not None and self._cosigned_by.get(header.other(self._lab).lab, 0) <= declared:
                fault = "the round began before the peer cosigned the log with this lab's key and table"
                self._find(Claim.LOGGED, fault, header.round_id)

    def _take_stamp(self, record: TimeStampRecord) -> None:
        start = self.bundle.start
        if start is None or self._checkpoint is None:
            self._find(Claim.SEALED, "a time stamp follows no checkpoint")
            return
        checkpoint = open_checkpoint(self._checkpoint.note, start.log)
        self.bundle.stamps.append(Stamp(checkpoint, record.response, self._latest_entry))

    def _take_cosigned(self, entry: PeerCosigned) -> None:
        try:
            origin = Note.decode(entry.note).text.partition("\n")[0]
            checkpoint = open_checkpoint(entry.note, LogKey(origin, entry.peer))
            at = verify_cosignature(self._lab, checkpoint, entry.cosignature)
        except MandorlaError as error:
            self._find(Claim.LOGGED, f"a peer's checkpoint in the log does not verify: {error.detail}")
            return
        self.bundle.peer_checkpoints.append(CosignedCheckpoint(entry.peer, self._lab, checkpoint, at))
        self._require_in_time(at)

    def _take_caught(self, entry: PeerCaught) -> None:
        try:
            origin = Note.decode(entry.one).text.partition("\n")[0]
            one, _ = FraudProof(LogKey(origin, entry.peer), entry.one, entry.other).require_valid()
        except MandorlaError as error:
            self._find(Claim.LOGGED, f"the log accuses a peer of fraud without a proof: {error.detail}")
            return
        who = f"the lab {entry.peer.hex()[:8]} ({one.origin})"
        self._find(Claim.LOGGED, f"{who} signed two trees of {one.size} entries; the proof is in this file")

    def _require_in_time(self, at: int) -> None:
        """Check an entry's time against the file's time, and against the times before it."""
        if self.bundle.start is not None and at > self.bundle.start.created + CLOCK_SKEW:
            self._find(Claim.TIMED, "an entry has a later time than the file")
        if at < max(self._latest_entry, self._latest_cosigned) - CLOCK_SKEW:
            self._find(Claim.TIMED, "an entry has an earlier time than one before it")
        self._latest_entry = max(self._latest_entry, at)

    @property
    def _lab(self) -> LabId:
        return LabId(bytes(32)) if self.bundle.start is None else self.bundle.start.lab

    def _report(self, faults: Faults, round_id: bytes = b"") -> None:
        for claim, fault in faults:
            self._find(claim, fault, round_id)

    def _find(self, claim: Claim, fault: str, round_id: bytes = b"") -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(claim, self.bundle.name, bytes(round_id), fault))
