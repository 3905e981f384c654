"""The entries of a log, and their canonical encodings (SPEC 18.1). No entry holds an indicator.

The log proves the order of its entries. A lab logs a key before it offers the key, a table version before a
header commits to it, and a charge before it evaluates the chunk. `at` is the time of an entry, in Unix
seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

from .. import signatures
from ..encoding import Reader, Writer
from ..epochs import Epoch, LabId
from ..errors import Code, EncodingError
from ..header import ROUND_ID_SIZE, RoundId
from ..merkle import HASH_SIZE
from .checkpoint import COSIGNATURE_SIZE
from .notes import MAX_NOTE

MAX_ENTRY: Final = 40_960
"""The most bytes in an entry."""

_MAX_EPOCH: Final = 256
_MAX_HEADER: Final = 8_192
_MAX_STATEMENT: Final = 512
_MAX_WORD: Final = 64
_ELEMENT: Final = 32
_PROOF: Final = 64
_SIGNATURE: Final = signatures.SIGNATURE_SIZE


@dataclass(frozen=True, slots=True)
class KeyEpochBegun:
    """A key epoch began whose holder is this lab: the public key, the querier's budget and the end.

    `budget` is in evaluations, `expires` in Unix seconds.
    """

    DOMAIN: ClassVar = "mandorla/v1 log key epoch"

    epoch: Epoch
    public_key: bytes
    budget: int
    expires: int
    at: int

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(self.DOMAIN).data(self.epoch.encode()).fixed(self.public_key, _ELEMENT)
        return writer.uint(self.budget, 8).uint(self.expires, 8).uint(self.at, 8).finish()


@dataclass(frozen=True, slots=True)
class KeyEpochEnded:
    """This lab destroyed the seed and the table of a key epoch."""

    DOMAIN: ClassVar = "mandorla/v1 log key destroyed"

    epoch: Epoch
    at: int

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        return Writer(self.DOMAIN).data(self.epoch.encode()).uint(self.at, 8).finish()


@dataclass(frozen=True, slots=True)
class TableVersionPublished:
    """This lab published a table version: the number of the table's entries, and the root over them."""

    DOMAIN: ClassVar = "mandorla/v1 log table version"

    epoch: Epoch
    version: int
    size: int
    root: bytes
    at: int

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(self.DOMAIN).data(self.epoch.encode()).uint(self.version, 8).uint(self.size, 8)
        return writer.fixed(self.root, HASH_SIZE).uint(self.at, 8).finish()


@dataclass(frozen=True, slots=True)
class RoundProposed:
    """This lab signed a header before sending it. The peer's answer may be lost, so this proves no round."""

    DOMAIN: ClassVar = "mandorla/v1 log round proposed"

    header: bytes
    own_signature: bytes
    at: int

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(self.DOMAIN).data(self.header).fixed(self.own_signature, _SIGNATURE)
        return writer.uint(self.at, 8).finish()


@dataclass(frozen=True, slots=True)
class RoundAgreed:
    """Both labs signed a header."""

    DOMAIN: ClassVar = "mandorla/v1 log round agreed"

    header: bytes
    own_signature: bytes
    peer_signature: bytes
    at: int

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(self.DOMAIN).data(self.header).fixed(self.own_signature, _SIGNATURE)
        return writer.fixed(self.peer_signature, _SIGNATURE).uint(self.at, 8).finish()


@dataclass(frozen=True, slots=True)
class ChunkCharged:
    """A chunk was charged to the querier's budget: index, number of elements, digest of the request."""

    DOMAIN: ClassVar = "mandorla/v1 log chunk charged"

    round_id: RoundId
    index: int
    count: int
    request: bytes
    at: int

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(self.DOMAIN).fixed(self.round_id, ROUND_ID_SIZE).uint(self.index, 4)
        return writer.uint(self.count, 4).fixed(self.request, HASH_SIZE).uint(self.at, 8).finish()


@dataclass(frozen=True, slots=True)
class ChunkEvaluated:
    """A chunk was evaluated and its answer stored: index, digest of the answer, and proof."""

    DOMAIN: ClassVar = "mandorla/v1 log chunk evaluated"

    round_id: RoundId
    index: int
    answer: bytes
    proof: bytes
    at: int

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(self.DOMAIN).fixed(self.round_id, ROUND_ID_SIZE).uint(self.index, 4)
        return writer.fixed(self.answer, HASH_SIZE).fixed(self.proof, _PROOF).uint(self.at, 8).finish()


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """A statement that closes a round was signed. The signature of a lab that did not sign is empty."""

    DOMAIN: ClassVar = "mandorla/v1 log round closed"

    round_id: RoundId
    statement: bytes
    own_signature: bytes
    peer_signature: bytes
    at: int

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(self.DOMAIN).fixed(self.round_id, ROUND_ID_SIZE).data(self.statement)
        return writer.data(self.own_signature).data(self.peer_signature).uint(self.at, 8).finish()


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """A round ended for this lab as `committed`, `unconfirmed` or `aborted`. The peer does not sign this."""

    DOMAIN: ClassVar = "mandorla/v1 log round ended"

    round_id: RoundId
    state: str
    code: str
    at: int

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(self.DOMAIN).fixed(self.round_id, ROUND_ID_SIZE).text(self.state).text(self.code)
        return writer.uint(self.at, 8).finish()


