"""Conversion between a peer's protobuf messages and the protocol's types, with checks of all sizes."""

from __future__ import annotations

from collections.abc import Iterable

import grpc

from mandorla.v1 import exchange_pb2
from mandorla_protocol.engine import split
from mandorla_protocol.errors import Code, EncodingError, MandorlaError, RoundError, TransportError
from mandorla_protocol.header import ROUND_ID_SIZE, RoundId
from mandorla_protocol.labels import TAG_SIZE, Tag
from mandorla_protocol.sizes import PAGE_SIZE
from mandorla_protocol.table import TablePart

CODE_KEY = "mandorla-code"
"""The trailing metadata key that carries an error's code (SPEC 9.9)."""

MAX_PARTS = 514
"""The parts of a page, at most: a version has 16 entries or more (SPEC 8), so a page overlaps 514 at most."""

# The codes that a peer can answer. The other codes are about the input of an operator.
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


def parts_from(message: exchange_pb2.ListTagsResponse, unread: int) -> tuple[TablePart, ...]:
    """Read a page of a tag table that has `unread` entries left; the columns are not verified here.

    Raises EncodingError(BAD_LENGTH) for more parts or entries than a page holds, and RoundError(BAD_TABLE)
    for a page that is neither full nor the last: each page costs this lab a transaction.
    """
    # The parts are counted before they are read: a message can hold millions of empty parts.
    if len(message.parts) > MAX_PARTS:
        raise EncodingError(Code.BAD_LENGTH, "a page has more parts than allowed")
    parts = tuple(TablePart(p.version, p.operations, p.tags, p.sealed_labels) for p in message.parts)
    entries = sum(map(len, parts))
    if entries > PAGE_SIZE:
        raise EncodingError(Code.BAD_LENGTH, "a page has more entries than allowed")
    if entries < min(unread, PAGE_SIZE):
        raise RoundError(Code.BAD_TABLE, "a page is neither full nor the last")
    return parts


def parts_to(parts: Iterable[TablePart]) -> exchange_pb2.ListTagsResponse:
    """Write a page of a tag table."""
    response = exchange_pb2.ListTagsResponse()
    for part in parts:
        response.parts.add(
            version=part.version, operations=part.operations, tags=part.tags, sealed_labels=part.sealed
        )
    return response


def tags_from(tags: bytes) -> list[Tag]:
    """Read reported tags; raises EncodingError or CryptoError: BAD_LENGTH."""
    if len(tags) > PAGE_SIZE * TAG_SIZE:
        raise EncodingError(Code.BAD_LENGTH, "a report has more tags than allowed")
    return [Tag(tag) for tag in split(tags, TAG_SIZE)]


def profiles_from(message: exchange_pb2.HelloRequest) -> tuple[tuple[str, int], ...]:
    """Read the profile of each indicator type that a peer uses."""
    return tuple((profile.type, profile.profile) for profile in message.profiles)


def error_from(error: grpc.aio.AioRpcError) -> MandorlaError:
    """Convert a failed call into an error with the peer's code, or with the transport's if there is none.

    No text of the peer is kept: only codes of the catalogue pass.
    """
    for key, value in error.trailing_metadata() or ():
        if key == CODE_KEY and isinstance(value, str) and value in _WIRE_CODES:
            return RoundError(_WIRE_CODES[value], "(the peer's answer)")
    return TransportError(_BY_STATUS.get(error.code(), Code.PEER_UNAVAILABLE), error.code().name)
