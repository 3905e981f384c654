"""A home is made once, for its owner only, and is refused when it is not whole."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mandorla_node.home.folder import Home
from mandorla_protocol.card import Card
from mandorla_protocol.errors import Code, MandorlaError


def test_a_new_home_opens_and_its_card_verifies(folder: Path) -> None:
    home = Home.create(folder / "home", "lab-a", "127.0.0.1:7443")
    assert Card.from_json(home.card.to_json()) == home.card
    assert Home.open(home.path).card == home.card


def test_everything_in_a_home_is_for_its_owner_only(folder: Path) -> None:
    home = Home.create(folder / "home", "lab-a", "127.0.0.1:7443")
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.path.iterdir()} == {0o600}


def test_a_folder_with_something_in_it_is_left_alone(folder: Path) -> None:
    (folder / "precious").write_text("x")
    with pytest.raises(MandorlaError) as caught:
        Home.create(folder, "lab-a", "127.0.0.1:7443")
    assert caught.value.code is Code.BAD_HOME
    assert [path.name for path in folder.iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("name", "listen"),
    [("Lab A", "127.0.0.1:1"), ("", "127.0.0.1:1"), ("lab-a", "nowhere"), ("lab-a", "127.0.0.1:99999")],
)
def test_a_bad_name_or_address_makes_nothing(folder: Path, name: str, listen: str) -> None:
    with pytest.raises(MandorlaError) as caught:
        Home.create(folder / "home", name, listen)
    assert caught.value.code is Code.BAD_CARD
    assert not (folder / "home").exists()


@pytest.mark.parametrize("name", ["identity.key", "tls.key", "tls.crt", "card.json", "store.key"])
def test_a_home_with_a_part_missing_or_cut_is_refused(folder: Path, name: str) -> None:
    home = Home.create(folder / "home", "lab-a", "127.0.0.1:7443")
    for spoil in (lambda path: path.write_bytes(b""), lambda path: path.unlink()):
        spoil(home.path / name)
        with pytest.raises(MandorlaError) as caught:
            Home.open(home.path)
        assert caught.value.code is Code.BAD_HOME


def test_a_card_of_another_key_is_refused(folder: Path) -> None:
    home = Home.create(folder / "home", "lab-a", "127.0.0.1:7443")
    other = Home.create(folder / "other", "lab-a", "127.0.0.1:7443")
    (home.path / "card.json").write_text(other.card.to_json())
    with pytest.raises(MandorlaError) as caught:
        Home.open(home.path)
    assert caught.value.code is Code.BAD_HOME


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("colour = 3", "colour"),
        ("workers = -1", "workers"),
        ("workers = [", "mandorla.toml"),
        ('engine = "fast"', "engine"),
    ],
)
def test_a_wrong_configuration_names_what_is_wrong(folder: Path, line: str, hint: str) -> None:
    home = Home.create(folder / "home", "lab-a", "127.0.0.1:7443")
    config = home.path / "mandorla.toml"
    config.write_text(f"{line}\n{config.read_text()}")
    with pytest.raises(MandorlaError) as caught:
        Home.open(home.path)
    assert caught.value.code is Code.BAD_CONFIG
    assert hint in caught.value.detail


def test_the_environment_wins_over_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home.create(folder / "home", "lab-a", "127.0.0.1:7443")
    monkeypatch.setenv("MANDORLA_WORKERS", "3")
    assert Home.open(home.path).settings.workers == 3
