"""docs/operators.md does what it says: three labs on hosts of their own run its commands, in its order."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from mandorla_node.cli.root import build
from tests.support.hosts.guide import Command, Step, read_guide
from tests.support.hosts.networks import namespaces_work, networks
from tests.support.hosts.shells import Shell, shells
from tests.support.patience import PATIENCE

GUIDE: Final = Path(__file__).parents[2] / "docs/operators.md"
ADDRESSES: Final = {"alder": "192.0.2.10", "birch": "198.51.100.20", "cedar": "203.0.113.30"}
_AGAIN: Final = ("mandorla matches", "mandorla status", "mandorla check", "mandorla round")
"""Commands that are asked again until they show what the guide shows: what other labs do takes its time."""


@pytest.fixture
def hosts(folder: Path) -> Iterator[Mapping[str, Shell]]:
    """The guide's hosts: in network namespaces, or on loopback where there can be none."""
    with (
        networks(ADDRESSES, namespaces=namespaces_work()) as network,
        shells(list(ADDRESSES), folder, network) as opened,
    ):
        yield opened


def test_the_guide_does_what_it_says(hosts: Mapping[str, Shell]) -> None:
    with ThreadPoolExecutor(len(hosts)) as pool:
        skipping = False
        for part in read_guide(GUIDE.read_text()):
            if isinstance(part, Step):
                skipping = follow(part, hosts, skipping)
            elif not skipping:
                on = [part.host] if part.host in hosts else list(hosts)
                assert part.host in (*hosts, "each"), part
                # Labs do this at the same time, as they will.
                list(pool.map(lambda host, command=part: obey(hosts[host], command), on))


def obey(shell: Shell, command: Command) -> None:
    """Run a command, and hold it to what the guide shows."""
    give_up = time.monotonic() + PATIENCE
    pause = threading.Event()
    while True:
        status, printed = shell.run(command.text)
        missing = command.missing(printed)
        if (status != 0) is command.refused and not missing:
            return
        report = f"{shell.host}: {command.text}\nexit status {status}, without {missing}:\n{printed}"
        assert command.shown and command.text.startswith(_AGAIN) and time.monotonic() < give_up, report
        pause.wait(0.2)


def follow(step: Step, hosts: Mapping[str, Shell], skipping: bool) -> bool:
    """Do what people do between commands; tells whether the commands after it are passed over."""
    match step.said.split():
        case ["cards", "are", "sent"]:
            for sender in hosts.values():
                for receiver in hosts.values():
                    if receiver is not sender:
                        name = f"{sender.host}.card.json"
                        shutil.copy(sender.working / name, receiver.working / name)
        case ["until", "peers", "of", lab, "know", "its", "card"]:
            until(
                lambda: (
                    not any(peer["card"]["pending"] for peer in asked(hosts[lab], "status --json")["peers"])
                )
            )
        case ["until", lab, "has", "no", kind, "match", "of", peer]:
            until(lambda: asked(hosts[lab], f"matches --format json --peer {peer} --kind {kind}") == [])
        case ["if", "there", "is", command]:
            return not has(command)
        case ["in", "any", "case"]:
            return False
        case _:
            raise AssertionError(step)
    return skipping


def asked(shell: Shell, command: str) -> Any:
    """Return what a command says to a program."""
    status, printed = shell.run(f"mandorla {command}")
    assert status == 0, printed
    return json.loads(printed)


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, and fail if it does not."""
    give_up = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < give_up
        pause.wait(0.2)


def has(command: str) -> bool:
    """Tell whether this version has a command."""
    group = get_command(build())
    return isinstance(group, TyperGroup) and command in group.commands
