"""Who may speak to a node at all, over what, how often, and how much."""

from __future__ import annotations

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import h2.config
import h2.connection
import h2.events
import pytest

from mandorla.v1 import exchange_pb2, exchange_pb2_grpc
from mandorla_node.crypto import certificates
from mandorla_node.home.folder import Home
from tests.support.hostile import channel_to, hello_request
from tests.support.labs import (
    addresses,
    answering,
    code_of,
    ingest,
    make_home,
    make_labs,
    node_process,
    run_round,
    serving,
)
from tests.support.patience import CALL


@pytest.mark.spec("9.9-1")
def test_a_lab_that_is_not_pinned_is_refused(folder: Path) -> None:
    a, _ = make_labs(folder, "lab-a", "lab-b")
    stranger = make_home(folder, "stranger")

    async def journey() -> None:
        async with serving(a), channel_to(a.card, stranger) as stub:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Hello(hello_request(), timeout=CALL)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE, "TLS itself refuses"

    asyncio.run(journey())


@pytest.mark.spec("9.9-2")
def test_a_removed_peer_is_refused_on_the_connection_that_it_holds(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")

    async def journey() -> None:
        async with serving(a), channel_to(a.card, b) as stub:
            await stub.Hello(hello_request(), timeout=CALL)
            store = a.open_store()
            store.peers.remove("lab-b")
            store.close()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Hello(hello_request(), timeout=CALL)
            assert code_of(caught.value) == "NOT_PINNED"

    asyncio.run(journey())


@pytest.mark.spec("9.9-2")
def test_the_own_certificate_opens_nothing(folder: Path) -> None:
    (a,) = make_labs(folder, "lab-a")

    async def journey() -> None:
        async with serving(a), channel_to(a.card, a) as stub:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Hello(hello_request(), timeout=CALL)
            assert code_of(caught.value) == "NOT_PINNED"

    asyncio.run(journey())


def test_a_server_with_another_labs_certificate_is_not_spoken_to(folder: Path) -> None:
    a, b, c = make_labs(folder, "lab-a", "lab-b", "lab-c")

    async def journey() -> None:
        # lab-c answers where lab-b should.
        server = grpc.aio.server()
        exchange_pb2_grpc.add_ExchangeServicer_to_server(exchange_pb2_grpc.ExchangeServicer(), server)
        server.add_secure_port(
            b.card.endpoint,
            grpc.ssl_server_credentials(
                [(c.tls_key, c.tls_certificate)],
                certificates.pem_from_der(a.card.certificate),
                require_client_auth=True,
            ),
        )
        await server.start()
        try:
            async with serving(a) as (at_a,):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await run_round(at_a, "lab-b")
                assert code_of(caught.value) == "PEER_UNAVAILABLE"
        finally:
            await server.stop(None)

    asyncio.run(journey())


@pytest.mark.spec("9.9-3")
def test_a_call_without_a_deadline_is_refused(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")

    async def journey() -> None:
        async with serving(a), channel_to(a.card, b) as stub:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Hello(hello_request())
            assert code_of(caught.value) == "DEADLINE"

    asyncio.run(journey())


def test_a_message_over_the_limit_is_refused(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")

    async def journey() -> None:
        async with serving(a), channel_to(a.card, b) as stub:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Evaluate(exchange_pb2.EvaluateRequest(blinded=bytes(5 << 20)), timeout=CALL)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            await stub.Hello(hello_request(), timeout=CALL)

    asyncio.run(journey())


def test_too_many_calls_are_refused_and_other_peers_are_served(folder: Path) -> None:
    limits = "[limits]\ncall_burst = 5\ncalls_per_second = 1\n"
    a, b, c = make_labs(folder, "lab-a", "lab-b", "lab-c")
    config = a.path / "mandorla.toml"
    config.write_text(config.read_text().replace("[limits]\n", limits))
    a = Home.open(a.path)

    async def journey() -> None:
        async with serving(a), channel_to(a.card, b) as from_b, channel_to(a.card, c) as from_c:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                for _ in range(10):
                    await from_b.Hello(hello_request(), timeout=CALL)
            assert code_of(caught.value) == "RATE_LIMITED"
            await from_c.Hello(hello_request(), timeout=CALL)

    asyncio.run(journey())


@pytest.mark.spec("9.9-1")
def test_tls_1_2_is_refused_before_anything_is_answered(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(3)))

    def speak_tls_1_2() -> dict[str, str]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        tls.set_alpn_protocols(["h2"])
        tls.load_verify_locations(cadata=certificates.pem_from_der(a.card.certificate).decode())
        tls.load_cert_chain(b.path / "tls.crt", b.path / "tls.key")
        host, port = a.card.endpoint.split(":")
        name = certificates.tls_name(a.card.identity)
        with (
            socket.create_connection((host, int(port)), timeout=CALL) as raw,
            tls.wrap_socket(raw, server_hostname=name) as wire,
        ):
            assert wire.version() == "TLSv1.2", "the handshake must succeed for this to show anything"
            return _call(wire, name)

    async def journey() -> None:
        async with serving(a):
            headers = await asyncio.to_thread(speak_tls_1_2)
            assert headers["grpc-status"] == str(grpc.StatusCode.UNAUTHENTICATED.value[0])
            assert headers["mandorla-code"] == "BAD_TRANSPORT"

    asyncio.run(journey())


def _call(wire: ssl.SSLSocket, authority: str) -> dict[str, str]:
    """Call Hello over a raw connection and return the response's headers and trailers."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    body = hello_request().SerializeToString()
    connection.send_headers(
        1,
        [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", "/mandorla.v1.Exchange/Hello"),
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("grpc-timeout", "10S"),
        ],
    )
    connection.send_data(1, b"\x00" + len(body).to_bytes(4, "big") + body, end_stream=True)
    wire.sendall(connection.data_to_send())
    headers: dict[str, str] = {}
    while "grpc-status" not in headers:
        received = wire.recv(65536)
        if not received:
            break
        for event in connection.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                headers |= {_text(name): _text(value) for name, value in event.headers}
        wire.sendall(connection.data_to_send())
    return headers


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def test_many_handshakes_at_once_leave_the_node_alive(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    (folder / "a.pem").write_bytes(certificates.pem_from_der(a.card.certificate))
    host, port = a.card.endpoint.split(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(folder / "a.pem")
    context.load_cert_chain(b.path / "tls.crt", b.path / "tls.key")
    context.set_alpn_protocols(["h2"])

    def shake_hands(_number: int) -> None:
        with (
            socket.create_connection((host, int(port)), timeout=CALL) as plain,
            context.wrap_socket(plain, server_hostname=certificates.tls_name(a.card.identity)) as wire,
        ):
            assert wire.version() == "TLSv1.3"

    with node_process(a) as process:
        asyncio.run(answering(a))
        with ThreadPoolExecutor(16) as pool:
            for _ in pool.map(shake_hands, range(800)):
                pass
        assert process.poll() is None
