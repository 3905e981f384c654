"""The tag table: a holder's append-only list of additions and revocations (SPEC 7).

A table belongs to one key epoch, and grows by versions. The entries of a version are in ascending order of
their tags, and random entries pad the version to a size class. The entries are the leaves of a Merkle tree.
Both labs sign the tree's root, in the round header, before the first evaluation: so the holder cannot choose
entries after it sees what the querier sends.
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
    """The operation of an entry on its tag."""

    ADD = 1
    REVOKE = 2


@dataclass(frozen=True, slots=True)
class TableEntry:
    """One entry: the addition of a tag with a sealed label of 272 bytes, or its revocation without one."""

    version: int
    operation: Operation
    tag: Tag
    sealed: bytes

    def leaf_hash(self) -> bytes:
        """Return the entry's leaf hash in the table's Merkle tree, 32 bytes (SPEC 7.2).

        Raises EncodingError: BAD_ENCODING for a version, BAD_LENGTH for a tag that does not fit its field.
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
    """Consecutive entries of one version, in columns, because a table has millions of entries.

    `operations` has one byte for each entry, `tags` has 16 bytes for each entry, and `sealed` has 272 bytes
    for each addition. The methods, except `require_whole`, need a part that `require_whole` accepts.
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
        """Check that the part has an entry, known operations, and columns of the right sizes.

        Raises RoundError: BAD_TABLE otherwise.
        """
        additions = self.operations.count(Operation.ADD)
        if not self.operations or additions + self.operations.count(Operation.REVOKE) != len(self):
            raise RoundError(Code.BAD_TABLE, "a part of a page has no entry, or an unknown operation")
        if len(self.tags) != len(self) * TAG_SIZE or len(self.sealed) != additions * SEALED_LABEL_SIZE:
            raise RoundError(Code.BAD_TABLE, "a column of a page has the wrong size")

    def entries(self) -> Iterator[TableEntry]:
        """Yield the entries."""
        labels = split(self.sealed, SEALED_LABEL_SIZE)
        for operation, tag in zip(self.operations, split(self.tags, TAG_SIZE), strict=True):
            sealed = next(labels) if operation == _ADD else b""
            yield TableEntry(self.version, _OPERATIONS[operation], Tag(tag), sealed)

    def entry(self, index: int) -> TableEntry:
        """Return the entry at an index."""
        operation = _OPERATIONS[self.operations[index]]
        before = self._sealed_before(index)
        sealed = self.sealed[before : before + SEALED_LABEL_SIZE] if operation is Operation.ADD else b""
        return TableEntry(
            self.version, operation, Tag(self.tags[index * TAG_SIZE : (index + 1) * TAG_SIZE]), sealed
        )

    def cut(self, start: int, stop: int) -> TablePart:
        """Return the entries from index `start` to before index `stop`, both cut to the part."""
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
        """Return the number of bytes of sealed labels before an entry."""
        # A part without revocations, the usual case, needs no counting.
        if len(self.sealed) == len(self) * SEALED_LABEL_SIZE:
            return index * SEALED_LABEL_SIZE
        return self.operations.count(_ADD, 0, index) * SEALED_LABEL_SIZE

    def append_to(self, frontier: Frontier) -> Frontier:
        """Return a tree's frontier after appending these entries (SPEC 7.2)."""
        if not native_extension.BUILT:
            return self.append_to_portable(frontier)
        start = LEAF_PREFIX + _LEAF_DOMAIN + encoded_uint(self.version, 8)
        tree = (frontier.size, b"".join(frontier.subtrees))
        with native_extension.typed_errors():
            size, nodes = _native.append_entries(tree, start, self.operations, self.tags, self.sealed)
        return Frontier(size, tuple(split(nodes, HASH_SIZE)))

    def append_to_portable(self, frontier: Frontier) -> Frontier:
        """Do the work of `append_to` without the native extension."""
        return frontier.extend(entry.leaf_hash() for entry in self.entries())


_ADD: Final = int(Operation.ADD)
_OPERATIONS: Final = {int(operation): operation for operation in Operation}


