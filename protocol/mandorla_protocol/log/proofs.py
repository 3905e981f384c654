"""Merkle proofs of consistency and inclusion (RFC 9162 section 2.1, SPEC 18.2).

A consistency proof shows that one tree extends another; an inclusion proof shows that a tree has a leaf at an
index. A prover needs the roots of complete subtrees, which never change, so a store can keep them. A verifier
needs sizes, roots and the proof only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NoReturn, TypeAlias

from ..errors import Code, CryptoError
from ..merkle import EMPTY_ROOT, HASH_SIZE, hash_children

NodeHash: TypeAlias = Callable[[int, int], bytes]
"""Returns the root of the complete subtree of 2**level leaves that begins at leaf index * 2**level."""

MAX_PROOF: Final = 63
"""The most hashes in a proof (C2SP tlog-witness)."""


def root_of(start: int, end: int, node: NodeHash) -> bytes:
    """Return the root over the leaves from index `start` to before index `end` (RFC 9162 section 2.1.1).

    `start` is a multiple of a power of two that is at least `end - start`, as in each split of RFC 9162.
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
    """Prove that the tree of `size` leaves extends the tree of `old` leaves (RFC 9162 section 2.1.4.1).

    Raises CryptoError: BAD_CHECKPOINT if `old` is larger than `size`.
    """
    if not 0 <= old <= size:
        _refuse("a smaller tree does not extend a larger one")
    if old in (0, size):
        return []
    proof: list[bytes] = []
    # This is SUBPROOF(m, D, b) of the RFC as a loop. `root_known` is b: the verifier knows the root of this
    # subtree, since it is the old tree, so the proof leaves it out.
    start, end, root_known = 0, size, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(root_of(middle, end, node))
            end = middle
        else:
            proof.append(root_of(start, middle, node))
            start, root_known = middle, False
    if not root_known:
        proof.append(root_of(start, end, node))
    return proof[::-1]


def verify_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Verify that the tree of `size` leaves extends the tree of `old` leaves (RFC 9162 section 2.1.4.2).

    Raises CryptoError: BAD_CHECKPOINT if the proof does not hold.
    """
    if not 0 <= old <= size or any(len(part) != HASH_SIZE for part in proof):
        _refuse("a consistency proof has impossible sizes or a hash of another length")
    if old in (0, size):
        if proof or (old == 0 and old_root != EMPTY_ROOT) or (old == size and old_root != root):
            _refuse("the trees are not consistent")
        return
    # If the old size is a power of two, the old root is a node of the new tree, and the proof leaves it out.
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        _refuse("the proof is too short")
    # The RFC's fn and sn: the indices of the old and the new tree's last leaf, one level higher at each step.
    old_index, new_index = old - 1, size - 1
    while old_index & 1:
        old_index, new_index = old_index >> 1, new_index >> 1
    old_node = new_node = path[0]
    for part in path[1:]:
        if new_index == 0:
            _refuse("the proof is too long")
        if old_index & 1 or old_index == new_index:
            old_node, new_node = hash_children(part, old_node), hash_children(part, new_node)
            while not old_index & 1 and old_index:
                old_index, new_index = old_index >> 1, new_index >> 1
        else:
            new_node = hash_children(new_node, part)
        old_index, new_index = old_index >> 1, new_index >> 1
    if new_index != 0 or (old_node, new_node) != (old_root, root):
        _refuse("the trees are not consistent")


def prove_inclusion(index: int, size: int, node: NodeHash) -> list[bytes]:
    """Prove that the tree of `size` leaves has its leaf at an index (RFC 9162 section 2.1.3.1).

    Raises CryptoError: BAD_CHECKPOINT if the tree has no such leaf.
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
    """Verify that the tree of `size` leaves has a leaf at an index (RFC 9162 section 2.1.3.2).

    Raises CryptoError: BAD_CHECKPOINT if the proof does not hold.
    """
    if not 0 <= index < size or any(len(part) != HASH_SIZE for part in proof):
        _refuse("an inclusion proof has impossible sizes or a hash of another length")
    leaf_index, last_index, node = index, size - 1, leaf_hash
    for part in proof:
        if last_index == 0:
            _refuse("the proof is too long")
        if leaf_index & 1 or leaf_index == last_index:
            node = hash_children(part, node)
            while not leaf_index & 1 and leaf_index:
                leaf_index, last_index = leaf_index >> 1, last_index >> 1
        else:
            node = hash_children(node, part)
        leaf_index, last_index = leaf_index >> 1, last_index >> 1
    if last_index != 0 or node != root:
        _refuse("the leaf is not in the tree")


def _split(count: int) -> int:
    """Return the largest power of two below a count (RFC 9162 section 2.1.1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _refuse(why: str) -> NoReturn:
    raise CryptoError(Code.BAD_CHECKPOINT, why)
