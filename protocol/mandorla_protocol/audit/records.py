"""The records of a bundle, and how a file holds them (SPEC 17.1).

A file is a sequence of records, each behind its length in four bytes. The first names the lab, the last seals
all others: their number, the root of a Merkle tree over them, and the lab's signature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from .. import signatures
from ..card import require_name
from ..encoding import Reader, Writer
from ..epochs import LabId
from ..errors import Code, EncodingError, InputError
from ..header import RoundId
from ..merkle import HASH_SIZE, Frontier, hash_leaf
from ..sizes import CHUNK_SIZE

MAX_RECORD: Final = 2 * 32 * CHUNK_SIZE + 4_096
"""Bytes in a record at most: a chunk's elements, and what frames them."""

PROPOSED: Final = "proposed"
"""The state of a round that this lab proposed and has no answer to; the peer's signature is zeros then."""

_LENGTH: Final = 4
_BUNDLE: Final = "mandorla/v1 audit bundle"
_ROUND: Final = "mandorla/v1 audit round"
_CHUNK: Final = "mandorla/v1 audit chunk"
_CLOSE: Final = "mandorla/v1 audit close"
_SEAL: Final = "mandorla/v1 audit seal"
_MAX_STRUCTURE: Final = 4_096
_MAX_STATE: Final = 16


@dataclass(frozen=True, slots=True)
class BundleStart:
    """Whose records follow, and when the file was written, in Unix seconds."""

    lab: LabId
    name: str
    created: int

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        return Writer(_BUNDLE).fixed(self.lab, 32).text(self.name).uint(self.created, 8).finish()


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """A round: its header as signed, both signatures, and how it ended for this lab."""

    header: bytes
    own_signature: bytes
    peer_signature: bytes
    agreed_at: int
    state: str

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(_ROUND).data(self.header).fixed(self.own_signature, 64).fixed(self.peer_signature, 64)
        return writer.uint(self.agreed_at, 8).text(self.state).finish()


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """A chunk that this lab answered as the holder; one that it never answered has no content."""

    round_id: RoundId
    index: int
    count: int
    request: bytes
    blinded: bytes
    evaluated: bytes
    proof: bytes

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(_CHUNK).fixed(self.round_id, 16).uint(self.index, 4).uint(self.count, 4)
        writer.fixed(self.request, 32)
        return writer.data(self.blinded).data(self.evaluated).data(self.proof).finish()


@dataclass(frozen=True, slots=True)
class CloseRecord:
    """A signed statement of how a round ended; a signature is empty where there was none."""

    round_id: RoundId
    statement: bytes
    own_signature: bytes
    peer_signature: bytes
    at: int

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(_CLOSE).fixed(self.round_id, 16).data(self.statement)
        return writer.data(self.own_signature).data(self.peer_signature).uint(self.at, 8).finish()


@dataclass(frozen=True, slots=True)
class Seal:
    """The end of a bundle: how many records came before it, their Merkle root, and the lab's signature."""

    count: int
    root: bytes
    signature: bytes

    def signed(self, start: BundleStart) -> bytes:
        """Return what the signature is on."""
        writer = Writer(_SEAL).fixed(start.lab, 32).uint(start.created, 8)
        return writer.uint(self.count, 8).fixed(self.root, HASH_SIZE).finish()

    def encode(self) -> bytes:
        """Return the canonical encoding, as the file holds it."""
        writer = Writer(_SEAL).uint(self.count, 8).fixed(self.root, HASH_SIZE)
        return writer.fixed(self.signature, signatures.SIGNATURE_SIZE).finish()


Record: TypeAlias = BundleStart | RoundRecord | ChunkRecord | CloseRecord | Seal


def _start(reader: Reader) -> BundleStart:
    start = BundleStart(LabId(reader.fixed(32)), reader.text(64), reader.uint(8))
    # The name is printed: it must be one, and nothing that moves a terminal's cursor.
    require_name(start.name)
    return start


def _round(reader: Reader) -> RoundRecord:
    return RoundRecord(
        header=reader.data(_MAX_STRUCTURE),
        own_signature=reader.fixed(64),
        peer_signature=reader.fixed(64),
        agreed_at=reader.uint(8),
        state=reader.text(_MAX_STATE),
    )


def _chunk(reader: Reader) -> ChunkRecord:
    return ChunkRecord(
        round_id=RoundId(reader.fixed(16)),
        index=reader.uint(4),
        count=reader.uint(4),
        request=reader.fixed(32),
        blinded=reader.data(32 * CHUNK_SIZE),
        evaluated=reader.data(32 * CHUNK_SIZE),
        proof=reader.data(64),
    )


def _close(reader: Reader) -> CloseRecord:
    return CloseRecord(
        round_id=RoundId(reader.fixed(16)),
        statement=reader.data(_MAX_STRUCTURE),
        own_signature=reader.data(64),
        peer_signature=reader.data(64),
        at=reader.uint(8),
    )


def _seal(reader: Reader) -> Seal:
    return Seal(reader.uint(8), reader.fixed(HASH_SIZE), reader.fixed(signatures.SIGNATURE_SIZE))


_PARSERS: Final[dict[bytes, tuple[str, Callable[[Reader], Record]]]] = {
    Writer(domain).finish(): (domain, parse)
    for domain, parse in (
        (_BUNDLE, _start),
        (_ROUND, _round),
        (_CHUNK, _chunk),
        (_CLOSE, _close),
        (_SEAL, _seal),
    )
}


def decode(encoded: bytes) -> Record:
    """Parse a record of any kind.

    Raises EncodingError(BAD_ENCODING) on anything else, InputError(BAD_CARD) for a name that is none.
    """
    for prefix, (domain, parse) in _PARSERS.items():
        if encoded.startswith(prefix):
            reader = Reader(encoded, domain)
            record = parse(reader)
            reader.finish()
            return record
    raise EncodingError(Code.BAD_ENCODING, "a record is of no known kind")


class Sealer:
    """Frame records for a file, and keep what its seal needs."""

    def __init__(self, start: BundleStart) -> None:
        self._start = start
        self._frontier = Frontier()

    def add(self, record: Record) -> bytes:
        """Return a record as the file holds it."""
        encoded = record.encode()
        self._frontier = self._frontier.extend([hash_leaf(encoded)])
        return _framed(encoded)

    def seal(self, sign: Callable[[bytes], bytes]) -> bytes:
        """Return the last record, signed by the lab."""
        unsigned = Seal(self._frontier.size, self._frontier.root, bytes(signatures.SIGNATURE_SIZE))
        signature = sign(unsigned.signed(self._start))
        return _framed(Seal(unsigned.count, unsigned.root, signature).encode())


def _framed(encoded: bytes) -> bytes:
    return len(encoded).to_bytes(_LENGTH, "big") + encoded


def read_frames(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield the encoded records of a file, given how to read up to n bytes of it.

    Raises InputError(BAD_FILE) if it ends in the middle of a record, or a record is too long.
    """
    while prefix := read(_LENGTH):
        size = int.from_bytes(prefix, "big")
        if len(prefix) < _LENGTH or not 0 < size <= MAX_RECORD:
            raise InputError(Code.BAD_FILE, "this is no audit bundle, or it is cut off or damaged")
        encoded = read(size)
        if len(encoded) < size:
            raise InputError(Code.BAD_FILE, "the bundle is cut off in the middle of a record")
        yield encoded
