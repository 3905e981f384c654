"""A querier accepts exactly the entries that the holder committed to."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mandorla_protocol.errors import Code, RoundError
from mandorla_protocol.labels import SEALED_LABEL_SIZE, TAG_SIZE, Tag
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.sizes import size_class
from mandorla_protocol.table import (
    MAX_TABLE_SIZE,
    Operation,
    TableCommitment,
    TableEntry,
    TableReader,
    padding,
    parts_of,
)
from tests.protocol.strategies import COMMITMENTS, exactly

SEALED = bytes(SEALED_LABEL_SIZE)


def tag(n: int) -> Tag:
    return Tag(n.to_bytes(TAG_SIZE, "big"))


def add(version: int, n: int, sealed: bytes = SEALED) -> TableEntry:
    return TableEntry(version, Operation.ADD, tag(n), sealed)


def revoke(version: int, n: int, sealed: bytes = b"") -> TableEntry:
    return TableEntry(version, Operation.REVOKE, tag(n), sealed)


def commit(entries: list[TableEntry]) -> tuple[TableCommitment, Frontier]:
    frontier = Frontier().extend(entry.leaf_hash() for entry in entries)
    return TableCommitment(entries[-1].version, frontier.size, frontier.root), frontier


TABLE = [add(1, 0), add(1, 5), add(1, 9), add(2, 3), revoke(2, 5), add(4, 1), add(4, 5)]
COMMITTED, FRONTIER = commit(TABLE)
FIRST, FIRST_FRONTIER = commit(TABLE[:3])


def fresh(committed: TableCommitment = COMMITTED) -> TableReader:
    return TableReader.resume(TableCommitment(), Frontier(), committed)


def assert_page_refused(reader: TableReader, page: list[TableEntry]) -> None:
    with pytest.raises(RoundError) as caught:
        reader.accept(parts_of(page))
    assert caught.value.code is Code.BAD_TABLE


def assert_mismatch(check: Any, *args: Any) -> None:
    with pytest.raises(RoundError) as caught:
        check(*args)
    assert caught.value.code is Code.TABLE_MISMATCH


@given(st.lists(st.integers(1, len(TABLE) - 1), unique=True))
def test_a_table_is_read_in_pages_of_any_size(cuts: list[int]) -> None:
    reader = fresh()
    for start, end in itertools.pairwise([0, *sorted(cuts), len(TABLE)]):
        assert not reader.complete
        assert reader.position == start
        reader = reader.accept(parts_of(TABLE[start:end]))
    assert reader.complete
    reader.require_complete()
    assert (reader.frontier, reader.version) == (FRONTIER, 4)


@pytest.mark.parametrize("read", [0, 3, 5, 7])
def test_reading_goes_on_after_what_was_verified(read: int) -> None:
    verified, frontier = commit(TABLE[:read]) if read else (TableCommitment(), Frontier())
    reader = TableReader.resume(verified, frontier, COMMITTED)
    if read < len(TABLE):
        reader = reader.accept(parts_of(TABLE[read:]))
    reader.require_complete()


@pytest.mark.spec("7.3-2")
@pytest.mark.parametrize(
    "page",
    [
        pytest.param([], id="empty"),
        pytest.param([*TABLE, add(4, 6)], id="over-long"),
        pytest.param([add(0, 1)], id="version zero"),
        pytest.param([add(5, 1)], id="version beyond the commitment"),
        pytest.param([add(2, 1), add(1, 2)], id="version going back"),
        pytest.param([add(1, 2), add(1, 1)], id="unsorted"),
        pytest.param([add(1, 1), add(1, 1)], id="doubled"),
        pytest.param([add(1, 1), revoke(1, 1)], id="added and revoked at once"),
        pytest.param([add(1, 1, b"")], id="addition without a label"),
        pytest.param([add(1, 1, SEALED[1:])], id="label too short"),
        pytest.param([add(1, 1, SEALED + b"\x00")], id="label too long"),
        pytest.param([revoke(1, 1, SEALED)], id="revocation with a label"),
        pytest.param([revoke(1, 1, b"\x00")], id="revocation with a byte"),
        pytest.param([replace(add(1, 1), tag=Tag(b""))], id="no tag"),
        pytest.param([replace(add(1, 1), tag=Tag(b"\x01" * 15))], id="tag too short"),
        pytest.param([replace(add(1, 1), tag=Tag(b"\x01" * 17))], id="tag too long"),
    ],
)
def test_a_malformed_page_is_refused(page: list[TableEntry]) -> None:
    assert_page_refused(fresh(), page)


@pytest.mark.spec("7.3-2")
def test_order_holds_across_pages() -> None:
    reader = fresh().accept(parts_of(TABLE[:2]))
    assert_page_refused(reader, [add(1, 5)])
    assert_page_refused(reader, [add(1, 4)])
    assert_page_refused(reader.accept(parts_of([add(2, 1)])), [add(1, 9)])


@pytest.mark.spec("7.3-2")
def test_a_finished_version_is_not_added_to() -> None:
    reader = TableReader.resume(FIRST, FIRST_FRONTIER, COMMITTED)
    assert_page_refused(reader, [add(1, 200)])


def test_nothing_follows_the_end() -> None:
    assert_page_refused(fresh().accept(parts_of(TABLE)), [add(4, 200)])


def test_a_refused_page_changes_nothing() -> None:
    reader = fresh().accept(parts_of(TABLE[:2]))
    assert_page_refused(reader, [add(1, 1)])
    reader.accept(parts_of(TABLE[2:])).require_complete()


@pytest.mark.parametrize("index", range(len(TABLE)))
@pytest.mark.parametrize("part", ["operation", "tag", "sealed", "version"])
def test_an_entry_that_was_not_committed_to_is_found(index: int, part: str) -> None:
    entry = TABLE[index]
    other_operation = revoke if entry.operation is Operation.ADD else add
    other = {
        "operation": other_operation(entry.version, int.from_bytes(entry.tag, "big")),
        "tag": replace(entry, tag=Tag(entry.tag[:-1] + bytes([entry.tag[-1] + 1]))),
        "sealed": replace(entry, sealed=b"\x01" + entry.sealed[1:]),
        "version": replace(entry, version=entry.version + 1),
    }[part]
    assert other.leaf_hash() != entry.leaf_hash()
    with pytest.raises(RoundError) as caught:
        fresh().accept(parts_of([*TABLE[:index], other, *TABLE[index + 1 :]])).require_complete()
    assert caught.value.code in {Code.BAD_TABLE, Code.TABLE_MISMATCH}


def test_a_table_that_stops_early_is_no_table() -> None:
    assert_mismatch(fresh().accept(parts_of(TABLE[:-1])).require_complete)
    assert_mismatch(fresh().require_complete)


@pytest.mark.spec("7.3-3")
def test_another_root_is_found() -> None:
    committed = replace(COMMITTED, root=b"\x01" * 32)
    assert_mismatch(fresh(committed).accept(parts_of(TABLE)).require_complete)


@pytest.mark.spec("7.3-3")
def test_a_version_that_was_promised_and_not_sent_is_found() -> None:
    committed = replace(COMMITTED, version=9)
    assert_mismatch(fresh(committed).accept(parts_of(TABLE)).require_complete)


@pytest.mark.spec("7.3-3")
def test_rewritten_history_is_found_though_the_new_part_is_right() -> None:
    rewritten = [add(1, 0), add(1, 6), add(1, 9), *TABLE[3:]]
    committed, _ = commit(rewritten)
    reader = TableReader.resume(FIRST, FIRST_FRONTIER, committed)
    assert_mismatch(reader.accept(parts_of(TABLE[3:])).require_complete)


@pytest.mark.spec("7.3-1")
@pytest.mark.parametrize(
    "committed",
    [
        pytest.param(TableCommitment(), id="gone"),
        pytest.param(replace(FIRST, version=0), id="earlier version"),
        pytest.param(replace(FIRST, size=2), id="smaller"),
        pytest.param(replace(FIRST, version=2, size=2), id="later version, smaller"),
        pytest.param(replace(FIRST, version=2), id="later version, same size"),
        pytest.param(replace(FIRST, size=4), id="same version, larger"),
        pytest.param(replace(FIRST, root=bytes(32)), id="rewritten"),
    ],
)
def test_a_commitment_that_does_not_extend_the_last_is_refused(committed: TableCommitment) -> None:
    assert_mismatch(TableReader.resume, FIRST, FIRST_FRONTIER, committed)


def test_a_stored_frontier_of_another_table_is_refused() -> None:
    assert_mismatch(TableReader.resume, FIRST, FRONTIER, COMMITTED)
    assert_mismatch(TableReader.resume, FIRST, Frontier().extend([bytes(32)] * 3), COMMITTED)


@given(COMMITMENTS, COMMITMENTS)
def test_of_two_tables_at_most_one_extends_the_other(one: TableCommitment, other: TableCommitment) -> None:
    def extends(later: TableCommitment, earlier: TableCommitment) -> bool:
        try:
            later.require_extends(earlier)
        except RoundError:
            return False
        return True

    assert extends(one, one)
    assert not (extends(one, other) and extends(other, one)) or one == other


ENTRIES = st.builds(TableEntry, st.integers(0, 3), st.sampled_from(Operation), exactly(16), st.binary())


@given(ENTRIES, ENTRIES)
def test_leaves_tell_entries_apart(one: TableEntry, other: TableEntry) -> None:
    assert (one.leaf_hash() == other.leaf_hash()) == (one == other)


@given(ENTRIES)
def test_each_field_of_an_entry_is_in_its_leaf(entry: TableEntry) -> None:
    others = [
        replace(entry, version=entry.version + 1),
        replace(entry, operation=Operation(3 - entry.operation)),
        replace(entry, tag=Tag(entry.tag[:-1] + bytes([entry.tag[-1] ^ 1]))),
        replace(entry, sealed=entry.sealed + b"\x00"),
    ]
    assert len({other.leaf_hash() for other in [entry, *others]}) == 5


@settings(max_examples=20)
@given(st.integers(0, 800))
def test_padding_fills_a_version_up_to_its_class(count: int) -> None:
    drawn = itertools.count()

    def random_bytes(size: int) -> bytes:
        return next(drawn).to_bytes(TAG_SIZE, "big") + b"\xaa" * (size - TAG_SIZE)

    entries = list(padding(count, random_bytes))
    assert count + len(entries) == size_class(count)
    assert len({tag for tag, _ in entries}) == len(entries)
    assert all(len(tag) == TAG_SIZE and len(sealed) == SEALED_LABEL_SIZE for tag, sealed in entries)


def test_values_and_bounds_are_those_of_the_specification() -> None:
    assert (Operation.ADD.value, Operation.REVOKE.value, MAX_TABLE_SIZE) == (1, 2, 1_099_511_627_776)
