"""Append-only Merkle trees (RFC 9162 section 2.1, SPEC 7.2).

A `Frontier` holds the roots of the complete subtrees of a tree. These roots suffice to append leaves and to
compute the tree's root, and there are at most log2(size) + 1 of them.
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
"""The byte before a leaf.

An inner node has 0x01, so no inner node can pass for a leaf (RFC 9162 section 2.1).
"""

_DOMAIN: Final = "mandorla/v1 merkle frontier"


def hash_leaf(leaf: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 || leaf), 32 bytes (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def hash_children(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 || left || right), 32 bytes (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The roots of the complete subtrees of a tree of `size` leaves, largest first.

    RFC 9162 splits n leaves at the largest power of two below n. So the complete subtrees are as the bits of
    `size`: for each bit k that is set there is one subtree, of 2**k leaves.
    """

    size: int = 0
    subtrees: tuple[bytes, ...] = ()

    def extend(self, leaf_hashes: Iterable[bytes]) -> Frontier:
        """Return the frontier after appending leaves, given their hashes."""
        size, subtrees = self.size, list(self.subtrees)
        for leaf_hash in leaf_hashes:
            node, merges = leaf_hash, size
            # As in a binary counter: a new leaf merges with a subtree for each 1 at the low end of the size.
            while merges & 1:
                node = hash_children(subtrees.pop(), node)
                merges >>= 1
            subtrees.append(node)
            size += 1
        return Frontier(size, tuple(subtrees))

    @property
    def root(self) -> bytes:
        """The Merkle tree hash of all leaves (RFC 9162 section 2.1.1)."""
        if not self.subtrees:
            return EMPTY_ROOT
        *rest, root = self.subtrees
        for subtree in reversed(rest):
            root = hash_children(subtree, root)
        return root

    def encode(self) -> bytes:
        """Return the canonical encoding, as a store keeps it."""
        writer = Writer(_DOMAIN).uint(self.size, 8)
        return writer.sequence(self.subtrees, lambda w, node: w.fixed(node, HASH_SIZE)).finish()

    @classmethod
    def decode(cls, encoded: bytes) -> Frontier:
        """Parse a canonical encoding.

        Raises EncodingError: BAD_ENCODING or BAD_LENGTH for any other bytes.
        """
        reader = Reader(encoded, _DOMAIN)
        size = reader.uint(8)
        subtrees = reader.sequence(lambda r: r.fixed(HASH_SIZE), max_count=64)
        reader.finish()
        if len(subtrees) != size.bit_count():
            raise EncodingError(Code.BAD_ENCODING, "a tree has one complete subtree for each bit of its size")
        return cls(size, subtrees)
