"""The transcript of a round, and the statement that closes it (SPEC 9.6, 9.7).

Digests chain from the header to each request, from the request to its answer, and from all answers to the
half. So a signature on the digest of a half covers every byte of its chunks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ..encoding import Reader, Writer
from ..epochs import LabId
from ..errors import Code, EncodingError, RoundError
from ..header import RoundHeader

DIGEST_SIZE: Final = 32

_CLOSE_DOMAIN: Final = "mandorla/v1 close"


class Outcome(IntEnum):
    """The outcome of a round."""

    COMMITTED = 1
    ABORTED = 2


def request_digest(header_digest: bytes, index: int, blinded: bytes) -> bytes:
    """Return the digest of a chunk's request, 32 bytes (SPEC 9.6).

    Only a repeated request has the same digest.
    """
    writer = Writer("mandorla/v1 chunk request").fixed(header_digest, DIGEST_SIZE).uint(index, 4)
    return hashlib.sha256(writer.data(blinded).finish()).digest()


def answer_digest(request: bytes, evaluated: bytes, proof: bytes) -> bytes:
    """Return the digest of a chunk's answer, 32 bytes, given the digest of the request (SPEC 9.6)."""
    writer = Writer("mandorla/v1 chunk answer").fixed(request, DIGEST_SIZE)
    return hashlib.sha256(writer.data(evaluated).data(proof).finish()).digest()


def half_digest(header: RoundHeader, querier: LabId, answers: Sequence[bytes]) -> bytes:
    """Return the digest of a half, 32 bytes, given its answers' digests by ascending index (SPEC 9.6)."""
    writer = Writer("mandorla/v1 half").fixed(header.digest(), DIGEST_SIZE).fixed(querier, 32)
    writer.sequence(answers, lambda w, digest: w.fixed(digest, DIGEST_SIZE))
    return hashlib.sha256(writer.finish()).digest()


@dataclass(frozen=True, slots=True)
class CloseStatement:
    """The statement that closes a round: the digests of both halves, and the outcome (SPEC 9.7).

    Both labs sign a commit; the lab that aborts signs an abort alone. `initiator_half` is the half in which
    the initiator is the querier. `code` is the reason of an abort, and empty for a commit.
    """

    header_digest: bytes
    initiator_half: bytes
    responder_half: bytes
    outcome: Outcome
    code: str = ""

    def encode(self) -> bytes:
        """Return the canonical encoding, which labs sign (SPEC 9.7)."""
        writer = Writer(_CLOSE_DOMAIN).fixed(self.header_digest, DIGEST_SIZE)
        writer.fixed(self.initiator_half, DIGEST_SIZE).fixed(self.responder_half, DIGEST_SIZE)
        return writer.uint(self.outcome, 1).text(self.code).finish()

    @classmethod
    def decode(cls, encoded: bytes) -> CloseStatement:
        """Parse a canonical encoding.

        Raises EncodingError: BAD_ENCODING or BAD_LENGTH for any other bytes.
        """
        reader = Reader(encoded, _CLOSE_DOMAIN)
        try:
            statement = cls(
                header_digest=reader.fixed(DIGEST_SIZE),
                initiator_half=reader.fixed(DIGEST_SIZE),
                responder_half=reader.fixed(DIGEST_SIZE),
                outcome=Outcome(reader.uint(1)),
                code=reader.text(64),
            )
        except ValueError:
            raise EncodingError(Code.BAD_ENCODING, "a close has an unknown outcome") from None
        reader.finish()
        aborted = statement.outcome is Outcome.ABORTED
        if not (statement.code in Code.__members__ if aborted else statement.code == ""):
            raise EncodingError(
                Code.BAD_ENCODING, "an abort has no code of the catalogue, or a commit has a code"
            )
        return statement

    @classmethod
    def abort(cls, header_digest: bytes, code: Code) -> CloseStatement:
        """Return the statement of an abort. The digests of its halves are zeros (SPEC 9.7)."""
        return cls(header_digest, bytes(DIGEST_SIZE), bytes(DIGEST_SIZE), Outcome.ABORTED, code.name)

    def require_same(self, own: CloseStatement) -> None:
        """Check that a peer's statement equals this lab's own statement of the round.

        Raises RoundError: TRANSCRIPT_MISMATCH if the labs saw different rounds.
        """
        if self != own:
            raise RoundError(Code.TRANSCRIPT_MISMATCH)
