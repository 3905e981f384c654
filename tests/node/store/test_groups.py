"""Fingerprints of one thing match together: as many of a group as its type needs, shown as one match."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select, text

from mandorla.v1 import operator_pb2
from mandorla_node.crypto.vault import Vault, new_key
from mandorla_node.formats import IngestRow
from mandorla_node.home.folder import Home
from mandorla_node.ingest.ingestor import Ingestor, IngestReport
from mandorla_node.store import IndicatorSet, LabelledIndicator, MatchRecord, Store, groups
from mandorla_node.store.schema import INDICATORS
from mandorla_protocol.card import Card
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code
from mandorla_protocol.group import Element
from mandorla_protocol.header import RoundId, RoundKind
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label, Severity, Tag
from tests.support.databases import Databases
from tests.support.labs import WATCH, make_home, make_labs, matched, run_round, serving

TYPE = "prompt-template"
FLAGGED, OBSERVED = IndicatorSet.FLAGGED, IndicatorSet.OBSERVED
SENTINEL = "sentinel-group"


def value(name: object) -> str:
    """Return a fingerprint."""
    return hashlib.sha256(str(name).encode()).hexdigest()[:32]


def ingest(
    store: Store, members: Iterable[tuple[object, str]], into: IndicatorSet = FLAGGED, kind: str = TYPE
) -> IngestReport:
    """Take in fingerprints, each with its group."""
    ingestor = Ingestor(store, into)
    ingestor.add([IngestRow(n, kind, value(one), group=group) for n, (one, group) in enumerate(members, 1)])
    return ingestor.finish()


class Clock:
    now = 1_800_000_000

    def __call__(self) -> int:
        return self.now


class Lab:
    """A store in which rounds find what they are told."""

    def __init__(self, folder: Path, databases: Databases, peers: Sequence[Card]) -> None:
        self.clock = Clock()
        self.store = databases.open(folder, Vault(new_key()), self.clock)
        for card in peers:
            self.store.peers.add(card)
        self.peers = [card.identity for card in peers]
        self._rounds = 0

    def ids(self) -> dict[str, int]:
        """Return the id of each indicator, by its value."""
        with self.store._database.read() as connection:
            rows = connection.execute(select(INDICATORS.c.value, INDICATORS.c.id)).all()
        return {row.value: row.id for row in rows}

    def round(
        self, *found: object, peer: int = 0, kind: RoundKind = RoundKind.SHARED, labels: Sequence[Label] = ()
    ) -> tuple[int, int]:
        """Find fingerprints in a peer's table; return how many matches there are, and how many are new."""
        self._rounds += 1
        self.round_id = RoundId(self._rounds.to_bytes(16, "big"))
        lab = self.peers[peer]
        with self.store._database.write() as connection:
            connection.execute(
                text("INSERT INTO rounds VALUES (:id, :peer, :kind, 'prompts', 'open', '', 0, 0)"),
                {"id": self.round_id, "peer": lab, "kind": int(kind)},
            )
        ids = self.ids()
        said = [*labels, *[Label()] * (len(found) - len(labels))]
        page = [(ids[value(one)], label) for one, label in zip(found, said, strict=True)]
        recorded = self.store.matches.record(lab, kind, "prompts", self.round_id, page)
        concluded = self.store.matches.conclude(lab, kind, "prompts", self.round_id)
        return recorded[0] + concluded[0], recorded[1] + concluded[1]

    def matches(self) -> list[MatchRecord]:
        """Return every match that holds."""
        return [record for page in self.store.matches.all() for record in page]

    def shown(self) -> list[tuple[str, int]]:
        """Return the groups that match, and how many of their fingerprints do."""
        return sorted((record.group, record.tokens) for record in self.matches())


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> list[Card]:
    folder = tmp_path_factory.mktemp("peers")
    return [make_home(folder, name).card for name in ("birch", "cedar")]


@pytest.fixture
def lab(folder: Path, databases: Databases, peers: list[Card]) -> Iterator[Lab]:
    made = Lab(folder, databases, peers)
    yield made
    made.store.close()


