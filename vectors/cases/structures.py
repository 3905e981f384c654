"""The structures of SPEC as encoded fields, by name and in order, from the text of SPEC alone.

The fields stay separate, so that a vector can leave out or alter one, as a faulty encoder does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeAlias

from .inputs import Value, flip

Fields: TypeAlias = dict[str, bytes]
"""The encodings of a structure's fields, in the order in which they stand."""


def uint(value: int, width: int) -> bytes:
    """Encode an unsigned integer (SPEC 3.1)."""
    return value.to_bytes(width, "big")


def data(value: bytes) -> bytes:
    """Encode a byte string after its length (SPEC 3.1)."""
    return uint(len(value), 4) + value


def text(value: str) -> bytes:
    """Encode a text (SPEC 3.1)."""
    return data(value.encode())


def sequence(values: Sequence[bytes]) -> bytes:
    """Encode a sequence of encoded values (SPEC 3.1)."""
    return uint(len(values), 4) + b"".join(values)


def join(fields: Fields) -> bytes:
    """Return the encoding of a structure."""
    return b"".join(fields.values())


def left_out(fields: Fields, name: str) -> Fields:
    """Return the fields without one."""
    return {other: value for other, value in fields.items() if other != name}


def changed(fields: Fields, name: str) -> Fields:
    """Return the fields with the lowest bit of one changed."""
    return fields | {name: flip(fields[name])}


def faults(fields: Fields) -> dict[str, Fields]:
    """Return the encodings of faulty encoders that leave out or alter one field, by name."""
    made: dict[str, Fields] = {}
    for name in fields:
        made[f"without-{name}"] = left_out(fields, name)
        made[f"altered-{name}"] = changed(fields, name)
    return made


def domain(name: str) -> Fields:
    """Return the first field of a structure, its domain."""
    return {"domain": text(f"mandorla/v1 {name}")}


def indicator(value: Value) -> Fields:
    """SPEC A.1."""
    return domain("indicator") | {
        "type": text(value["type"]),
        "profile": uint(value["profile"], 2),
        "value": text(value["value"]),
    }


def epoch(value: Value) -> Fields:
    """SPEC 5.2."""
    return domain("key epoch") | {
        "holder": value["holder"],
        "querier": value["querier"],
        "collection": text(value["collection"]),
        "number": uint(value["number"], 4),
    }


def proof_nonce(value: Value) -> Fields:
    """SPEC 5.4."""
    return domain("proof nonce") | {"epoch": data(join(epoch(value["epoch"]))), "request": value["request"]}


def label(value: Value) -> Fields:
    """SPEC 6.3, padding included."""
    fields = domain("label") | {
        "reason": uint(value["reason"], 1),
        "severity": uint(value["severity"], 1),
        "confidence": uint(value["confidence"], 1),
        "first_seen": uint(value["first_seen"], 8),
        "expires": uint(value["expires"], 8),
        "tlp": uint(value["tlp"], 1),
    }
    return fields | {"padding": bytes(256 - len(join(fields)))}


def sealed_label(value: Value) -> Fields:
    """SPEC 6.4."""
    return domain("sealed label") | {
        "tag": value["tag"],
        "epoch": data(join(epoch(value["epoch"]))),
        "version": uint(value["version"], 8),
    }


def table_leaf(value: Value) -> Fields:
    """SPEC 7.2."""
    return domain("table leaf") | {
        "version": uint(value["version"], 8),
        "operation": uint(value["operation"], 1),
        "tag": value["tag"],
        "sealed": hashlib.sha256(value["sealed"]).digest(),
    }


def frontier(value: Value) -> Fields:
    """SPEC 7.2."""
    return domain("merkle frontier") | {
        "size": uint(value["size"], 8),
        "subtrees": sequence(value["subtrees"]),
    }


def _offer(value: Value, before: str = "") -> Fields:
    table = value["table"]
    return {
        f"{before}epoch_number": uint(value["epoch_number"], 4),
        f"{before}public_key": value["public_key"],
        f"{before}budget": uint(value["budget"], 8),
        f"{before}cap": uint(value["cap"], 8),
        f"{before}table.version": uint(table["version"], 8),
        f"{before}table.size": uint(table["size"], 8),
        f"{before}table.root": table["root"],
    }


def offer(value: Value) -> Fields:
    """SPEC 9.2."""
    return domain("offer") | _offer(value)


def header(value: Value) -> Fields:
    """SPEC 9.3."""
    fields = domain("round header") | {
        "version": text("mandorla/v1"),
        "suite": text("ristretto255-SHA512"),
        "round_id": value["round_id"],
        "mode": uint(value["mode"], 1),
        "kind": uint(value["kind"], 1),
        "collection": text(value["collection"]),
        "profiles": sequence([text(name) + uint(number, 2) for name, number in value["profiles"]]),
    }
    for party in ("initiator", "responder"):
        fields[f"{party}.lab"] = value[party]["lab"]
        fields[f"{party}.certificate_hash"] = value[party]["certificate_hash"]
        fields |= _offer(value[party]["offer"], f"{party}.offer.")
    return fields | {
        "purpose": text(value["purpose"]),
        "legal_basis": text(value["legal_basis"]),
        "created": uint(value["created"], 8),
        "expires": uint(value["expires"], 8),
    }


def chunk_request(value: Value) -> Fields:
    """SPEC 9.6."""
    return domain("chunk request") | {
        "header_digest": value["header_digest"],
        "index": uint(value["index"], 4),
        "blinded": data(value["blinded"]),
    }


def chunk_answer(value: Value) -> Fields:
    """SPEC 9.6."""
    return domain("chunk answer") | {
        "request": value["request"],
        "evaluated": data(value["evaluated"]),
        "proof": data(value["proof"]),
    }


def half(value: Value) -> Fields:
    """SPEC 9.6."""
    return domain("half") | {
        "header_digest": value["header_digest"],
        "querier": value["querier"],
        "answers": sequence(value["answers"]),
    }


def close(value: Value) -> Fields:
    """SPEC 9.7."""
    return domain("close") | {
        "header_digest": value["header_digest"],
        "initiator_half": value["initiator_half"],
        "responder_half": value["responder_half"],
        "outcome": uint(value["outcome"], 1),
        "code": text(value["code"]),
    }


def announcement(value: Value) -> Fields:
    """SPEC 19.2."""
    table = value["table"]
    return domain("table announcement") | {
        "header_digest": value["header_digest"],
        "table.version": uint(table["version"], 8),
        "table.size": uint(table["size"], 8),
        "table.root": table["root"],
    }


def card(value: Value) -> Fields:
    """SPEC 9.1: the structure that a card's signature covers."""
    fields = domain("dated card" if value["issued"] else "card") | {
        "name": text(value["name"]),
        "identity": value["identity"],
        "certificate": data(value["certificate"]),
        "endpoint": text(value["endpoint"]),
        "log_origin": text(value["log_origin"]),
    }
    return fields | {"issued": uint(value["issued"], 8)} if value["issued"] else fields
