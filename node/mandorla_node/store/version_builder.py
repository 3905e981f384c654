"""A version of a tag table in preparation: entries go into buckets by tag, and each bucket is sorted alone.

So the sort of a version of any size needs the memory of one bucket. A restarted node begins the version anew,
so the staged entries are not in the database: a small version is in memory, a large one in an unnamed file.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mandorla_protocol.errors import Code, NodeError
from mandorla_protocol.labels import SEALED_LABEL_SIZE, TAG_SIZE
from mandorla_protocol.sizes import PAGE_SIZE
from mandorla_protocol.table import Operation, TablePart

from .database import file_errors_translated

BUCKETS: Final = 64
OWNER_SIZE: Final = 8

_ADD: Final = int(Operation.ADD)
_TAG: Final = np.dtype(f"S{TAG_SIZE}")
_SEALED: Final = np.dtype(f"V{SEALED_LABEL_SIZE}")
_OWNER: Final = np.dtype(">u8")
_RECORD: Final = np.dtype([("tag", _TAG), ("operation", "u1"), ("sealed", _SEALED), ("owner", _OWNER)])


class OwnedPart(NamedTuple):
    """Entries of one version, and the id of each entry's indicator in eight bytes; 0 for padding."""

    part: TablePart
    owners: bytes

    def __repr__(self) -> str:
        # Logs and tracebacks must not show which tag belongs to which indicator.
        return f"OwnedPart(entries={len(self.part)})"


def owned(version: int, operations: bytes, tags: bytes, sealed: bytes, owners: Iterable[int]) -> OwnedPart:
    """Return entries, in any order, with the ids of their indicators."""
    numbers = np.fromiter(owners, _OWNER, len(operations)).tobytes()
    return OwnedPart(TablePart(version, operations, tags, sealed), numbers)


class VersionBuilder:
    """The entries of one version, added in any order. `add` is thread-safe."""

    def __init__(self, folder: Path, version: int) -> None:
        """Begin a version. A large one goes to a file in `folder`; leaving the context closes the file."""
        self.version = version
        self.count = 0
        self._folder = folder
        self._small: list[OwnedPart] = []
        self._file: IO[bytes] | None = None
        self._places: list[list[tuple[int, int]]] = [[] for _ in range(BUCKETS)]
        self._lock = threading.Lock()

    def __enter__(self) -> VersionBuilder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, entries: OwnedPart) -> None:
        """Add entries; raises NodeError(STORE_FAILED) if the disk refuses them."""
        with self._lock:
            self.count += len(entries.part)
            self._small.append(entries)
            if self.count > PAGE_SIZE:
                with file_errors_translated():
                    self._write()

    def _write(self) -> None:
        if self._file is None:
            self._file = TemporaryFile(dir=self._folder)  # noqa: SIM115 - `__exit__` closes it
        for staged in self._small:
            records = _records(staged)
            # The bucket is the tag's first byte, scaled: buckets are in the order of tags.
            buckets = np.frombuffer(staged.part.tags, np.uint8)[::TAG_SIZE].astype(np.int64) * BUCKETS >> 8
            records = records[np.argsort(buckets, kind="stable")]
            counts = np.bincount(buckets, minlength=BUCKETS).tolist()
            place = self._file.tell()
            self._file.write(records.tobytes())
            for bucket, count in enumerate(counts):
                self._places[bucket].append((place, count * _RECORD.itemsize))
                place += count * _RECORD.itemsize
        self._small = []

    def pages(self, page: int = PAGE_SIZE) -> Iterator[OwnedPart]:
        """Yield all entries in the order of their tags, as parts of at most `page` entries.

        Raises NodeError(STORE_FAILED) if a tag was staged twice, or the disk refuses.
        """
        rest = np.empty(0, _RECORD)
        for bucket in self._buckets():
            rest = _joined([rest, _sorted(bucket)])
            full = len(rest) - len(rest) % page
            for start in range(0, full, page):
                yield _part(self.version, rest[start : start + page])
            rest = rest[full:]
        if len(rest):
            yield _part(self.version, rest)

    def _buckets(self) -> Iterator[NDArray[np.void]]:
        if self._file is None:
            yield _joined([np.empty(0, _RECORD), *map(_records, self._small)])
            return
        for places in self._places:
            with file_errors_translated():
                self._file.flush()
                chunks = [os.pread(self._file.fileno(), size, place) for place, size in places]
            yield np.frombuffer(b"".join(chunks), _RECORD)


def _records(staged: OwnedPart) -> NDArray[np.void]:
    part, owners = staged
    records = np.zeros(len(part), _RECORD)
    records["tag"] = np.frombuffer(part.tags, _TAG)
    records["operation"] = np.frombuffer(part.operations, np.uint8)
    records["sealed"][records["operation"] == _ADD] = np.frombuffer(part.sealed, _SEALED)
    records["owner"] = np.frombuffer(owners, _OWNER)
    return records


def _joined(records: list[NDArray[np.void]]) -> NDArray[np.void]:
    # Without the type, numpy would convert the owners to the machine's byte order.
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
