"""What a holder says of its table while a round stands (SPEC 19.2)."""

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
    """What a table has come to, in the standing round of the header with a digest."""

    header_digest: bytes
    table: TableCommitment

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        writer = Writer(_DOMAIN).fixed(self.header_digest, DIGEST_SIZE)
        writer.uint(self.table.version, 8).uint(self.table.size, 8)
        return writer.fixed(self.table.root, DIGEST_SIZE).finish()

    @classmethod
    def decode(cls, encoded: bytes) -> Announcement:
        """Parse a canonical encoding; raises EncodingError on anything else."""
        reader = Reader(encoded, _DOMAIN)
        digest = reader.fixed(DIGEST_SIZE)
        table = TableCommitment(version=reader.uint(8), size=reader.uint(8), root=reader.fixed(DIGEST_SIZE))
        reader.finish()
        return cls(digest, table)

    def require_of(self, header_digest: bytes) -> TableCommitment:
        """Return the table, if this is about the round; raises RoundError(TABLE_MISMATCH)."""
        if self.header_digest != header_digest:
            raise RoundError(Code.TABLE_MISMATCH, "an announcement is about another round")
        return self.table
