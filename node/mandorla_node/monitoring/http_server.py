"""Metrics and health over plain HTTP, for collectors and probes on this machine.

The server reads one request from a connection, keeps few connections open, and shares a page that is made at
most once a second: a client with too many, too slow or too long requests hurts only its own connection.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from mandorla_protocol.errors import Code, NodeError

from ..config.lab_settings import ObserveSettings, host_and_port
from .health import HealthMonitor

_CONNECTIONS: Final = 16
_TIMEOUT: Final = 10.0
_MAX_HEAD: Final = 8192
_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: HTTPStatus
    body: bytes
    kind: str = _TEXT


class MonitoringServer:
    """Answers GET of /metrics, /healthz (the node runs) and /readyz (it serves; its store can be written)."""

    def __init__(
        self, policy: ObserveSettings, health: HealthMonitor, page: Callable[[], Awaitable[bytes]]
    ) -> None:
        self._policy = policy
        self._health = health
        self._page = page
        # The oldest first: a dict keeps the order of insertion.
        self._open: dict[asyncio.Task[None], None] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; raises NodeError(BAD_CONFIG) if the address cannot be used."""
        host, port = host_and_port(self._policy.listen)
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=_MAX_HEAD)
        except OSError:
            detail = f"cannot listen on {self._policy.listen}, the address in observe.listen"
            raise NodeError(Code.BAD_CONFIG, detail) from None

    async def stop(self) -> None:
        """Stop listening, and close all connections."""
        if self._server is not None:
            self._server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open[task] = None
            task.add_done_callback(self._open.pop)
        if len(self._open) > _CONNECTIONS:
            # Close the oldest: idle connections must not keep new clients out.
            next(iter(self._open)).cancel()
        try:
            # The client is gone or too slow, so no answer can reach it.
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_TIMEOUT):
                    await self._handle_request(reader, writer)
        finally:
            writer.close()

    async def _handle_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            answer = _Answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, b"Too long.\n")
        except asyncio.IncompleteReadError:
            return
        else:
            answer = await self._answer(head)
        writer.write(
            f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
            f"Content-Type: {answer.kind}\r\nContent-Length: {len(answer.body)}\r\n"
            "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n".encode()
        )
        writer.write(answer.body)
        await writer.drain()

    async def _answer(self, head: bytes) -> _Answer:
        first, *fields = head.decode("latin-1").split("\r\n")
        method, _, rest = first.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        hosts = [field[5:].strip() for field in fields if field.lower().startswith("host:")]
        # DNS rebinding: a web page in a browser on this machine could resolve its own name to this address
        # and read the answer. So the Host must be an address, unless the operator exposes the server.
        if len(hosts) != 1 or not (self._policy.expose or _names_an_address(hosts[0])):
            return _Answer(HTTPStatus.MISDIRECTED_REQUEST, b"Ask by address.\n")
        if method != "GET":
            return _Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"GET only.\n")
        match path:
            case "/metrics":
                return _Answer(HTTPStatus.OK, await self._page(), CONTENT_TYPE_PLAIN_0_0_4)
            case "/healthz":
                return _Answer(HTTPStatus.OK, b"ok\n")
            case "/readyz":
                ready = HTTPStatus.OK if self._health.serving else HTTPStatus.SERVICE_UNAVAILABLE
                return _Answer(ready, f"{self._health.state.value}\n".encode())
            case _:
                return _Answer(HTTPStatus.NOT_FOUND, b"/metrics, /healthz or /readyz.\n")


def _names_an_address(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.removeprefix("[").removesuffix("]")
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
