"""The work of `mandorla peer pause` and `resume`, by the running node or in the store of a stopped one."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

from ...client import Client, node_answers
from ...home.folder import Home
from ...terminal import console, safe


def pause(name: str, home: Path) -> None:
    """Pause a peer."""
    _set_paused(name, home, True)
    console().print("Paused ", safe(name, "bold"), ".", sep="")


def resume(name: str, home: Path) -> None:
    """End the pause of a peer."""
    _set_paused(name, home, False)
    console().print("Resumed ", safe(name, "bold"), ".", sep="")


def _set_paused(name: str, home: Path, paused: bool) -> None:
    # A pause is urgent: the home's keys are not opened for it, which may take a passphrase.
    place = Home.locate(home)
    if node_answers(place.operator_socket):
        asyncio.run(_ask_node(place.operator_socket, name, paused))
        return
    with closing(place.open_store()) as store:
        store.peers.pause(name, paused)


async def _ask_node(socket: Path, name: str, paused: bool) -> None:
    async with Client(socket, patience=0) as client:
        await client.pause(name, paused)
