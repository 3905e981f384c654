"""Vectors of audit bundles (SPEC 17): what lab B keeps of a round in which lab A asked."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from .. import second_verifier as group
from . import structures
from .example import ABORT, BLINDED, CREATED, EPOCH, HEADER, PUBLIC_KEY, SECRET, A, B, Lab
from .inputs import Case, Value, bad, derived, good, slug
from .structures import Fields, changed, data, domain, faults, join, uint
from .tables import root_of

ABOUT: Final = "Audit bundles: one that holds, and one for each claim that does not"
SPEC: Final = "17"

SEALED: Final = "The file is whole, and is what the lab sealed."
AGREED: Final = "Both labs signed every round before it began."
BOUNDED: Final = "Every round stayed within what its header allows."
PROVED: Final = "Every evaluation used the key that the header names."
RECORDED: Final = "What the labs signed at the end is what was exchanged."
BUDGETED: Final = "No querier had more evaluations than its budget."
TABLED: Final = "No tag table was taken back or rewritten."
KEYED: Final = "Each key epoch has one key, and none comes back."
TIMED: Final = "Times are in order."
CONSISTENT: Final = "The labs' records do not contradict each other."

SEALED_AT: Final = CREATED + 86_400

Records: TypeAlias = list[Fields]
File: TypeAlias = dict[str, bytes]
"""A file in parts, by their place: most are a record behind its length."""


class Recorder:
    """A lab's records of the rounds of this example, in all of which lab A asked first."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.peer = B if lab is A else A
        value = {"lab": lab.identity, "name": lab.name, "created": SEALED_AT}
        self.start = structures.audit_bundle(value)

    def agreed(self, header: Value = HEADER, state: str = "aborted", at: int = CREATED + 1) -> Fields:
        """Return the record of a round."""
        encoded = join(structures.header(header))
        own, peer = self.lab.sign(encoded), self.peer.sign(encoded)
        return structures.audit_round(
            {
                "header": encoded,
                "own_signature": own,
                "peer_signature": peer,
                "agreed_at": at,
                "state": state,
            }
        )

    def aborted(self, header: Value = HEADER, at: int = CREATED + 600) -> Fields:
        """Return the record of lab B's abort, which nobody countersigns."""
        statement = join(structures.close(ABORT | {"header_digest": _digest(structures.header(header))}))
        own, peer = (b"", B.sign(statement)) if self.lab is A else (B.sign(statement), b"")
        return _close(header, statement, own, peer, at)

    def committed(self, chunks: Sequence[Value] = ()) -> Fields:
        """Return the record of the commit of a round in which lab B answered these chunks."""
        statement = join(structures.close(commit(chunks)))
        return _close(HEADER, statement, self.lab.sign(statement), self.peer.sign(statement), CREATED + 600)

    def seal(self, records: Records, signer: Lab | None = None) -> Fields:
        """Return the record that seals others, the start among them."""
        signature = (signer or self.lab).sign(join(self.sealed(records)))
        count, root = len(records), _root(records)
        return structures.audit_seal({"count": count, "root": root, "signature": signature})

    def sealed(self, records: Records) -> Fields:
        """Return what the seal's signature is on."""
        return domain("audit seal") | {
            "lab": self.lab.identity,
            "created": uint(SEALED_AT, 8),
            "count": uint(len(records), 8),
            "root": _root(records),
        }

    def file(self, *records: Fields) -> File:
        """Return the file of a start, records and their seal."""
        whole = [self.start, *records]
        return file_of(*whole, self.seal(whole))


def _root(records: Records) -> bytes:
    return root_of([hashlib.sha256(b"\x00" + join(record)).digest() for record in records])


def _digest(fields: Fields) -> bytes:
    return hashlib.sha256(join(fields)).digest()


def _close(header: Value, statement: bytes, own: bytes, peer: bytes, at: int) -> Fields:
    return structures.audit_close(
        {
            "round_id": header["round_id"],
            "statement": statement,
            "own_signature": own,
            "peer_signature": peer,
            "at": at,
        }
    )


def file_of(*records: Fields) -> File:
    """Frame records as a file."""
    return {str(place): data(join(record)) for place, record in enumerate(records)}


def chunk(blinded: bytes, header: Value = HEADER) -> Value:
    """Return what lab B records of a chunk that it answered."""
    request: Value = {"header_digest": _digest(structures.header(header)), "index": 0, "blinded": blinded}
    digest = _digest(structures.chunk_request(request))
    message = join(structures.proof_nonce({"epoch": EPOCH, "request": digest}))
    nonce = hmac.digest(B.epoch_seed, message, "sha512")
    evaluated, proof = group.evaluate_and_prove(SECRET, PUBLIC_KEY, blinded, nonce)
    return {
        "round_id": header["round_id"],
        "index": 0,
        "count": len(blinded) // 32,
        "request": digest,
        "blinded": blinded,
        "evaluated": evaluated,
        "proof": proof,
    }


