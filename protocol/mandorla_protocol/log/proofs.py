"""Proofs that a tree extends another, and that it holds a leaf (RFC 9162 section 2.1, SPEC 18.2).

Proofs are made from the roots of complete subtrees, which never change once they are there; they are verified
from nothing but sizes, roots and hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NoReturn, TypeAlias

from ..errors import Code, CryptoError
from ..merkle import EMPTY_ROOT, HASH_SIZE, hash_children

NodeHash: TypeAlias = Callable[[int, int], bytes]
"""Gives the root of the complete subtree of 2^level leaves that begins at leaf index * 2^level."""

MAX_PROOF: Final = 63
"""Hashes in a proof at most (C2SP tlog-witness)."""


def root_of(start: int, end: int, node: NodeHash) -> bytes:
    """Return the root over the leaves from `start` to before `end`.

    `start` is a multiple of a power of two that is not below their number, as in every split of RFC 9162.
    """
    if start == end:
        return EMPTY_ROOT
    subtrees = []
    while start < end:
        level = (end - start).bit_length() - 1
        subtrees.append(node(level, start >> level))
        start += 1 << level
    root = subtrees.pop()
    while subtrees:
        root = hash_children(subtrees.pop(), root)
    return root


def prove_consistency(old: int, size: int, node: NodeHash) -> list[bytes]:
    """Prove that the tree of `size` leaves begins with the tree of `old` (RFC 9162 section 2.1.4.1).

    Raises CryptoError(BAD_CHECKPOINT) if `old` is larger.
    """
    if not 0 <= old <= size:
        _refuse("a smaller tree does not extend a larger one")
    if old in (0, size):
        return []
    proof: list[bytes] = []
    start, end, known = 0, size, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(root_of(middle, end, node))
            end = middle
        else:
            proof.append(root_of(start, middle, node))
            start, known = middle, False
    if not known:
        proof.append(root_of(start, end, node))
    return proof[::-1]


def verify_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree with one root begins with the tree with the other (RFC 9162 section 2.1.4.2).

    Raises CryptoError(BAD_CHECKPOINT).
    """
    if not 0 <= old <= size or any(len(part) != HASH_SIZE for part in proof):
        _refuse("no consistency proof")
    if old in (0, size):
        if proof or (old == 0 and old_root != EMPTY_ROOT) or (old == size and old_root != root):
            _refuse("the trees are not consistent")
        return
    # If the old tree is complete, its root is a node of the new one, and the proof leaves it out.
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        _refuse("the proof is too short")
    one, other = old - 1, size - 1
    while one & 1:
        one, other = one >> 1, other >> 1
    first = second = path[0]
    for part in path[1:]:
        if other == 0:
            _refuse("the proof is too long")
        if one & 1 or one == other:
            first, second = hash_children(part, first), hash_children(part, second)
            while not one & 1 and one:
                one, other = one >> 1, other >> 1
        else:
            second = hash_children(second, part)
        one, other = one >> 1, other >> 1
    if other != 0 or (first, second) != (old_root, root):
        _refuse("the trees are not consistent")


def prove_inclusion(index: int, size: int, node: NodeHash) -> list[bytes]:
    """Prove which leaf stands at an index (RFC 9162 section 2.1.3.1).

    Raises CryptoError(BAD_CHECKPOINT) if the tree has no such leaf.
    """
    if not 0 <= index < size:
        _refuse("the tree has no such leaf")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(root_of(middle, end, node))
            end = middle
        else:
            proof.append(root_of(start, middle, node))
            start = middle
    return proof[::-1]


def verify_inclusion(leaf_hash: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Check that a leaf stands at an index (RFC 9162 section 2.1.3.2); raises CryptoError(BAD_CHECKPOINT)."""
    if not 0 <= index < size or any(len(part) != HASH_SIZE for part in proof):
        _refuse("no inclusion proof")
    place, last, node = index, size - 1, leaf_hash
    for part in proof:
        if last == 0:
            _refuse("the proof is too long")
        if place & 1 or place == last:
            node = hash_children(part, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = hash_children(node, part)
        place, last = place >> 1, last >> 1
    if last != 0 or node != root:
        _refuse("the leaf is not in the tree")


def _split(count: int) -> int:
    """Return the largest power of two below a count (RFC 9162 section 2.1.1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _refuse(why: str) -> NoReturn:
    raise CryptoError(Code.BAD_CHECKPOINT, why)