class TestIngest:
    @pytest.mark.spec("A.5-1")
    @pytest.mark.parametrize(
        "group", ["two words", "tab\there", "ümlaut", "x" * 65, "line\nbreak", "bell\a", "\x7f"]
    )
    def test_refuses_what_is_no_identifier(self, lab: Lab, group: str) -> None:
        report = ingest(lab.store, [("a", "!" * 64), ("b", group)])
        assert (report.added, report.rejected_total) == (1, 1)
        (row,) = report.rejected
        assert (row.line, row.code) == (2, Code.BAD_INPUT)
        assert group not in row.reason

    @pytest.mark.spec("A.5-2")
    def test_refuses_what_could_never_match(self, lab: Lab) -> None:
        report = ingest(lab.store, [("a", "")], OBSERVED)
        assert (report.added, report.rejected_total) == (0, 1)
        assert report.rejected[0].code is Code.BAD_INPUT
        assert "names no group" in report.rejected[0].reason
        assert lab.store.indicators.sizes() == []

    def test_passes_over_the_group_of_what_matches_one_by_one(self, lab: Lab) -> None:
        ingestor = Ingestor(lab.store, FLAGGED)
        ingestor.add([IngestRow(1, "ipv4", "198.18.0.1", group="a campaign")])
        assert ingestor.finish().added == 1
        (indicator_id,) = lab.ids().values()
        with lab.store._database.read() as connection:
            assert groups.parts(connection, FLAGGED.value, "prompts", [indicator_id]) == set()

    def test_adds_a_group_to_what_is_known(self, lab: Lab) -> None:
        report = ingest(lab.store, [("a", "t1"), ("a", "t2"), ("a", "t2"), ("b", "t1")])
        assert (report.added, report.known, report.duplicates) == (2, 0, 2)
        report = ingest(lab.store, [("a", "t3"), ("b", "t3")])
        assert (report.added, report.known) == (0, 2)
        lab.round("a", "b")
        assert lab.shown() == [("t1", 2), ("t3", 2)]

    def test_an_indicator_with_a_group_prints_without_it(self) -> None:
        row = LabelledIndicator(Indicator.parse(TYPE, value(1)), Label(), SENTINEL)
        assert SENTINEL not in repr(row)
        assert SENTINEL not in repr(IngestRow(1, TYPE, value(1), group=SENTINEL))


