"""A lab that keeps a log of a round and writes it to a bundle (SPEC 17.1), honestly or as it is told."""

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
"""A file in parts, by their place: most are a record behind its length."""


@dataclass(frozen=True)
class Mark:
    """Where in a log its state is signed: when the peer cosigned it, and what is not as it should be."""

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
    """A lab's records of rounds in which lab A asked first."""

    def __init__(self, lab: Lab, created: int = SEALED_AT, **start: object) -> None:
        self.lab = lab
        self.peer = B if lab is A else A
        self.created = created
        value = {"lab": lab.identity, "name": lab.name, "origin": lab.origin, "created": created}
        self.start = records.audit_bundle(value | {"keep_elements": KEPT} | start)

    # Entries.

    def begun(self, at: int = CREATED - 600, **change: object) -> Fields:
        """The key epoch of the example began."""
        party = HEADER["initiator" if self.lab is A else "responder"]
        offer = {name: party["offer"][name] for name in ("public_key", "budget")}
        value = {"epoch": self.lab.epoch(self.peer), "expires": CREATED + 30 * 86_400, "at": at}
        return records.key_epoch_begun(value | offer | change)

    def published(self, at: int = CREATED - 600, epoch: Value | None = None, **change: object) -> Fields:
        """The table of the example was published."""
        table = HEADER["initiator" if self.lab is A else "responder"]["offer"]["table"]
        return records.table_version(table | {"epoch": epoch or self.lab.epoch(self.peer), "at": at} | change)

    def cosigned(self, at: int = COSIGNED_AT, signer: Lab | None = None) -> Fields:
        """This lab cosigned what its peer's log was before the round."""
        other = Recorder(self.peer)
        state = notes.state(self.peer, [leaf(other.begun()), leaf(other.published())])
        cosignature = notes.cosignature(signer or self.lab, state, at)
        note = notes.signed_by(self.peer, state)
        return records.peer_cosigned({"peer": self.peer.identity, "note": note, "cosignature": cosignature})

    def before(self) -> list[Item]:
        """Return what stands before a round: key and table, cosigned by the peer, and the peer's."""
        return [self.begun(), self.published(), Mark(), self.cosigned()]

    def proposed(self, header: Value = HEADER, at: int = CREATED) -> Fields:
        """This lab signed a header."""
        encoded = join(structures.header(header))
        return records.round_proposed({"header": encoded, "own_signature": self.lab.sign(encoded), "at": at})

    def agreed(self, header: Value = HEADER, at: int = CREATED + 1) -> Fields:
        """Both labs signed a header."""
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
        """Lab B aborted, which nobody countersigns."""
        statement = join(structures.close(ABORT | {"header_digest": digest(structures.header(header))}))
        own, peer = (b"", B.sign(statement)) if self.lab is A else (B.sign(statement), b"")
        return self.closed(statement, own, peer, header, at)

    def committed(self, chunks: Sequence[Value] = ()) -> Fields:
        """Both labs committed a round in which lab B answered these chunks."""
        statement = join(structures.close(commit(chunks)))
        return self.closed(statement, self.lab.sign(statement), self.peer.sign(statement))

    def closed(
        self, statement: bytes, own: bytes, peer: bytes, header: Value = HEADER, at: int = CREATED + 200
    ) -> Fields:
        """A statement was signed or taken."""
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
        """The round came to this."""
        code = "BAD_PROOF" if state == "aborted" else ""
        return records.round_ended({"round_id": header["round_id"], "state": state, "code": code, "at": at})

    # Files.

    def records(self, *items: Item) -> list[Fields]:
        """Return the records of a file: with a checkpoint of the whole log at the end."""
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
        """Return the file of a start, a log, and their seal."""
        whole = self.records(*items)
        return file_of(*whole, self.seal(whole))

    def seal(self, whole: Sequence[Fields], signer: Lab | None = None) -> Fields:
        """Return the record that seals others, the start among them."""
        signature = (signer or self.lab).sign(join(self.sealed(whole)))
        root = root_of([leaf(record) for record in whole])
        return records.audit_seal({"count": len(whole), "root": root, "signature": signature})

    def sealed(self, whole: Sequence[Fields]) -> Fields:
        """Return what the seal's signature is on."""
        return domain("audit seal") | {
            "lab": self.lab.identity,
            "created": uint(self.created, 8),
            "count": uint(len(whole), 8),
            "root": root_of([leaf(record) for record in whole]),
        }


def file_of(*whole: Fields) -> File:
    """Frame records as a file."""
    return {str(place): data(join(record)) for place, record in enumerate(whole)}


def chunk(blinded: bytes, header: Value = HEADER, index: int = 0) -> Value:
    """Answer a chunk as lab B; return all that is recorded of it."""
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
    """Return a chunk with the digest of its answer, whatever that is."""
    return one | {"answer": digest(structures.chunk_answer(one))}


def charged(one: Value, at: int = CREATED + 2) -> Fields:
    """The chunk was charged."""
    return records.chunk_charged(one | {"at": at})


def logged(one: Value, at: int = CREATED + 2) -> list[Fields]:
    """Return all that stands in a bundle of a chunk."""
    evaluated = records.chunk_evaluated(one | {"at": at})
    return [charged(one, at), evaluated, records.audit_elements(one)]


def unanswered(count: int, header: Value = HEADER) -> Fields:
    """A chunk was charged and, by a crash, never answered."""
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
