"""The tag table: a holder's append-only list of additions and revocations (SPEC 7).

A table belongs to one key epoch. It grows by versions; within a version, entries stand in the order of their
tags, and random entries pad it to a size class. The entries are the leaves of a Merkle tree whose root both
labs sign before the first evaluation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import chain, groupby, islice
from operator import attrgetter, lt
from typing import Final

from . import native_extension
from .encoding import Writer, encoded_uint
from .engine import split
from .errors import Code, RoundError
from .labels import SEALED_LABEL_SIZE, TAG_SIZE, Tag
from .merkle import EMPTY_ROOT, HASH_SIZE, LEAF_PREFIX, Frontier, hash_leaf
from .sizes import BATCH_SMALLEST, size_class

if native_extension.BUILT:
    from . import _native

MAX_TABLE_SIZE: Final = 2**40

_LEAF_DOMAIN: Final = Writer("mandorla/v1 table leaf").finish()


class Operation(IntEnum):
    """What an entry does to its tag."""

    ADD = 1
    REVOKE = 2


@dataclass(frozen=True, slots=True)
class TableEntry:
    """One leaf: in `version`, `tag` was added with a sealed label of 272 bytes, or revoked with none."""

    version: int
    operation: Operation
    tag: Tag
    sealed: bytes

    def leaf_hash(self) -> bytes:
        """Return the entry's leaf hash in the table's Merkle tree (SPEC 7.2).

        Raises EncodingError for a version or a tag that does not fit its field.
        """
        return hash_leaf(
            Writer("mandorla/v1 table leaf")
            .uint(self.version, 8)
            .uint(self.operation, 1)
            .fixed(self.tag, TAG_SIZE)
            .fixed(hashlib.sha256(self.sealed).digest(), HASH_SIZE)
            .finish()
        )


@dataclass(frozen=True, slots=True)
class TablePart:
    """Entries of one version that follow each other, in columns: a table has millions of them.

    `operations` has a byte for each entry, `tags` 16 bytes, and `sealed` 272 bytes for each addition.
    """

    version: int
    operations: bytes
    tags: bytes
    sealed: bytes

    def __len__(self) -> int:
        return len(self.operations)

    def __repr__(self) -> str:
        return f"TablePart(version={self.version}, entries={len(self)})"

    def require_whole(self) -> None:
        """Check that there is an entry, and that the columns have the sizes that the operations ask for.

        Raises RoundError(BAD_TABLE).
        """
        additions = self.operations.count(Operation.ADD)
        if not self.operations or additions + self.operations.count(Operation.REVOKE) != len(self):
            raise RoundError(Code.BAD_TABLE, "a part of a page is empty, or has an unknown operation")
        if len(self.tags) != len(self) * TAG_SIZE or len(self.sealed) != additions * SEALED_LABEL_SIZE:
            raise RoundError(Code.BAD_TABLE, "a column of a page has the wrong size")

    def entries(self) -> Iterator[TableEntry]:
        """Yield the entries of a part that is whole."""
        labels = split(self.sealed, SEALED_LABEL_SIZE)
        for operation, tag in zip(self.operations, split(self.tags, TAG_SIZE), strict=True):
            sealed = next(labels) if operation == _ADD else b""
            yield TableEntry(self.version, _OPERATIONS[operation], Tag(tag), sealed)

    def entry(self, index: int) -> TableEntry:
        """Return one entry of a part that is whole."""
        operation = _OPERATIONS[self.operations[index]]
        before = self._sealed_before(index)
        sealed = self.sealed[before : before + SEALED_LABEL_SIZE] if operation is Operation.ADD else b""
        return TableEntry(
            self.version, operation, Tag(self.tags[index * TAG_SIZE : (index + 1) * TAG_SIZE]), sealed
        )

    def cut(self, start: int, stop: int) -> TablePart:
        """Return the entries from one index to before another."""
        if start <= 0 and stop >= len(self):
            return self
        start, stop = max(start, 0), min(stop, len(self))
        return TablePart(
            self.version,
            self.operations[start:stop],
            self.tags[start * TAG_SIZE : stop * TAG_SIZE],
            self.sealed[self._sealed_before(start) : self._sealed_before(stop)],
        )

    def _sealed_before(self, index: int) -> int:
        """Return how many bytes of sealed labels stand before an entry."""
        if len(self.sealed) == len(self) * SEALED_LABEL_SIZE:
            return index * SEALED_LABEL_SIZE
        return self.operations.count(_ADD, 0, index) * SEALED_LABEL_SIZE

    def append_to(self, frontier: Frontier) -> Frontier:
        """Return a tree's frontier after these entries, which are whole (SPEC 7.2)."""
        if not native_extension.BUILT:
            return self.append_to_portable(frontier)
        start = LEAF_PREFIX + _LEAF_DOMAIN + encoded_uint(self.version, 8)
        tree = (frontier.size, b"".join(frontier.subtrees))
        with native_extension.typed_errors():
            size, nodes = _native.append_entries(tree, start, self.operations, self.tags, self.sealed)
        return Frontier(size, tuple(split(nodes, HASH_SIZE)))

    def append_to_portable(self, frontier: Frontier) -> Frontier:
        """Return what `append_to` returns, by one entry after another."""
        return frontier.extend(entry.leaf_hash() for entry in self.entries())