class TestMatch:
    @pytest.mark.spec("A.5-5")
    def test_one_fingerprint_is_none_and_two_are_one(self, lab: Lab) -> None:
        ingest(lab.store, [(name, "t1") for name in "abc"])
        assert lab.round("a") == (0, 0)
        assert lab.matches() == []
        assert lab.store.matches.count(lab.peers[0]) == 0
        lab.clock.now += 60
        assert lab.round("a", "b") == (1, 1)
        (record,) = lab.matches()
        assert (record.type, record.value, record.group, record.tokens) == (TYPE, "t1", "t1", 2)
        assert (record.peer_name, record.kind, record.round_id) == ("birch", RoundKind.SHARED, lab.round_id)
        assert record.first_matched == lab.clock.now
        assert lab.store.matches.count(lab.peers[0]) == 1
        assert "t1" not in repr(record)
        assert lab.round("a", "b", "c") == (1, 0)
        assert lab.shown() == [("t1", 3)]

    @pytest.mark.spec("A.5-4")
    def test_nothing_is_added_up_over_groups_peers_and_kinds(self, lab: Lab) -> None:
        for target in (FLAGGED, OBSERVED):
            ingest(lab.store, [("a", "t1"), ("b", "t2"), ("c", "t1")], target)
        lab.round("a", "b")
        lab.round("c", peer=1)
        lab.round("c", kind=RoundKind.WATCH)
        assert lab.matches() == []

    @pytest.mark.spec("A.5-4")
    def test_a_group_belongs_to_its_set(self, lab: Lab) -> None:
        ingest(lab.store, [("a", "t1"), ("b", "t1")], FLAGGED)
        ingest(lab.store, [("a", "t1"), ("b", "t2")], OBSERVED)
        assert lab.round("a", "b", kind=RoundKind.WATCH) == (0, 0)
        assert lab.round("a", "b") == (1, 1)
        assert [record.kind for record in lab.matches()] == [RoundKind.SHARED]

    def test_the_gravest_label_speaks_for_the_group(self, lab: Lab) -> None:
        ingest(lab.store, [(name, "t1") for name in "abc"])
        labels = [
            Label(severity=Severity.LOW, confidence=99),
            Label(severity=Severity.HIGH, confidence=70),
            Label(severity=Severity.HIGH, confidence=80),
        ]
        for order in (labels, labels[::-1]):
            lab.round("a", "b", "c", labels=order)
            assert [record.label for record in lab.matches()] == [labels[2]]

    def test_ends_when_too_few_are_found_and_comes_back_under_its_time(self, lab: Lab) -> None:
        ingest(lab.store, [(name, "t1") for name in "abc"])
        began = lab.clock.now
        results = []
        for found in ("ab", "ac", "c", "", "bc"):
            results.append(lab.round(*found))
            lab.clock.now += 60
        assert results == [(1, 1), (1, 0), (0, 0), (0, 0), (1, 1)]
        assert [record.first_matched for record in lab.matches()] == [began]
        assert lab.store.matches.count(lab.peers[0]) == 1

    def test_ends_when_a_round_that_stands_takes_a_part_away(self, lab: Lab) -> None:
        ingest(lab.store, [(1, "one"), (2, "one"), (3, "one")], OBSERVED)
        lab.round(1, 2, 3, kind=RoundKind.WATCH)
        ids, also = lab.ids(), (lab.peers[0], RoundKind.WATCH, "prompts", lab.round_id)
        lab.store.matches.renew(*also, [], [ids[value(3)]])
        assert lab.shown() == [("one", 2)]
        lab.store.matches.renew(*also, [], [ids[value(2)]])
        assert lab.shown() == []
        lab.store.matches.renew(*also, [(ids[value(2)], Label())])
        assert lab.shown() == [("one", 2)]

    def test_another_collection_ends_no_match(self, lab: Lab) -> None:
        ingest(lab.store, [("a", "t1"), ("b", "t1")])
        lab.round("a", "b")
        lab.store.matches.conclude(lab.peers[0], RoundKind.SHARED, "infrastructure", lab.round_id)
        lab.store.matches.conclude(lab.peers[0], RoundKind.SHARED, "infrastructure", RoundId(bytes(16)))
        assert lab.shown() == [("t1", 2)]

    @pytest.mark.spec("A.5-5")
    def test_one_is_enough_where_the_type_needs_one(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        ingest(lab.store, [("a", "t1"), ("b", "t1"), ("c", "t2")])
        with lab.store._database.write() as connection:
            connection.execute(text("DELETE FROM group_members WHERE group_id = 2"))
        monkeypatch.setitem(groups._NEEDED, TYPE, 1)
        monkeypatch.setattr(groups, "_SEVERAL", [])
        assert lab.round("a", "c") == (2, 2)
        shown = {(one.value, one.group, one.tokens) for one in lab.matches()}
        assert shown == {(value("c"), "", 1), ("t1", "t1", 1)}
        ingest(lab.store, [("c", "t2")])
        assert lab.round("a", "c") == (2, 1)
        assert lab.shown() == [("t1", 1), ("t2", 1)]

    def test_matches_of_both_sorts_come_oldest_first(self, lab: Lab) -> None:
        ingestor = Ingestor(lab.store, FLAGGED)
        ingestor.add([IngestRow(n, "ipv4", f"198.18.0.{n}") for n in range(4)])
        ingest(lab.store, [(n, f"t{n // 2}") for n in range(4)])
        ids = lab.ids()
        for n in range(4):
            lab.clock.now += 60
            if n % 2:
                lab.round(*range(n + 1))
            else:
                lab.round(*range(n))
                found = [(ids[f"198.18.0.{m}"], Label()) for m in range(n + 1)]
                lab.store.matches.record(
                    lab.peers[0], RoundKind.SHARED, "infrastructure", lab.round_id, found
                )
        assert [one.value for one in lab.matches()] == ["198.18.0.0", "t0", "198.18.0.1", "198.18.0.2", "t1"]
        assert lab.store.matches.count(lab.peers[0]) == 5

    def test_checking_a_fingerprint_answers_for_its_group(self, lab: Lab) -> None:
        ingest(lab.store, [("a", "t1"), ("b", "t1"), ("c", "t1"), ("a", "t2"), ("d", "t2")])
        lab.round("a", "b")

        def said(name: str) -> list[str]:
            return [one.value for one in lab.store.matches.of_indicator(Indicator.parse(TYPE, value(name)))]

        assert {name: said(name) for name in "abcd"} == {"a": ["t1"], "b": ["t1"], "c": [], "d": []}
        lab.round("a", "d", peer=1)
        assert said("a") == ["t1", "t2"]

    @pytest.mark.spec("A.5-6")
    def test_only_tags_of_matches_are_reported(self, lab: Lab) -> None:
        ingest(lab.store, [("a", "t1"), ("b", "t1"), ("b", "t3"), ("c", "t2"), ("d", "t1"), ("e", "t3")])
        querier = lab.store.querier
        epoch = Epoch(lab.peers[0], LabId(bytes(32)), "prompts", 1)
        peer_epoch = querier.begin(querier.look_up(epoch, Element(bytes(32))))
        ids = lab.ids()
        tags = {name: Tag(name.encode() * 16) for name in "abcde"}
        querier.store_tags(
            peer_epoch, [ids[value(name)] for name in "abcde"], b"".join(tags.values()), bytes(5 * 32)
        )
        lab.round("b", "a", "c", "e")
        assert lab.store.matches.tags_of(peer_epoch, lab.round_id) == [tags["a"], tags["b"], tags["e"]]
        lab.round("a", "c")
        assert lab.store.matches.tags_of(peer_epoch, lab.round_id) == []


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_no_list_or_look_up_walks_or_sorts_all_matches(lab: Lab) -> None:
    ingest(lab.store, [("a", "t1"), ("b", "t1")])
    lab.round("a", "b")
    querier, engine = lab.store.querier, lab.store._database.engine
    peer_epoch = querier.begin(
        querier.look_up(Epoch(lab.peers[0], LabId(bytes(32)), "prompts", 1), Element(bytes(32)))
    )
    asked_for: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith("SELECT"):
            asked_for.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    lab.matches()
    list(lab.store.matches.all("birch", RoundKind.SHARED))
    lab.store.matches.of_indicator(Indicator.parse(TYPE, value("a")))
    lab.store.matches.tags_of(peer_epoch, lab.round_id)
    lab.store.matches.count(lab.peers[0])
    event.remove(engine, "before_cursor_execute", note)
    assert len(asked_for) > 10
    with lab.store._database.read() as connection:
        for statement, parameters in asked_for:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            steps = [row[3] for row in plan]
            assert not [one for one in steps if "SCAN" in one and "SCAN peers" not in one], steps
            # The tags of one round are sorted: there are not many, and no other order is promised.
            assert "own_tags" in statement or not [one for one in steps if "ORDER BY" in one], steps


@pytest.mark.spec("A.5-4", "A.5-5")
@given(
    members=st.sets(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=25),
    rounds=st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=3),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_matches_is_what_the_rule_says(
    lab: Lab, members: set[tuple[int, int]], rounds: list[set[int]]
) -> None:
    with lab.store._database.write() as connection:
        connection.execute(text("DELETE FROM group_members"))
    ingest(lab.store, [(one, f"t{group}") for one, group in sorted(members)])
    known = {one for one, _ in members}
    lab.round()
    before: set[str] = set()
    for found in rounds:
        held = lab.round(*sorted(found & known))
        counts = {f"t{group}": sum((one, group) in members for one in found) for group in range(5)}
        expected = {name: count for name, count in counts.items() if count >= 2}
        assert dict(lab.shown()) == expected
        assert held == (len(expected), len(expected.keys() - before))
        before = set(expected)


@pytest.mark.spec("A.5-3", "A.5-5")
def test_two_labs_learn_of_a_template_by_two_of_its_fingerprints(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")

    def take(home: Home, members: Iterable[tuple[object, str]], into: IndicatorSet = FLAGGED) -> None:
        store = home.open_store()
        ingest(store, members, into)
        store.close()

    take(a, [(n, SENTINEL) for n in range(10)])
    take(b, [(n, "other") for n in range(9, 20)])

    async def journey() -> None:
        async with serving(a, b) as (at_a, at_b):
            result = await run_round(at_a, "lab-b", collection="prompts")
            assert (result.outcome, result.matches, result.new_matches) == ("committed", 0, 0)
            assert await matched(at_a) == await matched(at_b) == []
            take(b, [(8, "other")])
            take(a, [(30, "seen"), (31, "seen"), (15, "seen"), (16, "seen"), (17, "alone")], OBSERVED)
            result = await run_round(at_a, "lab-b", collection="prompts")
            assert (result.matches, result.new_matches) == (1, 1)
            assert await matched(at_a) == [SENTINEL]
            assert await matched(at_b) == ["other"]
            result = await run_round(at_a, "lab-b", WATCH, "prompts")
            assert (result.matches, result.new_matches) == (1, 1)
            assert await matched(at_a, kind=WATCH) == ["seen"]
            status = await at_a.Status(operator_pb2.StatusRequest())
            assert status.peers[0].matches == 2
            before = {one.set: one.count for one in status.sets}
            wanted = [operator_pb2.Indicator(type=TYPE, value=value(n)) for n in (8, 7, 17, 99)]
            checked = await at_a.Check(operator_pb2.CheckRequest(indicators=wanted))
            assert [[match.group for match in one.matches] for one in checked.results] == [
                [SENTINEL],
                [],
                [],
                [],
            ]
            assert [one.flagged_here for one in checked.results] == [True, True, False, False]
            status = await at_a.Status(operator_pb2.StatusRequest())
            assert {one.set: one.count for one in status.sets} == before, "what cannot match is not recorded"

    asyncio.run(journey())
    told = [path for path in b.path.rglob("*") if path.is_file() and SENTINEL.encode() in path.read_bytes()]
    assert told == [], "a group's identifier stays in its lab"
