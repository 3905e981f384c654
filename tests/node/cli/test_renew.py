"""Cards at the command line: renewed with a running node and with a stopped one, and watched."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mandorla_node.config.settings import load_settings
from mandorla_node.crypto import certificates
from mandorla_node.home.folder import Home
from mandorla_protocol.card import Card
from tests.support.commands import Run
from tests.support.labs import make_labs

from .conftest import serving


def shown(run: Run, home: Home) -> Card:
    return Card.from_json(run("card", "--home", home.path).out)


def test_a_card_is_renewed_where_no_node_runs(folder: Path, run: Run) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    assert shown(run, a) == a.card
    ran = run("renew", "--home", a.path, "--endpoint", "127.0.0.1:7999", "--json")
    assert ran.status == 0
    card = shown(run, a)
    assert isinstance(ran.parsed, dict)
    assert (card.issued, card.endpoint) == (ran.parsed["issued"], "127.0.0.1:7999")
    assert load_settings(a.path / "mandorla.toml").endpoint == "127.0.0.1:7999"
    again = run("renew", "--home", a.path)
    assert again.status == 0
    last = shown(run, a)
    assert last.issued > card.issued
    assert last.endpoint == "127.0.0.1:7999"
    # A peer takes it by hand, and takes the one before it for a while; never again the one that it followed.
    (folder / "new.json").write_text(last.to_json())
    (folder / "old.json").write_text(card.to_json())
    assert run("peer", "add", folder / "new.json", "--home", b.path).status == 0
    assert run("peer", "add", folder / "old.json", "--home", b.path).status == 17
    with closing(b.open_store()) as store:
        assert store.peers.get("lab-a").cards == (last, a.card)


def test_a_card_is_renewed_by_the_node_and_status_says_who_has_not_taken_it(folder: Path, run: Run) -> None:
    a, _ = make_labs(folder, "lab-a", "lab-b")
    with serving(a):
        calm = run("status", "--home", a.path)
        assert "not confirmed" not in calm.out
        assert "plain files" in calm.out
        ran = run("renew", "--home", a.path)
        assert (ran.status, "get the card now" in ran.out) == (0, True)
        card = shown(run, a)
        assert card.issued
        after = run("status", "--home", a.path)
        assert "not confirmed" in after.out
        assert "lab-b" in after.out.partition("not confirmed")[2].splitlines()[0]
        parsed = run("status", "--home", a.path, "--json").parsed
        assert isinstance(parsed, dict)
        assert parsed["keys"] == "home"
        assert parsed["card"]["issued"]
        assert [peer["card"]["pending"] for peer in parsed["peers"]] == [True]
    assert Home.open(a.path).card == card


def test_an_endpoint_that_is_none_changes_nothing(folder: Path, run: Run) -> None:
    (a,) = make_labs(folder, "lab-a")
    before = (a.path / "mandorla.toml").read_text()
    assert run("renew", "--home", a.path, "--endpoint", "nowhere").status == 17
    assert (a.path / "mandorla.toml").read_text() == before
    assert shown(run, a) == a.card


@pytest.mark.parametrize(("left", "status", "said"), [(40, 0, "until"), (20, 0, "soon"), (-1, 17, "ended")])
def test_doctor_says_when_a_certificate_ends(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, left: int, status: int, said: str
) -> None:
    (a,) = make_labs(folder, "lab-a")
    ends = datetime.fromtimestamp(certificates.expires_at(a.card), UTC)
    now = int((ends - timedelta(days=left)).timestamp())
    monkeypatch.setattr("mandorla_node.cli.handlers.home_checks.system_clock", lambda: now)
    ran = run("doctor", "--home", a.path)
    assert (ran.status, said in ran.out) == (status, True)
