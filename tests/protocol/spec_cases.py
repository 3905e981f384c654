"""An example of each structure in SPEC 14.2: its values by field, and its encoding by the code."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from mandorla_protocol import signatures
from mandorla_protocol.audit import records
from mandorla_protocol.card import issue_card
from mandorla_protocol.epochs import epoch_keys, proof_nonce
from mandorla_protocol.fingerprints.behaviour import cell_value
from mandorla_protocol.fingerprints.minhash import band_value, constant, word_hash
from mandorla_protocol.fingerprints.sentence import sentence_value
from mandorla_protocol.fingerprints.sequence import gram_value
from mandorla_protocol.fingerprints.template import run_value
from mandorla_protocol.header import RoundKind
from mandorla_protocol.labels import split_output
from mandorla_protocol.log import entries
from mandorla_protocol.log.checkpoint import Checkpoint, LogKey, cosign, sign_checkpoint
from mandorla_protocol.log.notes import SignatureType, key_id
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
    sealed_example,
)


def sha256(encoded: bytes) -> bytes:
    return hashlib.sha256(encoded).digest()


def blake2b(encoded: bytes, size: int) -> bytes:
    return hashlib.blake2b(encoded, digest_size=size).digest()


def value_of(encoded: bytes) -> str:
    return blake2b(encoded, 16).hex()


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
DATED = issue_card(KEY, "lab-a", b"certificate", "lab-a.example:7443", "lab-a.example/log", 1_800_000_000)
START = records.BundleStart(EPOCH.holder, "lab-a", "a.example/log", 7, 8)
CHECKPOINT = Checkpoint("a.example/log", 17, DIGEST)
ROOT_TEXT = base64.b64encode(DIGEST).decode("ascii")
ROUND = header().round_id
OWN, PEERS = bytes([1] * 64), bytes([2] * 64)


def proof_nonce_of(encoded: bytes) -> bytes:
    return hmac.digest(SEED, encoded, hashlib.sha512)


def label_key_of(encoded: bytes) -> bytes:
    return HKDFExpand(algorithm=SHA512(), length=32, info=encoded).derive(OUTPUT[16:])


def opened_with(encoded: bytes) -> bytes:
    return ChaCha20Poly1305(split_output(OUTPUT)[1]).decrypt((1).to_bytes(12, "big"), SEALED, encoded)


def card_verifies(encoded: bytes) -> bytes:
    return signatures.verify(CARD.identity, encoded, CARD.signature)


def dated_card_verifies(encoded: bytes) -> bytes:
    return signatures.verify(DATED.identity, encoded, DATED.signature)


Case: TypeAlias = tuple[dict[str, Any], Callable[[bytes], bytes | str], bytes | str]
"""Values by field, what is done with their encoding, and what comes out where the code does it."""

CASES: dict[str, Case] = {
    "indicator": ({"type": "ipv4", "profile": 1, "value": "198.51.100.7"}, sha256, INDICATOR.token()),
    "prompt run": ({"run": "a b c d e f"}, value_of, run_value("a b c d e f")),
    "prompt sentence": ({"sentence": "a b"}, value_of, sentence_value("a b")),
    "prompt word": ({"word": "ä"}, lambda encoded: blake2b(encoded, 4), word_hash("ä").to_bytes(4, "big")),
    "prompt constant": (
        {"name": "run", "index": 3},
        lambda encoded: blake2b(encoded, 8),
        constant("run", 3),
    ),
    "prompt band": (
        {"type": "prompt-minhash", "band": 24, "minima": [1, 2**32 - 1]},
        value_of,
        band_value("prompt-minhash", 24, bytes.fromhex("00000001ffffffff")),
    ),
    "behaviour": ({"cell": bytes(range(6))}, value_of, cell_value(range(6))),
    "request sequence": ({"steps": bytes(range(30))}, value_of, gram_value(bytes(range(30))).hex()),
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
    "round header": (HEADER_VALUES, sha256, replace(header(), kind=RoundKind.WATCH).digest()),
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
    "dated card": (
        {
            "name": "lab-a",
            "identity": DATED.identity,
            "certificate": b"certificate",
            "endpoint": "lab-a.example:7443",
            "log origin": "lab-a.example/log",
            "issued": 1_800_000_000,
        },
        dated_card_verifies,
        DATED.signature,
    ),
    "log key epoch": (
        {"epoch": EPOCH.encode(), "public key": DIGEST, "budget": 5, "expires": 6, "at": 7},
        same,
        entries.KeyEpochBegun(EPOCH, DIGEST, 5, 6, 7).encode(),
    ),
    "log key destroyed": ({"epoch": EPOCH.encode(), "at": 7}, same, entries.KeyEpochEnded(EPOCH, 7).encode()),
    "log table version": (
        {"epoch": EPOCH.encode(), "version": 2, "size": 512, "root": DIGEST, "at": 7},
        same,
        entries.TableVersionPublished(EPOCH, 2, 512, DIGEST, 7).encode(),
    ),
    "log round proposed": (
        {"header": b"header", "own signature": OWN, "at": 7},
        same,
        entries.RoundProposed(b"header", OWN, 7).encode(),
    ),
    "log round agreed": (
        {"header": b"header", "own signature": OWN, "peer signature": PEERS, "at": 7},
        same,
        entries.RoundAgreed(b"header", OWN, PEERS, 7).encode(),
    ),
    "log chunk charged": (
        {"round id": ROUND, "index": 3, "count": 256, "request": REQUEST, "at": 7},
        same,
        entries.ChunkCharged(ROUND, 3, 256, REQUEST, 7).encode(),
    ),
    "log chunk evaluated": (
        {"round id": ROUND, "index": 3, "answer": ANSWER, "proof": OWN, "at": 7},
        same,
        entries.ChunkEvaluated(ROUND, 3, ANSWER, OWN, 7).encode(),
    ),
    "log round closed": (
        {"round id": ROUND, "statement": b"end", "own signature": OWN, "peer signature": b"", "at": 7},
        same,
        entries.RoundClosed(ROUND, b"end", OWN, b"", 7).encode(),
    ),
    "log round ended": (
        {"round id": ROUND, "state": "aborted", "code": "DEADLINE", "at": 7},
        same,
        entries.RoundEnded(ROUND, "aborted", "DEADLINE", 7).encode(),
    ),
    "log peer cosigned": (
        {"peer": EPOCH.querier, "note": b"note", "cosignature": bytes([3] * 72)},
        same,
        entries.PeerCosigned(EPOCH.querier, b"note", bytes([3] * 72)).encode(),
    ),
    "log peer caught": (
        {"peer": EPOCH.querier, "one note": b"one", "other note": b"two", "at": 7},
        same,
        entries.PeerCaught(EPOCH.querier, b"one", b"two", 7).encode(),
    ),
    "audit bundle": (
        {"lab": EPOCH.holder, "name": "lab-a", "origin": "a.example/log", "created": 7, "keep": 8},
        same,
        START.encode(),
    ),
    "audit card": ({"card": "{}"}, same, records.CardRecord("{}").encode()),
    "audit elements": (
        {"round id": ROUND, "index": 3, "blinded": b"blinded", "evaluated": b"evaluated"},
        same,
        records.ElementsRecord(ROUND, 3, b"blinded", b"evaluated").encode(),
    ),
    "audit checkpoint": (
        {
            "note": b"note",
            "cosignatures": [
                {"identity": EPOCH.querier, "origin": "b.example/log", "cosignature": bytes([3] * 72)}
            ],
        },
        same,
        records.CheckpointRecord(
            b"note", ((LogKey("b.example/log", EPOCH.querier), bytes([3] * 72)),)
        ).encode(),
    ),
    "audit time stamp": ({"response": b"stamp"}, same, records.TimeStampRecord(b"stamp").encode()),
    "audit seal": (
        {"lab": EPOCH.holder, "created": 7, "count": 4, "root": DIGEST},
        same,
        records.Seal(4, DIGEST, bytes(64)).signed(START),
    ),
    "checkpoint": (
        {"origin": "a.example/log", "size in decimal": "17", "root in base64": ROOT_TEXT},
        KEY.sign,
        base64.b64decode(sign_checkpoint(KEY, CHECKPOINT).split()[-1])[4:],
    ),
    "cosignature": (
        {"time in decimal": "1767225600", "checkpoint": CHECKPOINT.text().encode()},
        KEY.sign,
        cosign(KEY, CHECKPOINT, 1_767_225_600)[8:],
    ),
    "key id": (
        {"name": "a.example/log", "type": 4, "key": EPOCH.holder},
        lambda encoded: sha256(encoded)[:4],
        key_id("a.example/log", SignatureType.COSIGNATURE, EPOCH.holder),
    ),
    "Merkle node": ({"left": DIGEST, "right": ANSWER}, sha256, hash_children(DIGEST, ANSWER)),
}
