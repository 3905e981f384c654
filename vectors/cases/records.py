"""The entries of a log (SPEC 18.1) and the other records of a bundle (SPEC 17.1), field by field.

`DECODED` has all structures that labs send or store, those of `structures` included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from . import structures
from .inputs import Value
from .structures import Fields, data, domain, join, sequence, text, uint


def _epoch(value: Value) -> bytes:
    return data(join(structures.epoch(value["epoch"])))


def _at(value: Value) -> bytes:
    return uint(value["at"], 8)


def key_epoch_begun(value: Value) -> Fields:
    """SPEC 18.1."""
    return domain("log key epoch") | {
        "epoch": _epoch(value),
        "public_key": value["public_key"],
        "budget": uint(value["budget"], 8),
        "expires": uint(value["expires"], 8),
        "at": _at(value),
    }


def key_epoch_ended(value: Value) -> Fields:
    """SPEC 18.1."""
    return domain("log key destroyed") | {"epoch": _epoch(value), "at": _at(value)}


def table_version(value: Value) -> Fields:
    """SPEC 18.1."""
    return domain("log table version") | {
        "epoch": _epoch(value),
        "version": uint(value["version"], 8),
        "size": uint(value["size"], 8),
        "root": value["root"],
        "at": _at(value),
    }


def round_proposed(value: Value) -> Fields:
    """SPEC 18.1."""
    return domain("log round proposed") | {
        "header": data(value["header"]),
        "own_signature": value["own_signature"],
        "at": _at(value),
    }


def round_agreed(value: Value) -> Fields:
    """SPEC 18.1."""
    return domain("log round agreed") | {
        "header": data(value["header"]),
        "own_signature": value["own_signature"],
        "peer_signature": value["peer_signature"],
        "at": _at(value),
    }


def chunk_charged(value: Value) -> Fields:
    """SPEC 18.1."""
    return domain("log chunk charged") | {
        "round_id": value["round_id"],
        "index": uint(value["index"], 4),
        "count": uint(value["count"], 4),
        "request": value["request"],
        "at": _at(value),
    }


def chunk_evaluated(value: Value) -> Fields:
    """SPEC 18.1."""
    return domain("log chunk evaluated") | {
        "round_id": value["round_id"],
        "index": uint(value["index"], 4),
        "answer": value["answer"],
        "proof": value["proof"],
        "at": _at(value),
    }


def round_closed(value: Value) -> Fields:
    """SPEC 18.1."""
    return domain("log round closed") | {
        "round_id": value["round_id"],
        "statement": data(value["statement"]),
        "own_signature": data(value["own_signature"]),
        "peer_signature": data(value["peer_signature"]),
        "at": _at(value),
    }


def round_ended(value: Value) -> Fields:
    """SPEC 18.1."""
    return domain("log round ended") | {
        "round_id": value["round_id"],
        "state": text(value["state"]),
        "code": text(value["code"]),
        "at": _at(value),
    }


def peer_cosigned(value: Value) -> Fields:
    """SPEC 18.1."""
    return domain("log peer cosigned") | {
        "peer": value["peer"],
        "note": data(value["note"]),
        "cosignature": value["cosignature"],
    }


def peer_caught(value: Value) -> Fields:
    """SPEC 18.1."""
    return domain("log peer caught") | {
        "peer": value["peer"],
        "one_note": data(value["one"]),
        "other_note": data(value["other"]),
        "at": _at(value),
    }


def audit_bundle(value: Value) -> Fields:
    """SPEC 17.1, a file's start."""
    return domain("audit bundle") | {
        "lab": value["lab"],
        "name": text(value["name"]),
        "origin": text(value["origin"]),
        "created": uint(value["created"], 8),
        "keep_elements": uint(value["keep_elements"], 8),
    }


def audit_card(value: Value) -> Fields:
    """SPEC 17.1."""
    return domain("audit card") | {"card": text(value["card"])}


def audit_elements(value: Value) -> Fields:
    """SPEC 17.1."""
    return domain("audit elements") | {
        "round_id": value["round_id"],
        "index": uint(value["index"], 4),
        "blinded": data(value["blinded"]),
        "evaluated": data(value["evaluated"]),
    }


def audit_checkpoint(value: Value) -> Fields:
    """SPEC 17.1."""
    cosignatures = [log["lab"] + text(log["origin"]) + one for log, one in value["cosignatures"]]
    return domain("audit checkpoint") | {"note": data(value["note"]), "cosignatures": sequence(cosignatures)}


def audit_time_stamp(value: Value) -> Fields:
    """SPEC 17.1."""
    return domain("audit time stamp") | {"response": data(value["response"])}


def audit_seal(value: Value) -> Fields:
    """SPEC 17.1, as the file holds it."""
    return domain("audit seal") | {
        "count": uint(value["count"], 8),
        "root": value["root"],
        "signature": value["signature"],
    }


ENTRIES: Final[dict[str, Callable[[Value], Fields]]] = {
    "log chunk charged": chunk_charged,
    "log chunk evaluated": chunk_evaluated,
    "log key destroyed": key_epoch_ended,
    "log key epoch": key_epoch_begun,
    "log peer caught": peer_caught,
    "log peer cosigned": peer_cosigned,
    "log round agreed": round_agreed,
    "log round closed": round_closed,
    "log round ended": round_ended,
    "log round proposed": round_proposed,
    "log table version": table_version,
}

DECODED: Final[dict[str, Callable[[Value], Fields]]] = {
    "audit bundle": audit_bundle,
    "audit card": audit_card,
    "audit checkpoint": audit_checkpoint,
    "audit elements": audit_elements,
    "audit seal": audit_seal,
    "audit time stamp": audit_time_stamp,
    "close": structures.close,
    "indicator": structures.indicator,
    "key epoch": structures.epoch,
    "label": structures.label,
    "merkle frontier": structures.frontier,
    "offer": structures.offer,
    "table announcement": structures.announcement,
    "round header": structures.header,
    **ENTRIES,
}
"""The structures that are sent or kept, and so decoded, by what their domain says after the version."""
