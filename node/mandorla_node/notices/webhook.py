"""The webhook receiver: one signed HTTP request for each notice (Standard Webhooks 1.0).

It uses asyncio's streams. `http.client` blocks a thread, and its timeouts cover single reads. HTTP libraries
follow redirects, use proxies from the environment, and decode bodies, which a webhook must not do. Here, one
deadline covers an attempt, and the client reads only the head of the answer, for its status.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from asyncio import IncompleteReadError, LimitOverrunError, StreamReader, StreamWriter
from pathlib import Path
from typing import Final

from mandorla_protocol.errors import Code, MandorlaError, NodeError

from ..config.lab_settings import NotifySettings
from ..config.webhook_address import Address, parse_address
from ..core.clock import Clock
from .receiver import NotDeliveredError
from .secrets import load_secrets, make_secret, signature

_MAX_HEAD: Final = 16 << 10
_MAX_INTERIM: Final = 8
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")


class Webhook:
    """A receiver behind an HTTP address."""

    name = "webhook"

    def __init__(self, policy: NotifySettings, address: str, home: Path, clock: Clock) -> None:
        """Load the secret and the certificates; raises NodeError(BAD_CONFIG) if either is unusable."""
        self._address = parse_address(address)
        self._proxy = parse_address(policy.proxy) if policy.proxy else None
        self._timeout = policy.timeout
        self._clock = clock
        self._secrets = home / policy.secret_file
        if policy.secret_file == NotifySettings().secret_file:
            make_secret(self._secrets)
        load_secrets(self._secrets)
        self._tls: ssl.SSLContext | None = None
        if self._address.secure:
            try:
                self._tls = ssl.create_default_context(
                    cafile=str(home / policy.ca_file) if policy.ca_file else None
                )
            except OSError:
                raise NodeError(Code.BAD_CONFIG, "notify.ca_file: the certificates cannot be read") from None

    async def deliver(self, notice_id: str, document: bytes) -> None:
        """Post a notice; raises NotDeliveredError unless the answer's status is 200 to 299."""
        try:
            async with asyncio.timeout(self._timeout):
                status = await self._post(await asyncio.to_thread(self._request, notice_id, document))
        except TimeoutError:
            raise NotDeliveredError("no answer in time") from None
        except MandorlaError as error:
            raise NotDeliveredError(error.diagnostics()) from None
        except ssl.SSLCertVerificationError:
            raise NotDeliveredError("its certificate is not trusted") from None
        except ssl.SSLError:
            raise NotDeliveredError("TLS failed") from None
        except socket.gaierror:
            raise NotDeliveredError("its host has no address") from None
        except (IncompleteReadError, LimitOverrunError):
            raise NotDeliveredError("no HTTP answer") from None
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else "no connection"
            raise NotDeliveredError(reason) from None
        if not 200 <= status <= 299:
            raise NotDeliveredError(f"HTTP status {status}")

    def _request(self, notice_id: str, document: bytes) -> bytes:
        # Read for each attempt: the operator replaces a secret without a restart of the node.
        keys = load_secrets(self._secrets)
        now = self._clock()
        head = (
            f"POST {self._address.target} HTTP/1.1",
            f"Host: {self._address.authority}",
            "User-Agent: mandorla",
            "Content-Type: application/json",
            f"Content-Length: {len(document)}",
            "Connection: close",
            f"webhook-id: {notice_id}",
            f"webhook-timestamp: {now}",
            f"webhook-signature: {signature(keys, notice_id, now, document)}",
        )
        return "\r\n".join((*head, "", "")).encode("ascii") + document

    async def _post(self, request: bytes) -> int:
        reader, writer = await self._connected()
        try:
            writer.write(request)
            await writer.drain()
            return await _status(reader)
        finally:
            # The rest of the answer is not needed, so the connection is dropped.
            writer.transport.abort()

    async def _connected(self) -> tuple[StreamReader, StreamWriter]:
        to, name = self._address, self._address.host if self._tls else None
        if self._proxy is None or self._tls is None:
            return await asyncio.open_connection(
                to.host, to.port, ssl=self._tls, server_hostname=name, limit=_MAX_HEAD
            )
        reader, writer = await asyncio.open_connection(self._proxy.host, self._proxy.port, limit=_MAX_HEAD)
        try:
            await _open_tunnel(reader, writer, to)
            await writer.start_tls(self._tls, server_hostname=name)
        except BaseException:
            writer.transport.abort()
            raise
        return reader, writer


async def _open_tunnel(reader: StreamReader, writer: StreamWriter, to: Address) -> None:
    writer.write(f"CONNECT {to.authority} HTTP/1.1\r\nHost: {to.authority}\r\n\r\n".encode("ascii"))
    status = await _status(reader)
    if not 200 <= status <= 299:
        raise NotDeliveredError(f"HTTP status {status} from the proxy")


async def _status(reader: StreamReader) -> int:
    """Return the status of an answer, after any interim answers (1xx)."""
    for _ in range(_MAX_INTERIM):
        head = await reader.readuntil(b"\r\n\r\n")
        found = _STATUS.match(head)
        if found is None:
            break
        if (status := int(found[1])) >= 200:
            return status
    raise NotDeliveredError("no HTTP answer")
