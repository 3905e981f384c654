"""Between protobuf messages and the protocol's types; every message from a peer passes through here."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, groupby
from operator import itemgetter

import grpc

from mandorla.v1 import exchange_pb2
from mandorla_protocol.engine import split
from mandorla_protocol.errors import Code, EncodingError, MandorlaError, RoundError, TransportError
from mandorla_protocol.header import ROUND_ID_SIZE, RoundId
from mandorla_protocol.labels import SEALED_LABEL_SIZE, TAG_SIZE, Tag
from mandorla_protocol.sizes import PAGE_SIZE
from mandorla_protocol.table import Operation, TableEntry

CODE_KEY = "mandorla-code"
"""The trailing metadata key that carries an error's code (SPEC 9.9)."""

_ADD = int(Operation.ADD)
_OPERATIONS = {int(operation): operation for operation in Operation}

# What a peer may say of a call. The codes of operators' input speak of this lab, and are not a peer's to use.
_WIRE_CODES = {code.name: code for code in Code if code.info.exit_status >= 20}

_BY_STATUS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: Code.DEADLINE,
    grpc.StatusCode.UNAVAILABLE: Code.PEER_UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Code.MESSAGE_TOO_LARGE,
    grpc.StatusCode.UNAUTHENTICATED: Code.NOT_PINNED,
}


def round_id_from(value: bytes) -> RoundId:
    """Check a round id's size; raises EncodingError(BAD_LENGTH)."""
    if len(value) != ROUND_ID_SIZE:
        raise EncodingError(Code.BAD_LENGTH, f"a round id has {ROUND_ID_SIZE} bytes")
    return RoundId(value)


def entries_from(message: exchange_pb2.ListTagsResponse) -> tuple[TableEntry, ...]:
    """Read a page of a tag table.

    Raises EncodingError: BAD_LENGTH for more entries than a page holds, or columns that do not have the
    sizes that the operations ask for; BAD_ENCODING for an unknown operation, or a part without entries.
    """
    if sum(len(part.operations) for part in message.parts) > PAGE_SIZE:
        raise EncodingError(Code.BAD_LENGTH, "a page has more entries than allowed")
    return tuple(chain.from_iterable(map(_entries_of, message.parts)))


def _entries_of(part: exchange_pb2.TablePart) -> Iterable[TableEntry]:
    operations, tags, sealed = part.operations, part.tags, part.sealed_labels
    additions = operations.count(Operation.ADD)
    if not operations or additions + operations.count(Operation.REVOKE) != len(operations):
        raise EncodingError(Code.BAD_ENCODING, "a part is empty, or has an unknown table operation")
    if len(tags) != len(operations) * TAG_SIZE or len(sealed) != additions * SEALED_LABEL_SIZE:
        raise EncodingError(Code.BAD_LENGTH, "a column of a page has the wrong size")
    labels = iter(split(sealed, SEALED_LABEL_SIZE))
    return (
        TableEntry(part.version, _OPERATIONS[operation], Tag(tag), next(labels) if operation == _ADD else b"")
        for operation, tag in zip(operations, split(tags, TAG_SIZE), strict=True)
    )


def entries_to(entries: Iterable[TableEntry]) -> exchange_pb2.ListTagsResponse:
    """Write a page of a tag table."""
    response = exchange_pb2.ListTagsResponse()
    for version, part in groupby(entries, key=itemgetter(0)):
        _, operations, tags, sealed = zip(*part, strict=True)
        response.parts.add(
            version=version,
            operations=bytes(operations),
            tags=b"".join(tags),
            sealed_labels=b"".join(sealed),
        )
    return response


def tags_from(tags: bytes) -> list[Tag]:
    """Read reported tags; raises EncodingError or CryptoError(BAD_LENGTH)."""
    if len(tags) > PAGE_SIZE * TAG_SIZE:
        raise EncodingError(Code.BAD_LENGTH, "a report has more tags than allowed")
    return [Tag(tag) for tag in split(tags, TAG_SIZE)]


def profiles_from(message: exchange_pb2.HelloRequest) -> tuple[tuple[str, int], ...]:
    """Read the profiles that a peer canonicalises by."""
    return tuple((profile.type, profile.profile) for profile in message.profiles)


def error_from(error: grpc.aio.AioRpcError) -> MandorlaError:
    """Turn a failed call into the error that the peer, or the transport, meant.

    Nothing of the peer's text is kept: only codes of the catalogue pass.
    """
    for key, value in error.trailing_metadata() or ():
        if key == CODE_KEY and isinstance(value, str) and value in _WIRE_CODES:
            return RoundError(_WIRE_CODES[value], "(the peer's answer)")
    return TransportError(_BY_STATUS.get(error.code(), Code.PEER_UNAVAILABLE), error.code().name)