def parts_of(entries: Iterable[TableEntry]) -> tuple[TablePart, ...]:
    """Return entries as parts: one part for each run of entries of one version."""
    parts = []
    for version, run in groupby(entries, key=attrgetter("version")):
        columns = [(entry.operation, entry.tag, entry.sealed) for entry in run]
        operations, tags, sealed = zip(*columns, strict=True)
        parts.append(TablePart(version, bytes(operations), b"".join(tags), b"".join(sealed)))
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class TableCommitment:
    """A holder's commitment:

    the table's latest version, its number of entries and its Merkle root (SPEC 7.2).
    """

    version: int = 0
    size: int = 0
    root: bytes = EMPTY_ROOT

    def require_extends(self, earlier: TableCommitment) -> None:
        """Check that this commitment may be a later state of the table of `earlier` (SPEC 7.3).

        Two commitments show no more than this. Only reading the entries between them shows that the later
        table extends the earlier one.

        Raises RoundError: TABLE_MISMATCH if the table cannot have grown from `earlier`.
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
    """Yield random tags and sealed labels that pad a version of `count` entries to its class (SPEC 7.1).

    Only a lab with the OPRF outputs of all additions can tell padding from additions.
    """
    for _ in range(size_class(count, smallest) - count):
        entry = random_bytes(TAG_SIZE + SEALED_LABEL_SIZE)
        yield Tag(entry[:TAG_SIZE]), entry[TAG_SIZE:]


@dataclass(frozen=True, slots=True)
class TableReader:
    """Reads a holder's table page by page, from the verified part to the commitment (SPEC 7.3).

    The caller must not use entries before `require_complete` accepts the table: until then the holder may
    have sent any entries.
    """

    committed: TableCommitment
    frontier: Frontier
    version: int
    last_tag: bytes = b""

    @classmethod
    def resume(cls, verified: TableCommitment, frontier: Frontier, committed: TableCommitment) -> TableReader:
        """Return a reader that starts after the part that an earlier round verified.

        Raises RoundError: TABLE_MISMATCH if `committed` cannot extend that part.
        """
        committed.require_extends(verified)
        if (frontier.size, frontier.root) != (verified.size, verified.root):
            raise RoundError(Code.TABLE_MISMATCH, "the stored frontier does not fit the verified table")
        return cls(committed, frontier, verified.version)

    @property
    def position(self) -> int:
        """The index of the next entry."""
        return self.frontier.size

    @property
    def complete(self) -> bool:
        """Whether all committed entries are read."""
        return self.position == self.committed.size

    def accept(self, parts: Sequence[TablePart]) -> TableReader:
        """Return the reader after the next page, given as parts (SPEC 7.3).

        Raises RoundError: BAD_TABLE for an empty page, more entries than committed, versions out of order or
        beyond the committed one, an entry in a finished version, tags that do not ascend within a version, an
        unknown operation, or a column of the wrong size.
        """
        if not parts:
            raise RoundError(Code.BAD_TABLE, "a page is empty before the table's end")
        if self.position + sum(map(len, parts)) > self.committed.size:
            raise RoundError(Code.BAD_TABLE, "there are more entries than the holder committed to")
        version, last_tag, frontier = self.version, self.last_tag, self.frontier
        for part in parts:
            part.require_whole()
            if part.version != version:
                if not version < part.version <= self.committed.version:
                    raise RoundError(Code.BAD_TABLE, "versions are out of order")
                version, last_tag = part.version, b""
            elif not last_tag:
                # The verified part ended with this version, so an entry now would change a finished version.
                raise RoundError(Code.BAD_TABLE, "an entry belongs to a finished version")
            tags = list(chain((last_tag,), split(part.tags, TAG_SIZE)))
            if not all(map(lt, tags, islice(tags, 1, None))):
                raise RoundError(Code.BAD_TABLE, "tags are out of order")
            last_tag = tags[-1]
            frontier = part.append_to(frontier)
        return replace(self, frontier=frontier, version=version, last_tag=last_tag)

    def require_complete(self) -> None:
        """Check that the holder committed to exactly the entries that were read (SPEC 7.3).

        Raises RoundError: TABLE_MISMATCH if the version, the size or the root differs.
        """
        if (self.version, self.position, self.frontier.root) != (
            self.committed.version,
            self.committed.size,
            self.committed.root,
        ):
            raise RoundError(Code.TABLE_MISMATCH, "the entries differ from the committed ones")
