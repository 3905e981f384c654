"""A witness cosigns one history of a log, whatever the log's lab sends."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mandorla_protocol.errors import Code, CryptoError
from mandorla_protocol.log.checkpoint import Checkpoint
from mandorla_protocol.log.proofs import prove_consistency
from mandorla_protocol.log.witness import Conflict, Cosign, Fraud, Judgement, Known, judge
from mandorla_protocol.merkle import Frontier, hash_leaf
from tests.support.trees import nodes

# Three histories of a log, which differ after some entries.
HISTORIES = [
    [hash_leaf(b"%d of %d" % (place, history if place >= parting else 0)) for place in range(12)]
    for history, parting in ((0, 0), (1, 5), (2, 8))
]


class Witness:
    """A witness in memory, which decides as the node's store does."""

    def __init__(self) -> None:
        self.cosigned: dict[int, bytes] = {}

    def show(self, history: int, size: int, old: int) -> Judgement | None:
        """Show a history's tree with a proof from size `old`; return the decision, None for a refusal."""
        leaves = HISTORIES[history]
        root = Frontier().extend(leaves[:size]).root
        proof = prove_consistency(old, size, nodes(leaves)) if old <= size else []
        latest = max(self.cosigned, default=None)
        known = None if latest is None else Checkpoint("log", latest, self.cosigned[latest])
        try:
            judgement = judge(Checkpoint("log", size, root), old, proof, known, self.cosigned.get)
        except CryptoError as error:
            assert error.code is Code.BAD_CHECKPOINT
            return None
        if isinstance(judgement, Cosign):
            self.cosigned[size] = root
        return judgement


def test_an_honest_log_is_cosigned_as_it_grows() -> None:
    witness = Witness()
    assert witness.show(0, 3, 0) == Cosign()
    assert witness.show(0, 3, 3) == Known()
    assert witness.show(0, 7, 0) == Conflict(3)
    assert witness.show(0, 7, 3) == Cosign()
    assert witness.show(0, 5, 3) == Conflict(7)
    assert witness.show(0, 5, 7) is None


@pytest.mark.spec("18.4-1")
def test_a_fork_is_refused_and_a_second_root_of_one_size_is_fraud() -> None:
    witness = Witness()
    witness.show(0, 6, 0)
    assert witness.show(1, 6, 6) == Fraud()
    assert witness.show(1, 8, 6) is None
    assert witness.show(1, 4, 6) is None
    assert witness.show(2, 9, 6) == Cosign()
    assert witness.show(0, 10, 9) is None
    assert witness.show(1, 6, 9) == Fraud()


@pytest.mark.spec("18.4-1")
def test_what_makes_no_sense_is_refused_even_from_another_size() -> None:
    latest = Checkpoint("log", 4, Frontier().extend(HISTORIES[0][:4]).root)
    larger = Checkpoint("log", 7, Frontier().extend(HISTORIES[0][:7]).root)
    for old, proof, refused in ((8, 0, True), (7, 0, False), (3, 64, True), (3, 63, False)):
        try:
            judgement = judge(larger, old, [bytes(32)] * proof, latest, {4: latest.root}.get)
        except CryptoError as error:
            assert refused
            assert error.code is Code.BAD_CHECKPOINT
        else:
            assert not refused
            assert judgement == Conflict(4)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 12)), max_size=30))
def test_all_that_is_cosigned_is_one_history(shown: list[tuple[int, int, int]]) -> None:
    witness = Witness()
    for history, size, old in shown:
        before = dict(witness.cosigned)
        judgement = witness.show(history, size, old)
        if isinstance(judgement, Cosign):
            assert size >= max(before, default=0)
        else:
            assert witness.cosigned == before
        roots = [[Frontier().extend(leaves[:n]).root for n in range(13)] for leaves in HISTORIES]
        assert any(
            all(roots[number][n] == root for n, root in witness.cosigned.items())
            for number in range(len(HISTORIES))
        )
