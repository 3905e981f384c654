"""A version of a tag table while it is prepared: entries go into buckets by tag, which are then sorted.

So a version of any size is sorted in the memory of one bucket, and the store appends rows of thousands of
entries instead of visiting an index for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mandorla_protocol.errors import Code, NodeError
from mandorla_protocol.labels import SEALED_LABEL_SIZE, TAG_SIZE
from mandorla_protocol.table import Operation, TablePart

BUCKETS: Final = 64
OWNER_SIZE: Final = 8

_ADD: Final = int(Operation.ADD)
_TAG: Final = np.dtype(f"S{TAG_SIZE}")
_SEALED: Final = np.dtype(f"V{SEALED_LABEL_SIZE}")
_OWNER: Final = np.dtype(">u8")
_RECORD: Final = np.dtype([("tag", _TAG), ("operation", "u1"), ("sealed", _SEALED), ("owner", _OWNER)])


class OwnedPart(NamedTuple):
    """Entries of one version, and behind each the id of its indicator in eight bytes; 0 for padding."""

    part: TablePart
    owners: bytes

    def __repr__(self) -> str:
        # Which tag is whose stays out of logs and tracebacks.
        return f"OwnedPart(entries={len(self.part)})"


def owned(version: int, operations: bytes, tags: bytes, sealed: bytes, owners: Iterable[int]) -> OwnedPart:
    """Return entries, in any order, with the ids of their indicators."""
    numbers = np.fromiter(owners, _OWNER, len(operations)).tobytes()
    return OwnedPart(TablePart(version, operations, tags, sealed), numbers)


def rows_of(staged: OwnedPart) -> Iterator[tuple[int, int, bytes]]:
    """Yield bucket, count and records, for the store to keep."""
    records = _records(staged)
    buckets = np.frombuffer(staged.part.tags, np.uint8)[::TAG_SIZE].astype(np.int64) * BUCKETS >> 8
    records = records[np.argsort(buckets, kind="stable")]
    counts = np.bincount(buckets, minlength=BUCKETS)
    for bucket, (end, count) in enumerate(zip(np.cumsum(counts).tolist(), counts.tolist(), strict=True)):
        if count:
            yield bucket, count, records[end - count : end].tobytes()


def pages_of(buckets: Iterable[list[bytes]], version: int, page: int) -> Iterator[OwnedPart]:
    """Yield the records of all buckets in the order of their tags, as parts of at most `page` entries.

    Raises NodeError(STORE_FAILED) if a tag was staged twice.
    """
    left = np.empty(0, _RECORD)
    for bucket in buckets:
        left = _joined([left, _sorted(np.frombuffer(b"".join(bucket), _RECORD))])
        full = len(left) - len(left) % page
        for start in range(0, full, page):
            yield _part(version, left[start : start + page])
        left = left[full:]
    if len(left):
        yield _part(version, left)


def sorted_part(staged: list[OwnedPart], version: int) -> OwnedPart:
    """Return all of a small version in the order of its tags.

    Raises NodeError(STORE_FAILED) if a tag was staged twice.
    """
    return _part(version, _sorted(_joined([_records(one) for one in staged])))


def _records(staged: OwnedPart) -> NDArray[np.void]:
    part, owners = staged
    records = np.zeros(len(part), _RECORD)
    records["tag"] = np.frombuffer(part.tags, _TAG)
    records["operation"] = np.frombuffer(part.operations, np.uint8)
    records["sealed"][records["operation"] == _ADD] = np.frombuffer(part.sealed, _SEALED)
    records["owner"] = np.frombuffer(owners, _OWNER)
    return records


def _joined(records: list[NDArray[np.void]]) -> NDArray[np.void]:
    # Without the type, numpy would turn the owners' bytes around.
    return np.concatenate(records, dtype=_RECORD)


def _sorted(records: NDArray[np.void]) -> NDArray[np.void]:
    tags = np.ascontiguousarray(records["tag"])
    order = np.argsort(tags, kind="stable")
    tags = tags[order]
    if (tags[1:] == tags[:-1]).any():
        raise NodeError(Code.STORE_FAILED, "a tag was staged twice in one version")
    return records[order]


def _part(version: int, records: NDArray[np.void]) -> OwnedPart:
    operations, tags = records["operation"].tobytes(), records["tag"].tobytes()
    sealed = records["sealed"][records["operation"] == _ADD].tobytes()
    return OwnedPart(TablePart(version, operations, tags, sealed), records["owner"].tobytes())
