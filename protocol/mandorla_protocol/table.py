"""The tag table: a holder's append-only list of additions and revocations (SPEC 7).

A table belongs to one key epoch. It grows by versions; within a version, entries stand in the order of their
tags, and random entries pad it to a size class. The entries are the leaves of a Merkle tree whose root both
labs sign before the first evaluation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, NamedTuple

from .encoding import Writer, encoded_uint
from .errors import Code, EncodingError, RoundError
from .labels import SEALED_LABEL_SIZE, TAG_SIZE, Tag
from .merkle import EMPTY_ROOT, Frontier, hash_leaf
from .sizes import size_class

MAX_TABLE_SIZE: Final = 2**40

_LEAF_DOMAIN: Final = Writer("mandorla/v1 table leaf").finish()


class Operation(IntEnum):
    """What an entry does to its tag."""

    ADD = 1
    REVOKE = 2


class TableEntry(NamedTuple):
    """One leaf: in `version`, `tag` was added with a sealed label of 272 bytes, or revoked with none.

    A tuple, because a table has millions of them.
    """

    version: int
    operation: Operation
    tag: Tag
    sealed: bytes

    def leaf_hash(self) -> bytes:
        """Return the entry's leaf hash in the table's Merkle tree (SPEC 7.2).

        Raises EncodingError for a version or a tag that does not fit its field.
        """
        version, operation, tag, sealed = self
        if len(tag) != TAG_SIZE:
            raise EncodingError(Code.BAD_LENGTH, "a tag has 16 bytes")
        numbers = encoded_uint(version, 8) + encoded_uint(operation, 1)
        return hash_leaf(_LEAF_DOMAIN + numbers + tag + hashlib.sha256(sealed).digest())


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


def padding(count: int, random_bytes: Callable[[int], bytes]) -> Iterator[tuple[Tag, bytes]]:
    """Yield the random tags and labels that fill a version of `count` entries up to its size class.

    They cannot be told from additions by anyone who lacks the OPRF output of each tag.
    """
    for _ in range(size_class(count) - count):
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

    def accept(self, entries: Sequence[TableEntry]) -> TableReader:
        """Take the next entries.

        Raises RoundError(BAD_TABLE) on an empty page, more than was committed to, versions that go back or
        pass the committed one, tags out of order or doubled within a version, or a field of the wrong size.
        """
        if not entries:
            raise RoundError(Code.BAD_TABLE, "a page is empty before the table's end")
        if self.position + len(entries) > self.committed.size:
            raise RoundError(Code.BAD_TABLE, "more entries than were committed to")
        version, last_tag = self.version, self.last_tag
        for entry in entries:
            if entry.version != version:
                if not version < entry.version <= self.committed.version:
                    raise RoundError(Code.BAD_TABLE, "versions are out of order")
                version, last_tag = entry.version, b""
            elif not last_tag:
                raise RoundError(Code.BAD_TABLE, "a finished version was added to")
            if len(entry.tag) != TAG_SIZE:
                raise RoundError(Code.BAD_TABLE, "a tag has the wrong size")
            if not last_tag < entry.tag:
                raise RoundError(Code.BAD_TABLE, "tags are out of order")
            if len(entry.sealed) != (SEALED_LABEL_SIZE if entry.operation is Operation.ADD else 0):
                raise RoundError(Code.BAD_TABLE, "a sealed label has the wrong size")
            last_tag = entry.tag
        frontier = self.frontier.extend(entry.leaf_hash() for entry in entries)
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
