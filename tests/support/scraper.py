"""Nodes with metrics and probes, and their collectors, over real sockets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from mandorla_node.config.lab_settings import host_and_port
from mandorla_node.home.folder import Home
from tests.support.patience import PATIENCE

from .labs import free_port


def watched(home: Home) -> Home:
    """Return a home whose node answers collectors and probes on free ports of loopback."""
    said = f'listen = "127.0.0.1:{free_port()}"\nhealth = "127.0.0.1:{free_port()}"'
    return configured(home, said)


def configured(home: Home, said: str) -> Home:
    """Return a home with more lines in its section `observe`."""
    config = home.path / "mandorla.toml"
    config.write_text(config.read_text().replace("[observe]", f"[observe]\n{said}"))
    return Home.open(home.path)


@dataclass(frozen=True)
class Page:
    """An HTTP response."""

    status: int
    head: str
    body: str

    def value(self, name: str, **labels: str) -> float:
        """Return the value of the only series with a name and labels."""
        (value,) = (value for found, value in self.series(name) if labels.items() <= found.items())
        return value

    def series(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and values of every series with a name."""
        return [
            (sample.labels, sample.value)
            for family in text_string_to_metric_families(self.body)
            for sample in family.samples
            if sample.name == name
        ]


async def get(home: Home, path: str = "/metrics") -> Page:
    """Ask a node over HTTP, as a collector does."""
    return await ask(home, f"GET {path} HTTP/1.1\r\nHost: {home.settings.observe.listen}\r\n\r\n".encode())


async def ask(home: Home, request: bytes) -> Page:
    """Send bytes to a node's HTTP port, and read the answer until the node closes."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(*host_and_port(home.settings.observe.listen))
        try:
            writer.write(request)
            await writer.drain()
            head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        finally:
            writer.close()
    return Page(int(head.split(" ")[1]), head, body)