@dataclass(frozen=True, slots=True)
class PeerCosigned:
    """This lab cosigned a checkpoint of a peer's log: the peer, its note, and the cosignature."""

    DOMAIN: ClassVar = "mandorla/v1 log peer cosigned"

    peer: LabId
    note: bytes
    cosignature: bytes

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(self.DOMAIN).fixed(self.peer, signatures.IDENTITY_SIZE).data(self.note)
        return writer.fixed(self.cosignature, COSIGNATURE_SIZE).finish()


@dataclass(frozen=True, slots=True)
class PeerCaught:
    """A peer signed two trees of one size: the two notes (SPEC 18.5)."""

    DOMAIN: ClassVar = "mandorla/v1 log peer caught"

    peer: LabId
    one: bytes
    other: bytes
    at: int

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(self.DOMAIN).fixed(self.peer, signatures.IDENTITY_SIZE)
        return writer.data(self.one).data(self.other).uint(self.at, 8).finish()


LogEntry: TypeAlias = (
    KeyEpochBegun
    | KeyEpochEnded
    | TableVersionPublished
    | RoundProposed
    | RoundAgreed
    | ChunkCharged
    | ChunkEvaluated
    | RoundClosed
    | RoundEnded
    | PeerCosigned
    | PeerCaught
)


def _epoch(reader: Reader) -> Epoch:
    return Epoch.decode(reader.data(_MAX_EPOCH))


def _round_id(reader: Reader) -> RoundId:
    return RoundId(reader.fixed(ROUND_ID_SIZE))


def _lab(reader: Reader) -> LabId:
    return LabId(reader.fixed(signatures.IDENTITY_SIZE))


def _time(reader: Reader) -> int:
    return reader.uint(8)


# Each parser reads the fields in their order: Python evaluates arguments from left to right.
_PARSERS: Final[dict[str, Callable[[Reader], LogEntry]]] = {
    KeyEpochBegun.DOMAIN: lambda r: KeyEpochBegun(
        _epoch(r), r.fixed(_ELEMENT), r.uint(8), r.uint(8), _time(r)
    ),
    KeyEpochEnded.DOMAIN: lambda r: KeyEpochEnded(_epoch(r), _time(r)),
    TableVersionPublished.DOMAIN: lambda r: TableVersionPublished(
        _epoch(r), r.uint(8), r.uint(8), r.fixed(HASH_SIZE), _time(r)
    ),
    RoundProposed.DOMAIN: lambda r: RoundProposed(r.data(_MAX_HEADER), r.fixed(_SIGNATURE), _time(r)),
    RoundAgreed.DOMAIN: lambda r: RoundAgreed(
        r.data(_MAX_HEADER), r.fixed(_SIGNATURE), r.fixed(_SIGNATURE), _time(r)
    ),
    ChunkCharged.DOMAIN: lambda r: ChunkCharged(
        _round_id(r), r.uint(4), r.uint(4), r.fixed(HASH_SIZE), _time(r)
    ),
    ChunkEvaluated.DOMAIN: lambda r: ChunkEvaluated(
        _round_id(r), r.uint(4), r.fixed(HASH_SIZE), r.fixed(_PROOF), _time(r)
    ),
    RoundClosed.DOMAIN: lambda r: RoundClosed(
        _round_id(r), r.data(_MAX_STATEMENT), r.data(_SIGNATURE), r.data(_SIGNATURE), _time(r)
    ),
    RoundEnded.DOMAIN: lambda r: RoundEnded(_round_id(r), r.text(_MAX_WORD), r.text(_MAX_WORD), _time(r)),
    PeerCosigned.DOMAIN: lambda r: PeerCosigned(_lab(r), r.data(MAX_NOTE), r.fixed(COSIGNATURE_SIZE)),
    PeerCaught.DOMAIN: lambda r: PeerCaught(_lab(r), r.data(MAX_NOTE), r.data(MAX_NOTE), _time(r)),
}
_PREFIXES: Final = {domain: Writer(domain).finish() for domain in _PARSERS}


def decode_entry(encoded: bytes) -> LogEntry:
    """Parse the canonical encoding of an entry of any type.

    Raises EncodingError: BAD_ENCODING or BAD_LENGTH for any other bytes.
    """
    for domain, prefix in _PREFIXES.items():
        if encoded.startswith(prefix):
            reader = Reader(encoded, domain)
            entry = _PARSERS[domain](reader)
            reader.finish()
            return entry
    raise EncodingError(Code.BAD_ENCODING, "a log entry has an unknown domain")
