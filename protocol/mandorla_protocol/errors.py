"""The error catalogue (SPEC 11): all errors, and what each party learns of them.

An error carries a `Code`. The code fixes the exit status of the command line, the gRPC status and a public
message. The public message holds no data of either lab. `detail` is for the operator of the lab that raises
the error, and never crosses the wire. Even a detail names positions, fields and sizes of *messages*, and
never an indicator.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """The gRPC statuses that Mandorla uses, by their gRPC names."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    UNAUTHENTICATED = "UNAUTHENTICATED"


@dataclass(frozen=True, slots=True)
class CodeInfo:
    """The exit status, gRPC status and public message of a code.

    `retryable` means that the same request, unchanged, may succeed later.
    """

    exit_status: int
    status: Status
    message: str
    retryable: bool = False


class Code(Enum):
    """The codes of all refusals and failures. Their names are stable, since peers and scripts read them."""

    # Input of an operator.
    BAD_INPUT = CodeInfo(10, Status.INVALID_ARGUMENT, "The input is not valid.")
    BAD_INDICATOR = CodeInfo(11, Status.INVALID_ARGUMENT, "The value is not a valid indicator of its type.")
    UNKNOWN_TYPE = CodeInfo(12, Status.INVALID_ARGUMENT, "The indicator type is not in the registry.")
    BAD_FILE = CodeInfo(13, Status.INVALID_ARGUMENT, "The file does not have the expected format.")
    BAD_ROWS = CodeInfo(14, Status.INVALID_ARGUMENT, "The file holds rows that cannot be used (--strict).")
    BAD_HOME = CodeInfo(15, Status.FAILED_PRECONDITION, "The home folder is missing, incomplete or not ours.")
    BAD_CONFIG = CodeInfo(16, Status.FAILED_PRECONDITION, "The configuration is not valid.")
    BAD_CARD = CodeInfo(
        17, Status.INVALID_ARGUMENT, "The card is malformed or its signature does not verify."
    )
    UNKNOWN_PEER = CodeInfo(18, Status.NOT_FOUND, "No pinned peer has that name.")
    NODE_NOT_RUNNING = CodeInfo(19, Status.UNAVAILABLE, "No node answers on this home's socket.", True)

    # Malformed bytes.
    BAD_ENCODING = CodeInfo(20, Status.INVALID_ARGUMENT, "A message is malformed.")
    BAD_ELEMENT = CodeInfo(
        21, Status.INVALID_ARGUMENT, "A group element is not a canonical, non-identity one."
    )
    BAD_SCALAR = CodeInfo(22, Status.INVALID_ARGUMENT, "A scalar is not canonical.")
    BAD_LENGTH = CodeInfo(23, Status.INVALID_ARGUMENT, "A message has the wrong length.")
    MESSAGE_TOO_LARGE = CodeInfo(24, Status.RESOURCE_EXHAUSTED, "A message is over the size limit.")

    # Proofs, headers, tables, labels.
    BAD_PROOF = CodeInfo(30, Status.INVALID_ARGUMENT, "An evaluation proof does not verify.")
    BAD_SIGNATURE = CodeInfo(31, Status.UNAUTHENTICATED, "A signature does not verify.")
    BAD_HEADER = CodeInfo(32, Status.INVALID_ARGUMENT, "The round header is not acceptable.")
    HEADER_EXPIRED = CodeInfo(33, Status.FAILED_PRECONDITION, "The round header is outside its validity.")
    PROFILE_MISMATCH = CodeInfo(
        34, Status.FAILED_PRECONDITION, "The labs canonicalise indicators differently."
    )
    TABLE_MISMATCH = CodeInfo(
        35, Status.FAILED_PRECONDITION, "The tag table does not extend the verified one."
    )
    BAD_TABLE = CodeInfo(36, Status.INVALID_ARGUMENT, "The tag table is malformed.")
    BAD_LABEL = CodeInfo(37, Status.INVALID_ARGUMENT, "A label does not open or is malformed.")
    TRANSCRIPT_MISMATCH = CodeInfo(38, Status.FAILED_PRECONDITION, "The labs saw different transcripts.")

    BAD_CHECKPOINT = CodeInfo(
        39, Status.INVALID_ARGUMENT, "A log's checkpoint is malformed, or does not extend an earlier one."
    )

    # Rounds and budgets.
    UNKNOWN_ROUND = CodeInfo(40, Status.NOT_FOUND, "No such round is open between these labs.")
    WRONG_STATE = CodeInfo(41, Status.FAILED_PRECONDITION, "The message does not fit the round's state.")
    CHUNK_REUSED = CodeInfo(42, Status.FAILED_PRECONDITION, "A chunk index came again with other content.")
    CHUNK_OUT_OF_RANGE = CodeInfo(43, Status.INVALID_ARGUMENT, "A chunk or page is out of range.")
    CAP_EXCEEDED = CodeInfo(44, Status.RESOURCE_EXHAUSTED, "More elements than the round header allows.")
    BUDGET_EXCEEDED = CodeInfo(45, Status.RESOURCE_EXHAUSTED, "The key epoch's evaluation budget is spent.")
    EPOCH_RETIRED = CodeInfo(46, Status.FAILED_PRECONDITION, "The key epoch is over.")
    NOT_READY = CodeInfo(47, Status.UNAVAILABLE, "The peer is still preparing; ask again.", True)
    POLICY_REFUSED = CodeInfo(48, Status.PERMISSION_DENIED, "The peer's policy does not allow this.")
    ROUND_ABORTED = CodeInfo(49, Status.ABORTED, "The round was aborted.")

    # Transport.
    NOT_PINNED = CodeInfo(50, Status.UNAUTHENTICATED, "The certificate is not that of a pinned peer.")
    BAD_TRANSPORT = CodeInfo(51, Status.UNAUTHENTICATED, "TLS 1.3 with both sides authenticated is required.")
    DEADLINE = CodeInfo(52, Status.DEADLINE_EXCEEDED, "The deadline passed.", True)
    PEER_UNAVAILABLE = CodeInfo(53, Status.UNAVAILABLE, "The peer does not answer.", True)
    RATE_LIMITED = CodeInfo(54, Status.RESOURCE_EXHAUSTED, "Too many requests; slow down.", True)
    VERSION_MISMATCH = CodeInfo(55, Status.FAILED_PRECONDITION, "The labs speak different protocol versions.")

    EQUIVOCATION = CodeInfo(
        56, Status.PERMISSION_DENIED, "The lab showed its log in two ways; it is refused."
    )
    CARD_REFUSED = CodeInfo(57, Status.FAILED_PRECONDITION, "The card does not follow the pinned one.")

    PAUSED = CodeInfo(58, Status.PERMISSION_DENIED, "The lab has paused rounds with this peer.")

    # Failures within this lab.
    STORE_FAILED = CodeInfo(60, Status.INTERNAL, "The store could not be read or written.")
    INTERNAL = CodeInfo(61, Status.INTERNAL, "An internal error occurred.")
    CHECK_FAILED = CodeInfo(62, Status.INTERNAL, "A result differs from the expected one.")

    @property
    def info(self) -> CodeInfo:
        """The code's row in the catalogue."""
        return self.value


class MandorlaError(Exception):
    """An error with a code of the catalogue.

    `str(error)` is the public message. `detail` stays within the lab that raised the error.
    """

    def __init__(self, code: Code, detail: str = "") -> None:
        super().__init__(code.info.message)
        self.code = code
        self.detail = detail

    def __reduce__(self) -> tuple[type[MandorlaError], tuple[Code, str]]:
        """Pickle the code and the detail, so that an error passes from a worker process to its parent."""
        return type(self), (self.code, self.detail)

    def diagnostics(self) -> str:
        """Return the explanation for this lab's operator: code, public message and detail."""
        explanation = f"{self.code.name}: {self.code.info.message}"
        return f"{explanation} {self.detail}" if self.detail else explanation


class InputError(MandorlaError):
    """An operator's input is not valid."""


class EncodingError(MandorlaError):
    """Bytes are no encoding of the expected structure, or a value has no encoding."""


class CryptoError(MandorlaError):
    """A proof, signature, element, scalar or sealed label is not valid."""


class RoundError(MandorlaError):
    """A round, its header or its budget does not allow a message."""


class TransportError(MandorlaError):
    """A peer does not answer, answers too late, or is not authenticated."""


class NodeError(MandorlaError):
    """This lab's home, store or process fails."""
