"""A lab that logs a round and writes a bundle (SPEC 17.1), honestly or with a given fault."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from .. import second_verifier as group
from . import notes, records, structures
from .example import ABORT, CREATED, EPOCH, HEADER, SECRET, A, B, Lab
from .inputs import Value, derived
from .structures import Fields, data, domain, join, uint
from .tables import root_of

SEALED_AT: Final = CREATED + 86_400
COSIGNED_AT: Final = CREATED - 300
KEPT: Final = 400 * 86_400

File: TypeAlias = dict[str, bytes]
"""The parts of a file, by place. Most parts are a record after its length."""


@dataclass(frozen=True)
class Mark:
    """The place of a checkpoint in a log: the time of the peer's cosignature, and faulty fields."""

    at: int | None = COSIGNED_AT
    origin: str = ""
    root: bytes = b""
    signer: Lab | None = None
    cosigner: Lab | None = None


Item: TypeAlias = Fields | Mark


def digest(fields: Fields) -> bytes:
    """Hash a structure."""
    return hashlib.sha256(join(fields)).digest()


def leaf(fields: Fields) -> bytes:
    """Hash an entry or a record as a leaf."""
    return hashlib.sha256(b"\x00" + join(fields)).digest()


def _is_entry(fields: Fields) -> bool:
    return fields["domain"][4:].startswith(b"mandorla/v1 log ")


class Recorder:
    """A lab's records of rounds that lab A initiated."""

    def __init__(self, lab: Lab, created: int = SEALED_AT, **start: object) -> None:
        self.lab = lab
        self.peer = B if lab is A else A
        self.created = created
        value = {"lab": lab.identity, "name": lab.name, "origin": lab.origin, "created": created}
        self.start = records.audit_bundle(value | {"keep_elements": KEPT} | start)

    # Entries.

    def begun(self, at: int = CREATED - 600, **change: object) -> Fields:
        """Return the entry: the key epoch of the example began."""
        party = HEADER["initiator" if self.lab is A else "responder"]
        offer = {name: party["offer"][name] for name in ("public_key", "budget")}
        value = {"epoch": self.lab.epoch(self.peer), "expires": CREATED + 30 * 86_400, "at": at}
        return records.key_epoch_begun(value | offer | change)

    def published(self, at: int = CREATED - 600, epoch: Value | None = None, **change: object) -> Fields:
        """Return the entry: the lab published the table of the example."""
        table = HEADER["initiator" if self.lab is A else "responder"]["offer"]["table"]
        return records.table_version(table | {"epoch": epoch or self.lab.epoch(self.peer), "at": at} | change)

    def cosigned(self, at: int = COSIGNED_AT, signer: Lab | None = None) -> Fields:
        """Return the entry: the lab cosigned its peer's log before the round."""
        other = Recorder(self.peer)
        state = notes.state(self.peer, [leaf(other.begun()), leaf(other.published())])
        cosignature = notes.cosignature(signer or self.lab, state, at)
        note = notes.signed_by(self.peer, state)
        return records.peer_cosigned({"peer": self.peer.identity, "note": note, "cosignature": cosignature})

    def before(self) -> list[Item]:
        """Return the entries before a round:

        key, table, the peer's cosignature, and the peer's checkpoint.
        """
        return [self.begun(), self.published(), Mark(), self.cosigned()]

    def proposed(self, header: Value = HEADER, at: int = CREATED) -> Fields:
        """Return the entry: the lab signed a header."""
        encoded = join(structures.header(header))
        return records.round_proposed({"header": encoded, "own_signature": self.lab.sign(encoded), "at": at})

    def agreed(self, header: Value = HEADER, at: int = CREATED + 1) -> Fields:
        """Return the entry: both labs signed a header."""
        encoded = join(structures.header(header))
        return records.round_agreed(
            {
                "header": encoded,
                "own_signature": self.lab.sign(encoded),
                "peer_signature": self.peer.sign(encoded),
                "at": at,
            }
        )

    def aborted(self, header: Value = HEADER, at: int = CREATED + 200) -> Fields:
        """Return the entry: lab B aborted the round, with its signature only."""
        statement = join(structures.close(ABORT | {"header_digest": digest(structures.header(header))}))
        own, peer = (b"", B.sign(statement)) if self.lab is A else (B.sign(statement), b"")
        return self.closed(statement, own, peer, header, at)

    def committed(self, chunks: Sequence[Value] = ()) -> Fields:
        """Return the entry: both labs committed a round in which lab B answered these chunks."""
        statement = join(structures.close(commit(chunks)))
        return self.closed(statement, self.lab.sign(statement), self.peer.sign(statement))

    def closed(
        self, statement: bytes, own: bytes, peer: bytes, header: Value = HEADER, at: int = CREATED + 200
    ) -> Fields:
        """Return the entry: a statement that closes the round was signed."""
        return records.round_closed(
            {
                "round_id": header["round_id"],
                "statement": statement,
                "own_signature": own,
                "peer_signature": peer,
                "at": at,
            }
        )

    def ended(self, state: str = "aborted", header: Value = HEADER, at: int = CREATED + 200) -> Fields:
        """Return the entry: the round ended in a state."""
        code = "BAD_PROOF" if state == "aborted" else ""
        return records.round_ended({"round_id": header["round_id"], "state": state, "code": code, "at": at})

    # Files.

    def records(self, *items: Item) -> list[Fields]:
        """Return the records of a file, with a checkpoint of the whole log at the end."""
        found, leaves = [self.start], list[bytes]()
        for item in (*items, Mark(None)):
            if isinstance(item, Mark):
                found.append(self._checkpoint(item, leaves))
                continue
            found.append(item)
            if _is_entry(item):
                leaves.append(leaf(item))
        return found

    def _checkpoint(self, mark: Mark, leaves: Sequence[bytes]) -> Fields:
        state = notes.state(self.lab, leaves)
        state |= {name: one for name in ("origin", "root") if (one := getattr(mark, name))}
        text = join(notes.checkpoint(state))
        log_line = notes.log_line(self.lab, text)
        if mark.signer is not None:
            identifier = notes.key_id(notes.key_id_fields(state["origin"], notes.LOG, self.lab.identity))
            log_line = notes.line(state["origin"], identifier, mark.signer.sign(text))
        cosignatures = []
        if mark.at is not None:
            log = {"lab": self.peer.identity, "origin": self.peer.origin}
            cosignature = notes.cosignature(mark.cosigner or self.peer, state, mark.at)
            cosignatures.append((log, cosignature))
        note = notes.note_of(text.decode(), log_line)
        return records.audit_checkpoint({"note": note, "cosignatures": cosignatures})

    def file(self, *items: Item) -> File:
        """Return a file with a start, a log and a seal."""
        whole = self.records(*items)
        return file_of(*whole, self.seal(whole))

    def seal(self, whole: Sequence[Fields], signer: Lab | None = None) -> Fields:
        """Return the seal of the given records, the start included."""
        signature = (signer or self.lab).sign(join(self.sealed(whole)))
        root = root_of([leaf(record) for record in whole])
        return records.audit_seal({"count": len(whole), "root": root, "signature": signature})

    def sealed(self, whole: Sequence[Fields]) -> Fields:
        """Return the bytes that the seal's signature covers."""
        return domain("audit seal") | {
            "lab": self.lab.identity,
            "created": uint(self.created, 8),
            "count": uint(len(whole), 8),
            "root": root_of([leaf(record) for record in whole]),
        }


