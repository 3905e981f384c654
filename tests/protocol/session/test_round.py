"""Whole rounds between two labs in memory:

each lab finds the intersection, and the peer learns nothing else.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mandorla_protocol.engine.portable import PortableEngine
from mandorla_protocol.errors import Code, CryptoError, RoundError
from mandorla_protocol.labels import SEALED_LABEL_SIZE, Label, Severity, split_output
from mandorla_protocol.session import holder, querier
from mandorla_protocol.sizes import size_class
from mandorla_protocol.table import Operation, TableEntry
from tests.protocol import toy_group
from tests.protocol.session import driver
from tests.protocol.session.driver import Lab, agree, run_round, token
from tests.protocol.toy_group import ToyGroup

TOY = PortableEngine(ToyGroup())
INDICATORS = st.sampled_from([f"mail-{n}@example.org" for n in range(12)])
SETS = st.lists(INDICATORS, max_size=12)  # with duplicates
LABELLED = st.dictionaries(INDICATORS, st.builds(Label, severity=st.sampled_from(Severity)), max_size=8)
few = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def labs(engine: PortableEngine = TOY) -> tuple[Lab, Lab]:
    return Lab("a", engine), Lab("b", engine)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut a half's 256 elements into eight chunks, so that their order can vary."""

    def chunk_counts(total: int) -> tuple[int, ...]:
        return (32,) * (total // 32) + ((total % 32,) if total % 32 else ())

    monkeypatch.setattr(querier, "chunk_counts", chunk_counts)
    monkeypatch.setattr(holder, "CHUNK_SIZE", 32)


@few
@given(SETS, SETS)
def test_the_intersection_found_is_the_plain_one(mine: list[str], theirs: list[str]) -> None:
    a, b = labs()
    a.flag(mine)
    b.flag(theirs)
    finished = run_round(a, b)
    shared = set(mine) & set(theirs)
    assert set(finished.initiator.matches) == set(finished.responder.matches) == shared


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [([], []), ([], ["x"]), (["x"], []), (["x"], ["x"]), (["x", "x"], ["x", "y", "x"])],
    ids=["none", "only theirs", "only mine", "one", "duplicates"],
)
def test_the_same_over_ristretto255(mine: list[str], theirs: list[str]) -> None:
    a, b = labs(PortableEngine())
    a.flag(mine)
    b.flag(theirs)
    finished = run_round(a, b)
    assert set(finished.initiator.matches) == set(finished.responder.matches) == set(mine) & set(theirs)


@few
@given(LABELLED, LABELLED)
def test_each_lab_reads_the_others_labels_of_what_it_holds(
    mine: dict[str, Label], theirs: dict[str, Label]
) -> None:
    a, b = labs()
    a.flagged, b.flagged = dict(mine), dict(theirs)
    finished = run_round(a, b)
    assert finished.initiator.matches == {i: label for i, label in theirs.items() if i in mine}
    assert finished.responder.matches == {i: label for i, label in mine.items() if i in theirs}


@pytest.mark.usefixtures("small_chunks")
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.data(), st.integers(1, 300))
def test_no_order_of_chunks_and_no_size_of_pages_matters(data: Any, page_size: int) -> None:
    a, b = labs()
    a.flag(f"i{n}" for n in range(100))
    b.flag(f"i{n}" for n in range(40, 140))
    finished = run_round(
        a, b, choose=lambda waiting: data.draw(st.integers(0, waiting - 1)), page_size=page_size
    )
    assert len(finished.initiator.state.counts) == 8
    shared = {f"i{n}" for n in range(40, 100)}
    assert set(finished.initiator.matches) == set(finished.responder.matches) == shared


@few
@given(st.lists(st.tuples(LABELLED, LABELLED), min_size=2, max_size=3))
def test_later_rounds_follow_what_is_added_relabelled_and_revoked(
    rounds: list[tuple[dict[str, Label], dict[str, Label]]],
) -> None:
    """The model is two dictionaries.

    An evaluated indicator keeps its tag, even if it is no longer flagged.
    """
    a, b = labs()
    asked_a: set[str] = set()
    asked_b: set[str] = set()
    for mine, theirs in rounds:
        a.flagged, b.flagged = dict(mine), dict(theirs)
        asked_a |= set(mine)
        asked_b |= set(theirs)
        finished = run_round(a, b)
        assert finished.initiator.matches == {i: label for i, label in theirs.items() if i in asked_a}
        assert finished.responder.matches == {i: label for i, label in mine.items() if i in asked_b}


def test_a_table_that_did_not_change_gets_no_version_and_is_not_read_again() -> None:
    a, b = labs()
    a.flag(["x"])
    b.flag(["x"])
    run_round(a, b)
    version = b.table.commitment
    again = run_round(a, b)
    assert b.table.commitment == version
    assert not [sent for sent in again.initiator.sent if isinstance(sent, int)]
    assert set(again.initiator.matches) == {"x"}


@pytest.mark.parametrize("sizes", [(0, 0), (1, 255), (256, 257), (300, 3)])
def test_the_holder_sees_and_charges_a_size_class(sizes: tuple[int, int]) -> None:
    a, b = labs()
    a.flag(f"a{n}" for n in range(sizes[0]))
    b.flag(f"b{n}" for n in range(sizes[1]))
    run_round(a, b)
    assert (b.charged, a.charged) == tuple(map(size_class, sizes))
    assert (len(a.table.entries), len(b.table.entries)) == tuple(map(size_class, sizes))


