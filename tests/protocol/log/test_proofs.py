"""Merkle proofs: each honest proof verifies, and no altered one does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mandorla_protocol.errors import Code, CryptoError
from mandorla_protocol.log.proofs import (
    prove_consistency,
    prove_inclusion,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from mandorla_protocol.merkle import Frontier, hash_leaf
from tests.support.trees import nodes

LIMIT = 40
LEAVES = [hash_leaf(bytes([number])) for number in range(LIMIT)]


NODE = nodes(LEAVES)


def root(size: int, leaves: Sequence[bytes] = LEAVES) -> bytes:
    return Frontier().extend(leaves[:size]).root


def refused(check: Callable[..., None], *arguments: object) -> bool:
    try:
        check(*arguments)
    except CryptoError as error:
        assert error.code is Code.BAD_CHECKPOINT
        return True
    return False


def altered(proof: list[bytes]) -> list[list[bytes]]:
    """Return alterations of a valid proof: changed, cut, extended and reordered."""
    wrong = [[*proof, bytes(32)], [bytes(32), *proof], [*proof, b""]]
    for place, part in enumerate(proof):
        wrong.append([*proof[:place], *proof[place + 1 :]])
        wrong.append([*proof[:place], hashlib.sha256(part).digest(), *proof[place + 1 :]])
        wrong.append([*proof[:place], part[:-1], *proof[place + 1 :]])
        if proof[::-1] != proof:
            wrong.append(proof[::-1])
    return wrong


def test_the_root_over_all_leaves_is_the_frontiers() -> None:
    for size in range(LIMIT + 1):
        assert root_of(0, size, NODE) == root(size)


@pytest.mark.spec("18.2-1")
def test_every_tree_extends_every_smaller_one_and_no_other_proof_holds() -> None:
    for size in range(LIMIT + 1):
        for old in range(size + 1):
            proof = prove_consistency(old, size, NODE)
            verify_consistency(old, root(old), size, root(size), proof)
            for wrong in altered(proof):
                assert refused(verify_consistency, old, root(old), size, root(size), wrong)
            for other in range(LIMIT + 1):
                if other != old:
                    assert refused(verify_consistency, old, root(other), size, root(size), proof) or old == 0
                if other != size and old:
                    assert refused(verify_consistency, old, root(old), size, root(other), proof)


def test_every_leaf_is_where_it_is_and_nowhere_else() -> None:
    for size in range(1, LIMIT + 1):
        for index in range(size):
            proof = prove_inclusion(index, size, NODE)
            verify_inclusion(LEAVES[index], index, size, root(size), proof)
            for wrong in altered(proof):
                assert refused(verify_inclusion, LEAVES[index], index, size, root(size), wrong)
            for other in range(LIMIT):
                if other != index:
                    assert refused(verify_inclusion, LEAVES[index], other, size, root(size), proof)
                    assert refused(verify_inclusion, LEAVES[other], index, size, root(size), proof)


@pytest.mark.spec("18.2-1")
@given(st.lists(st.binary(max_size=8), max_size=70), st.data())
def test_a_log_that_changed_its_past_cannot_prove_that_it_extends_it(
    entries: list[bytes], data: st.DataObject
) -> None:
    old = data.draw(st.integers(0, len(entries)))
    leaves = [hash_leaf(entry) for entry in entries]
    other = data.draw(st.integers(0, max(0, old - 1)))
    forked = list(leaves)
    if old:
        forked[other] = hash_leaf(b"another past" + entries[other])
    proof = prove_consistency(old, len(entries), nodes(forked))
    verdict = refused(
        verify_consistency, old, root(old, leaves), len(entries), root(len(entries), forked), proof
    )
    assert verdict == (old > 0)


@pytest.mark.spec("18.2-1")
@pytest.mark.parametrize(("old", "size"), [(3, 2), (-1, 2)])
def test_no_proof_leads_backwards(old: int, size: int) -> None:
    assert refused(lambda: prove_consistency(old, size, NODE) and None)
    assert refused(verify_consistency, old, root(1), size, root(2), [])


@pytest.mark.parametrize(("index", "size"), [(2, 2), (-1, 2), (0, 0)])
def test_a_leaf_that_is_not_there_has_no_proof(index: int, size: int) -> None:
    assert refused(lambda: prove_inclusion(index, size, NODE) and None)
    assert refused(verify_inclusion, LEAVES[0], index, size, root(2), [])
