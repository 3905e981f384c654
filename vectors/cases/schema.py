"""The JSON Schema of the files, from one table of operations.

An input may have any length, because a wrong length is a fault. An output has the length that SPEC fixes.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from .records import DECODED

Schema: TypeAlias = dict[str, Any]

HEX: Final[Schema] = {"$ref": "#/$defs/hex"}
TEXT: Final[Schema] = {"type": "string"}
INTEGER: Final[Schema] = {"type": "integer", "minimum": 0}
STRUCTURE: Final[Schema] = {"enum": sorted(DECODED)}
CHECKPOINT: Final[Schema] = {"$ref": "#/$defs/checkpoint"}
COMMITMENT: Final[Schema] = {"$ref": "#/$defs/commitment"}
EPOCH: Final[Schema] = {"$ref": "#/$defs/epoch"}
LABEL: Final[Schema] = {"$ref": "#/$defs/label"}
CLOSE: Final[Schema] = {"$ref": "#/$defs/close"}
HEADER: Final[Schema] = {"$ref": "#/$defs/header"}
ENTRY: Final[Schema] = {"$ref": "#/$defs/entry"}
VALUE: Final[Schema] = {"type": "object"}


def octets(size: int) -> Schema:
    """Describe exactly `size` bytes."""
    return {"$ref": f"#/$defs/hex-of-{size}"}


def each(items: Schema) -> Schema:
    """Describe an array."""
    return {"type": "array", "items": items}


def named(values: Schema) -> Schema:
    """Describe an object whose members have any names."""
    return {"type": "object", "additionalProperties": values}


def members(**properties: Schema) -> Schema:
    """Describe an object that has exactly these members."""
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


FIELD: Final[Schema] = {
    "oneOf": [
        members(type={"const": kind}, **size)
        | {"properties": {"type": {"const": kind}, **size, "value": value}}
        for kind, size, value in (
            ("uint", {"width": INTEGER}, {"type": "integer"}),
            ("fixed", {"size": INTEGER}, HEX),
            ("data", {"max_length": INTEGER}, HEX),
            ("text", {"max_length": INTEGER}, TEXT),
            ("sequence", {"max_count": INTEGER, "width": INTEGER}, each(INTEGER)),
        )
    ]
}

NOTHING: Final = members()
DIGEST: Final[Schema] = octets(16)
SEALED: Final = {"key": HEX, "tag": HEX, "epoch": EPOCH, "version": INTEGER}
STATE: Final = members(size=INTEGER, root=HEX)
PLACE: Final = {"index": INTEGER, "size": INTEGER, "root": HEX, "proof": each(HEX)}
BATCH: Final = {"public_key": HEX, "blinded": HEX, "evaluated": HEX, "proof": HEX}
CARD: Final = {
    "name": TEXT,
    "identity": octets(32),
    "certificate": HEX,
    "endpoint": TEXT,
    "log_origin": TEXT,
    "issued": INTEGER,
}

OPERATIONS: Final[dict[str, tuple[Schema, Schema]]] = {
    "answer-digest": (members(request=HEX, evaluated=HEX, proof=HEX), members(digest=octets(32))),
    "behaviour-values": (
        members(times=each(each(INTEGER)), prompts=each(TEXT), sharing=INTEGER),
        members(values=each(DIGEST)),
    ),
    "blind": (members(tokens=HEX, uniform=HEX), members(blinds=HEX, blinded=HEX)),
    "check-elements": (members(elements=HEX), NOTHING),
    "check-header": (members(value=HEADER, now=INTEGER), NOTHING),
    "compare-close": (members(own=CLOSE, peer=CLOSE), NOTHING),
    "cosign": (
        members(private_key=octets(32), checkpoint=CHECKPOINT, time=INTEGER),
        members(cosignature=octets(72)),
    ),
    "decode": (members(structure=STRUCTURE, encoding=HEX), NOTHING),
    "decode-fields": (members(domain=TEXT, fields=each(FIELD), encoding=HEX), NOTHING),
    "derive-key-pair": (members(seed=HEX, info=HEX), members(secret=octets(32), public_key=octets(32))),
    "encode": (members(structure=STRUCTURE, value=VALUE), members(encoding=HEX)),
    "encode-fields": (members(domain=TEXT, fields=each(FIELD)), members(encoding=HEX)),
    "evaluate": (members(secret=HEX, tokens=HEX), members(outputs=HEX)),
    "evaluate-and-prove": (
        members(secret=HEX, public_key=HEX, blinded=HEX, nonce=HEX),
        members(evaluated=HEX, proof=octets(64)),
    ),
    "encode-step": (
        members(
            endpoint=INTEGER,
            model=INTEGER,
            tools=INTEGER,
            prompt_size=INTEGER,
            answer_size=INTEGER,
            gap={"type": "integer", "minimum": -1},
        ),
        members(step=octets(6)),
    ),
    "extend-commitment": (members(earlier=COMMITMENT, later=COMMITMENT), NOTHING),
    "half-digest": (members(header_digest=HEX, querier=HEX, answers=each(HEX)), members(digest=octets(32))),
    "header-digest": (HEADER, members(digest=octets(32))),
    "judge-checkpoint": (
        members(cosigned=each(STATE), old_size=INTEGER, checkpoint=STATE, proof=each(HEX)),
        members(answer={"enum": ["cosign", "known", "conflict"]}),
    ),
    "leaf-hash": (ENTRY, members(leaf_hash=octets(32))),
    "merkle-root": (members(leaf_hashes=each(octets(32))), members(root=octets(32), frontier=HEX)),
    "mine-templates": (
        members(prompts=each(each(TEXT)), min_accounts=INTEGER, common=each(DIGEST)),
        members(groups=named(each(DIGEST))),
    ),
    "normalise-prompt": (members(prompt=TEXT), members(text=TEXT)),
    "open": (members(sealed=HEX, **SEALED), members(label=LABEL)),
    "open-checkpoint": (
        members(note=HEX, origin=TEXT, lab=HEX),
        members(size=INTEGER, root=octets(32)),
    ),
    "parse": (
        members(type=TEXT, texts=each(TEXT)),
        members(profile=INTEGER, value=TEXT, encoding=HEX, token=octets(32)),
    ),
    "prompt-values": (
        members(type=TEXT, pieces=each({"type": "array", "prefixItems": [TEXT, INTEGER]})),
        members(values=each(DIGEST)),
    ),
    "proof-nonce": (members(seed=HEX, epoch=EPOCH, request=HEX), members(nonce=octets(64))),
    "prove-consistency": (
        members(leaf_hashes=each(octets(32)), old_size=INTEGER),
        members(proof=each(octets(32))),
    ),
    "prove-inclusion": (
        members(leaf_hashes=each(octets(32)), index=INTEGER),
        members(proof=each(octets(32))),
    ),
    "read-card": (members(card=VALUE), members(certificate_hash=octets(32), **CARD)),
    "read-card-text": (members(text=TEXT), members(certificate_hash=octets(32), **CARD)),
    "read-table": (
        members(verified=COMMITMENT, frontier=HEX, committed=COMMITMENT, pages=each(each(ENTRY))),
        NOTHING,
    ),
    "request-digest": (members(header_digest=HEX, index=INTEGER, blinded=HEX), members(digest=octets(32))),
    "seal": (members(label=LABEL, **SEALED), members(sealed=octets(272))),
    "sequence-values": (members(steps=HEX), members(values=each(DIGEST))),
    "sign": (
        members(private_key=octets(32), message=HEX),
        members(identity=octets(32), signature=octets(64)),
    ),
    "sign-checkpoint": (
        members(private_key=octets(32), origin=TEXT, size=INTEGER, root=HEX),
        members(note=HEX),
    ),
    "size-class": (members(count=INTEGER), members(size_class=INTEGER, full_chunks=INTEGER, rest=INTEGER)),
    "split-output": (members(output=HEX), members(tag=octets(16), label_key=octets(32))),
    "verify": (members(**BATCH), NOTHING),
    "verify-and-finalize": (members(tokens=HEX, blinds=HEX, **BATCH), members(outputs=HEX)),
    "verify-bundles": (members(files=named(named(HEX))), members(broken=each(TEXT))),
    "verify-consistency": (
        members(old_size=INTEGER, old_root=HEX, size=INTEGER, root=HEX, proof=each(HEX)),
        NOTHING,
    ),
    "verify-cosignature": (
        members(cosigner=HEX, checkpoint=CHECKPOINT, cosignature=HEX),
        members(time=INTEGER),
    ),
    "verify-entry": (
        members(structure=STRUCTURE, value=VALUE, **PLACE),
        NOTHING,
    ),
    "verify-fraud": (members(file=HEX), members(origin=TEXT, size=INTEGER)),
    "verify-inclusion": (members(leaf_hash=HEX, **PLACE), NOTHING),
    "verify-signature": (members(identity=HEX, message=HEX, signature=HEX), NOTHING),
    "verify-structure": (
        members(structure=STRUCTURE, value=VALUE, identity=HEX, signature=HEX),
        NOTHING,
    ),
}
"""The members of each operation's input and output; vectors/README.md describes the operations."""

