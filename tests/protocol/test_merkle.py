"""Merkle trees are those of RFC 9162, for any order of calls that append the leaves."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_protocol.encoding import Writer
from mandorla_protocol.errors import EncodingError
from mandorla_protocol.merkle import EMPTY_ROOT, Frontier, hash_leaf

LEAVES = [index.to_bytes(2, "big") * 9 for index in range(131)]


def tree_hash(leaves: list[bytes]) -> bytes:
    """Return MTH(D[n]) by the definition in RFC 9162 section 2.1.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + tree_hash(leaves[:k]) + tree_hash(leaves[k:])).digest()


@pytest.mark.parametrize("size", range(131))
def test_the_root_is_the_rfcs(size: int) -> None:
    frontier = Frontier().extend(map(hash_leaf, LEAVES[:size]))
    assert (frontier.size, frontier.root) == (size, tree_hash(LEAVES[:size]))


def test_the_root_of_eight_leaves_is_the_published_one() -> None:
    """The leaves and the root are those of the certificate-transparency project's tests."""
    leaves = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    frontier = Frontier().extend(hash_leaf(bytes.fromhex(leaf)) for leaf in leaves)
    assert frontier.root.hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(st.integers(0, 130), st.lists(st.integers(0, 130), max_size=5))
def test_leaves_may_arrive_in_any_portions(size: int, cuts: list[int]) -> None:
    frontier, start = Frontier(), 0
    for end in sorted(min(cut, size) for cut in [*cuts, size]):
        frontier = frontier.extend(map(hash_leaf, LEAVES[start:end]))
        frontier = Frontier.decode(frontier.encode())
        start = end
    assert frontier == Frontier().extend(map(hash_leaf, LEAVES[:size]))
    assert len(frontier.subtrees) == size.bit_count()


@given(st.permutations(LEAVES[:5]), st.permutations(LEAVES[:5]))
def test_the_root_binds_the_order(one: list[bytes], other: list[bytes]) -> None:
    roots = [Frontier().extend(map(hash_leaf, leaves)).root for leaves in (one, other)]
    assert (roots[0] == roots[1]) == (one == other)


def test_a_leaf_is_not_taken_for_an_inner_node() -> None:
    left, right = (hash_leaf(leaf) for leaf in LEAVES[:2])
    assert Frontier().extend([hash_leaf(left + right)]).root != Frontier().extend([left, right]).root


@pytest.mark.parametrize(("size", "subtrees"), [(0, 1), (1, 0), (3, 1), (4, 2), (2**64 - 1, 63)])
def test_a_frontier_that_no_tree_has_is_refused(size: int, subtrees: int) -> None:
    writer = Writer("mandorla/v1 merkle frontier").uint(size, 8)
    encoded = writer.sequence([bytes(32)] * subtrees, lambda w, node: w.fixed(node, 32)).finish()
    with pytest.raises(EncodingError):
        Frontier.decode(encoded)


def test_a_frontier_with_a_tail_is_refused() -> None:
    with pytest.raises(EncodingError):
        Frontier.decode(Frontier().extend(map(hash_leaf, LEAVES[:3])).encode() + b"\0")
