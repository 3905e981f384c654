"""One value of each structure, for the vectors of encodings and of logs."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from . import structures
from .example import BLINDED, CLOSE, CREATED, EPOCH, EVALUATED, HEADER, LABEL, PROOF, A, B, Lab
from .example import REQUEST_DIGEST as REQUEST
from .inputs import Value, derived
from .notes import base64_of, cosignature, signed_by, state
from .structures import join
from .tables import entry, frontier_of, leaf_hash

OFFER: Final = HEADER["responder"]["offer"]

# No check reads the header or the notes in these entries, so they are short.
ENCODED: Final = derived("header", 40)
STATEMENT: Final = derived("statement", 40)
_ANSWER: Final[Value] = {"request": REQUEST, "evaluated": EVALUATED, "proof": PROOF}
ANSWER: Final = hashlib.sha256(join(structures.chunk_answer(_ANSWER))).digest()

CHECKPOINT: Final = state(A, [derived(f"leaf {number}", 32) for number in range(7)])
"""A state of lab A's log."""

COSIGNED_AT: Final = CREATED - 300


def card_of(lab: Lab) -> dict[str, Any]:
    """Return the fields of a lab's card."""
    return {
        "name": lab.name,
        "identity": lab.identity,
        "certificate": lab.certificate,
        "endpoint": f"node.{lab.name}.example:7443",
        "log_origin": lab.origin,
        "issued": 0,
    }


def card_members(value: Value, signature: bytes) -> dict[str, Any]:
    """Return the members of a card's JSON; those of a dated card if the value has a time of issue."""
    written = {name: base64_of(one) if isinstance(one, bytes) else one for name, one in value.items()}
    kind = "dated card" if value["issued"] else "card"
    if not value["issued"]:
        del written["issued"]
    return {"format": f"mandorla/v1 {kind}"} | written | {"signature": base64_of(signature)}


def card_text(lab: Lab) -> str:
    """Return the text of a lab's card."""
    value = card_of(lab)
    return json.dumps(card_members(value, lab.sign(join(structures.card(value)))))


LOGGED: Final[dict[str, Value]] = {
    "log chunk charged": {
        "round_id": HEADER["round_id"],
        "index": 0,
        "count": 3,
        "request": REQUEST,
        "at": CREATED + 2,
    },
    "log chunk evaluated": {
        "round_id": HEADER["round_id"],
        "index": 0,
        "answer": ANSWER,
        "proof": PROOF,
        "at": CREATED + 2,
    },
    "log key destroyed": {"epoch": EPOCH, "at": CREATED + 86_400},
    "log key epoch": {
        "epoch": EPOCH,
        "public_key": OFFER["public_key"],
        "budget": OFFER["budget"],
        "expires": CREATED + 30 * 86_400,
        "at": CREATED - 600,
    },
    "log peer caught": {
        "peer": A.identity,
        "one": derived("one note", 40),
        "other": derived("other note", 40),
        "at": CREATED,
    },
    "log peer cosigned": {
        "peer": A.identity,
        "note": signed_by(A, CHECKPOINT),
        "cosignature": cosignature(B, CHECKPOINT, COSIGNED_AT),
    },
    "log round agreed": {
        "header": ENCODED,
        "own_signature": B.sign(ENCODED),
        "peer_signature": A.sign(ENCODED),
        "at": CREATED + 1,
    },
    "log round closed": {
        "round_id": HEADER["round_id"],
        "statement": STATEMENT,
        "own_signature": B.sign(STATEMENT),
        "peer_signature": b"",
        "at": CREATED + 600,
    },
    "log round ended": {
        "round_id": HEADER["round_id"],
        "state": "aborted",
        "code": "BAD_PROOF",
        "at": CREATED + 600,
    },
    "log round proposed": {"header": ENCODED, "own_signature": A.sign(ENCODED), "at": CREATED},
    "log table version": {"epoch": EPOCH, **OFFER["table"], "at": CREATED - 600},
}
"""One of every entry of a log: of lab B's, but for the proposal, which lab A made."""

VALUES: Final[dict[str, Value]] = {
    "audit bundle": {
        "lab": B.identity,
        "name": B.name,
        "origin": B.origin,
        "created": CREATED,
        "keep_elements": 400 * 86_400,
    },
    "audit card": {"card": card_text(A)},
    "audit checkpoint": {
        "note": signed_by(A, CHECKPOINT),
        "cosignatures": [
            [{"origin": B.origin, "lab": B.identity}, cosignature(B, CHECKPOINT, COSIGNED_AT)],
        ],
    },
    "audit elements": {
        "round_id": HEADER["round_id"],
        "index": 0,
        "blinded": BLINDED,
        "evaluated": EVALUATED,
    },
    "audit seal": {"count": 1, "root": derived("root", 32), "signature": derived("seal", 64)},
    "audit time stamp": {"response": derived("time stamp", 40)},
    "close": CLOSE,
    "indicator": {"type": "ipv4", "profile": 1, "value": "198.51.100.7"},
    "key epoch": EPOCH,
    "label": LABEL,
    "merkle frontier": frontier_of([leaf_hash(entry(number)) for number in range(7)]),
    "offer": OFFER,
    "round header": HEADER,
    "table announcement": {
        "header_digest": hashlib.sha256(join(structures.header(HEADER))).digest(),
        "table": OFFER["table"],
    },
    **LOGGED,
}
"""One value of every structure that is decoded."""
