"""SECURITY.md names the files that homes hold: each of them, and no other."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mandorla_node.config.lab_settings import NotifySettings
from mandorla_node.core.clock import system_clock
from mandorla_node.home.folder import Home
from mandorla_node.home.key_kinds import SourceKind
from mandorla_node.home.key_sources import KeySource
from mandorla_node.notices.secrets import make_secret
from mandorla_node.peers.card_renewal import renew_stopped
from tests.support.labs import serving

PAGE = Path(__file__).parents[3] / "SECURITY.md"


def names_on_the_page() -> set[str]:
    """Return the files in the first column of the table."""
    _, _, section = PAGE.read_text().partition("## Files of a home")
    rows = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


@pytest.fixture
def sources(folder: Path) -> list[KeySource]:
    return [KeySource(), KeySource(SourceKind.FILE, folder / "lab.key")]


def files_while_it_serves(home: Home) -> Iterator[str]:
    async def look() -> list[Path]:
        async with serving(home):
            return list(home.path.rglob("*"))

    for path in asyncio.run(look()):
        yield path.relative_to(home.path).as_posix()


def test_the_page_names_every_file_of_a_home_and_no_other(folder: Path, sources: list[KeySource]) -> None:
    found: set[str] = set()
    for number, source in enumerate(sources):
        home = Home.create(folder / str(number), "lab-a", "127.0.0.1:7443", source=source)
        renew_stopped(home, "", system_clock() + 60)
        make_secret(home.path / NotifySettings().secret_file)
        found.update(files_while_it_serves(Home.open(home.path)))
    later_card = re.compile(r"cards/[0-9]+(/(tls\.key|tls\.crt|card\.json))?")
    at_the_top = {name for name in found if not later_card.fullmatch(name)}
    assert {Path(name).name for name in found - at_the_top} >= {"tls.key", "tls.crt", "card.json"}
    # SQLite's two files of an open database are named beside it, in the second column.
    assert {f"{name}/" if name == "cards" else name for name in at_the_top} - {
        "mandorla.db-wal",
        "mandorla.db-shm",
    } == names_on_the_page()
    assert "`mandorla.db-wal` and `mandorla.db-shm`" in PAGE.read_text()


@pytest.mark.parametrize("name", ["identity.key", "store.key"])
def test_keys_of_a_sealed_home_are_in_one_file(folder: Path, sources: list[KeySource], name: str) -> None:
    plain, sealed = (
        Home.create(folder / str(number), "lab-a", "127.0.0.1:7443", source=source)
        for number, source in enumerate(sources)
    )
    assert (plain.path / name).exists()
    assert not (plain.path / "keys.json").exists()
    assert not (sealed.path / name).exists()
    assert (sealed.path / "keys.json").exists()