_ADD: Final = int(Operation.ADD)
_OPERATIONS: Final = {int(operation): operation for operation in Operation}


def parts_of(entries: Iterable[TableEntry]) -> tuple[TablePart, ...]:
    """Return entries in columns: a part for each run of one version."""
    parts = []
    for version, run in groupby(entries, key=attrgetter("version")):
        columns = [(entry.operation, entry.tag, entry.sealed) for entry in run]
        operations, tags, sealed = zip(*columns, strict=True)
        parts.append(TablePart(version, bytes(operations), b"".join(tags), b"".join(sealed)))
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class TableCommitment:
    """What a holder commits to: the table's latest version, its number of entries and its Merkle root."""

    version: int = 0
    size: int = 0
    root: bytes = EMPTY_ROOT

    def require_extends(self, earlier: TableCommitment) -> None:
        """Check what can be checked of two commitments alone.

        Raises RoundError(TABLE_MISMATCH) if this one cannot be a later state of the `earlier` one's table.
        """
        if self.version < earlier.version or self.size < earlier.size:
            raise RoundError(Code.TABLE_MISMATCH, "the table went back to an earlier version")
        if (self.version == earlier.version) != (self.size == earlier.size):
            raise RoundError(Code.TABLE_MISMATCH, "a table version changed its size")
        if self.size == earlier.size and self.root != earlier.root:
            raise RoundError(Code.TABLE_MISMATCH, "the table was rewritten")


def padding(
    count: int, random_bytes: Callable[[int], bytes], smallest: int = BATCH_SMALLEST
) -> Iterator[tuple[Tag, bytes]]:
    """Yield the random tags and labels that fill a version of `count` entries up to its size class.

    They cannot be told from additions by anyone who lacks the OPRF output of each tag.
    """
    for _ in range(size_class(count, smallest) - count):
        entry = random_bytes(TAG_SIZE + SEALED_LABEL_SIZE)
        yield Tag(entry[:TAG_SIZE]), entry[TAG_SIZE:]


@dataclass(frozen=True, slots=True)
class TableReader:
    """Read a holder's table page by page, from what was verified earlier to what the header commits to.

    Nothing that was read may be used before `require_complete` has passed.
    """

    committed: TableCommitment
    frontier: Frontier
    version: int
    last_tag: bytes = b""

    @classmethod
    def resume(cls, verified: TableCommitment, frontier: Frontier, committed: TableCommitment) -> TableReader:
        """Start after the part that an earlier round verified.

        Raises RoundError(TABLE_MISMATCH) if `committed` cannot extend it.
        """
        committed.require_extends(verified)
        if (frontier.size, frontier.root) != (verified.size, verified.root):
            raise RoundError(Code.TABLE_MISMATCH, "the stored frontier is not that of the verified table")
        return cls(committed, frontier, verified.version)

    @property
    def position(self) -> int:
        """Index of the next entry to read."""
        return self.frontier.size

    @property
    def complete(self) -> bool:
        """Whether every committed entry was read."""
        return self.position == self.committed.size

    def accept(self, parts: Sequence[TablePart]) -> TableReader:
        """Take the next entries.

        Raises RoundError(BAD_TABLE) on an empty page, more than was committed to, versions that go back or
        pass the committed one, tags out of order or doubled within a version, an unknown operation, or a
        column of the wrong size.
        """
        if not parts:
            raise RoundError(Code.BAD_TABLE, "a page is empty before the table's end")
        if self.position + sum(map(len, parts)) > self.committed.size:
            raise RoundError(Code.BAD_TABLE, "more entries than were committed to")
        version, last_tag, frontier = self.version, self.last_tag, self.frontier
        for part in parts:
            part.require_whole()
            if part.version != version:
                if not version < part.version <= self.committed.version:
                    raise RoundError(Code.BAD_TABLE, "versions are out of order")
                version, last_tag = part.version, b""
            elif not last_tag:
                raise RoundError(Code.BAD_TABLE, "a finished version was added to")
            tags = list(chain((last_tag,), split(part.tags, TAG_SIZE)))
            if not all(map(lt, tags, islice(tags, 1, None))):
                raise RoundError(Code.BAD_TABLE, "tags are out of order")
            last_tag = tags[-1]
            frontier = part.append_to(frontier)
        return replace(self, frontier=frontier, version=version, last_tag=last_tag)

    def require_complete(self) -> None:
        """Check that what was read is what the holder committed to.

        Raises RoundError(TABLE_MISMATCH) if the version or the root differs.
        """
        if (self.version, self.position, self.frontier.root) != (
            self.committed.version,
            self.committed.size,
            self.committed.root,
        ):
            raise RoundError(Code.TABLE_MISMATCH, "the entries are not those that were committed to")
