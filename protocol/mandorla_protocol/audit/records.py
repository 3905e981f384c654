"""The records of a bundle, and the format of its file (SPEC 17.1).

A file is a sequence of records, each after its length in four bytes. Most records are entries of the lab's
log. Between them are other records that an auditor needs, such as checkpoints and elements. The last record
is the seal: the number of the other records, the root of a Merkle tree over them, and the lab's signature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from .. import signatures
from ..card import MAX_CARD_BYTES, Card, require_name
from ..encoding import Reader, Writer
from ..epochs import LabId
from ..errors import Code, InputError
from ..header import ROUND_ID_SIZE, RoundId
from ..log.checkpoint import COSIGNATURE_SIZE, LogKey
from ..log.entries import LogEntry, decode_entry
from ..log.notes import MAX_NOTE, require_key_name
from ..merkle import HASH_SIZE, Frontier, hash_leaf
from ..sizes import CHUNK_SIZE
from .stamps import MAX_RESPONSE

MAX_RECORD: Final = 2 * 32 * CHUNK_SIZE + 4_096
"""The most bytes in a record: the elements of one chunk, and their other fields."""

MAX_COSIGNERS: Final = 1_024

_LENGTH: Final = 4
_BUNDLE: Final = "mandorla/v1 audit bundle"
_CARD: Final = "mandorla/v1 audit card"
_ELEMENTS: Final = "mandorla/v1 audit elements"
_CHECKPOINT: Final = "mandorla/v1 audit checkpoint"
_TIME_STAMP: Final = "mandorla/v1 audit time stamp"
_SEAL: Final = "mandorla/v1 audit seal"
_MAX_ORIGIN: Final = 255


@dataclass(frozen=True, slots=True)
class BundleStart:
    """The first record: the lab, its name, the origin of its log, and the time of the file.

    `created` is Unix seconds. `keep_elements` is the number of seconds for which the lab keeps the elements
    of chunks after their round ended; 0 means without limit.
    """

    lab: LabId
    name: str
    origin: str
    created: int
    keep_elements: int

    @property
    def log(self) -> LogKey:
        """The name and key of the lab's log."""
        return LogKey(self.origin, self.lab)

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(_BUNDLE).fixed(self.lab, signatures.IDENTITY_SIZE).text(self.name)
        return writer.text(self.origin).uint(self.created, 8).uint(self.keep_elements, 8).finish()


@dataclass(frozen=True, slots=True)
class CardRecord:
    """The card of the lab, or of a peer that it pinned, as JSON."""

    card: str

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        return Writer(_CARD).text(self.card).finish()


@dataclass(frozen=True, slots=True)
class ElementsRecord:
    """The elements of the chunk in the `ChunkEvaluated` entry before; the entry's proof is about them."""

    round_id: RoundId
    index: int
    blinded: bytes
    evaluated: bytes

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(_ELEMENTS).fixed(self.round_id, ROUND_ID_SIZE).uint(self.index, 4)
        return writer.data(self.blinded).data(self.evaluated).finish()


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """The checkpoint of the log after the entries so far: its note, and the cosignatures on it."""

    note: bytes
    cosignatures: tuple[tuple[LogKey, bytes], ...]

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        return Writer(_CHECKPOINT).data(self.note).sequence(self.cosignatures, _write_cosignature).finish()


@dataclass(frozen=True, slots=True)
class TimeStampRecord:
    """The response of a time stamping authority (RFC 3161) for the text of the checkpoint before."""

    response: bytes

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        return Writer(_TIME_STAMP).data(self.response).finish()


@dataclass(frozen=True, slots=True)
class Seal:
    """The last record: the number of the records before it, their Merkle root, and the lab's signature."""

    count: int
    root: bytes
    signature: bytes

    def signed(self, start: BundleStart) -> bytes:
        """Return the structure that the lab signs, which also names the lab and the time of the start."""
        writer = Writer(_SEAL).fixed(start.lab, signatures.IDENTITY_SIZE).uint(start.created, 8)
        return writer.uint(self.count, 8).fixed(self.root, HASH_SIZE).finish()

    def encode(self) -> bytes:
        """Return the canonical encoding, as the file holds it."""
        writer = Writer(_SEAL).uint(self.count, 8).fixed(self.root, HASH_SIZE)
        return writer.fixed(self.signature, signatures.SIGNATURE_SIZE).finish()


Record: TypeAlias = (
    BundleStart | CardRecord | LogEntry | ElementsRecord | CheckpointRecord | TimeStampRecord | Seal
)


