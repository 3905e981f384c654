"""Probes learn whether a node serves: over its socket, over a port, and over HTTP."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_node.app.node import running
from mandorla_node.home.folder import Home
from tests.support.labs import answering, make_home, node_process, serving
from tests.support.patience import PATIENCE
from tests.support.scraper import get, watched

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


@asynccontextmanager
async def probe(address: str) -> AsyncIterator[health_pb2_grpc.HealthStub]:
    async with grpc.aio.insecure_channel(address, [("grpc.default_authority", "localhost")]) as channel:
        yield health_pb2_grpc.HealthStub(channel)


def addresses_of(home: Home) -> list[str]:
    return [f"unix:{home.operator_socket}", home.settings.observe.health]


def wanted(service: str = "") -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


def test_a_node_that_serves_says_so_everywhere(folder: Path) -> None:
    home = watched(make_home(folder, "lab-a"))

    async def journey() -> None:
        async with serving(home):
            for address in addresses_of(home):
                async with probe(address) as at:
                    for service in ("", "mandorla.v1.Exchange", "mandorla.v1.Operator"):
                        assert (await at.Check(wanted(service), timeout=PATIENCE)).status == SERVING
                    with pytest.raises(grpc.aio.AioRpcError) as caught:
                        await at.Check(wanted("another"), timeout=PATIENCE)
                    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
                    unknown = at.Watch(wanted("another"), timeout=PATIENCE)
                    assert (await unknown.read()).status == SERVICE_UNKNOWN
                    unknown.cancel()
            assert (await get(home, "/readyz")).body == "serving\n"
            assert (await get(home, "/healthz")).status == 200

    asyncio.run(journey())


def test_who_watches_hears_of_the_end_and_does_not_hold_it_up(folder: Path) -> None:
    home = watched(make_home(folder, "lab-a"))

    async def journey() -> None:
        loop = asyncio.get_running_loop()
        node = running(home)
        await node.__aenter__()
        async with probe(addresses_of(home)[0]) as local, probe(addresses_of(home)[1]) as remote:
            watches = [at.Watch(wanted(), timeout=PATIENCE) for at in (local, remote)]
            for watch in watches:
                assert (await watch.read()).status == SERVING
            started = loop.time()
            stopping = asyncio.create_task(node.__aexit__(None, None, None))
            for watch in watches:
                assert (await watch.read()).status == NOT_SERVING
            await stopping
            assert loop.time() - started < 8, "the grace for calls is 10 seconds"

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_a_node_whose_store_cannot_be_written_does_not_serve_until_it_can(folder: Path) -> None:
    home = watched(make_home(folder, "lab-a"))

    async def check(operator: operator_pb2_grpc.OperatorAsyncStub) -> None:
        indicators = [operator_pb2.Indicator(type="ipv4", value="198.18.0.1")]
        await operator.Check(operator_pb2.CheckRequest(indicators=indicators), timeout=PATIENCE)

    async def journey() -> None:
        with node_process(home) as process:
            operator = await answering(home)
            async with probe(addresses_of(home)[1]) as at:
                watch = at.Watch(wanted(), timeout=PATIENCE)
                while (await watch.read()).status != SERVING:
                    pass
                before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
                # No file may grow: to the node, a disk that is full.
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await check(operator)
                assert dict(caught.value.trailing_metadata() or ())["mandorla-code"] == "STORE_FAILED"
                assert (await watch.read()).status == NOT_SERVING
                ready = await get(home, "/readyz")
                assert (ready.status, ready.body) == (503, "the store cannot be written\n")
                page = await get(home)
                assert page.value("mandorla_serving") == 0
                assert page.value("mandorla_store_write_errors_total") >= 1
                status = await operator.Status(operator_pb2.StatusRequest(now=True), timeout=PATIENCE)
                assert status.health == "the store cannot be written"
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)
                assert (await watch.read()).status == SERVING
                await check(operator)
                watch.cancel()

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))