def unanswered(count: int, header: Value) -> Fields:
    """Return the record of a chunk that was charged and, by a crash, never answered."""
    return structures.audit_chunk(
        {
            "round_id": header["round_id"],
            "index": 0,
            "count": count,
            "request": derived("unanswered request", 32),
            "blinded": b"",
            "evaluated": b"",
            "proof": b"",
        }
    )


def commit(chunks: Sequence[Value]) -> Value:
    """Return the statement that commits the round after these chunks."""
    digest = _digest(structures.header(HEADER))
    answers = [_digest(structures.chunk_answer(one)) for one in chunks]
    half: Value = {"header_digest": digest, "querier": A.identity, "answers": answers}
    return {
        "header_digest": digest,
        "initiator_half": _digest(structures.half(half)),
        "responder_half": derived("responder half", 32),
        "outcome": 1,
        "code": "",
    }


OURS: Final = Recorder(B)
THEIRS: Final = Recorder(A)
ENDED: Final = (OURS.agreed(), OURS.aborted())


def cases() -> Iterator[Case]:
    """Yield all vectors of bundles."""
    yield _verdict("bundle-aborted", [OURS.file(*ENDED)])
    yield _verdict("bundle-empty", [OURS.file()])
    uniform = (derived(f"element {number}", 32) for number in range(256))
    whole = chunk(b"".join(group.encode(group.hash_to_group(one)) for one in uniform))
    records = (OURS.agreed(state="committed"), structures.audit_chunk(whole), OURS.committed([whole]))
    yield _verdict("bundle-committed", [OURS.file(*records)])
    yield _verdict(
        "bundles-of-both-labs", [OURS.file(*ENDED), THEIRS.file(THEIRS.agreed(), THEIRS.aborted())]
    )
    yield from _unsealed()
    yield from _rounds()
    yield from _chunks()
    yield from _successions()
    yield from _contradictions()
    file = OURS.file()
    for name, wrong in (
        ("cut-off-in-a-record", file | {"1": file["1"][:-1]}),
        ("cut-off-in-a-length", file | {"2": bytes(2)}),
        ("record-of-length-zero", file | {"2": bytes(4)}),
        ("record-over-1052672-bytes", file | {"2": (1_052_673).to_bytes(4, "big")}),
        ("text", {"0": b"mandorla/v1 audit bundle"}),
    ):
        yield bad(f"bundle-{name}", "verify-bundles", _named([wrong]), "BAD_FILE")


def _named(files: list[File]) -> Value:
    return {"files": {f"file-{place}": file for place, file in enumerate(files, 1)}}


def _verdict(name: str, files: list[File], *broken: str) -> Case:
    """Make the vector of files, and of the claims that do not hold, in the order of SPEC 17.2."""
    return good(name, "verify-bundles", _named(files), {"broken": list(broken)})


def _unsealed() -> Iterator[Case]:
    records = [OURS.start, *ENDED]
    longer = [OURS.start, ENDED[0], ENDED[1] | {"trailing": b"\x00"}]
    twice = [OURS.start, OURS.start, *ENDED]
    seal = OURS.seal(records)
    for name, file in (
        ("without-seal", file_of(*records)),
        ("without-the-sealed-records", file_of(OURS.start, seal)),
        ("seal-by-another-lab", file_of(*records, OURS.seal(records, A))),
        ("seal-root-altered", file_of(*records, changed(seal, "root"))),
        ("seal-count-altered", file_of(*records, changed(seal, "count"))),
        ("record-after-the-seal", file_of(*records, seal, OURS.start)),
        ("start-twice", file_of(*twice, OURS.seal(twice))),
    ):
        yield _verdict(f"bundle-{name}", [file], SEALED)
    for fault, fields in faults(OURS.sealed(records)).items():
        wrong = seal | {"signature": B.sign(join(fields))}
        yield _verdict(f"bundle-seal-signature-{slug(fault)}", [file_of(*records, wrong)], SEALED)
    # A record that does not parse is none, and its round's end is not known.
    yield _verdict("bundle-trailing-byte-in-a-record", [file_of(*longer, OURS.seal(longer))], SEALED)