def _write_cosignature(writer: Writer, cosignature: tuple[LogKey, bytes]) -> None:
    cosigner, signature = cosignature
    writer.fixed(cosigner.lab, signatures.IDENTITY_SIZE).text(cosigner.origin)
    writer.fixed(signature, COSIGNATURE_SIZE)


def _read_cosignature(reader: Reader) -> tuple[LogKey, bytes]:
    lab, origin = LabId(reader.fixed(signatures.IDENTITY_SIZE)), reader.text(_MAX_ORIGIN)
    require_key_name(origin)
    return LogKey(origin, lab), reader.fixed(COSIGNATURE_SIZE)


def _start(reader: Reader) -> BundleStart:
    start = BundleStart(
        lab=LabId(reader.fixed(signatures.IDENTITY_SIZE)),
        name=reader.text(64),
        origin=reader.text(_MAX_ORIGIN),
        created=reader.uint(8),
        keep_elements=reader.uint(8),
    )
    # Both are printed, so they must not hold control sequences of terminals.
    require_name(start.name)
    require_key_name(start.origin)
    return start


def _card(reader: Reader) -> CardRecord:
    record = CardRecord(reader.text(MAX_CARD_BYTES))
    Card.from_json(record.card)
    return record


def _elements(reader: Reader) -> ElementsRecord:
    return ElementsRecord(
        round_id=RoundId(reader.fixed(ROUND_ID_SIZE)),
        index=reader.uint(4),
        blinded=reader.data(32 * CHUNK_SIZE),
        evaluated=reader.data(32 * CHUNK_SIZE),
    )


def _checkpoint(reader: Reader) -> CheckpointRecord:
    return CheckpointRecord(reader.data(MAX_NOTE), reader.sequence(_read_cosignature, MAX_COSIGNERS))


def _time_stamp(reader: Reader) -> TimeStampRecord:
    return TimeStampRecord(reader.data(MAX_RESPONSE))


def _seal(reader: Reader) -> Seal:
    return Seal(reader.uint(8), reader.fixed(HASH_SIZE), reader.fixed(signatures.SIGNATURE_SIZE))


_PARSERS: Final[dict[bytes, tuple[str, Callable[[Reader], Record]]]] = {
    Writer(domain).finish(): (domain, parse)
    for domain, parse in (
        (_BUNDLE, _start),
        (_CARD, _card),
        (_ELEMENTS, _elements),
        (_CHECKPOINT, _checkpoint),
        (_TIME_STAMP, _time_stamp),
        (_SEAL, _seal),
    )
}


def decode(encoded: bytes) -> Record:
    """Parse the canonical encoding of a record of any type.

    Raises EncodingError: BAD_ENCODING, BAD_LENGTH or BAD_CHECKPOINT for any other bytes. Raises InputError:
    BAD_CARD for a malformed name or card.
    """
    for prefix, (domain, parse) in _PARSERS.items():
        if encoded.startswith(prefix):
            reader = Reader(encoded, domain)
            record = parse(reader)
            reader.finish()
            return record
    return decode_entry(encoded)


class Sealer:
    """Encodes records for a file, and seals the file."""

    def __init__(self, start: BundleStart) -> None:
        self._start = start
        self._frontier = Frontier()

    def add(self, record: Record) -> bytes:
        """Add a record; return its bytes in the file."""
        return self.add_encoded(record.encode())

    def add_encoded(self, encoded: bytes) -> bytes:
        """Add an encoded record; return its bytes in the file."""
        self._frontier = self._frontier.extend([hash_leaf(encoded)])
        return _framed(encoded)

    def seal(self, sign: Callable[[bytes], bytes]) -> bytes:
        """Return the bytes of the seal in the file; `sign` makes the lab's signature."""
        unsigned = Seal(self._frontier.size, self._frontier.root, bytes(signatures.SIGNATURE_SIZE))
        signature = sign(unsigned.signed(self._start))
        return _framed(Seal(unsigned.count, unsigned.root, signature).encode())


def _framed(encoded: bytes) -> bytes:
    return len(encoded).to_bytes(_LENGTH, "big") + encoded


def read_frames(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield the encoded records of a file. `read(n)` returns the next bytes of the file, at most n.

    Raises InputError: BAD_FILE if the file ends within a record, or if a record is too long.
    """
    while prefix := read(_LENGTH):
        size = int.from_bytes(prefix, "big")
        if len(prefix) < _LENGTH or not 0 < size <= MAX_RECORD:
            raise InputError(Code.BAD_FILE, "the file is no audit bundle, or is cut off or damaged")
        encoded = read(size)
        if len(encoded) < size:
            raise InputError(Code.BAD_FILE, "the bundle is cut off within a record")
        yield encoded
