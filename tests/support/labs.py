"""Real labs for tests: homes on disk, nodes on loopback with pinned TLS, operators on Unix sockets."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import grpc

from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_node.app.node import running
from mandorla_node.home.folder import Home
from mandorla_node.ingest.ingestor import Ingestor, IngestReport, IngestRow
from mandorla_node.store import IndicatorSet, LabelledIndicator
from mandorla_protocol.header import ROUND_ID_SIZE, RoundId, RoundKind
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label
from mandorla_protocol.log.entries import LogEntry, RoundAgreed, RoundClosed, RoundProposed, decode_entry
from tests.support.patience import PATIENCE

NO_WATCH = {"MANDORLA_WATCH__ENABLED": "false"}
"""Environment of nodes whose rounds or evaluations a test counts."""

SHARED = operator_pb2.KIND_SHARED
WATCH = operator_pb2.KIND_WATCH


def _ports() -> Iterator[int]:
    """Yield ports that no other worker of the same run yields, from a random one on."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = range(15_000 + worker, 32_768, workers)
    first = random.randrange(len(ports))
    yield from ports[first:]
    yield from ports[:first]


_PORTS = _ports()


async def pause() -> None:
    """Wait a moment before a condition is checked again, and leave the cores to others."""
    await asyncio.sleep(0.02)


def free_port() -> int:
    """Return a loopback port that is free, and that this process was not given before.

    The kernel takes the ports of outgoing connections from 32768 on. A lab's port is below, or a connection
    of any process could take it while the lab's node is not running.
    """
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


def make_home(folder: Path, name: str) -> Home:
    """Make a home that logs warnings only and uses one worker."""
    home = Home.create(folder / name, name, f"127.0.0.1:{free_port()}")
    config = home.path / "mandorla.toml"
    config.write_text('workers = 1\nlog_level = "warning"\n' + config.read_text())
    return Home.open(home.path)


def make_labs(folder: Path, *names: str) -> list[Home]:
    """Make homes that have pinned each other."""
    homes = [make_home(folder, name) for name in names]
    for home in homes:
        pin(home, *(other for other in homes if other is not home))
    return homes


def pin(home: Home, *others: Home) -> None:
    """Pin the cards of others."""
    store = home.open_store()
    for other in others:
        store.peers.add(other.card)
    store.close()


def ingest(
    home: Home,
    values: Iterable[str],
    into: IndicatorSet = IndicatorSet.FLAGGED,
    kind: str = "ipv4",
    label: Label | None = None,
) -> IngestReport:
    """Ingest values into a set of a node that does not run."""
    store = home.open_store()
    try:
        ingestor = Ingestor(store, into)
        ingestor.add([IngestRow(n, kind, value, label or Label()) for n, value in enumerate(values, 1)])
        return ingestor.finish()
    finally:
        store.close()


def log_of(home: Home) -> list[LogEntry]:
    """Return the entries of a home's log."""
    store = home.open_store()
    try:
        return [decode_entry(entry) for _, entry in store.log.entries(store.log.head()[0])]
    finally:
        store.close()


def rounds_in(log: Sequence[LogEntry]) -> list[LogEntry]:
    """Return the entries of a log about the agreement and the end of rounds."""
    return [entry for entry in log if isinstance(entry, RoundProposed | RoundAgreed | RoundClosed)]


@asynccontextmanager
async def serving(
    *homes: Home, ahead: bool = False, watch: bool = False
) -> AsyncIterator[list[operator_pb2_grpc.OperatorAsyncStub]]:
    """Run nodes in this process; yield a stub of the operator service of each.

    With `ahead` they prepare tables before a peer asks; with `watch` they keep standing rounds.
    """
    async with AsyncExitStack() as stack:
        stubs: list[operator_pb2_grpc.OperatorAsyncStub] = []
        for home in homes:
            await stack.enter_async_context(running(home, ahead=ahead, watch=watch))
            channel = grpc.aio.insecure_channel(f"unix:{home.operator_socket}")
            await stack.enter_async_context(channel)
            stubs.append(operator_pb2_grpc.OperatorStub(channel))
        yield stubs


@contextmanager
def node_process(
    home: Home, log: Path = Path(os.devnull), watch: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node in a process of its own, which logs to a file; with `watch` it keeps standing rounds."""
    command = [
        sys.executable,
        "-m",
        "mandorla_node.cli",
        "serve",
        "--home",
        str(home.path),
        "--exit-with-parent",
    ]
    with log.open("ab") as errors:
        environment = {**os.environ} if watch else os.environ | NO_WATCH
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=errors, env=environment)
    try:
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
        process.terminate()
        process.wait(PATIENCE)


async def answering(home: Home) -> operator_pb2_grpc.OperatorAsyncStub:
    """Return a stub of a node, once it answers."""
    # Unless told otherwise, gRPC waits for a second or more before it tries again.
    options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 100)]
    stub: operator_pb2_grpc.OperatorAsyncStub = operator_pb2_grpc.OperatorStub(
        grpc.aio.insecure_channel(f"unix:{home.operator_socket}", options)
    )
    await stub.Status(operator_pb2.StatusRequest(), wait_for_ready=True, timeout=PATIENCE)
    return stub


async def run_round(
    operator: operator_pb2_grpc.OperatorAsyncStub,
    peer: str,
    kind: operator_pb2.Kind.ValueType = SHARED,
    collection: str = "infrastructure",
) -> operator_pb2.RoundResult:
    """Run a round and return its result."""
    request = operator_pb2.StartRoundRequest(peer=peer, kind=kind, collection=collection)
    steps = [progress async for progress in operator.StartRound(request)]
    return steps[-1].result


async def matched(
    operator: operator_pb2_grpc.OperatorAsyncStub,
    peer: str = "",
    kind: operator_pb2.Kind.ValueType = operator_pb2.KIND_UNSPECIFIED,
) -> list[str]:
    """Return the values that matched, sorted."""
    request = operator_pb2.MatchesRequest(peer=peer, kind=kind)
    return sorted([match.indicator.value async for match in operator.Matches(request)])


def addresses(numbers: Iterable[int]) -> list[str]:
    """Return documentation-like IPv4 addresses for numbers below 2**16."""
    return [f"198.18.{number >> 8}.{number & 255}" for number in numbers]


def code_of(error: grpc.aio.AioRpcError) -> str:
    """Return the catalogue code that a failed call carries."""
    metadata: Sequence[tuple[str, str | bytes]] = tuple(error.trailing_metadata() or ())
    return str(dict(metadata).get("mandorla-code", error.code().name))


def record_matches(home: Home, peer: Home, values: Iterable[str], label: Label | None = None) -> None:
    """Record matches of addresses with a peer, by `watch`, in the store of a node that does not run."""
    wanted = [Indicator.parse("ipv4", value) for value in values]
    store = home.open_store()
    try:
        store.indicators.add(IndicatorSet.OBSERVED, [LabelledIndicator(one, Label()) for one in wanted], None)
        places = store.indicators.memberships(wanted)
        found = [(places[one].indicator_id, label or Label()) for one in wanted]
        round_id = RoundId(os.urandom(ROUND_ID_SIZE))
        store.matches.record(peer.card.identity, RoundKind.WATCH, "infrastructure", round_id, found)
    finally:
        store.close()
