"""Tables in the store: versions sorted by buckets, pages of columns, and what they say of own tags."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from unittest import mock

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

import mandorla_node.store
from mandorla_node.crypto.vault import Vault, new_key
from mandorla_node.store import FlagState, IndicatorSet, LabelledIndicator, Store, version_builder
from mandorla_node.store.version_builder import VersionBuilder, owned
from mandorla_protocol.engine import split
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code, NodeError
from mandorla_protocol.group import Element
from mandorla_protocol.header import RoundKind
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import SEALED_LABEL_SIZE, Label, Tag
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.table import Operation, TableCommitment, TableEntry, TableReader, parts_of
from tests.support.databases import BACKENDS, Databases, of_kind

ME, PEER = LabId(bytes(32)), LabId(b"p" * 32)
HELD, ASKED = Epoch(ME, PEER, "infrastructure", 1), Epoch(PEER, ME, "infrastructure", 1)
MIGRATIONS = Path(mandorla_node.store.__file__).parent / "migrations"
TAGS = st.binary(min_size=16, max_size=16)
STATE = FlagState(0, 0)
PAGE = owned(1, b"\x01", bytes(16), bytes(SEALED_LABEL_SIZE), [1])


@pytest.fixture(scope="module", params=BACKENDS)
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    yield from of_kind(request.param)


@pytest.fixture(scope="module")
def store(databases: Databases) -> Iterator[Store]:
    folder = Path(tempfile.mkdtemp(prefix="md-"))
    opened = databases.open(folder, Vault(new_key()), lambda: 1_800_000_000)
    yield opened
    opened.close()
    shutil.rmtree(folder)


def sealed(tag: bytes) -> bytes:
    return tag * (SEALED_LABEL_SIZE // len(tag))


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(TAGS, st.sampled_from(Operation), max_size=40),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(0, 40),
)
def test_a_version_is_its_entries_in_the_order_of_their_tags(
    entries: dict[bytes, Operation], page: int, batches: int, threshold: int
) -> None:
    tags = list(entries)
    owners = {tag: number for number, tag in enumerate(tags, 2**40)}
    staged = []
    for batch in range(batches):
        mine = tags[batch::batches]
        operations = bytes(entries[tag] for tag in mine)
        labels = b"".join(sealed(tag) for tag in mine if entries[tag] is Operation.ADD)
        staged.append(owned(7, operations, b"".join(mine), labels, [owners[tag] for tag in mine]))
    with (
        mock.patch.object(version_builder, "PAGE_SIZE", threshold),
        VersionBuilder(Path(tempfile.gettempdir()), 7) as version,
    ):
        for one in staged:
            version.add(one)
        assert version.count == len(entries)
        pages = list(version.pages(page))
    parts = [part for part, _ in pages]
    behind = b"".join(numbers for _, numbers in pages)
    assert [int.from_bytes(one, "big") for one in split(behind, 8)] == [owners[tag] for tag in sorted(tags)]
    expected = [
        TableEntry(7, what, Tag(tag), sealed(tag) if what is Operation.ADD else b"")
        for tag, what in sorted(entries.items())
    ]
    assert list(chain.from_iterable(part.entries() for part in parts)) == expected
    assert [len(part) for part in parts] == [page] * (len(entries) // page) + [len(entries) % page] * bool(
        len(entries) % page
    )


def test_a_tag_that_is_staged_twice_is_refused() -> None:
    twice = owned(1, b"\x01" * 2, bytes(32), bytes(2 * SEALED_LABEL_SIZE), [1, 2])
    with VersionBuilder(Path(tempfile.gettempdir()), 1) as version:
        version.add(twice)
        with pytest.raises(NodeError) as caught:
            list(version.pages(8))
    assert caught.value.code is Code.STORE_FAILED


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.data())
def test_any_range_of_a_table_is_read_as_it_was_published(
    store: Store, sizes: list[int], data: st.DataObject
) -> None:
    number = store.holder.next_number(PEER, "infrastructure")
    held = store.holder.create(Epoch(ME, PEER, "infrastructure", number), os.urandom(32), bytes(32), 10, 3600)
    published: list[TableEntry] = []
    for version, size in enumerate(sizes, 1):
        entries = [(os.urandom(16), os.urandom(SEALED_LABEL_SIZE)) for _ in range(size)]
        tags, labels = map(b"".join, zip(*entries, strict=True))
        with store.holder.build_version(held) as staged:
            staged.add(owned(version, b"\x01" * size, tags, labels, range(1, size + 1)))
            pages = list(staged.pages(4))
        frontier = held.frontier
        for page in pages[:-1]:
            store.holder.add_page(held, frontier.size, page)
            frontier = page.part.append_to(frontier)
        frontier = pages[-1].part.append_to(frontier)
        store.holder.publish(held, frontier, STATE, pages[-1:])
        published += [TableEntry(version, Operation.ADD, Tag(tag), label) for tag, label in sorted(entries)]
        held = store.holder.get(held.epoch)
        assert held.commitment == TableCommitment(version, len(published), frontier.root)
    start = data.draw(st.integers(0, len(published)))
    limit = data.draw(st.integers(1, len(published) + 1))
    read = store.holder.entries(held, start, limit)
    assert [entry for part in read for entry in part.entries()] == published[start : start + limit]


def test_pages_that_were_not_published_are_forgotten(store: Store) -> None:
    number = store.holder.next_number(PEER, "accounts")
    held = store.holder.create(Epoch(ME, PEER, "accounts", number), os.urandom(32), bytes(32), 10, 3600)
    store.holder.add_page(held, 0, PAGE)
    store.holder.discard_unpublished(held)
    assert store.holder.entries(held, 0, 10) == ()


def test_a_version_that_is_prepared_beside_another_changes_nothing(store: Store) -> None:
    number = store.holder.next_number(PEER, "prompts")
    before = store.holder.create(Epoch(ME, PEER, "prompts", number), os.urandom(32), bytes(32), 10, 3600)
    store.holder.add_page(before, 0, PAGE)
    store.holder.publish(before, PAGE.part.append_to(before.frontier), STATE)
    store.holder.discard_unpublished(before)
    with pytest.raises(NodeError) as caught:
        store.holder.publish(before, PAGE.part.append_to(before.frontier), STATE)
    assert caught.value.code is Code.STORE_FAILED
    held = store.holder.get(before.epoch)
    assert store.holder.entries(held, 0, 10) == (PAGE.part,)
    assert held.commitment.version == 1


def test_a_version_of_which_pages_are_gone_is_not_published(store: Store) -> None:
    number = store.holder.next_number(PEER, "prompts")
    held = store.holder.create(Epoch(ME, PEER, "prompts", number), os.urandom(32), bytes(32), 10, 3600)
    store.holder.add_page(held, 0, PAGE)
    store.holder.discard_unpublished(held)
    with pytest.raises(NodeError):
        store.holder.publish(held, PAGE.part.append_to(held.frontier), STATE)


@pytest.mark.spec("7.3-3")
def test_a_page_that_an_earlier_round_left_late_is_not_taken_for_verified(
    folder: Path, databases: Databases
) -> None:
    store = databases.open(folder, Vault(new_key()), lambda: 1_800_000_000)
    peer_epoch = store.querier.begin(store.querier.look_up(ASKED, Element(bytes(32))))
    entries = [TableEntry(1, Operation.ADD, Tag(bytes([n]) * 16), bytes(272)) for n in range(9)]
    store.querier.stage_entries(peer_epoch, 0, parts_of(entries))
    store.querier.stage_entries(peer_epoch, 4, parts_of(entries[:1]))
    frontier = Frontier().extend(entry.leaf_hash() for entry in entries)
    committed = TableCommitment(1, len(entries), frontier.root)
    reader = TableReader.resume(peer_epoch.verified, peer_epoch.frontier, committed).accept(parts_of(entries))
    with pytest.raises(NodeError) as caught:
        store.querier.accept_table(peer_epoch, reader)
    assert caught.value.code is Code.STORE_FAILED
    store.close()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_newest_entry_of_a_tag_is_what_a_table_says_of_an_indicator(
    databases: Databases, data: st.DataObject
) -> None:
    """Against a plain loop over the entries, with tags that differ in their last bytes only."""
    tags = [bytes(14) + bytes([a, b]) for a in (0, 255) for b in (0, 1, 255)]
    own = data.draw(st.lists(st.sampled_from(tags), unique=True))
    versions = data.draw(
        st.lists(st.dictionaries(st.sampled_from(tags), st.sampled_from(Operation), min_size=1), max_size=4)
    )
    entries = [
        TableEntry(version, what, Tag(tag), sealed(tag) if what is Operation.ADD else b"")
        for version, operations in enumerate(versions, 1)
        for tag, what in sorted(operations.items())
    ]
    newest = {entry.tag: entry for entry in entries}
    folder = Path(tempfile.mkdtemp(prefix="md-"))
    store = databases.open(folder, Vault(new_key()), lambda: 1_800_000_000)
    try:
        indicators = [Indicator.parse("ipv4", f"198.18.0.{n}") for n in range(len(own))]
        rows = [LabelledIndicator(indicator, Label()) for indicator in indicators]
        if rows:
            store.indicators.add(IndicatorSet.FLAGGED, rows, None)
        querier, peer_epoch = store.querier, None
        peer_epoch = querier.begin(querier.look_up(ASKED, Element(bytes(32))))
        ids, _ = querier.untagged(peer_epoch, IndicatorSet.FLAGGED, 0, 99, 99)
        querier.store_tags(peer_epoch, ids, b"".join(own), b"".join(tag * 2 for tag in own))
        frontier = Frontier().extend(entry.leaf_hash() for entry in entries)
        committed = TableCommitment(len(versions), len(entries), frontier.root)
        reader = TableReader.resume(peer_epoch.verified, peer_epoch.frontier, committed)
        for start in range(0, len(entries), 2):
            parts = parts_of(entries[start : start + 2])
            reader = reader.accept(parts)
            querier.stage_entries(peer_epoch, start, parts)
        assert list(store.matcher.candidates(peer_epoch, RoundKind.SHARED)) == [], "nothing is verified yet"
        querier.accept_table(peer_epoch, reader)
        found = {
            key[:16]: (number, page.version, tag, label)
            for page in store.matcher.candidates(peer_epoch, RoundKind.SHARED)
            for number, key, tag, label in zip(
                page.indicator_ids,
                split(page.label_keys, 32),
                split(page.tags, 16),
                split(page.sealed, SEALED_LABEL_SIZE),
                strict=True,
            )
        }
        assert found == {
            tag: (number, newest[Tag(tag)].version, tag, newest[Tag(tag)].sealed)
            for number, tag in zip(ids, own, strict=True)
            if tag in newest and newest[Tag(tag)].operation is Operation.ADD
        }
    finally:
        store.close()
        shutil.rmtree(folder)


def test_an_older_home_keeps_its_tables(folder: Path) -> None:
    """Migration 0004 on what a node of before it had in its store."""
    path = folder / "mandorla.db"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
    engine.dispose()
    entries = [
        TableEntry(version, what, Tag(os.urandom(16)), os.urandom(272) if what is Operation.ADD else b"")
        for version, what in (
            (1, Operation.ADD),
            (1, Operation.ADD),
            (2, Operation.REVOKE),
            (2, Operation.ADD),
        )
    ]
    frontier = Frontier().extend(entry.leaf_hash() for entry in entries)
    seed = Vault(new_key())
    old = sqlite3.connect(path)
    old.execute(
        "INSERT INTO held_epochs VALUES (1, ?, 'infrastructure', 1, ?, 10, 0, 0, 2000000000, 2, ?)",
        (PEER, seed.seal(bytes(32)), frontier.encode()),
    )
    old.execute(
        "INSERT INTO asked_epochs VALUES (1, ?, 'infrastructure', 1, ?, 2, ?)",
        (PEER, bytes(32), frontier.encode()),
    )
    for table in ("held_entries", "peer_entries"):
        rows = [(1, leaf, e.version, int(e.operation), e.tag, e.sealed) for leaf, e in enumerate(entries)]
        old.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?)", rows)
    old.execute("INSERT INTO ingests VALUES (1, 0, 'flagged')")
    old.execute("INSERT INTO indicators VALUES (5, 'ipv4', 1, '198.18.0.1', 'infrastructure')")
    old.execute("INSERT INTO flagged VALUES (5, 0, 2, 50, 1, 0, 2, 1, 1, 1)")
    old.execute("INSERT INTO own_tags VALUES (1, ?, 5, ?, 0)", (entries[3].tag, bytes(32)))
    old.commit()
    old.close()

    store = Store.open(path, seed, lambda: 1_800_000_000)
    held = store.holder.get(HELD)
    assert [entry for part in store.holder.entries(held, 0, 9) for entry in part.entries()] == entries
    peer_epoch = store.querier.look_up(ASKED, Element(bytes(32)))
    (page,) = store.matcher.candidates(peer_epoch, RoundKind.SHARED)
    assert (page.indicator_ids, page.version, page.sealed) == ([5], 2, entries[3].sealed)
    store.close()
