"""Merkle trees that only grow (RFC 9162 section 2.1, SPEC 7.2).

A `Frontier` holds the roots of the complete subtrees of the leaves seen so far: enough to append leaves and
to know the root, in memory that grows with the logarithm of the tree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .encoding import Reader, Writer
from .errors import Code, EncodingError

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

LEAF_PREFIX: Final = b"\x00"
"""What tells a leaf from an inner node (RFC 9162 section 2.1)."""

_DOMAIN: Final = "mandorla/v1 merkle frontier"


def hash_leaf(leaf: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 || leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def hash_children(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The complete subtrees of a tree of `size` leaves, largest first."""

    size: int = 0
    subtrees: tuple[bytes, ...] = ()

    def extend(self, leaf_hashes: Iterable[bytes]) -> Frontier:
        """Return the frontier after appending leaves."""
        size, subtrees = self.size, list(self.subtrees)
        for leaf_hash in leaf_hashes:
            node, merges = leaf_hash, size
            while merges & 1:
                node = hash_children(subtrees.pop(), node)
                merges >>= 1
            subtrees.append(node)
            size += 1
        return Frontier(size, tuple(subtrees))

    @property
    def root(self) -> bytes:
        """The Merkle tree hash of all leaves."""
        if not self.subtrees:
            return EMPTY_ROOT
        *rest, root = self.subtrees
        for subtree in reversed(rest):
            root = hash_children(subtree, root)
        return root

    def encode(self) -> bytes:
        """Return the canonical encoding, with which a store remembers how far it has read."""
        writer = Writer(_DOMAIN).uint(self.size, 8)
        return writer.sequence(self.subtrees, lambda w, node: w.fixed(node, HASH_SIZE)).finish()

    @classmethod
    def decode(cls, encoded: bytes) -> Frontier:
        """Parse a canonical encoding; raises EncodingError on anything else."""
        reader = Reader(encoded, _DOMAIN)
        size = reader.uint(8)
        subtrees = reader.sequence(lambda r: r.fixed(HASH_SIZE), max_count=64)
        reader.finish()
        if len(subtrees) != size.bit_count():
            raise EncodingError(Code.BAD_ENCODING, "a tree has one complete subtree for each bit of its size")
        return cls(size, subtrees)
