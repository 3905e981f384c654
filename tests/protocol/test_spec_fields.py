"""SPEC 14.2 lists every field that is hashed, signed or sealed: an encoder that has only the table agrees."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from mandorla_protocol import signatures
from mandorla_protocol.audit.records import BundleStart, ChunkRecord, CloseRecord, RoundRecord, Seal
from mandorla_protocol.card import issue_card
from mandorla_protocol.engine import PortableEngine
from mandorla_protocol.epochs import epoch_keys, proof_nonce
from mandorla_protocol.group import Element, Scalar
from mandorla_protocol.group.ristretto255 import Ristretto255
from mandorla_protocol.header import Kind
from mandorla_protocol.labels import split_output
from mandorla_protocol.merkle import hash_children, hash_leaf
from mandorla_protocol.session.transcript import (
    CloseStatement,
    Outcome,
    answer_digest,
    half_digest,
    request_digest,
)
from tests.protocol.test_spec import (
    ENGINE,
    EPOCH,
    INDICATOR,
    LABEL,
    SEED,
    chunk,
    entry,
    header,
    rows,
    sealed_example,
    section,
)

CONTEXT = b"OPRFV1-\x01-ristretto255-SHA512"
PARTS = ("party", "offer", "profile")


def read_table() -> dict[str, list[tuple[str, str, str]]]:
    """Return field, encoding and reason of each field, by structure."""
    table: dict[str, list[tuple[str, str, str]]] = {}
    for structure, *field in rows(section("14.2")):
        if structure == "structure":
            continue
        if structure:
            fields = table.setdefault(structure, [])
        if field[0] != "none":
            fields.append((field[0], field[1], field[2]))
    return table


TABLE = read_table()
MADE = {row[0]: row[1:] for row in rows(section("14.1")) if row[0] != "structure"}
WITH_DOMAIN = [name for name in MADE if re.match(r"[a-z]", name) and not name.startswith("proof ")] + [
    "proof nonce"
]


def literal(field: str) -> bytes:
    """Return what a field with a quoted constant stands for."""
    name, _, rest = field.partition('"`')
    return name.lstrip('`"').encode() + (CONTEXT if rest.strip() == "context" else b"")


def write(encoding: str, field: str, value: Any) -> bytes:
    """Encode one field as the table says."""
    kind, _, number = encoding.partition("-")
    match kind:
        case "text" | "data":
            raw = value.encode() if kind == "text" else value
            return len(raw).to_bytes(int(number or 4), "big") + raw
        case "fixed":
            assert len(value) == int(number), field
            return bytes(value)
        case "uint":
            return int(value).to_bytes(int(number), "big")
        case "bytes":
            return bytes(value)
        case "byte":
            return bytes.fromhex(field.removeprefix("0x"))
        case "constant":
            return literal(field)
        case "party" | "offer" | "profile":
            return encode_fields(kind, value)
        case _:
            of = encoding.removeprefix("sequence of ")
            assert of != encoding, encoding
            return len(value).to_bytes(4, "big") + b"".join(write(of, field, one) for one in value)


def encode_fields(structure: str, values: dict[str, Any]) -> bytes:
    """Encode the fields of a structure; `values` has exactly those that are neither constant nor a DST."""
    encoded, used = b"", set()
    for field, encoding, _ in TABLE[structure]:
        if encoding == "DST":
            continue
        fixed = encoding in ("constant", "byte") or field.startswith("`")
        if not fixed:
            used.add(field)
        encoded += write(encoding, field, literal(field) if fixed else values[field])
    assert used == values.keys()
    return encoded


def encode(structure: str, values: dict[str, Any]) -> bytes:
    """Encode a structure, behind its domain if it has one."""
    domain = write("text", "domain", f"mandorla/v1 {structure}") if structure in WITH_DOMAIN else b""
    return domain + encode_fields(structure, values)


def sha256(encoded: bytes) -> bytes:
    return hashlib.sha256(encoded).digest()


def same(encoded: bytes) -> bytes:
    return encoded


def party_values(lab: bytes, certificate_hash: bytes) -> dict[str, Any]:
    offer = header().initiator.offer
    return {
        "identity": lab,
        "certificate hash": certificate_hash,
        "offer": {
            "epoch number": offer.epoch_number,
            "public key": offer.public_key,
            "budget": offer.budget,
            "cap": offer.cap,
            "table version": offer.table.version,
            "table size": offer.table.size,
            "table root": offer.table.root,
        },
    }


EPOCH_VALUES = {
    "holder": EPOCH.holder,
    "querier": EPOCH.querier,
    "collection": "infrastructure",
    "number": 1,
}
HEADER_VALUES = {
    "version": "mandorla/v1",
    "suite": "ristretto255-SHA512",
    "round id": bytes(16),
    "mode": 1,
    "kind": 2,
    "collection": "infrastructure",
    "profiles": [{"type": name, "number": number} for name, number in header().profiles],
    "initiator": party_values(EPOCH.holder, bytes([5] * 32)),
    "responder": party_values(EPOCH.querier, bytes([6] * 32)),
    "purpose": "example",
    "legal basis": "none",
    "created": 1_767_225_600,
    "expires": 1_767_229_200,
}
DIGEST = header().digest()
CHUNK = chunk()
REQUEST, ANSWER = CHUNK["request-digest"], CHUNK["answer-digest"]
TAG, SEALED = sealed_example()
OUTPUT = ENGINE.evaluate(epoch_keys(ENGINE, SEED, EPOCH), INDICATOR.token())
KEY = Ed25519PrivateKey.from_private_bytes(SEED)
CARD = issue_card(KEY, "lab-a", b"certificate", "lab-a.example:7443", "lab-a.example/log")
START = BundleStart(EPOCH.holder, "lab-a", 7)
SIGNED_ROUND = RoundRecord(b"header", bytes([1] * 64), bytes([2] * 64), 9, "committed")
SIGNED_CLOSE = CloseRecord(header().round_id, b"statement", bytes([1] * 64), b"", 11)
UNANSWERED = ChunkRecord(header().round_id, 3, 256, REQUEST, b"blinded", b"evaluated", b"proof")


def proof_nonce_of(encoded: bytes) -> bytes:
    return hmac.digest(SEED, encoded, hashlib.sha512)


def label_key_of(encoded: bytes) -> bytes:
    return HKDFExpand(algorithm=SHA512(), length=32, info=encoded).derive(OUTPUT[16:])


def opened_with(encoded: bytes) -> bytes:
    return ChaCha20Poly1305(split_output(OUTPUT)[1]).decrypt((1).to_bytes(12, "big"), SEALED, encoded)


def card_verifies(encoded: bytes) -> bytes:
    return signatures.verify(CARD.identity, encoded, CARD.signature)


Case = tuple[dict[str, Any], Callable[[bytes], bytes], bytes]
CASES: dict[str, Case] = {
    "indicator": ({"type": "ipv4", "profile": 1, "value": "198.51.100.7"}, sha256, INDICATOR.token()),
    "key epoch": (EPOCH_VALUES, same, EPOCH.encode()),
    "label key": ({}, label_key_of, split_output(OUTPUT)[1]),
    "sealed label": ({"tag": TAG, "epoch": EPOCH.encode(), "version": 1}, opened_with, LABEL.encode()),
    "proof nonce": (
        {"epoch": EPOCH.encode(), "request digest": REQUEST},
        proof_nonce_of,
        proof_nonce(SEED, EPOCH, REQUEST),
    ),
    "table leaf": (
        {"version": 1, "operation": 1, "tag": TAG, "sealed": sha256(SEALED)},
        hash_leaf,
        entry().leaf_hash(),
    ),
    "round header": (HEADER_VALUES, sha256, replace(header(), kind=Kind.WATCH).digest()),
    "chunk request": (
        {"header digest": DIGEST, "index": 5, "blinded": b"blinded"},
        sha256,
        request_digest(DIGEST, 5, b"blinded"),
    ),
    "chunk answer": (
        {"request digest": REQUEST, "evaluated": b"evaluated", "proof": b"proof"},
        sha256,
        answer_digest(REQUEST, b"evaluated", b"proof"),
    ),
    "half": (
        {"header digest": DIGEST, "querier": EPOCH.querier, "answers": [ANSWER, REQUEST]},
        sha256,
        half_digest(header(), EPOCH.querier, [ANSWER, REQUEST]),
    ),
    "close": (
        {
            "header digest": DIGEST,
            "initiator half": REQUEST,
            "responder half": ANSWER,
            "outcome": 2,
            "code": "DEADLINE",
        },
        same,
        CloseStatement(DIGEST, REQUEST, ANSWER, Outcome.ABORTED, "DEADLINE").encode(),
    ),
    "card": (
        {
            "name": "lab-a",
            "identity": CARD.identity,
            "certificate": b"certificate",
            "endpoint": "lab-a.example:7443",
            "log origin": "lab-a.example/log",
        },
        card_verifies,
        CARD.signature,
    ),
    "audit bundle": ({"lab": EPOCH.holder, "name": "lab-a", "created": 7}, same, START.encode()),
    "audit round": (
        {
            "header": b"header",
            "own signature": bytes([1] * 64),
            "peer signature": bytes([2] * 64),
            "agreed at": 9,
            "state": "committed",
        },
        same,
        SIGNED_ROUND.encode(),
    ),
    "audit chunk": (
        {
            "round id": bytes(16),
            "index": 3,
            "count": 256,
            "request": REQUEST,
            "blinded": b"blinded",
            "evaluated": b"evaluated",
            "proof": b"proof",
        },
        same,
        UNANSWERED.encode(),
    ),
    "audit close": (
        {
            "round id": bytes(16),
            "statement": b"statement",
            "own signature": bytes([1] * 64),
            "peer signature": b"",
            "at": 11,
        },
        same,
        SIGNED_CLOSE.encode(),
    ),
    "audit seal": (
        {"lab": EPOCH.holder, "created": 7, "count": 4, "root": DIGEST},
        same,
        Seal(4, DIGEST, bytes(64)).signed(START),
    ),
    "Merkle node": ({"left": DIGEST, "right": ANSWER}, sha256, hash_children(DIGEST, ANSWER)),
}


class Recorder(Ristretto255):
    """ristretto255 that keeps what it is asked to hash, and under which DST."""

    def __init__(self) -> None:
        self.hashed: list[tuple[bytes, bytes]] = []

    def hash(self, message: bytes) -> bytes:
        self.hashed.append((message, b""))
        return super().hash(message)

    def hash_to_group(self, message: bytes, dst: bytes) -> bytes:
        self.hashed.append((message, dst))
        return super().hash_to_group(message, dst)

    def hash_to_scalar(self, message: bytes, dst: bytes) -> Scalar:
        self.hashed.append((message, dst))
        return super().hash_to_scalar(message, dst)


def destination(structure: str) -> bytes:
    return b"".join(literal(field) for field, encoding, _ in TABLE[structure] if encoding == "DST")


def expected(structure: str, **values: Any) -> tuple[bytes, bytes]:
    named = {name.replace("_", " "): value for name, value in values.items()}
    return encode(structure, named), destination(structure)


@pytest.mark.parametrize("structure", CASES)
def test_the_table_alone_encodes_what_the_code_hashes_signs_and_seals(structure: str) -> None:
    values, made, result = CASES[structure]
    assert made(encode(structure, values)) == result


def test_the_table_alone_encodes_what_the_oprf_hashes() -> None:
    group = Recorder()
    engine = PortableEngine(group)
    keys = epoch_keys(engine, SEED, EPOCH)
    assert group.hashed == [expected("OPRF key", seed=SEED, info=EPOCH.encode(), counter=0)]
    group.hashed.clear()
    token = INDICATOR.token()
    output = engine.evaluate(keys, token)
    element = group.multiply(keys.secret, Ristretto255().hash_to_group(token, b"HashToGroup-" + CONTEXT))
    assert group.hashed == [
        expected("OPRF input", token=token),
        expected("OPRF output", token=token, element=element),
    ]
    assert output == hashlib.sha512(group.hashed[1][0]).digest()


@pytest.mark.parametrize("verifying", [False, True])
def test_the_table_alone_encodes_what_a_proof_hashes(verifying: bool) -> None:
    plain, group = Ristretto255(), Recorder()
    keys = epoch_keys(ENGINE, SEED, EPOCH)
    blinded = CHUNK["blinded"] + plain.generator
    nonce = bytes(range(64))
    evaluated, proof = PortableEngine(group).evaluate_and_prove(keys, blinded, nonce)
    if verifying:
        group.hashed.clear()
        PortableEngine(group).verify(keys.public, blinded, evaluated, proof)
    pairs = [(blinded[at : at + 32], evaluated[at : at + 32]) for at in (0, 32)]
    (seed, *weights), challenge = group.hashed[:-1], group.hashed[-1]
    assert seed == expected("proof seed", public_key=keys.public)
    hashed_seed = hashlib.sha512(seed[0]).digest()
    assert weights == [
        expected("proof weight", seed=hashed_seed, index=index, blinded=c, evaluated=d)
        for index, (c, d) in enumerate(pairs)
    ]
    scalars = [plain.hash_to_scalar(*weight) for weight in weights]
    m, z = (
        plain.add(*(plain.multiply(d, Element(pair[side])) for d, pair in zip(scalars, pairs, strict=True)))
        for side in (0, 1)
    )
    r = plain.random_scalar(nonce)
    t2, t3 = plain.multiply_generator(r), plain.multiply(r, m)
    assert challenge == expected("proof challenge", public_key=keys.public, M=m, Z=z, t2=t2, t3=t3)


def test_every_structure_has_its_fields_and_its_maker() -> None:
    assert MADE.keys() | set(PARTS) == TABLE.keys()
    oprf = {"OPRF input", "OPRF output", "OPRF key", "proof seed", "proof weight", "proof challenge"}
    assert CASES.keys() | oprf == MADE.keys()
    for _, function in MADE.values():
        found = re.fullmatch(r"`([a-z_.]+)\.((?:[A-Z]\w+\.)?\w+)`", function)
        assert found, function
        value: Any = importlib.import_module(f"mandorla_protocol.{found[1]}")
        for name in found[2].split("."):
            value = getattr(value, name)
        assert callable(value)


def test_every_domain_that_is_hashed_signed_keyed_or_sealed_has_its_fields() -> None:
    domains = {
        row[0].strip("`").removeprefix("mandorla/v1 "): row[2]
        for row in rows(section("14"))
        if row[0].startswith("`mandorla/v1 ")
    }
    plain = {name for name, use in domains.items() if use in ("sealed", "kept", "sent")}
    assert domains.keys() - plain == set(WITH_DOMAIN)


def test_every_field_has_a_reason() -> None:
    assert all(reason for fields in TABLE.values() for _, _, reason in fields)
    assert sum(len(fields) for fields in TABLE.values()) > 100
