"""The new card of `mandorla renew`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mandorla_protocol.card import Card, require_endpoint

from ...client import Client, node_answers
from ...config.file_edit import replace_values
from ...core import files
from ...core.clock import system_clock
from ...home.folder import CONFIG, Home
from ...peers.card_renewal import renew_stopped
from ...terminal import console, pairs, safe, write_json
from .card_json import card_object


def renew(home: Path, endpoint: str, as_json: bool) -> None:
    """Renew the card by the running node, or in the home of a stopped one; write a new endpoint down."""
    place = Home.locate(home)
    config, changed = home / CONFIG, ""
    if endpoint:
        require_endpoint(endpoint)
        changed = replace_values(config.read_bytes().decode(), "", {"endpoint": endpoint})
    running = node_answers(place.operator_socket)
    renewed = (
        Card.from_json(asyncio.run(_renew_running(place.operator_socket, endpoint)))
        if running
        else renew_stopped(Home.open(home), endpoint, system_clock())
    )
    if changed:
        with files.locked_home(home):
            files.replace(config, changed.encode())
    if as_json:
        write_json(card_object(renewed) | {"issued": renewed.issued})
        return
    out = console()
    out.print("Renewed the card of ", safe(renewed.name, "bold"), ".", sep="")
    rows = pairs()
    rows.add_row("endpoint", safe(renewed.endpoint))
    rows.add_row(
        "peers", "get the card now: mandorla status" if running else "get the card when the node runs"
    )
    out.print(rows)


async def _renew_running(socket: Path, endpoint: str) -> str:
    async with Client(socket, patience=0) as client:
        return await client.renew_card(endpoint)