_OFFER: Final = members(epoch_number=INTEGER, public_key=HEX, budget=INTEGER, cap=INTEGER, table=COMMITMENT)
_PARTY: Final = members(lab=HEX, certificate_hash=HEX, offer=_OFFER)
_PROFILE: Final[Schema] = {"type": "array", "prefixItems": [TEXT, INTEGER], "minItems": 2, "maxItems": 2}

SCHEMA: Final[Schema] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Test vectors of Mandorla",
    "$defs": {
        "hex": {"type": "string", "pattern": "^([0-9a-f]{2})*$"},
        **{
            f"hex-of-{size}": {"type": "string", "pattern": f"^[0-9a-f]{{{2 * size}}}$"}
            for size in (6, 16, 32, 64, 72, 272)
        },
        "checkpoint": members(origin=TEXT, size=INTEGER, root=HEX),
        "commitment": members(version=INTEGER, size=INTEGER, root=HEX),
        "epoch": members(holder=HEX, querier=HEX, collection=TEXT, number=INTEGER),
        "label": members(
            reason=INTEGER,
            severity=INTEGER,
            confidence=INTEGER,
            first_seen=INTEGER,
            expires=INTEGER,
            tlp=INTEGER,
        ),
        "close": members(
            header_digest=HEX, initiator_half=HEX, responder_half=HEX, outcome=INTEGER, code=TEXT
        ),
        "entry": members(version=INTEGER, operation=INTEGER, tag=HEX, sealed=HEX),
        "header": members(
            round_id=HEX,
            mode=INTEGER,
            kind=INTEGER,
            collection=TEXT,
            profiles=each(_PROFILE),
            initiator=_PARTY,
            responder=_PARTY,
            purpose=TEXT,
            legal_basis=TEXT,
            created=INTEGER,
            expires=INTEGER,
        ),
    },
    **members(
        about=TEXT,
        spec=TEXT,
        cases={
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "operation", "input"],
                "properties": {
                    "name": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"},
                    "operation": {"enum": sorted(OPERATIONS)},
                    "like": {"type": "string"},
                    "input": VALUE,
                    "output": True,
                    "error": {"type": "string", "pattern": "^[A-Z]+(_[A-Z]+)*$"},
                },
                "additionalProperties": False,
                "oneOf": [{"required": ["output"]}, {"required": ["error"]}],
                "allOf": [
                    {
                        "if": {"properties": {"operation": {"const": name}}},
                        "then": {
                            "properties": {"output": output},
                            # The difference from another input is no whole input, so the schema does not
                            # check it.
                            "anyOf": [{"properties": {"input": given}}, {"required": ["like"]}],
                        },
                    }
                    for name, (given, output) in OPERATIONS.items()
                ],
            },
        },
    ),
}