def file_of(*whole: Fields) -> File:
    """Return the file of records."""
    return {str(place): data(join(record)) for place, record in enumerate(whole)}


def chunk(blinded: bytes, header: Value = HEADER, index: int = 0) -> Value:
    """Answer a chunk as lab B; return all fields that its records need."""
    request: Value = {
        "header_digest": digest(structures.header(header)),
        "index": index,
        "blinded": blinded,
    }
    asked = digest(structures.chunk_request(request))
    message = join(structures.proof_nonce({"epoch": EPOCH, "request": asked}))
    nonce = hmac.digest(B.epoch_seed, message, "sha512")
    public_key = header["responder"]["offer"]["public_key"]
    evaluated, proof = group.evaluate_and_prove(SECRET, public_key, blinded, nonce)
    found = {"round_id": header["round_id"], "index": index, "count": len(blinded) // 32}
    found |= {"request": asked, "blinded": blinded, "evaluated": evaluated, "proof": proof}
    return answered(found)


def answered(one: Value) -> Value:
    """Return a chunk with the digest of its answer, which may be faulty."""
    return one | {"answer": digest(structures.chunk_answer(one))}


def charged(one: Value, at: int = CREATED + 2) -> Fields:
    """Return the entry: the chunk was charged."""
    return records.chunk_charged(one | {"at": at})


def logged(one: Value, at: int = CREATED + 2) -> list[Fields]:
    """Return all records of a chunk in a bundle."""
    evaluated = records.chunk_evaluated(one | {"at": at})
    return [charged(one, at), evaluated, records.audit_elements(one)]


def unanswered(count: int, header: Value = HEADER) -> Fields:
    """Return the entry of a chunk that was charged and, after a crash, never answered."""
    value = {"round_id": header["round_id"], "index": 0, "count": count}
    return charged(value | {"request": derived("unanswered request", 32)})


def commit(chunks: Sequence[Value]) -> Value:
    """Return the statement that commits the round after these chunks."""
    header = digest(structures.header(HEADER))
    half: Value = {
        "header_digest": header,
        "querier": A.identity,
        "answers": [one["answer"] for one in chunks],
    }
    return {
        "header_digest": header,
        "initiator_half": digest(structures.half(half)),
        "responder_half": derived("responder half", 32),
        "outcome": 1,
        "code": "",
    }
