"""Digests that bind a half of a round to what was exchanged in it, and the signed close (SPEC 9.6, 9.7)."""

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
    """How a round ended."""

    COMMITTED = 1
    ABORTED = 2


def request_digest(header_digest: bytes, index: int, blinded: bytes) -> bytes:
    """Return the digest of a chunk's request: by it, a repeated request is told from another one."""
    writer = Writer("mandorla/v1 chunk request").fixed(header_digest, DIGEST_SIZE).uint(index, 4)
    return hashlib.sha256(writer.data(blinded).finish()).digest()


def answer_digest(request: bytes, evaluated: bytes, proof: bytes) -> bytes:
    """Return the digest of a chunk's answer to the request with the given digest."""
    writer = Writer("mandorla/v1 chunk answer").fixed(request, DIGEST_SIZE)
    return hashlib.sha256(writer.data(evaluated).data(proof).finish()).digest()


def half_digest(header: RoundHeader, querier: LabId, answers: Sequence[bytes]) -> bytes:
    """Return the digest of one direction of a round: the answers' digests, in the order of their indices."""
    writer = Writer("mandorla/v1 half").fixed(header.digest(), DIGEST_SIZE).fixed(querier, 32)
    writer.sequence(answers, lambda w, digest: w.fixed(digest, DIGEST_SIZE))
    return hashlib.sha256(writer.finish()).digest()


@dataclass(frozen=True, slots=True)
class CloseStatement:
    """What both labs sign at the end: the transcripts of both halves and the outcome.

    `initiator_half` is the direction in which the initiator is the querier. `code` names why a round was
    aborted and is empty for a committed one.
    """

    header_digest: bytes
    initiator_half: bytes
    responder_half: bytes
    outcome: Outcome
    code: str = ""

    def encode(self) -> bytes:
        """Return the canonical encoding: the bytes that both labs sign."""
        writer = Writer(_CLOSE_DOMAIN).fixed(self.header_digest, DIGEST_SIZE)
        writer.fixed(self.initiator_half, DIGEST_SIZE).fixed(self.responder_half, DIGEST_SIZE)
        return writer.uint(self.outcome, 1).text(self.code).finish()

    @classmethod
    def decode(cls, encoded: bytes) -> CloseStatement:
        """Parse a canonical encoding; raises EncodingError on anything else."""
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
            raise EncodingError(Code.BAD_ENCODING, "an unknown outcome") from None
        reader.finish()
        if (statement.outcome is Outcome.ABORTED) != (statement.code in Code.__members__):
            raise EncodingError(Code.BAD_ENCODING, "an abort names a code of the catalogue, a commit none")
        return statement

    @classmethod
    def abort(cls, header_digest: bytes, code: Code) -> CloseStatement:
        """State that a round is aborted; its transcripts do not matter any more."""
        return cls(header_digest, bytes(DIGEST_SIZE), bytes(DIGEST_SIZE), Outcome.ABORTED, code.name)

    def require_same(self, own: CloseStatement) -> None:
        """Check a peer's statement against one's own view of the same round.

        Raises RoundError(TRANSCRIPT_MISMATCH) if the labs saw different rounds.
        """
        if self != own:
            raise RoundError(Code.TRANSCRIPT_MISMATCH)
