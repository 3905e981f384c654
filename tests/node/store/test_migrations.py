"""A store of any version that was released becomes one of today, and its node goes on with what it held."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from mandorla_node.crypto.workers import tag_and_seal
from mandorla_node.home.folder import STORE, Home
from mandorla_node.store import IndicatorSet
from mandorla_node.store.backends.sqlite import SCHEMA
from mandorla_node.store.database import Database
from mandorla_node.store.schema import METADATA
from mandorla_protocol.engine import Engine
from mandorla_protocol.engine.loader import load_engine
from mandorla_protocol.epochs import Epoch, LabId, epoch_keys
from mandorla_protocol.group import Element
from mandorla_protocol.header import RoundId, RoundKind
from mandorla_protocol.indicators import Indicator, tokens_of
from mandorla_protocol.labels import Label
from mandorla_protocol.log.entries import KeyEpochBegun, PeerCosigned, TableVersionPublished
from mandorla_protocol.merkle import Frontier, hash_children, hash_leaf
from mandorla_protocol.table import Operation, TableEntry
from tests.support import schemas
from tests.support.databases import Databases, of_kind, server
from tests.support.labs import SHARED, addresses, ingest, make_labs, matched, run_round, serving
from tests.support.stores import moved

SEED, OTHER_KEY = bytes(range(32)), Element(b"k" * 32)
ROUND = RoundId(b"r" * 16)
CAUGHT = LabId(b"d" * 32)
FLAGS = addresses(range(1, 4))
FINGERPRINT = "0123456789abcdef" * 2
GROUP = "template-7"
LATER, LONG_AGO = 4_000_000_000, 1_600_000_000
FIRST_IN_POSTGRES = min(path.stem.split("-")[1] for path in schemas.FOLDER.glob("postgresql-*.sql"))
CASES = [
    (database, revision)
    for database in ("sqlite", "postgresql")
    for revision in schemas.revisions()
    if database == "sqlite" or revision >= FIRST_IN_POSTGRES
]


@dataclass
class Old:
    """A store of an older version, of a lab that is the holder for one peer and the querier of another."""

    connection: Any
    revision: str
    mark: str
    home: Home
    holder: LabId
    querier: LabId
    entries: list[TableEntry] = field(default_factory=list)
    log: list[bytes] = field(default_factory=list)

    def put(self, table: str, **columns: object) -> None:
        """Insert a row."""
        marks = ", ".join([self.mark] * len(columns))
        self.connection.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", tuple(columns.values())
        )

    def since(self, revision: str, /, **columns: object) -> dict[str, object]:
        """Return columns that there are since a revision."""
        return columns if self.revision >= revision else {}

    def until(self, revision: str, /, **columns: object) -> dict[str, object]:
        """Return columns that there were before a revision."""
        return columns if self.revision < revision else {}

    @property
    def epoch(self) -> Epoch:
        """The epoch that the lab holds."""
        return Epoch(self.home.card.identity, self.querier, "infrastructure", 1)

    @property
    def peer_epoch(self) -> Epoch:
        """The peer's epoch of the lab's last round."""
        return Epoch(self.holder, self.home.card.identity, "infrastructure", 5)

    @property
    def frontier(self) -> Frontier:
        """What both tables are under."""
        return Frontier().extend(entry.leaf_hash() for entry in self.entries)

    def fill(self, cards: list[Any]) -> None:
        """Put something into every table."""
        for card in cards:
            self.put(
                "peers",
                lab=card.identity,
                name=card.name,
                card=card.to_json(),
                added_at=1,
                last_contact=2,
                **self.since("0008", paused_at=0),
            )
        self._indicators()
        self._tables()
        self._rounds()
        if self.revision >= "0003":
            self._log()
        if self.revision >= "0005":
            self._groups()
        if self.revision >= "0007":
            self.put("former_cards", peer=self.holder, card=cards[0].to_json(), until=LONG_AGO)
            self.put("card_receipts", peer=self.holder, certificate_hash=bytes(32), at=1)
        if self.revision >= "0010":
            self.put("restores", number=1, at=1, epochs_beyond=7)
            self.put("unheard", peer=CAUGHT)
        if self.revision >= "0011":
            self.put("notices", receiver="webhook", event=4)
        self.connection.execute(schemas.VERSION)
        self.put("alembic_version", version_num=self.revision)

    def _indicators(self) -> None:
        for number, target in enumerate(("flagged", "observed"), 1):
            self.put("ingests", id=number, at=number, target=target)
        for number, value in enumerate(FLAGS, 1):
            self.put(
                "indicators", id=number, type="ipv4", profile=1, value=value, collection="infrastructure"
            )
            self.put(
                "flagged",
                indicator_id=number,
                reason=1,
                severity=3,
                confidence=60 + number,
                first_seen=1,
                expires=LONG_AGO if number == 3 else 0,
                tlp=2,
                added_by=1,
                touched_by=1,
                **self.until("0006", revision=1),
                **self.since("0006", change=1, first_change=1),
            )
        self.put(
            "observed",
            indicator_id=1,
            first_seen=1,
            last_seen=9,
            added_by=2,
            touched_by=2,
            **self.since("0006", change=1),
        )

    def _tables(self) -> None:
        engine: Engine = load_engine("auto")
        keys = epoch_keys(engine, SEED, self.epoch)
        tokens = tokens_of(("ipv4", 1, value) for value in FLAGS[:2])
        labels = [Label(confidence=61), Label(confidence=62)]
        tags, sealed = tag_and_seal(engine, keys, self.epoch, 1, tokens, labels)
        mine = sorted((tags[16 * n : 16 * n + 16], sealed[272 * n : 272 * n + 272], n + 1) for n in range(2))
        padding = [(bytes([255]) * 15 + bytes([n]), bytes(272), 0) for n in range(254)]
        rows = [*mine, *padding]
        self.entries = [TableEntry(1, Operation.ADD, tag, label) for tag, label, _ in rows]
        frontier = self.frontier
        self.put(
            "held_epochs",
            id=1,
            querier=self.querier,
            collection="infrastructure",
            number=1,
            sealed_seed=self.home.vault.seal(SEED),
            budget=1 << 20,
            spent=300,
            created_at=1,
            expires_at=LATER,
            table_version=1,
            frontier=frontier.encode(),
            **self.since("0006", covered_change=1, covered_time=LONG_AGO + 1),
        )
        self.put(
            "asked_epochs",
            id=1,
            holder=self.holder,
            collection="infrastructure",
            number=5,
            public_key=OTHER_KEY,
            table_version=1,
            frontier=frontier.encode(),
            **self.since("0006", halves=1, begun=0),
            **self.since("0009", masked=0),
        )
        for epochs in ("held", "peer"):
            if self.revision < "0004":
                for leaf, (tag, label, _) in enumerate(rows):
                    self.put(
                        f"{epochs}_entries",
                        epoch_id=1,
                        leaf=leaf,
                        version=1,
                        operation=1,
                        tag=tag,
                        sealed=label,
                    )
            else:
                owners = b"".join(number.to_bytes(8, "big") for *_, number in rows)
                self.put(
                    f"{epochs}_pages",
                    epoch_id=1,
                    leaf=0,
                    version=1,
                    operations=b"\x01" * len(rows),
                    tags=b"".join(tag for tag, *_ in rows),
                    sealed=b"".join(label for _, label, _ in rows),
                    **(self.since("0006", owners=owners) if epochs == "held" else {}),
                )
        if self.revision < "0006":
            for tag, _, number in mine:
                self.put("held_live", epoch_id=1, indicator_id=number, tag=tag, revision=1)
        # Of the third, a half that was interrupted.
        for tag, number, pending in ((mine[0][0], mine[0][2], 0), (bytes(16), 3, 1)):
            self.put(
                "own_tags",
                epoch_id=1,
                indicator_id=number,
                tag=tag,
                label_key=tag * 2,
                **self.until("0006", pending=pending),
                **self.since("0006", half=1 + pending),
            )
        self.matching = mine[0]

    def _rounds(self) -> None:
        self.put(
            "rounds",
            id=ROUND,
            peer=self.holder,
            kind=1,
            collection="infrastructure",
            state="committed",
            code="",
            created_at=7,
            closed_at=8,
        )
        self.put(
            "chunks",
            round_id=ROUND,
            chunk_index=0,
            request=bytes(32),
            count=256,
            evaluated=b"evaluated",
            proof=bytes(64),
            **self.since("0002", blinded=b"blinded"),
        )
        self.put(
            "matches",
            peer=self.holder,
            kind=1,
            indicator_id=2,
            round_id=ROUND,
            label=Label(confidence=77).encode().rstrip(b"\0"),
            first_matched=7,
            ended_at=0,
            **self.since("0006", event=4, expires=0),
        )
        self.put("sightings", peer=self.querier, indicator_id=2, round_id=ROUND, reported_at=8)
        if self.revision < "0003":
            self.put(
                "journal",
                sequence=1,
                at=7,
                round_id=ROUND,
                event="agreed",
                body=b"body",
                own_signature=bytes(64),
                peer_signature=bytes(64),
            )

    def _log(self) -> None:
        table = self.frontier
        self.log = [
            KeyEpochBegun(self.epoch, bytes(32), 1 << 20, LATER, 1).encode(),
            TableVersionPublished(self.epoch, 1, table.size, table.root, 2).encode(),
            PeerCosigned(self.holder, b"a note", bytes(72)).encode(),
        ]
        nodes: dict[tuple[int, int], bytes] = {}
        for position, entry in enumerate(self.log):
            self.put("log", position=position, round_id=b"", entry=entry)
            level, at, node = 0, position, hash_leaf(entry)
            nodes[level, at] = node
            while at % 2:
                node = hash_children(nodes[level, at - 1], node)
                level, at = level + 1, at // 2
                nodes[level, at] = node
        for (level, at), node in nodes.items():
            self.put("log_nodes", level=level, position=at, hash=node)
        self.put(
            "cosignatures", size=2, peer=self.holder, root=bytes(32), origin="its log", cosignature=bytes(72)
        )
        self.put(
            "peer_checkpoints",
            peer=self.holder,
            size=9,
            root=bytes(32),
            note=b"a note",
            cosignature=bytes(72),
        )
        self.put("caught", peer=CAUGHT, origin="other log", one=b"one", other=b"other", at=3)

    def _groups(self) -> None:
        self.put(
            "indicators", id=9, type="prompt-template", profile=1, value=FINGERPRINT, collection="prompts"
        )
        self.put("groups", id=1, target="observed", type="prompt-template", name=GROUP)
        self.put("group_members", indicator_id=9, group_id=1)
        said = {"label": Label(confidence=78).encode().rstrip(b"\0"), "round_id": ROUND}
        self.put(
            "partial_matches",
            peer=self.holder,
            kind=2,
            indicator_id=9,
            severity=2,
            confidence=78,
            **said,
            **self.since("0006", expires=0),
        )
        self.put(
            "group_matches",
            peer=self.holder,
            kind=2,
            group_id=1,
            tokens=2,
            first_matched=8,
            ended_at=0,
            **said,
            **self.since("0006", event=5, expires=0),
        )


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest) -> Iterator[tuple[Databases, str]]:
    name, revision = request.param
    for databases in of_kind(name):
        yield databases, revision


def test_the_newest_schema_is_on_file() -> None:
    """What a version wrote stays as it was; a new migration needs `python -m tests.support.schemas`."""
    assert sorted(path.stem for path in schemas.FOLDER.glob("sqlite-*.sql")) == [
        f"sqlite-{revision}" for revision in schemas.revisions()
    ]
    kept = schemas.schema("postgresql", schemas.head())
    assert schemas.schema("sqlite", schemas.head()) == SCHEMA.read_text()
    # Indexes come in any order.
    assert sorted(kept.split(";\n")) == sorted(schemas.of_postgres().split(";\n"))


def test_a_new_store_is_what_migrations_make(folder: Path) -> None:
    """A new SQLite file has the newest schema at once, to the letter as from the first one on."""
    made, migrated = folder / "made.db", folder / "migrated.db"
    Database(made).close()
    schemas.migrated(migrated)
    everything = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    versions, checked = "SELECT * FROM alembic_version", "PRAGMA integrity_check"
    with closing(sqlite3.connect(made)) as one, closing(sqlite3.connect(migrated)) as other:
        for query in (everything, versions, checked):
            assert one.execute(query).fetchall() == other.execute(query).fetchall()
        assert one.execute(versions).fetchall() == [(schemas.head(),)]


def test_a_store_of_any_version_goes_on(folder: Path, case: tuple[Databases, str]) -> None:
    databases, revision = case
    a, b, c = make_labs(folder, "lab-a", "lab-b", "lab-c")
    (a.path / STORE).unlink()
    if databases.name == "sqlite":
        with closing(sqlite3.connect(a.path / STORE)) as connection:
            connection.executescript(schemas.schema("sqlite", revision))
            old = Old(connection, revision, "?", a, c.card.identity, b.card.identity)
            old.fill([b.card, c.card])
            connection.commit()
    else:
        import psycopg

        url = server().database("template0")
        databases.adopt(folder, url)
        a = moved(a, url)
        with psycopg.connect(url) as connection:
            connection.execute(schemas.schema("postgresql", revision).encode())
            old = Old(connection, revision, "%s", a, c.card.identity, b.card.identity)
            old.fill([b.card, c.card])
            for table in ("indicators", "ingests", "groups", "held_epochs", "asked_epochs"):
                last = f"(SELECT max(id) FROM {table})"
                connection.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {last})")
    _holds_what_was_there(old)
    _goes_on(old, b)


def _holds_what_was_there(old: Old) -> None:
    logged = old.revision >= "0003"
    with closing(old.home.open_store()) as store:
        database = store._database
        with database.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            different = [one for one in compare_metadata(context, METADATA) if "journal" not in str(one)]
            assert different == []
            journal = connection.execute(text("SELECT count(*) FROM journal")) if not logged else None
            assert journal is None or journal.scalar_one() == 1
        assert [peer.name for peer in store.peers.all()] == ["lab-b", "lab-c"]
        places = store.indicators.memberships([Indicator.parse("ipv4", value) for value in FLAGS])
        assert [(one.indicator_id, one.flagged, one.observed) for one in places.values()] == [
            (1, True, True),
            (2, True, False),
            (3, False, False),
        ]
        assert store.indicators.sizes()[0][1:] == (IndicatorSet.FLAGGED, 3)
        if logged:
            held = store.holder.get(old.epoch)
            read = [one for part in store.holder.entries(held, 0, 999) for one in part.entries()]
            assert read == old.entries
            assert held.frontier == old.frontier
            assert store.holder.seed(held) == SEED
            assert store.holder.living_epochs(old.querier) == [("infrastructure", 1, 300, 1 << 20, 1)]
            assert store.holder.indicators_of_tags(held, [one.tag for one in old.entries]) == [1, 2]
        else:
            assert store.holder.living_epochs(old.querier) == [], "no log knows its key"
            assert store.holder.next_number(old.querier, "infrastructure") == 2
        peer_epoch = store.querier.look_up(old.peer_epoch, OTHER_KEY)
        assert (peer_epoch.frontier, peer_epoch.verified.version) == (old.frontier, 1)
        assert store.querier.count_untagged(peer_epoch, IndicatorSet.FLAGGED)[0] == 2, (
            "what was pending is none"
        )
        # With its first use, what older versions kept in the clear is no longer.
        peer_epoch = store.querier.begin(peer_epoch)
        tag, sealed, number = old.matching
        (page,) = store.matcher.candidates(peer_epoch, RoundKind.SHARED)
        assert (page.indicator_ids, page.tags, page.sealed) == ([number], tag, sealed)
        assert page.label_keys == tag * 2
        matches = [one for page in store.matches.all() for one in page]
        expected = [(FLAGS[1], 77, 7), (GROUP, 78, 8)][: 2 if old.revision >= "0005" else 1]
        assert [(one.value, one.label.confidence, one.first_matched) for one in matches] == expected
        assert sorted({one.event for one in matches}) == [one.event for one in matches], "all are numbered"
        known = {one.peer.lab: one for one in store.overview.state().peers}
        assert known[old.querier].sightings == 1
        (round_before,) = store.rounds.recent(9)
        assert (round_before.round_id, round_before.peer) == (ROUND, old.holder)
        assert store.rounds.answer(ROUND, 0).evaluated == b"evaluated"
        assert (store.rounds.elements(ROUND, 0) is not None) == (old.revision >= "0002")
        assert [entry for _, entry in store.log.entries(store.log.head()[0])] == old.log
        assert store.log.root_at(len(old.log)) == Frontier().extend(map(hash_leaf, old.log)).root
        assert known[old.holder].cosigned == (2 if logged else 0)
        assert store.log.latest_note_of(old.holder) == (b"a note" if logged else b"")
        assert (store.log.fraud_proof(CAUGHT) is not None) == logged


def _goes_on(old: Old, peer: Home) -> None:
    """Run a round on what was held: what the table had, and what is flagged now."""
    ingest(old.home, addresses([7]))
    ingest(peer, [FLAGS[0], *addresses([7, 8])])

    async def journey() -> None:
        async with serving(old.home, peer) as (at_old, _):
            result = await run_round(at_old, "lab-b")
            assert (result.outcome, result.matches) == ("committed", 2)
            found = await matched(at_old, "lab-b", SHARED)
            assert found == sorted([FLAGS[0], *addresses([7])]), (
                "with the keys of before, where there were any"
            )

    asyncio.run(journey())
    with closing(old.home.open_store()) as store:
        ((_, number, spent, *_),) = store.holder.living_epochs(old.querier)
    assert (number, spent) == ((1, 300 + 256) if old.revision >= "0003" else (2, 256))
