"""Every decoder that bytes of a peer reach, each with its law and with valid bytes to begin from.

The law of all: a MandorlaError, or a value whose encoding is what was decoded. Nothing else may be raised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import DecodeError

from mandorla.v1 import exchange_pb2
from mandorla_node.peers import messages
from mandorla_protocol import signatures
from mandorla_protocol.audit import records
from mandorla_protocol.card import Card, issue_card
from mandorla_protocol.engine.portable import PortableEngine
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code, MandorlaError
from mandorla_protocol.group import Element
from mandorla_protocol.header import Offer, Party, RoundHeader, RoundId, RoundKind, RoundMode
from mandorla_protocol.labels import Label, LabelKey, Tag, open_sealed, seal
from mandorla_protocol.log.checkpoint import (
    Checkpoint,
    LogKey,
    cosign,
    open_checkpoint,
    sign_checkpoint,
    verify_cosignature,
)
from mandorla_protocol.log.entries import (
    ChunkCharged,
    ChunkEvaluated,
    KeyEpochBegun,
    PeerCosigned,
    RoundAgreed,
    RoundClosed,
    decode_entry,
)
from mandorla_protocol.log.fraud import FraudProof
from mandorla_protocol.log.notes import Note
from mandorla_protocol.log.proofs import verify_consistency
from mandorla_protocol.merkle import Frontier, hash_children, hash_leaf
from mandorla_protocol.session.announcement import Announcement
from mandorla_protocol.session.transcript import CloseStatement, Outcome
from mandorla_protocol.sizes import CHUNK_SIZE
from mandorla_protocol.table import Operation, TableCommitment, TablePart, TableReader

Law = Callable[[bytes], bool]
"""Tells whether bytes are taken; raises AssertionError or the decoder's error for a broken law."""

_KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_LAB: Final = signatures.lab_id(_KEY)
_OTHER: Final = LabId(bytes([2] * 32))
_LOG: Final = LogKey("lab-a.example/log", _LAB)
_EPOCH: Final = Epoch(_LAB, _OTHER, "infrastructure", 1)
_ENGINE: Final = PortableEngine()
_OFFER: Final = Offer(1, Element(bytes([3] * 32)), 1000, 500, TableCommitment(1, 256, bytes([4] * 32)))
_HEADER: Final = RoundHeader(
    RoundId(bytes(16)),
    RoundMode.BATCH,
    RoundKind.WATCH,
    "infrastructure",
    (("domain", 1), ("ipv4", 1)),
    Party(_LAB, bytes(32), _OFFER),
    Party(_OTHER, bytes(32), _OFFER),
    "a purpose",
    "a basis",
    1_800_000_000,
    1_800_086_400,
)
_CHECKPOINT: Final = Checkpoint(_LOG.origin, 2, hash_children(hash_leaf(b"a"), hash_leaf(b"b")))
_NOTE: Final = sign_checkpoint(_KEY, _CHECKPOINT)
_OTHER_NOTE: Final = sign_checkpoint(_KEY, Checkpoint(_LOG.origin, 2, bytes(32)))
_TAG: Final = Tag(bytes([7] * 16))
_LABEL_KEY: Final = LabelKey(bytes(32))
_COMMITTED: Final = CloseStatement(bytes(32), bytes(32), bytes(32), Outcome.COMMITTED)
_ANNOUNCEMENT: Final = Announcement(bytes(32), TableCommitment(1, 256, bytes(32)))
_ABORTED: Final = CloseStatement.abort(bytes(32), Code.BAD_PROOF)


@dataclass(frozen=True)
class Decoder:
    """A decoder, by the law that it must keep on any bytes, and bytes that it takes."""

    law: Law
    valid: tuple[bytes, ...]


def exact(decode: Callable[[bytes], Any]) -> Law:
    """Return the law of a decoder whose values have one encoding."""

    def law(encoded: bytes) -> bool:
        try:
            value = decode(encoded)
        except MandorlaError:
            return False
        assert value.encode() == encoded
        return True

    return law


def total(use: Callable[[bytes], object]) -> Law:
    """Return the law of a decoder whose values have no encoding: it raises only MandorlaError."""

    def law(encoded: bytes) -> bool:
        try:
            use(encoded)
        except MandorlaError:
            return False
        return True

    return law


def _card(encoded: bytes) -> bool:
    """JSON has many encodings of a value; a card that was read is written in one."""
    try:
        card = Card.from_json(encoded.decode("utf-8", "replace"))
    except MandorlaError:
        return False
    assert Card.from_json(card.to_json()) == card
    return True


def _checkpoint(encoded: bytes) -> bool:
    text = encoded.decode("utf-8", "replace")
    try:
        checkpoint = Checkpoint.parse(text)
    except MandorlaError:
        return False
    assert checkpoint.text() == text
    return True


def _consistency(encoded: bytes) -> None:
    """Take sizes and roots from the bytes, and the rest as the proof, cut into hashes."""
    old, size = int.from_bytes(encoded[:8], "big"), int.from_bytes(encoded[8:16], "big")
    rest = encoded[80:]
    proof = [rest[start : start + 32] for start in range(0, len(rest), 32)][:64]
    verify_consistency(old, encoded[16:48], size, encoded[48:80], proof)


