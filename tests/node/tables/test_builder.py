"""Each version of a table shows what changed among the flagged indicators since the last one."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from mandorla_node.config.peer_settings import RoundSettings
from mandorla_node.crypto import certificates
from mandorla_node.crypto.vault import Vault, new_key
from mandorla_node.crypto.workers import Workers
from mandorla_node.peers.policy import Policies
from mandorla_node.store import FlagState, HeldEpoch, IndicatorSet, LabelledIndicator
from mandorla_node.store.schema import HELD_PAGES
from mandorla_node.tables.builder import PreparedEpoch, TableBuilder
from mandorla_protocol.card import Card, issue_card
from mandorla_protocol.epochs import LabId
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.signatures import lab_id
from mandorla_protocol.table import Operation, TableEntry
from tests.support.databases import BACKENDS, Databases, server


def _issued_card() -> Card:
    identity = Ed25519PrivateKey.generate()
    lab = lab_id(identity)
    _, certificate = certificates.issue_certificate(lab, datetime.now(UTC))
    return issue_card(
        identity, "lab-b", certificates.der_from_pem(certificate), "127.0.0.1:1", f"example/{lab.hex()}"
    )


CARD = _issued_card()
ME, PEER = LabId(bytes(32)), CARD.identity
BEGINNING = 1_800_000_000


class Lab:
    """A holder with a store and a clock, whose table is read as a peer reads it."""

    def __init__(self, folder: Path, databases: Databases) -> None:
        self.now = BEGINNING
        self.folder, self.databases = folder, databases
        self.store = databases.open(folder, Vault(new_key()), lambda: self.now)
        self.store.peers.add(CARD)
        self.pool = Workers("auto", 1)
        self.tables = TableBuilder(ME, self.store, self.pool, Policies(RoundSettings(), {}, self.store))

    def close(self) -> None:
        self.store.close()
        self.pool.close()

    def flag(self, *numbers: int, expires: int = 0, confidence: int = 50, type_name: str = "ipv4") -> None:
        label = Label(confidence=confidence, expires=expires)
        texts = {"ipv4": "198.18.0.{}", "mail-domain": "n{}.example"}
        rows = [
            LabelledIndicator(Indicator.parse(type_name, texts[type_name].format(n)), label) for n in numbers
        ]
        self.store.indicators.add(IndicatorSet.FLAGGED, rows, None)

    def prepare(self) -> PreparedEpoch:
        return asyncio.run(self.tables.prepare(PEER, "infrastructure"))

    def entries(self, held: HeldEpoch) -> list[TableEntry]:
        parts = self.store.holder.entries(held, 0, held.commitment.size)
        frontier = Frontier()
        for part in parts:
            frontier = part.append_to(frontier)
        assert frontier == held.frontier
        return [entry for part in parts for entry in part.entries()]

    def unpublished(self) -> int:
        """Return what status counts as unpublished in the collection."""
        gaps = self.store.overview.backlog().gaps
        return sum(gap.unpublished for gap in gaps if gap.collection == "infrastructure")

    def content_of(self, held: HeldEpoch) -> int:
        """Count the entries of the newest version that are no padding, by the owners that the store keeps."""
        newest = HELD_PAGES.c.version == held.commitment.version
        with closing(self.databases.database(self.folder)) as database, database.read() as connection:
            columns = connection.scalars(
                select(HELD_PAGES.c.owners).where(HELD_PAGES.c.epoch_id == held.id, newest)
            )
            return sum(int(np.count_nonzero(np.frombuffer(owners, ">u8"))) for owners in columns)

    def living(self) -> set[int]:
        """Prepare a version, and return whose tags live in the table."""
        held = self.prepare().held
        newest = {entry.tag: entry for entry in self.entries(held)}
        tags = [entry.tag for entry in newest.values() if entry.operation is Operation.ADD]
        return set(self.store.holder.indicators_of_tags(held, tags))


@pytest.fixture
def lab(folder: Path, databases: Databases) -> Iterator[Lab]:
    made = Lab(folder, databases)
    yield made
    made.close()


def test_a_new_label_is_a_new_entry_of_the_same_tag(lab: Lab) -> None:
    lab.flag(1, 2)
    first = lab.prepare().held
    lab.flag(2, confidence=99)
    second = lab.prepare().held
    assert (first.commitment.size, second.commitment.size) == (256, 512)
    tags = [entry.tag for entry in lab.entries(second)]
    assert len(tags) - len(set(tags)) == 1


def test_what_expires_is_revoked_once(lab: Lab) -> None:
    lab.flag(1, 2, expires=lab.now + 60)
    lab.flag(3)
    assert lab.living() == {1, 2, 3}
    lab.now += 60
    assert lab.living() == {3}
    held = lab.prepare().held
    assert [entry.operation for entry in lab.entries(held)].count(Operation.REVOKE) == 2
    lab.now += 60
    assert lab.prepare().held.commitment == held.commitment


def test_a_flag_that_was_over_before_it_came_is_in_no_table(lab: Lab) -> None:
    lab.flag(1, expires=lab.now - 1)
    lab.flag(2)
    assert lab.living() == {2}
    lab.now += 60
    assert lab.prepare().held.commitment.version == 1


def test_a_label_that_is_changed_to_be_over_is_revoked_and_one_that_is_prolonged_comes_back(lab: Lab) -> None:
    lab.flag(1, 2)
    lab.prepare()
    lab.flag(1, expires=lab.now - 1)
    assert lab.living() == {2}
    lab.flag(1, expires=lab.now + 60)
    assert lab.living() == {1, 2}


def test_what_is_flagged_in_another_collection_makes_no_version(lab: Lab) -> None:
    lab.flag(1)
    held = lab.prepare().held
    lab.flag(1, type_name="mail-domain")
    assert lab.prepare().held.commitment == held.commitment
    assert lab.store.holder.get(held.epoch).covered.change == 2, "nobody looks at it again"


def test_what_is_flagged_while_a_version_is_made_comes_in_the_next(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.flag(1)
    state = lab.store.holder.flag_state

    def meanwhile() -> FlagState:
        now = state()
        lab.flag(2)
        lab.flag(1, confidence=99)
        return now

    monkeypatch.setattr(lab.store.holder, "flag_state", meanwhile)
    lab.prepare()
    monkeypatch.undo()
    assert lab.living() == {1, 2}
    held = lab.prepare().held
    assert held.commitment.version == 2
    # Not with a label of later, though it was flagged before.
    assert {
        entry.version for entry in lab.entries(held) if lab.store.holder.indicators_of_tags(held, [entry.tag])
    } == {2}


class Flagging(RuleBasedStateMachine):
    """Whatever is flagged, changed and left to expire, a table that was prepared shows what lives."""

    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="md-")
        self.databases = Databases(self.kind)
        self.lab = Lab(Path(self.folder.name), self.databases)
        self.expires: dict[int, int] = {}
        self.versions = 0

    @rule(
        numbers=st.lists(st.integers(1, 6), min_size=1, unique=True),
        after=st.sampled_from([0, -5, 5, 20]),
        confidence=st.integers(0, 2),
    )
    def flag(self, numbers: list[int], after: int, confidence: int) -> None:
        expires = self.lab.now + after if after else 0
        self.lab.flag(*numbers, expires=expires, confidence=confidence)
        self.expires |= dict.fromkeys(numbers, expires)

    @rule(seconds=st.integers(1, 30))
    def wait(self, seconds: int) -> None:
        self.lab.now += seconds

    @precondition(lambda self: self.versions < 6)
    @rule()
    def prepare(self) -> None:
        unpublished = self.lab.unpublished()
        held = self.lab.prepare().held
        is_new = held.commitment.version > self.versions
        assert unpublished == (self.lab.content_of(held) if is_new else 0), "status counts the next version"
        assert self.lab.unpublished() == 0
        self.versions = held.commitment.version
        assert len(self.lab.living()) == sum(
            not expires or expires > self.lab.now for expires in self.expires.values()
        )

    @invariant()
    def a_version_has_each_tag_once(self) -> None:
        held = self.lab.store.holder.current(ME, PEER, "infrastructure")
        if held is not None:
            keys = [(entry.version, entry.tag) for entry in self.lab.entries(held)]
            assert len(keys) == len(set(keys))

    def teardown(self) -> None:
        self.lab.close()
        self.databases.forget()
        self.folder.cleanup()


@pytest.mark.parametrize("kind", BACKENDS)
def test_whatever_happens_to_flags_a_table_shows_what_lives(kind: str) -> None:
    if kind == "postgresql":
        server()
    machine = type("FlaggingIn", (Flagging,), {"kind": kind})
    examples = 15 if kind == "sqlite" else 4
    few = settings(max_examples=examples, stateful_step_count=12, deadline=None)
    run_state_machine_as_test(machine, settings=few)
