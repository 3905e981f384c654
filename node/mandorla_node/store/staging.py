"""A version of a tag table while it is prepared: entries go into buckets by tag, which are then sorted.

So a version of any size is sorted in the memory of one bucket, and the store appends rows of thousands of
entries instead of visiting an index for each.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from mandorla_protocol.errors import Code, NodeError
from mandorla_protocol.labels import SEALED_LABEL_SIZE, TAG_SIZE, Tag
from mandorla_protocol.table import Operation, TablePart

BUCKETS: Final = 64
OWNERS: Final = -1
"""The bucket of the records that say which indicator is behind a tag."""

_RECORD_SIZE: Final = TAG_SIZE + 1 + SEALED_LABEL_SIZE
_OWNER: Final = struct.Struct(f">QI{TAG_SIZE}s")
_REVOKE: Final = int(Operation.REVOKE)


class StagedEntry(NamedTuple):
    """An entry of the version that is being prepared; padding has no indicator, a revocation no revision."""

    tag: Tag
    operation: int
    sealed: bytes
    indicator_id: int | None = None
    revision: int = 0

    def __repr__(self) -> str:
        # Which tag is whose stays out of logs and tracebacks.
        return f"StagedEntry(operation={self.operation})"


def rows_of(entries: Iterable[StagedEntry]) -> Iterator[tuple[int, int, bytes]]:
    """Yield bucket, count and records, for the store to keep."""
    buckets: dict[int, list[bytes]] = defaultdict(list)
    for tag, operation, sealed, indicator_id, revision in entries:
        record = tag + operation.to_bytes(1, "big") + sealed.ljust(SEALED_LABEL_SIZE, b"\x00")
        buckets[tag[0] * BUCKETS >> 8].append(record)
        if indicator_id is not None:
            buckets[OWNERS].append(_OWNER.pack(indicator_id, revision, tag))
    for bucket, records in buckets.items():
        yield bucket, len(records), b"".join(records)


def owners_of(records: bytes) -> tuple[list[tuple[int, bytes, int]], list[int]]:
    """Return what lives from now on (indicator, tag and revision), and the indicators of what does not."""
    live, dead = [], []
    for number, revision, tag in _OWNER.iter_unpack(records):
        if revision:
            live.append((number, tag, revision))
        else:
            dead.append(number)
    return live, dead


def pages_of(buckets: Iterable[list[bytes]], version: int, page: int) -> Iterator[TablePart]:
    """Yield the records of all buckets in the order of their tags, as parts of at most `page` entries.

    Raises NodeError(STORE_FAILED) if a tag was staged twice.
    """
    left: list[bytes] = []
    for bucket in buckets:
        left += _sorted(b"".join(bucket))
        full = len(left) - len(left) % page
        for start in range(0, full, page):
            yield _part(version, left[start : start + page])
        left = left[full:]
    if left:
        yield _part(version, left)


def _sorted(bucket: bytes) -> list[bytes]:
    records = sorted(bucket[at : at + _RECORD_SIZE] for at in range(0, len(bucket), _RECORD_SIZE))
    if len({record[:TAG_SIZE] for record in records}) != len(records):
        raise NodeError(Code.STORE_FAILED, "a tag was staged twice in one version")
    return records


def _part(version: int, records: list[bytes]) -> TablePart:
    tags = (record[:TAG_SIZE] for record in records)
    operations = bytes(record[TAG_SIZE] for record in records)
    sealed = (record[TAG_SIZE + 1 :] for record in records if record[TAG_SIZE] != _REVOKE)
    return TablePart(version, operations, b"".join(tags), b"".join(sealed))
