"""Merkle trees in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mandorla_protocol.merkle import hash_children


def nodes(leaves: Sequence[bytes]) -> Callable[[int, int], bytes]:
    """Give the roots of complete subtrees, by their definition."""

    def node(level: int, position: int) -> bytes:
        if level == 0:
            return leaves[position]
        return hash_children(node(level - 1, 2 * position), node(level - 1, 2 * position + 1))

    return node