def _rounds() -> Iterator[Case]:
    agreed, aborted = ENDED
    for field in ("own_signature", "peer_signature"):
        fault = OURS.file(changed(agreed, field), aborted)
        yield _verdict(f"bundle-header-{slug(field)}-altered", [fault], AGREED)
    yield _verdict("bundle-round-twice", [OURS.file(agreed, aborted, agreed)], AGREED)
    yield _verdict("bundle-close-of-no-round", [OURS.file(aborted)], AGREED)
    endless = HEADER | {"expires": CREATED + 8 * 86_400}
    yield _verdict("bundle-lifetime-over-seven-days", [_one(endless)], BOUNDED)
    forged = OURS.file(agreed, changed(aborted, "own_signature"))
    yield _verdict("bundle-close-signature-altered", [forged], RECORDED)
    yield _verdict("bundle-state-unknown", [OURS.file(OURS.agreed(state="won"), aborted)], RECORDED)
    unclosed = OURS.file(OURS.agreed(state="committed"))
    yield _verdict("bundle-committed-without-a-close", [unclosed], RECORDED)
    late = OURS.file(OURS.agreed(at=HEADER["expires"]), OURS.aborted(at=HEADER["expires"]))
    yield _verdict("bundle-agreed-after-expiry", [late], TIMED)
    yield _verdict("bundle-closed-before-agreed", [OURS.file(agreed, OURS.aborted(at=CREATED))], TIMED)
    edge = OURS.file(OURS.agreed(at=CREATED - 300), OURS.aborted(at=CREATED - 300))
    yield _verdict("bundle-agreed-300-seconds-early-and-closed-at-once", [edge])
    before = OURS.file(OURS.agreed(at=CREATED - 301), aborted)
    yield _verdict("bundle-agreed-301-seconds-early", [before], TIMED)
    skewed = OURS.file(agreed, OURS.aborted(at=SEALED_AT + 300))
    yield _verdict("bundle-closed-300-seconds-after-sealed", [skewed])
    future = OURS.file(agreed, OURS.aborted(at=SEALED_AT + 301))
    yield _verdict("bundle-closed-after-sealed", [future], TIMED)


def _one(header: Value) -> File:
    return OURS.file(OURS.agreed(header), OURS.aborted(header))


def _chunks() -> Iterator[Case]:
    agreed, aborted = ENDED
    true = chunk(BLINDED)
    record = structures.audit_chunk(true)
    yield _verdict("bundle-chunk-of-an-aborted-round", [OURS.file(agreed, record, aborted)])
    for name, fault in (
        ("proof-altered", changed(record, "proof")),
        ("evaluated-reordered", structures.audit_chunk(true | {"evaluated": _rotated(true["evaluated"])})),
        ("request-altered", changed(record, "request")),
        ("index-altered", structures.audit_chunk(true | {"index": 1})),
        ("blinded-missing", structures.audit_chunk(true | {"blinded": b""})),
    ):
        # Without chunk 0, chunk 1 leaves a gap.
        broken = (PROVED, RECORDED) if name == "index-altered" else (PROVED,)
        yield _verdict(f"bundle-chunk-{name}", [OURS.file(agreed, fault, aborted)], *broken)
    yield _verdict("bundle-chunk-twice", [OURS.file(agreed, record, record, aborted)], BOUNDED)
    yield _verdict("bundle-chunk-before-its-round", [OURS.file(record, agreed, aborted)], AGREED)
    yield _verdict("bundle-cap-reached", [OURS.file(agreed, unanswered(1_000, HEADER), aborted)])
    over = OURS.file(agreed, unanswered(1_001, HEADER), aborted)
    yield _verdict("bundle-cap-exceeded", [over], BOUNDED)
    unpadded = (OURS.agreed(state="committed"), record, OURS.committed([true]))
    yield _verdict("bundle-not-padded", [OURS.file(*unpadded)], BOUNDED)


def _rotated(elements: bytes) -> bytes:
    return elements[32:] + elements[:32]


def second(**change: object) -> Value:
    """Return the header of a second round a minute later, with lab B's offer changed."""
    party = HEADER["responder"] | {"offer": HEADER["responder"]["offer"] | change}
    times = {"created": CREATED + 60, "round_id": derived("second round id", 16)}
    return HEADER | times | {"responder": party}


def _two(header: Value) -> File:
    return OURS.file(*ENDED, OURS.agreed(header, at=CREATED + 61), OURS.aborted(header))


def _successions() -> Iterator[Case]:
    table = HEADER["responder"]["offer"]["table"]
    other_key = group.derive_key_pair(derived("other key", 32), b"")[1]
    yield _verdict("bundle-of-two-rounds", [_two(second())])
    yield _verdict("bundle-other-key-in-an-epoch", [_two(second(public_key=other_key))], KEYED)
    yield _verdict("bundle-epoch-comes-back", [_two(second(epoch_number=6))], KEYED)
    rewritten = table | {"root": derived("another root", 32)}
    yield _verdict("bundle-table-rewritten", [_two(second(table=rewritten))], TABLED)
    back = table | {"version": 2, "size": 512}
    yield _verdict("bundle-table-taken-back", [_two(second(table=back))], TABLED)
    later = second(budget=700, cap=700)
    for name, count, broken in (("reached", 300, ()), ("exceeded", 301, (BUDGETED,))):
        spent = OURS.file(
            ENDED[0],
            unanswered(400, HEADER),
            ENDED[1],
            OURS.agreed(later, at=CREATED + 61),
            unanswered(count, later),
            OURS.aborted(later),
        )
        yield _verdict(f"bundle-budget-{name}", [spent], *broken)


def _contradictions() -> Iterator[Case]:
    ours = OURS.file(*ENDED)
    yield _verdict("bundles-round-missing-in-one", [ours, THEIRS.file()], CONSISTENT)
    other = HEADER | {"purpose": "something else"}
    theirs = THEIRS.file(THEIRS.agreed(other), THEIRS.aborted(other))
    yield _verdict("bundles-of-two-headers", [ours, theirs], CONSISTENT)
