"""A holder's announcement of a new table version in a standing round (SPEC 19.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..encoding import Reader, Writer
from ..errors import Code, RoundError
from ..table import TableCommitment
from .transcript import DIGEST_SIZE

_DOMAIN: Final = "mandorla/v1 table announcement"


@dataclass(frozen=True, slots=True)
class Announcement:
    """The current commitment of the holder's table, in the standing round whose header has a digest.

    An announcement has no signature. The TLS channel authenticates it, the holder's log holds the version,
    and the holder's next header must extend it (SPEC 19.2).
    """

    header_digest: bytes
    table: TableCommitment

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(_DOMAIN).fixed(self.header_digest, DIGEST_SIZE)
        writer.uint(self.table.version, 8).uint(self.table.size, 8)
        return writer.fixed(self.table.root, DIGEST_SIZE).finish()

    @classmethod
    def decode(cls, encoded: bytes) -> Announcement:
        """Parse a canonical encoding.

        Raises EncodingError: BAD_ENCODING or BAD_LENGTH for any other bytes.
        """
        reader = Reader(encoded, _DOMAIN)
        digest = reader.fixed(DIGEST_SIZE)
        table = TableCommitment(version=reader.uint(8), size=reader.uint(8), root=reader.fixed(DIGEST_SIZE))
        reader.finish()
        return cls(digest, table)

    def require_of(self, header_digest: bytes) -> TableCommitment:
        """Return the announced table, if the announcement belongs to the round of a header's digest.

        Raises RoundError: TABLE_MISMATCH if it belongs to another round.
        """
        if self.header_digest != header_digest:
            raise RoundError(Code.TABLE_MISMATCH, "an announcement belongs to another round")
        return self.table
