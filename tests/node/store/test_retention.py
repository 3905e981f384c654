"""What was not seen for long is forgotten, and so are matches that ended long ago; nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_node.app.node import running
from mandorla_node.crypto.vault import Vault, new_key
from mandorla_node.home.folder import Home
from mandorla_node.ingest.ingestor import Ingestor, IngestRow
from mandorla_node.operator import sweeper
from mandorla_node.store import IndicatorSet, MatchRecord, RetentionStep, Store
from mandorla_node.store.schema import GROUPS, INDICATORS, MATCHES, OWN_TAGS, PARTIAL_MATCHES, ROUNDS
from mandorla_protocol.card import Card
from mandorla_protocol.epochs import Epoch
from mandorla_protocol.group import Element
from mandorla_protocol.header import RoundId, RoundKind
from mandorla_protocol.labels import Label
from tests.support.databases import Databases
from tests.support.labs import WATCH, addresses, answering, make_home, make_labs, matched, pause, run_round
from tests.support.patience import PATIENCE

DAY = 24 * 3600
FLAGGED, OBSERVED_SET = IndicatorSet.FLAGGED, IndicatorSet.OBSERVED
TEMPLATE = "prompt-template"


class Clock:
    now = 1_800_000_000

    def __call__(self) -> int:
        return self.now


class Lab:
    """A store in which rounds find what they are told."""

    def __init__(self, folder: Path, databases: Databases, peer: Card) -> None:
        self.clock = Clock()
        self.store: Store = databases.open(folder, Vault(new_key()), self.clock)
        self.store.peers.add(peer)
        self.peer = peer.identity
        self._rounds = 0

    def take(
        self, values: Sequence[str], into: IndicatorSet = OBSERVED_SET, kind: str = "ipv4", group: str = ""
    ) -> None:
        ingestor = Ingestor(self.store, into)
        ingestor.add([IngestRow(n, kind, value, Label(), group) for n, value in enumerate(values, 1)])
        ingestor.finish()

    def find(
        self,
        values: Sequence[str],
        kind: RoundKind = RoundKind.WATCH,
        collection: str = "infrastructure",
        expires: int = 0,
    ) -> None:
        """Run a round that finds some values, and none else."""
        self._rounds += 1
        round_id = RoundId(self._rounds.to_bytes(16, "big"))
        row = {"id": round_id, "peer": self.peer, "kind": int(kind), "collection": collection}
        with self.store._database.write() as connection:
            connection.execute(insert(ROUNDS).values(**row, state="open", code="", created_at=0, closed_at=0))
        found = [(self.id_of(value), Label(expires=expires)) for value in values]
        self.store.matches.record(self.peer, kind, collection, round_id, found)
        self.store.matches.conclude(self.peer, kind, collection, round_id)

    def tag(self, *values: str) -> None:
        peer_epoch = self.store.querier.look_up(
            Epoch(self.peer, self.peer, "infrastructure", 1), Element(bytes(32))
        )
        peer_epoch = self.store.querier.begin(peer_epoch)
        ids = [self.id_of(value) for value in values]
        self.store.querier.store_tags(peer_epoch, ids, bytes(16 * len(ids)), bytes(32 * len(ids)))

    def id_of(self, value: str) -> int:
        with self.store._database.read() as connection:
            return connection.execute(select(INDICATORS.c.id).where(INDICATORS.c.value == value)).scalar_one()

    def known(self) -> set[str]:
        with self.store._database.read() as connection:
            return set(connection.scalars(select(INDICATORS.c.value)))

    def count(self, table: object) -> int:
        with self.store._database.read() as connection:
            return connection.execute(select(func.count()).select_from(table)).scalar_one()  # type: ignore[arg-type]

    def matches(self) -> list[MatchRecord]:
        return [record for page in self.store.matches.all() for record in page]

    def later(self, days: float) -> None:
        self.clock.now += int(days * DAY)

    def forget_observed(self, days: float, limit: int = 100) -> list[RetentionStep]:
        return self._all(self.store.retention.forget_observed, days, limit)

    def forget_matches(self, days: float, limit: int = 100) -> list[RetentionStep]:
        return self._all(self.store.retention.forget_matches, days, limit)

    def _all(self, step: object, days: float, limit: int) -> list[RetentionStep]:
        steps = []
        while True:
            steps.append(step(int(self.clock.now - days * DAY), limit))  # type: ignore[operator]
            if not steps[-1].more:
                return steps


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Card:
    return make_home(tmp_path_factory.mktemp("peer"), "birch").card


@pytest.fixture
def lab(folder: Path, databases: Databases, peer: Card) -> Iterator[Lab]:
    made = Lab(folder, databases, peer)
    yield made
    made.store.close()


def test_what_was_not_seen_for_long_is_forgotten_in_steps(lab: Lab) -> None:
    lab.take(addresses(range(10)))
    lab.later(3)
    lab.take(addresses([1, 2, 20, 21]))
    lab.tag(*addresses([0, 1]))
    steps = lab.forget_observed(2, limit=3)
    assert [len(step.indicator_ids) for step in steps] == [3, 3, 2]
    assert lab.known() == set(addresses([1, 2, 20, 21]))
    assert lab.count(OWN_TAGS) == 1, "a tag is as good as what it is the tag of"
    assert [size for _, _, size in lab.store.indicators.sizes()] == [4]


def test_a_flag_and_what_was_found_of_it_outlast_what_was_observed(lab: Lab) -> None:
    lab.take(addresses(range(3)))
    lab.take(addresses([0]), FLAGGED)
    lab.tag(*addresses([0]))
    lab.find(addresses([0]), RoundKind.SHARED)
    lab.find(addresses([0, 1]), RoundKind.WATCH)
    lab.later(3)
    lab.take(addresses([9]))
    lab.forget_observed(2)
    assert [(one.value, one.kind) for one in lab.matches()] == [("198.18.0.0", RoundKind.SHARED)]
    assert lab.count(OWN_TAGS) == 1, "a round over what is flagged needs it"
    # The match that ended keeps what it was of; and when it is forgotten, so is that.
    assert lab.known() == set(addresses([0, 1, 9]))
    lab.later(5)
    lab.find(addresses([0]), RoundKind.SHARED)
    lab.find(addresses([9]))
    lab.forget_matches(4)
    assert lab.known() == set(addresses([0, 9]))


def test_numbers_are_not_given_out_again(lab: Lab) -> None:
    lab.take(addresses(range(3)))
    lab.find(addresses([0, 1]))
    lab.find([])
    numbers = {lab.id_of(value) for value in addresses(range(3))}
    last = lab.store.querier.last_observed()
    lab.later(9)
    lab.forget_observed(1)
    lab.forget_matches(1)
    lab.take(addresses([5]))
    assert lab.id_of(addresses([5])[0]) not in numbers
    # Or a round that stands, and a follower, would pass over what is new.
    assert lab.store.querier.last_observed() > last
    lab.find(addresses([5]))
    assert [one.event for one in lab.matches()] == [3]


def test_a_group_matches_no_more_when_too_little_of_it_is_left(lab: Lab) -> None:
    first, second, third, other, last = (f"{number:032x}" for number in range(5))
    lab.take([first, second], kind=TEMPLATE, group="sentinel-one")
    lab.later(3)
    lab.take([third], kind=TEMPLATE, group="sentinel-one")
    lab.take([other], kind=TEMPLATE, group="two")
    lab.find([first, second, third], collection="prompts")
    assert [(one.group, one.tokens) for one in lab.matches()] == [("sentinel-one", 3)]
    lab.forget_observed(2)
    assert lab.count(PARTIAL_MATCHES) == 1
    assert lab.matches() == [], "one fingerprint of a prompt is none"
    lab.later(3)
    lab.take([other, last], kind=TEMPLATE, group="two")
    lab.forget_observed(2)
    assert lab.count(GROUPS) == 2, "the match that ended is of it"
    lab.find([other, last], collection="prompts")
    lab.forget_matches(2)
    assert lab.count(GROUPS) == 1


def test_only_matches_that_ended_long_ago_are_forgotten(lab: Lab) -> None:
    lab.take(addresses(range(6)))
    soon = lab.clock.now + DAY
    lab.find(addresses([4]), expires=soon)
    lab.find(addresses([0, 1, 2]), RoundKind.WATCH)
    lab.find(addresses([1, 2]))
    lab.later(10)
    lab.find(addresses([2]))
    lab.later(1)
    lab.forget_matches(5)
    with lab.store._database.read() as connection:
        kept = connection.execute(
            select(INDICATORS.c.value).join(MATCHES, MATCHES.c.indicator_id == INDICATORS.c.id)
        ).scalars()
        assert sorted(kept) == addresses([1, 2])


async def ingest(at: operator_pb2_grpc.OperatorAsyncStub, values: Sequence[str], into: str) -> None:
    options = operator_pb2.IngestOptions(set=operator_pb2.Set.Value(f"SET_{into}"), no_suppress=True)
    rows = [
        operator_pb2.IngestRow(line=n, type="ipv4", value=value) for n, value in enumerate(values, start=1)
    ]
    requests = (
        operator_pb2.IngestRequest(options=options),
        operator_pb2.IngestRequest(rows=operator_pb2.IngestRows(rows=rows)),
    )
    assert (await at.Ingest(iter(requests))).added == len(values)


def text_of(home: Home) -> str:
    """Return what is in the files of a store, as text."""
    return "".join(path.read_bytes().decode("latin-1") for path in home.path.glob("mandorla.db*"))


async def until_matched(at: operator_pb2_grpc.OperatorAsyncStub, *values: str) -> None:
    while await matched(at) != sorted(values):
        await pause()


def test_a_node_forgets_by_itself_and_finds_it_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is forgotten is in no file; what was checked meanwhile is not forgotten; and rounds go on."""
    monkeypatch.setattr(sweeper, "_INTERVAL", 0.05)
    a, b = make_labs(folder, "lab-a", "lab-b")
    config = b.path / "mandorla.toml"
    config.write_text(
        config.read_text().replace("[retention]\n", "[retention]\nobserved = 86400\nended_matches = 86400\n")
    )
    b = Home.open(b.path)
    clock = Clock()
    old, checked, new = addresses(range(3))

    async def journey() -> None:
        async with running(a, clock), running(b, clock):
            at_a, at_b = await answering(a), await answering(b)
            await ingest(at_a, [old, checked, new], "FLAGGED")
            await ingest(at_b, [old, checked], "OBSERVED")
            await run_round(at_a, "lab-b", WATCH)
            await until_matched(at_b, old, checked)
            clock.now += DAY - 100
            request = operator_pb2.CheckRequest(
                indicators=[operator_pb2.Indicator(type="ipv4", value=checked)]
            )
            await at_b.Check(request)
            await ingest(at_b, [new], "OBSERVED")
            clock.now += 200
            await until_matched(at_b, checked)
            await run_round(at_a, "lab-b", WATCH)
            await until_matched(at_b, checked, new)
            clock.now += DAY + 200
            while old in await asyncio.to_thread(text_of, b):
                await pause()
            await ingest(at_b, [old], "OBSERVED")
            await run_round(at_a, "lab-b", WATCH)
            await until_matched(at_b, old)

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))