def test_both_sides_sign_the_same_close_and_another_round_another() -> None:
    a, b = labs()
    one, other = run_round(a, b), run_round(a, b)
    mine, theirs = one.statements()
    assert mine == theirs
    with pytest.raises(RoundError) as caught:
        other.statements()[0].require_same(mine)
    assert caught.value.code is Code.TRANSCRIPT_MISMATCH


def test_tags_stand_in_their_own_order_whatever_the_sets_order() -> None:
    a, b = labs()
    a.flag(["z", "a", "m"])
    agree(a, b)
    tags = [entry.tag for entry in a.table.entries]
    assert tags == sorted(tags)


# Hostile holders.


class Forging(driver.HolderHalf):
    """A holder that evaluates one element with another key, and makes a proof anyway."""

    def evaluate(self, index: int, blinded: bytes) -> tuple[bytes, bytes]:
        evaluated, proof = super().evaluate(index, blinded)
        other = self.lab.engine.derive_key_pair(bytes(32), b"other")
        wrong, _ = self.lab.engine.evaluate_and_prove(other, blinded, b"\x01" * 64)
        return wrong[:32] + evaluated[32:], proof


def half(a: Lab, b: Lab, kind: type[driver.HolderHalf] = driver.HolderHalf) -> driver.Querier:
    header = agree(a, b)
    return driver.Querier(a, header, a.flagged, kind(b, header))


@pytest.mark.spec("5.4-1")
def test_one_element_under_another_key_stops_the_round_and_nothing_is_compared() -> None:
    a, b = labs()
    a.flag(["x"])
    b.flag(["x"])
    asking = half(a, b, Forging)
    with pytest.raises(CryptoError) as caught:
        asking.run(driver.first, 8_192)
    assert caught.value.code is Code.BAD_PROOF
    assert not asking.matches
    assert not a.asked.tags


def test_a_key_that_is_not_the_headers_is_found() -> None:
    a, b = labs()
    a.flag(["x"])
    asking = half(a, b)
    b.seed = bytes(32)
    with pytest.raises(CryptoError) as caught:
        asking.run(driver.first, 8_192)
    assert caught.value.code is Code.BAD_PROOF


@pytest.mark.parametrize("part", ["tag", "sealed"])
def test_a_table_that_is_not_the_headers_is_found_and_nothing_is_compared(part: str) -> None:
    a, b = labs()
    a.flag(["x"])
    b.flag(["x"])
    asking = half(a, b)
    last = b.table.entries[-1]
    b.table.entries[-1] = replace(last, **{part: b"\xff" * len(getattr(last, part))})  # type: ignore[arg-type]
    with pytest.raises(RoundError) as caught:
        asking.run(driver.first, 100)
    assert caught.value.code is Code.TABLE_MISMATCH
    assert not asking.matches


def spoil(b: Lab, a: Lab, indicator: str) -> None:
    """Publish an indicator's tag with a label that does not open."""
    tag, _ = split_output(b.engine.evaluate(b.keys(a.id), token(indicator)))
    version = b.table.commitment.version + 1
    b.table.append([TableEntry(version, Operation.ADD, tag, b"\xee" * SEALED_LABEL_SIZE)])


@pytest.mark.spec("6.5-1")
def test_a_label_that_does_not_open_cannot_be_told_from_a_tag_that_does_not_match() -> None:
    """The holder probes for one indicator: the querier's messages must not depend on whether it has it."""
    transcripts = []
    for probed in ("held", "not held"):
        a, b = labs()
        a.flag(["held", "other"])
        b.flag(["other"])
        b.publish(a.id)
        spoil(b, a, probed)
        finished = run_round(a, b)
        assert set(finished.initiator.matches) == {"other"}
        statement = finished.statements()[0]
        shape = [sent if isinstance(sent, int) else (sent[0], sent[1]) for sent in finished.initiator.sent]
        transcripts.append((shape, finished.initiator.state.phase, statement.outcome, statement.code))
    assert transcripts[0] == transcripts[1]


def test_a_tag_spoiled_later_ends_its_match_without_an_error() -> None:
    a, b = labs()
    a.flag(["x"])
    b.flag(["x"])
    assert set(run_round(a, b).initiator.matches) == {"x"}
    spoil(b, a, "x")
    assert not run_round(a, b).initiator.matches


def test_a_retried_chunk_gets_the_same_answer_and_costs_nothing() -> None:
    a, b = labs()
    a.flag(["x"])
    asking = half(a, b)
    asking.run(driver.first, 8_192)
    charged = b.charged
    (index, blinded), *_ = asking.sent
    assert asking.peer.evaluate(index, blinded) == b.answers[asking.header.round_id, index]
    assert b.charged == charged == 256


@pytest.mark.parametrize(
    "bad", [ToyGroup.identity, bytes(32), b"\xff" * 32, (toy_group.ORDER + 1).to_bytes(32, "big")]
)
def test_a_chunk_with_one_bad_element_is_not_charged(bad: bytes) -> None:
    a, b = labs()
    asking = half(a, b)
    _, blinded = a.engine.blind(bytes(64), b"\x01" * 128)
    with pytest.raises(CryptoError) as caught:
        asking.peer.evaluate(0, blinded + bad)
    assert caught.value.code is Code.BAD_ELEMENT
    assert b.charged == 0
    assert not b.answers
