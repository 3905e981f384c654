"""The operations on logs in Mandorla's code, and the structures that vectors encode and decode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import IntEnum
from typing import Any, get_args, get_origin, get_type_hints

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mandorla_protocol.audit import records
from mandorla_protocol.epochs import Epoch
from mandorla_protocol.errors import Code, RoundError
from mandorla_protocol.header import Offer, RoundHeader
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label
from mandorla_protocol.log import checkpoint as checkpoints
from mandorla_protocol.log import proofs, witness
from mandorla_protocol.log.checkpoint import Checkpoint, LogKey
from mandorla_protocol.log.entries import LogEntry, decode_entry
from mandorla_protocol.log.fraud import FraudProof
from mandorla_protocol.merkle import Frontier, hash_leaf
from mandorla_protocol.session.announcement import Announcement
from mandorla_protocol.session.transcript import CloseStatement
from tests.support.trees import nodes

STRUCTURES: dict[str, tuple[type[Any], Callable[[bytes], Any]]] = {
    "audit bundle": (records.BundleStart, records.decode),
    "audit card": (records.CardRecord, records.decode),
    "audit checkpoint": (records.CheckpointRecord, records.decode),
    "audit elements": (records.ElementsRecord, records.decode),
    "audit seal": (records.Seal, records.decode),
    "audit time stamp": (records.TimeStampRecord, records.decode),
    "close": (CloseStatement, CloseStatement.decode),
    "indicator": (Indicator, Indicator.decode),
    "key epoch": (Epoch, Epoch.decode),
    "label": (Label, Label.decode),
    **{kind.DOMAIN.removeprefix("mandorla/v1 "): (kind, decode_entry) for kind in get_args(LogEntry)},
    "merkle frontier": (Frontier, Frontier.decode),
    "offer": (Offer, Offer.decode),
    "table announcement": (Announcement, Announcement.decode),
    "round header": (RoundHeader, RoundHeader.decode),
}


def build(kind: Any, value: Any) -> Any:
    """Return a value of a type from a vector's JSON."""
    kind = getattr(kind, "__supertype__", kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        assert value.keys() == {field.name for field in fields(kind)}
        return kind(**{name: build(hints[name], inner) for name, inner in value.items()})
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(build(one, item) for one, item in zip(kinds, value, strict=True))
    if kind is bytes:
        return bytes.fromhex(value)
    return kind(value) if issubclass(kind, IntEnum) else value


def plain(value: Any) -> Any:
    """Return a value for comparison with a vector's JSON."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.hex() if isinstance(value, bytes) else value


def _each(values: list[str]) -> list[bytes]:
    return [bytes.fromhex(value) for value in values]


def private_key(given: dict[str, str]) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(given["private_key"]))


class LogOperations:
    """Runs operations on logs, which need no engine."""

    def verify_entry(self, given):
        kind, decode = STRUCTURES[given["structure"]]
        entry = build(kind, given["value"])
        assert decode(entry.encode()) == entry
        self._verify_inclusion(hash_leaf(entry.encode()), given)

    def verify_inclusion(self, given):
        self._verify_inclusion(bytes.fromhex(given["leaf_hash"]), given)

    def _verify_inclusion(self, leaf, given):
        root, proof = bytes.fromhex(given["root"]), _each(given["proof"])
        proofs.verify_inclusion(leaf, given["index"], given["size"], root, proof)

    def verify_consistency(self, given):
        old_root, root = bytes.fromhex(given["old_root"]), bytes.fromhex(given["root"])
        proof = _each(given["proof"])
        proofs.verify_consistency(given["old_size"], old_root, given["size"], root, proof)

    def prove_consistency(self, given):
        leaves = _each(given["leaf_hashes"])
        return {"proof": proofs.prove_consistency(given["old_size"], len(leaves), nodes(leaves))}

    def prove_inclusion(self, given):
        leaves = _each(given["leaf_hashes"])
        return {"proof": proofs.prove_inclusion(given["index"], len(leaves), nodes(leaves))}

    def sign_checkpoint(self, given):
        state = {name: given[name] for name in ("origin", "size", "root")}
        return {"note": checkpoints.sign_checkpoint(private_key(given), build(Checkpoint, state))}

    def open_checkpoint(self, given):
        note, log = bytes.fromhex(given["note"]), LogKey(given["origin"], bytes.fromhex(given["lab"]))
        opened = checkpoints.open_checkpoint(note, log)
        return {"size": opened.size, "root": opened.root}

    def cosign(self, given):
        state = build(Checkpoint, given["checkpoint"])
        return {"cosignature": checkpoints.cosign(private_key(given), state, given["time"])}

    def verify_cosignature(self, given):
        cosigner, cosignature = (bytes.fromhex(given[name]) for name in ("cosigner", "cosignature"))
        state = build(Checkpoint, given["checkpoint"])
        return {"time": checkpoints.verify_cosignature(cosigner, state, cosignature)}

    def judge_checkpoint(self, given):
        seen = [build(Checkpoint, {"origin": "a", **one}) for one in given["cosigned"]]
        asked = build(Checkpoint, {"origin": "a", **given["checkpoint"]})
        latest = max(seen, key=lambda one: one.size, default=None)
        roots = {one.size: one.root for one in seen}
        judged = witness.judge(asked, given["old_size"], _each(given["proof"]), latest, roots.get)
        if isinstance(judged, witness.Fraud):
            # The code with which a node refuses the call.
            raise RoundError(Code.EQUIVOCATION)
        assert not isinstance(judged, witness.Conflict) or judged.size == (latest.size if latest else 0)
        return {"answer": type(judged).__name__.lower()}

    def verify_fraud(self, given):
        proof = FraudProof.decode(bytes.fromhex(given["file"]))
        assert FraudProof.decode(proof.encode()) == proof
        one, other = proof.require_valid()
        assert (one.origin, one.size) == (other.origin, other.size)
        return {"origin": one.origin, "size": one.size}
