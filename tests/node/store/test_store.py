"""The store forgets nothing that it promised to keep, and keeps nothing that it promised to destroy."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text, update
from sqlalchemy.exc import DatabaseError

from mandorla_node.crypto.vault import Vault, new_key
from mandorla_node.home.folder import Home
from mandorla_node.store import (
    CosignedCheckpoint,
    IndicatorSet,
    IngestCounts,
    LabelledIndicator,
    RoundState,
    Store,
    StoredChunk,
)
from mandorla_node.store.schema import ASKED_EPOCHS, MATCHES, METADATA, OWN_TAGS, PEER_PAGES
from mandorla_node.store.version_builder import owned
from mandorla_protocol.card import issue_card
from mandorla_protocol.engine import split
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code, MandorlaError, NodeError, RoundError
from mandorla_protocol.group import Element
from mandorla_protocol.header import RoundId, RoundKind
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label, Tag
from mandorla_protocol.log.checkpoint import LogKey
from mandorla_protocol.log.entries import KeyEpochEnded
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.table import Operation, TableCommitment, TableEntry, TableReader, parts_of
from tests.support.databases import Databases
from tests.support.labs import make_home

ME, PEER = LabId(bytes(32)), LabId(b"p" * 32)
EPOCH = Epoch(ME, PEER, "infrastructure", 1)
SEED = bytes(range(32))
KEY = bytes(32)
REQUESTS = [bytes([number] * 32) for number in range(3)]


class Clock:
    now = 1_800_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault() -> Vault:
    return Vault(new_key())


@pytest.fixture
def store(folder: Path, databases: Databases, vault: Vault, clock: Clock) -> Iterator[Store]:
    opened = databases.open(folder, vault, clock)
    yield opened
    opened.close()


def flagged(number: int, **label: int) -> LabelledIndicator:
    return LabelledIndicator(Indicator.parse("ipv4", f"198.18.0.{number}"), Label(**label))  # type: ignore[arg-type]


def code(error: pytest.ExceptionInfo[MandorlaError]) -> Code:
    return error.value.code


def test_migrations_lead_to_the_schema(folder: Path, databases: Databases) -> None:
    database = databases.database(folder)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    database.close()


def test_the_file_is_for_its_owner_only(folder: Path, vault: Vault, clock: Clock) -> None:
    with closing(Store.open(folder / "mandorla.db", vault, clock)):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("mandorla.db*")}
    assert modes
    assert set(modes.values()) == {0o600}, modes


def test_the_log_cannot_be_changed(folder: Path, databases: Databases, store: Store) -> None:
    entry = KeyEpochEnded(EPOCH, 1)
    store.log.append(entry, ROUND)
    before = store.log.head()
    store.log.record_cosignature(CosignedCheckpoint(1, bytes(32), LogKey("example", PEER), bytes(72)))
    database = databases.database(folder)
    for statement in (
        "UPDATE log SET entry = round_id",
        "DELETE FROM log",
        "UPDATE log_nodes SET level = 1",
        "DELETE FROM log_nodes",
        "UPDATE cosignatures SET root = cosignature",
    ):
        with (
            pytest.raises(DatabaseError, match="append-only"),
            database.engine.begin() as connection,
        ):
            connection.execute(text(statement))
    database.close()
    assert store.log.entries_of_round(ROUND) == [entry]
    assert store.log.head() == before


def test_errors_of_the_database_carry_no_parameters(folder: Path, store: Store) -> None:
    with pytest.raises(NodeError) as caught:
        store.holder.charge(
            store.holder.create(EPOCH, SEED, KEY, 100, 3600), b"no such round!!!", 0, b"secret-request", 1
        )
    assert code(caught) is Code.STORE_FAILED
    assert "secret" not in caught.value.diagnostics()


@pytest.mark.spec("9.5-1")
def test_a_chunk_is_charged_once_and_a_budget_never_passed(store: Store) -> None:
    held = store.holder.create(EPOCH, SEED, KEY, 10, 3600)
    _open_round(store)
    store.holder.charge(held, ROUND, 0, REQUESTS[0], 6)
    store.holder.charge(held, ROUND, 0, REQUESTS[0], 6)
    with pytest.raises(RoundError) as caught:
        store.holder.charge(held, ROUND, 0, REQUESTS[2], 6)
    assert code(caught) is Code.CHUNK_REUSED
    with pytest.raises(RoundError) as caught:
        store.holder.charge(held, ROUND, 1, REQUESTS[1], 5)
    assert code(caught) is Code.BUDGET_EXCEEDED
    store.holder.charge(held, ROUND, 1, REQUESTS[1], 4)
    assert store.holder.living_epochs(PEER) == [("infrastructure", 1, 10, 10, 0)]


def test_nothing_is_charged_or_kept_in_a_round_that_has_ended(store: Store) -> None:
    held = store.holder.create(EPOCH, SEED, KEY, 10, 3600)
    _open_round(store)
    store.holder.charge(held, ROUND, 0, REQUESTS[0], 6)
    store.rounds.finish(ROUND, RoundState.ABORTED)
    with pytest.raises(RoundError) as caught:
        store.rounds.store_answer(held.id, ROUND, 0, StoredChunk(REQUESTS[0], b"evaluated", bytes(64)))
    assert code(caught) is Code.UNKNOWN_ROUND
    with pytest.raises(RoundError) as caught:
        store.rounds.answer(ROUND, 0)
    assert code(caught) is Code.WRONG_STATE
    store.holder.charge(held, ROUND, 0, REQUESTS[0], 6)
    with pytest.raises(RoundError) as caught:
        store.holder.charge(held, ROUND, 1, REQUESTS[1], 1)
    assert code(caught) is Code.UNKNOWN_ROUND
    assert store.holder.living_epochs(PEER) == [("infrastructure", 1, 6, 10, 0)]


@pytest.mark.spec("5.2-3")
def test_no_answer_is_kept_once_its_key_epoch_has_ended(store: Store) -> None:
    held = store.holder.create(EPOCH, SEED, KEY, 10, 3600)
    _open_round(store)
    store.holder.charge(held, ROUND, 0, REQUESTS[0], 6)
    store.holder.create(replace(EPOCH, number=2), SEED, KEY, 10, 3600)
    logged = store.log.entries_of_round(ROUND)
    with pytest.raises(RoundError) as caught:
        store.rounds.store_answer(held.id, ROUND, 0, StoredChunk(REQUESTS[0], b"evaluated", bytes(64)))
    assert code(caught) is Code.EPOCH_RETIRED
    assert store.log.entries_of_round(ROUND) == logged


ROUND = RoundId(b"r" * 16)


def _open_round(store: Store) -> None:
    database = store._database
    with database.write() as connection:
        connection.execute(
            text("INSERT INTO rounds VALUES (:id, :peer, 1, 'infrastructure', 'open', '', 0, 0)"),
            {"id": ROUND, "peer": PEER},
        )


@pytest.mark.spec("5.2-3")
def test_a_new_epoch_destroys_the_seed_and_the_table_before_it(
    folder: Path, databases: Databases, store: Store
) -> None:
    held = store.holder.create(EPOCH, SEED, KEY, 10, 3600)
    sealed = held.sealed_seed
    assert store.holder.seed(held) == SEED
    page = owned(1, b"\x01", os.urandom(16), os.urandom(272), [0])
    store.holder.add_page(held, 0, page)
    store.holder.publish(held, page.part.append_to(held.frontier), store.holder.flag_state())
    later = store.holder.create(Epoch(ME, PEER, "infrastructure", 2), os.urandom(32), KEY, 10, 3600)
    with pytest.raises(RoundError) as caught:
        store.holder.get(EPOCH)
    assert code(caught) is Code.EPOCH_RETIRED
    assert store.holder.entries(held, 0, 10) == ()
    assert later.epoch.number == 2
    assert sealed in databases.bytes_of(folder)
    assert store.scrub()
    assert sealed not in databases.bytes_of(folder), "while it is open"
    store.close()
    assert sealed not in databases.bytes_of(folder)


def test_an_epoch_ends_with_its_lifetime(store: Store, clock: Clock) -> None:
    store.holder.create(EPOCH, SEED, KEY, 10, 3600)
    assert store.holder.current(ME, PEER, "infrastructure") is not None
    clock.now += 3600
    assert store.holder.current(ME, PEER, "infrastructure") is None
    assert store.holder.next_number(PEER, "infrastructure") == 2


def test_a_seed_does_not_open_under_another_key(
    folder: Path, databases: Databases, store: Store, clock: Clock
) -> None:
    held = store.holder.create(EPOCH, SEED, KEY, 10, 3600)
    assert SEED not in held.sealed_seed
    other = databases.open(folder, Vault(new_key()), clock)
    with pytest.raises(NodeError) as caught:
        other.holder.seed(held)
    assert code(caught) is Code.BAD_HOME
    other.close()


@pytest.mark.parametrize("target", list(IndicatorSet))
def test_an_ingest_counts_what_is_new_known_and_doubled(store: Store, target: IndicatorSet) -> None:
    add = store.indicators.add
    first = add(target, [flagged(1), flagged(2), flagged(1)], None)
    assert (first.added, first.known) == (2, 0)
    again = add(target, [flagged(2), flagged(3)], first.ingest_id)
    assert again == IngestCounts(first.ingest_id, 1, 0)
    second = add(target, [flagged(2), flagged(3, confidence=1), flagged(4)], None)
    assert second == IngestCounts(first.ingest_id + 1, 1, 2)
    assert store.indicators.sizes() == [("ipv4", target, 4)]


def test_only_a_changed_label_is_published_again(store: Store) -> None:
    held = store.holder.create(EPOCH, SEED, KEY, 10, 3600)
    store.indicators.add(IndicatorSet.FLAGGED, [flagged(1), flagged(2)], None)
    until = store.holder.flag_state()
    added = store.holder.additions(held, until, None, 10)
    assert added and len(added.labels) == 2
    store.holder.publish(held, held.frontier, until)
    held = store.holder.get(EPOCH)
    store.indicators.add(IndicatorSet.FLAGGED, [flagged(1), flagged(2, confidence=99)], None)
    again = store.holder.additions(held, store.holder.flag_state(), None, 10)
    assert again and [label.confidence for label in again.labels] == [99]


def test_a_disk_that_refuses_is_a_typed_error(folder: Path, vault: Vault, clock: Clock) -> None:
    (folder / "mandorla.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(NodeError) as caught:
        Store.open(folder / "mandorla.db", vault, clock)
    assert code(caught) is Code.STORE_FAILED


@pytest.mark.spec("5.2-3")
def test_an_epoch_that_is_over_loses_its_seed_without_being_asked(
    folder: Path, databases: Databases, store: Store, clock: Clock
) -> None:
    held = store.holder.create(EPOCH, SEED, KEY, 10, 3600)
    store.holder.destroy_expired(ME)
    assert store.holder.seed(store.holder.get(EPOCH)) == SEED
    clock.now += 3600
    store.holder.destroy_expired(ME)
    assert store.scrub()
    store.close()
    assert held.sealed_seed not in databases.bytes_of(folder)


@pytest.mark.spec("9.1-2")
def test_a_card_whose_certificate_is_not_the_labs_own_is_not_pinned(folder: Path, store: Store) -> None:
    homes = [Home.create(folder / name, name, "127.0.0.1:7443") for name in ("lab-a", "lab-b")]
    own = homes[0].card.certificate
    other_version = own.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020109"))
    second_alternative_name = own.replace(bytes.fromhex("0603551d13"), bytes.fromhex("0603551d11"))
    no_alternative_name = own.replace(bytes.fromhex("0603551d11"), bytes.fromhex("0603551d63"))
    altered = (other_version, second_alternative_name, no_alternative_name)
    assert own not in altered
    for certificate in (homes[1].card.certificate, b"junk", *altered):
        card = issue_card(homes[0].identity, "lab-a", certificate, "127.0.0.1:7443", "example")
        with pytest.raises(MandorlaError) as caught:
            store.peers.add(card)
        assert code(caught) is Code.BAD_CARD
    assert store.peers.all() == []


@pytest.mark.spec("9.1-2")
def test_a_card_with_the_name_of_another_pinned_lab_is_not_pinned(folder: Path, store: Store) -> None:
    first, second = (Home.create(folder / name, "lab-a", "127.0.0.1:7443") for name in ("one", "two"))
    store.peers.add(first.card)
    with pytest.raises(MandorlaError) as caught:
        store.peers.add(second.card)
    assert code(caught) is Code.BAD_CARD
    assert [peer.card.identity for peer in store.peers.all()] == [first.card.identity]


ASKED = Epoch(PEER, ME, "infrastructure", 2)
KEY = Element(b"k" * 32)


@pytest.mark.spec("5.2-1", "5.2-2")
def test_what_is_looked_up_is_not_stored(store: Store) -> None:
    assert store.querier.look_up(ASKED, KEY) == store.querier.look_up(ASKED, KEY)
    assert store.querier.look_up(replace(ASKED, number=1), Element(b"x" * 32)).id == 0
    begun = store.querier.begin(store.querier.look_up(ASKED, KEY))
    assert store.querier.look_up(ASKED, KEY) == begun
    for epoch, key, expected in (
        (replace(ASKED, number=1), KEY, Code.EPOCH_RETIRED),
        (ASKED, Element(b"x" * 32), Code.TABLE_MISMATCH),
    ):
        with pytest.raises(RoundError) as caught:
            store.querier.look_up(epoch, key)
        assert code(caught) is expected
    assert store.querier.look_up(replace(ASKED, number=3), KEY).id == 0


def test_epochs_that_are_begun_and_broken_off_leave_nothing_behind(store: Store) -> None:
    """Or a peer with an epoch for each round could fill the disk with tables that it never finishes."""
    store.indicators.add(IndicatorSet.FLAGGED, [flagged(0)], None)
    entries = [TableEntry(1, Operation.ADD, Tag(bytes([n]) * 16), bytes(272)) for n in range(3)]
    for number in range(2, 6):
        peer_epoch = store.querier.begin(store.querier.look_up(replace(ASKED, number=number), KEY))
        store.querier.store_tags(peer_epoch, [1], bytes(16), bytes(32))
        store.querier.stage_entries(peer_epoch, 0, parts_of(entries))
    with store._database.read() as connection:
        for table in (OWN_TAGS, PEER_PAGES):
            assert set(connection.scalars(select(table.c.epoch_id))) == {peer_epoch.id}


def test_what_an_interrupted_half_left_counts_for_nothing_and_goes_when_the_next_begins(store: Store) -> None:
    querier, source = store.querier, IndicatorSet.FLAGGED
    store.indicators.add(source, [flagged(number) for number in range(5)], None)
    peer_epoch = querier.begin(querier.look_up(ASKED, KEY))
    ids, _ = querier.untagged(peer_epoch, source, 0, 99, 99)
    entries = [TableEntry(1, Operation.ADD, Tag(bytes([n]) * 16), bytes(272)) for n in range(3)]
    frontier = Frontier().extend(entry.leaf_hash() for entry in entries)
    reader = TableReader.resume(
        peer_epoch.verified, peer_epoch.frontier, TableCommitment(1, 3, frontier.root)
    )

    def ask(numbers: list[int]) -> None:
        querier.store_tags(peer_epoch, numbers, os.urandom(16 * len(numbers)), bytes(32 * len(numbers)))
        querier.stage_entries(peer_epoch, 0, parts_of(entries))

    ask(ids[:3])
    again = querier.look_up(ASKED, KEY)
    assert querier.count_untagged(again, source) == (5, ids[-1])
    peer_epoch = querier.begin(again)
    assert querier.untagged(peer_epoch, source, 0, 99, 99)[0] == ids
    ask(ids[:4])
    querier.accept_table(peer_epoch, reader.accept(parts_of(entries)))
    with pytest.raises(RoundError) as caught:
        querier.begin(peer_epoch)
    assert code(caught) is Code.NOT_READY, "begun as it was looked up before, it would lose what is verified"
    peer_epoch = querier.begin(querier.look_up(ASKED, KEY))
    assert querier.count_untagged(peer_epoch, source) == (1, ids[-1])
    assert peer_epoch.verified == TableCommitment(1, 3, frontier.root)


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(folder: Path, databases: Databases) -> None:
    database = databases.database(folder)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    for _ in range(2):
        with pytest.raises(NodeError) as caught:
            databases.database(folder)
        assert code(caught) is Code.STORE_FAILED
        assert "newer version of mandorla" in caught.value.detail


def test_what_peers_say_rests_encrypted_and_an_older_store_is_brought_to_it(
    folder: Path, vault: Vault, clock: Clock
) -> None:
    """Label keys and labels: whoever has the file, and not the vault's key, reads neither."""
    path = folder / "mandorla.db"
    store = Store.open(path, vault, clock)
    store.indicators.add(IndicatorSet.FLAGGED, [flagged(1), flagged(2)], None)
    peer_epoch = store.querier.begin(
        store.querier.look_up(Epoch(PEER, ME, "infrastructure", 1), Element(KEY))
    )
    ids, _ = store.querier.untagged(peer_epoch, IndicatorSet.FLAGGED, 0, 99, 99)
    keys = [os.urandom(32) for _ in ids]
    tags = [os.urandom(16) for _ in ids]
    # In another order than that of their ids.
    store.querier.store_tags(peer_epoch, ids[::-1], b"".join(tags[::-1]), b"".join(keys[::-1]))
    label = Label(first_seen=0x1234567890, confidence=77)
    round_id = RoundId(ROUND)
    store.matches.record(PEER, RoundKind.SHARED, "infrastructure", round_id, [(ids[0], label)])
    peer = make_home(folder, "peer").card
    store.peers.add(peer)
    store.matches.record(peer.identity, RoundKind.SHARED, "infrastructure", round_id, [(ids[0], label)])
    entries = [TableEntry(1, Operation.ADD, Tag(tag), bytes(272)) for tag in sorted(tags)]
    frontier = Frontier().extend(entry.leaf_hash() for entry in entries)
    reader = TableReader.resume(
        peer_epoch.verified, peer_epoch.frontier, TableCommitment(1, 2, frontier.root)
    )
    store.querier.stage_entries(peer_epoch, 0, parts_of(entries))
    peer_epoch = store.querier.accept_table(peer_epoch, reader.accept(parts_of(entries)))

    def found() -> dict[bytes, bytes]:
        (page,) = store.matcher.candidates(peer_epoch, RoundKind.SHARED)
        return dict(zip(split(page.tags, 16), split(page.label_keys, 32), strict=True))

    assert found() == dict(zip(tags, keys, strict=True))
    store.scrub()
    content = b"".join(file.read_bytes() for file in folder.glob("mandorla.db*"))
    assert not [key for key in keys if key in content]
    assert (0x1234567890).to_bytes(8, "big") not in content
    # As an older version kept it.
    with store._database.write() as connection:
        for number, key in zip(ids, keys, strict=True):
            connection.execute(
                update(OWN_TAGS).where(OWN_TAGS.c.indicator_id == number).values(label_key=key)
            )
        connection.execute(update(ASKED_EPOCHS).values(masked=0))
        connection.execute(update(MATCHES).values(label=label.encode().rstrip(b"\0")))
    peer_epoch = store.querier.begin(peer_epoch)
    assert found() == dict(zip(tags, keys, strict=True))
    assert [one.label for page in store.matches.all() for one in page] == [label]
    store.matches.record(peer.identity, RoundKind.WATCH, "infrastructure", round_id, [(ids[0], label)])
    store.close()
    with closing(Store.open(path, Vault(new_key()), clock)) as other, pytest.raises(NodeError) as caught:
        list(other.matches.all())
    assert code(caught) is Code.BAD_HOME
