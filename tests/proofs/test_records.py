"""The store in memory that the proofs run nodes over says and does what the real one does."""

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
from mandorla_node.store import HeldEpoch, RoundState, Store, StoredChunk
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import MandorlaError
from mandorla_protocol.header import RoundId
from mandorla_protocol.log.entries import ChunkCharged, ChunkEvaluated, RoundClosed, RoundEnded, decode_entry

ROOT = Path(__file__).parents[2]
NOW = 1_800_000_000
PEER = LabId(b"p" * 32)
EPOCH = Epoch(LabId(bytes(32)), PEER, "infrastructure", 1)
REQUESTS = (bytes(32), bytes([1] * 32))
ACTIONS = (
    "charge 0", "charge 1", "store 0", "store 1", "answer", "commit", "unconfirm", "abort",
)  # fmt: skip


@pytest.fixture(scope="module")
def nodes() -> ModuleType:
    sys.path.insert(0, str(ROOT / "proofs"))
    return importlib.import_module("states.nodes")


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    opened = Store.open(folder / "mandorla.db", Vault(new_key()), lambda: NOW)
    yield opened
    opened.close()


def act(holding: Any, rounds: Any, held: HeldEpoch | None, round_id: RoundId, action: str) -> object:
    """Do an action; return what it says."""
    name, _, which = action.partition(" ")
    closed = RoundClosed(round_id, b"statement", bytes(64), bytes(64), NOW)
    try:
        match name:
            case "charge":
                return holding.charge(held, round_id, 0, REQUESTS[int(which)], 1)
            case "store":
                chunk = StoredChunk(REQUESTS[int(which)], b"evaluated", bytes(64), b"blinded")
                return rounds.store_answer(held.id if held else 0, round_id, 0, chunk)
            case "answer":
                return rounds.answer(round_id, 0).request
            case "commit":
                return rounds.finish(round_id, RoundState.COMMITTED, "", closed)
            case "unconfirm":
                return rounds.finish(round_id, RoundState.UNCONFIRMED)
            case _:
                return rounds.finish(round_id, RoundState.ABORTED)
    except MandorlaError as error:
        return error.code


def test_the_proofs_store_does_what_the_real_one_does(store: Store, nodes: ModuleType) -> None:
    held = store.holder.create(EPOCH, bytes(32), bytes(32), 10_000, 3600)
    for number, actions in enumerate(itertools.product(ACTIONS, repeat=3)):
        round_id = RoundId(number.to_bytes(16, "big"))
        with store._database.write() as connection:
            values = {"id": round_id, "peer": PEER}
            connection.execute(
                text("INSERT INTO rounds VALUES (:id, :peer, 1, 'c', 'open', '', 0, 0)"), values
            )
        records = nodes.Records()
        for action in actions:
            said = act(records, records, None, round_id, action)
            assert said == act(store.holder, store.rounds, held, round_id, action), (actions, action)
        with store._database.read() as connection:
            found = text("SELECT entry FROM log WHERE round_id = :id ORDER BY position")
            logged = [decode_entry(entry) for entry in connection.scalars(found, {"id": round_id})]
        assert [shown(nodes, entry) for entry in logged] == records.log, actions


def shown(nodes: ModuleType, entry: object) -> object:
    """Show a log entry as the proofs do."""
    match entry:
        case ChunkCharged():
            return nodes.Charge(entry.index)
        case ChunkEvaluated():
            return nodes.Answer(entry.index, entry.answer)
        case RoundClosed():
            return nodes.Close(entry.statement, bool(entry.own_signature and entry.peer_signature))
        case RoundEnded():
            return RoundState(entry.state)
        case _:
            raise AssertionError(entry)
