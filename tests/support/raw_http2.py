"""HTTP/2 frames with a lab's real certificate, for requests that no gRPC client sends."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from dataclasses import dataclass, field
from typing import Final

import h2.config
import h2.connection
import h2.events
import h2.settings

from mandorla_node.crypto import certificates
from mandorla_node.home.folder import Home
from mandorla_protocol.card import Card
from tests.support.patience import CALL

_MOST: Final = 2**31 - 1


def tls_to(victim: Card, own: Home, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """Return a TLS context that shows a lab's certificate and trusts the victim's."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.minimum_version = tls.maximum_version = version
    tls.set_alpn_protocols(["h2"])
    tls.load_verify_locations(cadata=certificates.pem_from_der(victim.certificate).decode())
    tls.load_cert_chain(own.path / "tls.crt", own.path / "tls.key")
    return tls


def address_of(victim: Card) -> tuple[str, int]:
    """Return host and port."""
    host, port = victim.endpoint.rsplit(":", 1)
    return host, int(port)


def plain_socket(victim: Card) -> socket.socket:
    """Connect, and send nothing."""
    return socket.create_connection(address_of(victim), timeout=CALL)


def framed(message: bytes) -> bytes:
    """Return a message as gRPC frames it."""
    return b"\x00" + len(message).to_bytes(4, "big") + message


@dataclass
class Raw:
    """A connection of HTTP/2 frames. A window of zero reads nothing of what the victim answers."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    h2: h2.connection.H2Connection
    authority: str
    headers: dict[int, dict[str, str]] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    window: int = _MOST

    @classmethod
    async def connect(
        cls,
        victim: Card,
        own: Home,
        window: int = 2**20,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> Raw:
        """Connect, with TLS and the preface done."""
        host, port = address_of(victim)
        name = certificates.tls_name(victim.identity)
        reader, writer = await asyncio.open_connection(
            host, port, ssl=tls_to(victim, own, version), server_hostname=name
        )
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        connection.initiate_connection()
        connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        raw = cls(reader, writer, connection, name, window=window)
        await raw.flush()
        return raw

    async def flush(self) -> None:
        """Send the pending bytes."""
        self.writer.write(self.h2.data_to_send())
        await self.writer.drain()

    def begin(
        self,
        method: str,
        timeout: str = "60S",
        extra: tuple[tuple[str, str], ...] = (),
        service: str = "Exchange",
    ) -> int:
        """Begin a call; nothing of its request is sent yet. Returns the stream's number."""
        stream = self.h2.get_next_available_stream_id()
        deadline = (("grpc-timeout", timeout),) if timeout else ()
        self.h2.send_headers(
            stream,
            [
                (":method", "POST"),
                (":scheme", "https"),
                (":path", f"/mandorla.v1.{service}/{method}"),
                (":authority", self.authority),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                *deadline,
                *extra,
            ],
        )
        return stream

    def call(self, method: str, message: bytes, timeout: str = "60S") -> int:
        """Make a whole call; returns the stream's number."""
        stream = self.begin(method, timeout)
        self.h2.send_data(stream, framed(message), end_stream=True)
        return stream

    async def result(self, stream: int) -> dict[str, str]:
        """Wait for the end of a call; returns its headers and trailers, or what there is if all ended."""
        while stream not in self.ended:
            if not await self.take():
                break
        return self.headers.get(stream, {})

    async def take(self) -> bool:
        """Read once; returns whether the connection goes on."""
        received = await self.reader.read(65536)
        if not received:
            return False
        for event in self.h2.receive_data(received):
            match event:
                case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                    found = self.headers.setdefault(event.stream_id, {})
                    found |= {_text(name): _text(value) for name, value in event.headers}
                case h2.events.DataReceived() if self.window:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.StreamEnded():
                    self.ended.add(event.stream_id)
                case h2.events.StreamReset():
                    self.headers.setdefault(event.stream_id, {})["reset"] = str(event.error_code)
                    self.ended.add(event.stream_id)
                case h2.events.ConnectionTerminated():
                    return False
        await self.flush()
        return True

    async def settle(self, quiet: float = 0.2) -> None:
        """Read until the victim sends nothing for `quiet` seconds."""
        while True:
            try:
                if not await asyncio.wait_for(self.take(), quiet):
                    return
            except TimeoutError:
                return

    async def slam(self) -> None:
        """Drop the connection with a reset, as a process that is killed may."""
        raw = self.writer.get_extra_info("socket")
        if raw is not None and raw.fileno() >= 0:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        """Close the connection in order, if the victim allows it."""
        self.writer.close()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
