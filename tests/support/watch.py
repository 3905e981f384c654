"""Labs that watch each other, and calls to their operator services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_node.home.folder import Home
from tests.support.labs import WATCH, matched, pause

Stub: TypeAlias = "operator_pb2_grpc.OperatorAsyncStub"


def watching_infrastructure(home: Home, text: str = "") -> Home:
    """Let a home's node watch one collection only; `text` comes first in its configuration."""
    config = home.path / "mandorla.toml"
    watched = config.read_text().replace("[watch]\n", '[watch]\ncollections = ["infrastructure"]\n')
    config.write_text(text + watched)
    return Home.open(home.path)


async def take(at: Stub, values: Sequence[str], into: str) -> None:
    """Ingest addresses as `flagged` or `observed`."""
    options = operator_pb2.IngestOptions(set=operator_pb2.Set.Value(f"SET_{into.upper()}"), no_suppress=True)
    rows = [
        operator_pb2.IngestRow(line=number, type="ipv4", value=value)
        for number, value in enumerate(values, start=1)
    ]
    requests = (
        operator_pb2.IngestRequest(options=options),
        operator_pb2.IngestRequest(rows=operator_pb2.IngestRows(rows=rows)),
    )
    response = await at.Ingest(iter(requests))
    assert not response.rejected_total


def asking(*values: str) -> operator_pb2.CheckRequest:
    """Return a request to check addresses."""
    indicators = [operator_pb2.Indicator(type="ipv4", value=value) for value in values]
    return operator_pb2.CheckRequest(indicators=indicators)


async def until_matched(at: Stub, values: Sequence[str]) -> None:
    """Wait until exactly these values match."""
    while await matched(at, kind=WATCH) != sorted(values):
        await pause()


async def open_rounds(at: Stub) -> set[bytes]:
    """Return the ids of the rounds that are open."""
    status = await at.Status(operator_pb2.StatusRequest(now=True))
    return {one.round_id for one in status.rounds if one.state == "open"}


async def until_standing(at: Stub) -> bytes:
    """Wait until one round stands, and return its id."""
    while len(ids := await open_rounds(at)) != 1:
        await pause()
    return ids.pop()
