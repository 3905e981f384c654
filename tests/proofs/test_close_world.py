"""The world of the proofs of Close: its store does what the real store does, and rounds end in every way."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import text

from mandorla_node.crypto.vault import Vault, new_key
from mandorla_node.store import HeldEpoch, Store, StoredChunk
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import MandorlaError
from mandorla_protocol.header import RoundId
from mandorla_protocol.log.entries import ChunkCharged, ChunkEvaluated, RoundClosed, RoundEnded, decode_entry
from mandorla_protocol.session.closing import RoundState
from mandorla_protocol.session.transcript import answer_digest

ROOT = Path(__file__).parents[2]
NOW = 1_800_000_000
PEER = LabId(b"p" * 32)
EPOCH = Epoch(LabId(bytes(32)), PEER, "infrastructure", 1)
REQUESTS = (bytes(32), bytes([1] * 32))
ACTIONS = (
    "charge 0", "charge 1", "store 0", "store 1", "commit", "unconfirm", "abort",
)  # fmt: skip


@pytest.fixture(scope="module")
def world() -> ModuleType:
    sys.path.insert(0, str(ROOT / "proofs"))
    return importlib.import_module("states.close_world")


@pytest.fixture(scope="module")
def claims(world: ModuleType) -> ModuleType:
    return importlib.import_module("states.close_claims")


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    opened = Store.open(folder / "mandorla.db", Vault(new_key()), lambda: NOW)
    yield opened
    opened.close()


def act(store: Store, held: HeldEpoch, round_id: RoundId, action: str) -> object:
    """Do an action in the real store; return what it says."""
    name, _, which = action.partition(" ")
    closed = RoundClosed(round_id, b"statement", bytes(64), bytes(64), NOW)
    try:
        match name:
            case "charge":
                store.holder.charge(held, round_id, 0, REQUESTS[int(which)], 1)
            case "store":
                chunk = StoredChunk(REQUESTS[int(which)], b"evaluated", bytes(64), b"blinded")
                store.rounds.store_answer(held.id, round_id, 0, chunk)
            case "commit":
                store.rounds.finish(round_id, RoundState.COMMITTED, "", closed)
            case "unconfirm":
                store.rounds.finish(round_id, RoundState.UNCONFIRMED)
            case _:
                store.rounds.finish(round_id, RoundState.ABORTED)
    except MandorlaError as error:
        return error.code
    return None


def act_in_memory(world: ModuleType, disk: Any, action: str) -> tuple[Any, object]:
    """Do an action in the proofs' store; return the disk after it, and what it says."""
    name, _, which = action.partition(" ")
    try:
        match name:
            case "charge":
                return disk.charge(REQUESTS[int(which)]), None
            case "store":
                request = REQUESTS[int(which)]
                return disk.store_answer(request, answer_digest(request, b"evaluated", bytes(64))), None
            case "commit":
                return disk.finish(RoundState.COMMITTED, world.Close(b"statement", True)), None
            case "unconfirm":
                return disk.finish(RoundState.UNCONFIRMED), None
            case _:
                return disk.finish(RoundState.ABORTED), None
    except MandorlaError as error:
        return disk, error.code


def test_the_proofs_store_does_what_the_real_one_does(store: Store, world: ModuleType) -> None:
    held = store.holder.create(EPOCH, bytes(32), bytes(32), 10_000, 3600)
    for number, actions in enumerate(itertools.product(ACTIONS, repeat=3)):
        round_id = RoundId(number.to_bytes(16, "big"))
        with store._database.write() as connection:
            values = {"id": round_id, "peer": PEER}
            connection.execute(
                text("INSERT INTO rounds VALUES (:id, :peer, 1, 'c', 'open', '', 0, 0)"), values
            )
        disk = world.Disk().agree()
        for action in actions:
            disk, said = act_in_memory(world, disk, action)
            assert said == act(store, held, round_id, action), (actions, action)
        with store._database.read() as connection:
            found = text("SELECT entry FROM log WHERE round_id = :id ORDER BY position")
            logged = [decode_entry(entry) for entry in connection.scalars(found, {"id": round_id})]
        assert tuple(shown(world, entry) for entry in logged) == disk.log, actions


def shown(world: ModuleType, entry: object) -> object:
    """Show a log entry as the proofs do."""
    match entry:
        case ChunkCharged():
            return world.Charge(entry.index)
        case ChunkEvaluated():
            return world.Answer(entry.index, entry.answer)
        case RoundClosed():
            return world.Close(entry.statement, bool(entry.own_signature and entry.peer_signature))
        case RoundEnded():
            return RoundState(entry.state)
        case _:
            raise AssertionError(entry)


def test_the_claims_are_about_rounds_that_end_in_every_way(claims: ModuleType, world: ModuleType) -> None:
    """A world in which nothing can happen satisfies every claim."""
    ends: set[tuple[object, object]] = set()

    def note(state: Any) -> Iterator[str]:
        ends.add(tuple(lab.disk.state for lab in state.labs))
        return iter(())

    claims._check(note, world.Setting(world.Question.NONE, faults=1))
    committed, aborted, unconfirmed = RoundState.COMMITTED, RoundState.ABORTED, RoundState.UNCONFIRMED
    pairs = {(committed, committed), (aborted, aborted), (committed, unconfirmed), (unconfirmed, unconfirmed)}
    assert pairs <= ends
    assert (committed, aborted) not in ends
    assert (aborted, committed) not in ends