def _page(encoded: bytes) -> None:
    """Read a page as a querier does."""
    try:
        message = exchange_pb2.ListTagsResponse.FromString(encoded)
    except DecodeError:
        return
    parts = messages.parts_from(message, 2)
    TableReader.resume(TableCommitment(), Frontier(), TableCommitment(1, 2, bytes(32))).accept(parts)


def _request(message: type[Any], read: Callable[[Any], object]) -> Law:
    def law(encoded: bytes) -> bool:
        try:
            request = message.FromString(encoded)
        except DecodeError:
            return False
        return total(lambda _: read(request))(b"")

    return law


def _frames(encoded: bytes) -> None:
    position = 0

    def read(size: int) -> bytes:
        nonlocal position
        position += size
        return encoded[position - size : position]

    for record in records.read_frames(read):
        records.decode(record)


_PART: Final = TablePart(1, bytes([Operation.ADD, Operation.REVOKE]), bytes(16) + bytes([9] * 16), bytes(272))
_ENTRIES: Final = (
    KeyEpochBegun(_EPOCH, bytes(32), 1000, 1, 1),
    RoundAgreed(_HEADER.encode(), bytes(64), bytes(64), 1),
    ChunkCharged(RoundId(bytes(16)), 0, 256, bytes(32), 1),
    ChunkEvaluated(RoundId(bytes(16)), 0, bytes(32), bytes(64), 1),
    RoundClosed(RoundId(bytes(16)), _COMMITTED.encode(), bytes(64), b"", 1),
    PeerCosigned(_LAB, _NOTE, bytes(72)),
)
_ENCODED_ENTRIES: Final = tuple(entry.encode() for entry in _ENTRIES)

DECODERS: Final[dict[str, Decoder]] = {
    "header": Decoder(exact(RoundHeader.decode), (_HEADER.encode(),)),
    "offer": Decoder(exact(Offer.decode), (_OFFER.encode(),)),
    "close statement": Decoder(exact(CloseStatement.decode), (_COMMITTED.encode(), _ABORTED.encode())),
    "announcement": Decoder(exact(Announcement.decode), (_ANNOUNCEMENT.encode(),)),
    "epoch": Decoder(exact(Epoch.decode), (_EPOCH.encode(),)),
    "frontier": Decoder(
        exact(Frontier.decode), (Frontier().extend(hash_leaf(bytes([n])) for n in range(7)).encode(),)
    ),
    "card": Decoder(
        _card, (issue_card(_KEY, "lab-a", b"certificate", "a.example:1", _LOG.origin).to_json().encode(),)
    ),
    "note": Decoder(exact(Note.decode), (_NOTE,)),
    "checkpoint": Decoder(_checkpoint, (_CHECKPOINT.text().encode(),)),
    "signed checkpoint": Decoder(total(lambda note: open_checkpoint(note, _LOG)), (_NOTE,)),
    "cosignature": Decoder(
        total(lambda cosignature: verify_cosignature(_LAB, _CHECKPOINT, cosignature)),
        (cosign(_KEY, _CHECKPOINT, 1_800_000_000),),
    ),
    "consistency proof": Decoder(
        total(_consistency),
        (
            (1).to_bytes(8, "big")
            + (2).to_bytes(8, "big")
            + hash_leaf(b"a")
            + _CHECKPOINT.root
            + hash_leaf(b"b"),
        ),
    ),
    "fraud proof": Decoder(exact(FraudProof.decode), (FraudProof(_LOG, _NOTE, _OTHER_NOTE).encode(),)),
    "log entry": Decoder(exact(decode_entry), _ENCODED_ENTRIES),
    "audit record": Decoder(exact(records.decode), _ENCODED_ENTRIES),
    "audit frames": Decoder(
        total(_frames), (b"".join(len(one).to_bytes(4, "big") + one for one in _ENCODED_ENTRIES),)
    ),
    "label": Decoder(exact(Label.decode), (Label().encode(),)),
    "sealed label": Decoder(
        total(lambda sealed: open_sealed(sealed, _LABEL_KEY, _TAG, _EPOCH, 1)),
        (seal(Label(), _LABEL_KEY, _TAG, _EPOCH, 1),),
    ),
    "elements": Decoder(
        total(lambda elements: _ENGINE.decode_elements(elements[: 32 * CHUNK_SIZE])),
        (_ENGINE.blind(bytes(64), bytes(range(128)))[1],),
    ),
    "table page": Decoder(total(_page), (messages.parts_to([_PART]).SerializeToString(),)),
    "Hello": Decoder(
        _request(exchange_pb2.HelloRequest, messages.profiles_from),
        (
            exchange_pb2.HelloRequest(
                version="mandorla/v1", profiles=[exchange_pb2.Profile(type="url")]
            ).SerializeToString(),
        ),
    ),
    "Evaluate": Decoder(
        _request(exchange_pb2.EvaluateRequest, lambda r: messages.round_id_from(r.round_id)),
        (exchange_pb2.EvaluateRequest(round_id=bytes(16), index=1, blinded=bytes(32)).SerializeToString(),),
    ),
    "Report": Decoder(
        _request(exchange_pb2.ReportRequest, lambda r: messages.tags_from(r.tags)),
        (exchange_pb2.ReportRequest(round_id=bytes(16), tags=bytes(32)).SerializeToString(),),
    ),
}
