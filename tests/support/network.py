"""A network between two labs that a test can cut or silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from mandorla_node.core.change_feed import EventCount

_PIECE = 1 << 16


class Between:
    """Relays bytes between the callers of a port and its server.

    While it is silent, it accepts connections and relays nothing, like a peer that hangs.
    """

    def __init__(self, target: str) -> None:
        # Counts the connections.
        self.joined = EventCount()
        self._target = target
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._open: set[asyncio.StreamWriter] = set()

    def fall_silent(self) -> None:
        """Relay nothing from now on."""
        self._speaks.clear()

    def speak(self) -> None:
        """Relay again, and first the bytes that were held back."""
        self._speaks.set()

    def cut(self) -> None:
        """Break all connections; new ones are accepted at once."""
        for writer in self._open:
            writer.transport.abort()

    @asynccontextmanager
    async def listening(self, endpoint: str) -> AsyncIterator[None]:
        """Accept connections on an endpoint."""
        host, _, port = endpoint.rpartition(":")
        server = await asyncio.start_server(self._join, host, int(port))
        try:
            yield
        finally:
            self.speak()
            self.cut()
            server.close()
            await server.wait_closed()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.joined.advance()
        host, _, port = self._target.rpartition(":")
        with suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
            self._open |= {writer, inner_writer}
            await asyncio.gather(self._pass(reader, inner_writer), self._pass(inner_reader, writer))
            self._open -= {inner_writer}
        self._open -= {writer}
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE):
                await self._speaks.wait()
                writer.write(piece)
                await writer.drain()
        writer.close()
