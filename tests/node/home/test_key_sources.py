"""The secrets of a home are sealed under a key from elsewhere, and open with no other."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import tomlkit

from mandorla_node.config.settings import load_settings
from mandorla_node.home.folder import Home
from mandorla_node.home.key_kinds import SourceKind
from mandorla_node.home.key_sources import KeySource
from mandorla_node.home.rekey import rekey
from mandorla_node.home.sealed_secrets import PassphraseCost, unfinished_rekey
from mandorla_protocol.errors import Code, MandorlaError, NodeError
from tests.support.labs import serving
from tests.support.patience import PATIENCE
from tests.support.rekey_crashes import CHEAP

WORDS = "four quite ordinary words"
KINDS = list(SourceKind)


@pytest.fixture(autouse=True)
def _credentials(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of credentials, as systemd gives one to a unit."""
    (folder / "credentials").mkdir()
    (folder / "credentials" / "lab-key").write_text("5a" * 32 + "\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder / "credentials"))


def source(folder: Path, kind: SourceKind, number: int = 1) -> KeySource:
    match kind:
        case SourceKind.FILE:
            return KeySource(kind, folder / f"lab{number}.key")
        case SourceKind.CREDENTIAL:
            return KeySource(kind, name="lab-key")
        case SourceKind.PASSPHRASE:
            return KeySource(kind, passphrase_file(folder, WORDS * number, number))
        case _:
            return KeySource()


def passphrase_file(folder: Path, words: str, number: int = 1) -> Path:
    path = folder / f"words{number}"
    path.write_text(words + "\n")
    path.chmod(0o600)
    return path


def make(folder: Path, kind: SourceKind) -> Home:
    return Home.create(folder / "home", "lab-a", "127.0.0.1:7443", source=source(folder, kind), cost=CHEAP)


@pytest.fixture
def typed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The passphrase that a home is opened with, where its configuration names no file."""
    monkeypatch.setenv("MANDORLA_KEYS__PATH", str(passphrase_file(folder, WORDS)))


@contextmanager
def refused(code: Code, hint: str = "") -> Iterator[None]:
    with pytest.raises(MandorlaError) as caught:
        yield
    assert caught.value.code is code
    assert hint in caught.value.detail


def secrets_of(home: Home) -> list[bytes]:
    """Return what no file of a sealed home may hold, raw or written as text."""
    body = b"".join(home.tls_key.splitlines()[1:-1])
    # The 32 bytes of the scalar: what follows them is the public key.
    raw = [home.identity.private_bytes_raw(), home.vault._key, base64.b64decode(body)[36:68]]
    return [*raw, *(one.hex().encode() for one in raw), *(base64.b64encode(one) for one in raw), body[50:90]]


def assert_nothing_plain(home: Home) -> None:
    content = b"".join(path.read_bytes() for path in home.path.rglob("*") if path.is_file())
    assert not [secret for secret in secrets_of(home) if secret in content.replace(b"\n", b"")]
    assert not [secret for secret in secrets_of(home) if secret in content]


@pytest.mark.usefixtures("typed")
@pytest.mark.parametrize("kind", KINDS)
def test_a_home_opens_with_its_source_and_holds_nothing_plain(folder: Path, kind: SourceKind) -> None:
    made = make(folder, kind)
    if kind is not SourceKind.PASSPHRASE:
        del os.environ["MANDORLA_KEYS__PATH"]
    opened = Home.open(made.path)
    assert opened.card == made.card
    assert secrets_of(opened) == secrets_of(made)
    assert opened.key_source.kind is kind
    assert {path.stat().st_mode & 0o077 for path in made.path.rglob("*")} == {0}
    if kind is SourceKind.HOME:
        with pytest.raises(AssertionError):
            assert_nothing_plain(opened)
    else:
        assert_nothing_plain(opened)


@pytest.mark.parametrize("old", KINDS)
@pytest.mark.parametrize("new", KINDS)
def test_a_home_changes_its_source_and_keeps_what_was_sealed(
    folder: Path, old: SourceKind, new: SourceKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(folder, old)
    seed = made.vault.seal(b"seed")
    if old is SourceKind.PASSPHRASE:
        monkeypatch.setenv("MANDORLA_KEYS__PATH", str(folder / "words1"))
    rekey(made.path, source(folder, new, 2), CHEAP)
    monkeypatch.delenv("MANDORLA_KEYS__PATH", raising=False)
    if new is SourceKind.PASSPHRASE:
        if old is new:
            monkeypatch.setenv("MANDORLA_KEYS__PATH", str(folder / "words1"))
            with refused(Code.BAD_HOME, "passphrase"):
                Home.open(made.path)
        monkeypatch.setenv("MANDORLA_KEYS__PATH", str(folder / "words2"))
    opened = Home.open(made.path)
    assert secrets_of(opened) == secrets_of(made)
    assert opened.vault.open(seed) == b"seed"
    assert opened.key_source.kind is new
    assert unfinished_rekey(opened.path, opened.key_source) == []
    if new is not SourceKind.HOME:
        assert_nothing_plain(opened)
    closing(opened.open_store())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (SourceKind.HOME, SourceKind.FILE),
        (SourceKind.FILE, SourceKind.FILE),
        (SourceKind.FILE, SourceKind.HOME),
    ],
)
def test_a_rekey_that_dies_at_any_step_leaves_a_home_that_opens(
    folder: Path, old: SourceKind, new: SourceKind
) -> None:
    made = make(folder, old)
    following = source(folder, new, 2)
    if following.path:
        following.new_secret()
    arguments = [
        str(made.path),
        str(folder),
        following.kind,
        *([str(following.path)] if following.path else []),
    ]
    script = [sys.executable, "-m", "tests.support.rekey_crashes"]
    ran = subprocess.run([*script, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ran.returncode == 0, ran.stderr[-500:]
    states = [line.split() for line in ran.stdout.splitlines()]
    assert len({digest for _, digest in states}) == 1, "always the same secrets"
    order = [state for state, _ in states]
    assert len(order) > 8
    assert order[0] == "old"
    assert order == sorted(order, reverse=True), "from the old source to the new one, once"


def test_a_home_of_before_there_were_sources_opens_and_is_sealed_by_a_rekey(folder: Path) -> None:
    made = make(folder, SourceKind.HOME)
    config = made.path / "mandorla.toml"
    text = config.read_text()
    before, _, rest = text.partition("[keys]")
    config.write_text(before + "[" + rest.partition("\n[")[2])
    assert "keys" not in tomllib.loads(config.read_text())
    assert Home.open(made.path).card == made.card
    rekey(made.path, source(folder, SourceKind.FILE))
    assert_nothing_plain(Home.open(made.path))


@pytest.mark.parametrize("kind", [SourceKind.FILE, SourceKind.CREDENTIAL])
def test_another_key_opens_nothing(folder: Path, kind: SourceKind) -> None:
    made = make(folder, kind)
    path = folder / ("lab1.key" if kind is SourceKind.FILE else "credentials/lab-key")
    path.write_bytes(os.urandom(32))
    with refused(Code.BAD_HOME, "does not open"):
        Home.open(made.path)
    with refused(Code.BAD_HOME, "does not open"):
        rekey(made.path, KeySource())
    assert not (made.path / "identity.key").exists()


def test_another_passphrase_opens_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(folder, SourceKind.PASSPHRASE)
    for wrong in (WORDS.upper(), WORDS + " ", " " + WORDS, WORDS[:-1]):
        monkeypatch.setenv("MANDORLA_KEYS__PATH", str(passphrase_file(folder, wrong, 3)))
        with pytest.raises(NodeError) as caught:
            Home.open(made.path)
        assert caught.value.code is Code.BAD_HOME
        assert wrong.strip() not in caught.value.diagnostics()


def test_letters_composed_in_another_way_are_the_same_passphrase(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = passphrase_file(folder, "caf\u00e9 de l'op\u00e9ra")
    made = Home.create(
        folder / "home", "lab-a", "127.0.0.1:1", source=KeySource(SourceKind.PASSPHRASE, words), cost=CHEAP
    )
    monkeypatch.setenv("MANDORLA_KEYS__PATH", str(passphrase_file(folder, "cafe\u0301 de l'ope\u0301ra", 2)))
    assert Home.open(made.path).card == made.card


def test_a_key_file_that_others_can_read_is_refused(folder: Path) -> None:
    made = make(folder, SourceKind.FILE)
    (folder / "lab1.key").chmod(0o640)
    with refused(Code.BAD_HOME, "chmod"):
        Home.open(made.path)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33, b"zz" * 32, b"5a" * 31 + b"\n", b"5a" * 40])
def test_a_file_that_holds_no_key_is_refused(folder: Path, content: bytes) -> None:
    made = make(folder, SourceKind.FILE)
    (folder / "lab1.key").write_bytes(content)
    with refused(Code.BAD_HOME, "no key"):
        Home.open(made.path)


def test_a_key_may_be_written_in_hexadecimal_digits(folder: Path) -> None:
    made = make(folder, SourceKind.FILE)
    path = folder / "lab1.key"
    path.write_text(path.read_bytes().hex().upper() + "\n")
    assert Home.open(made.path).card == made.card


def test_a_credential_that_was_not_given_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(folder, SourceKind.CREDENTIAL)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with refused(Code.BAD_HOME, "LoadCredential=lab-key"):
        Home.open(made.path)


def test_a_credential_is_made_from_a_file_where_systemd_gave_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    given = KeySource(SourceKind.CREDENTIAL, folder / "later.key", "lab-key")
    made = Home.create(folder / "home", "lab-a", "127.0.0.1:1", source=given)
    assert "later.key" not in (made.path / "mandorla.toml").read_text()
    (folder / "credentials" / "lab-key").write_bytes((folder / "later.key").read_bytes())
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder / "credentials"))
    assert Home.open(made.path).card == made.card


@pytest.mark.parametrize(
    "bad",
    [
        KeySource(SourceKind.FILE),
        KeySource(SourceKind.FILE, Path("home/inside.key")),
        KeySource(SourceKind.CREDENTIAL),
        KeySource(SourceKind.CREDENTIAL, name="../../etc/shadow"),
        KeySource(SourceKind.HOME, Path("somewhere")),
    ],
    ids=str,
)
def test_a_source_that_is_none_makes_nothing(
    folder: Path, bad: KeySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with refused(Code.BAD_INPUT):
        Home.create(Path("home"), "lab-a", "127.0.0.1:1", source=bad)
    assert not (folder / "home").exists()


@pytest.mark.parametrize("words", ["short", "\u00e9" * 5])
def test_a_short_passphrase_makes_nothing(folder: Path, words: str) -> None:
    chosen = KeySource(SourceKind.PASSPHRASE, passphrase_file(folder, words))
    with refused(Code.BAD_INPUT, "12"):
        Home.create(folder / "home", "lab-a", "127.0.0.1:1", source=chosen)
    assert not (folder / "home").exists()


@pytest.mark.usefixtures("typed")
@pytest.mark.parametrize(
    "change",
    [
        {"passes": 17},
        {"passes": 0},
        {"memory": 1 << 31},
        {"memory": 4096},
        {"salt": "00"},
        {"kdf": "scrypt"},
        {"more": 1},
        {"sealed": "zz"},
        {"sealed": "00" * 800},
    ],
    ids=str,
)
def test_a_slot_that_asks_for_what_no_slot_may_is_refused(folder: Path, change: dict[str, object]) -> None:
    made = make(folder, SourceKind.PASSPHRASE)
    path = made.path / "keys.json"
    stored = json.loads(path.read_text())
    stored["slots"][0] |= change
    path.write_text(json.dumps(stored))
    with refused(Code.BAD_HOME, "not a file of keys"):
        Home.open(made.path)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[" * 5000, b"\xff", b'{"format": "mandorla home keys, version 3"}']
)
def test_a_file_of_keys_that_is_none_is_refused(folder: Path, content: bytes) -> None:
    made = make(folder, SourceKind.FILE)
    (made.path / "keys.json").write_bytes(content)
    with refused(Code.BAD_HOME, "not a file of keys"):
        Home.open(made.path)


def test_an_altered_seal_does_not_open(folder: Path) -> None:
    made = make(folder, SourceKind.FILE)
    path = made.path / "keys.json"
    stored = json.loads(path.read_text())
    sealed = bytearray.fromhex(stored["slots"][0]["sealed"])
    for position in (0, 30, len(sealed) - 1):
        sealed[position] ^= 1
        stored["slots"][0]["sealed"] = sealed.hex()
        path.write_text(json.dumps(stored))
        with refused(Code.BAD_HOME, "does not open"):
            Home.open(made.path)
        sealed[position] ^= 1


def test_the_keys_of_another_home_are_not_this_ones(folder: Path) -> None:
    key = source(folder, SourceKind.FILE)
    one, other = (Home.create(folder / name, "lab-a", "127.0.0.1:1", source=key) for name in ("one", "other"))
    (one.path / "keys.json").write_bytes((other.path / "keys.json").read_bytes())
    with refused(Code.BAD_HOME):
        Home.open(one.path)


def test_a_home_that_is_served_is_not_rekeyed(folder: Path) -> None:
    import asyncio

    made = make(folder, SourceKind.HOME)

    async def journey() -> None:
        async with serving(made):
            with refused(Code.BAD_HOME, "stop the node"):
                rekey(made.path, source(folder, SourceKind.FILE))

    asyncio.run(journey())


def test_a_configuration_that_cannot_be_edited_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(folder, SourceKind.HOME)
    config = made.path / "mandorla.toml"
    text = config.read_text()
    monkeypatch.setattr(tomlkit, "dumps", lambda _document: text)
    with refused(Code.BAD_CONFIG, "by hand"):
        rekey(made.path, source(folder, SourceKind.FILE))
    assert config.read_text() == text
    assert not (made.path / "keys.json").exists()


def test_a_rekey_keeps_what_the_operator_wrote(folder: Path) -> None:
    made = make(folder, SourceKind.HOME)
    config = made.path / "mandorla.toml"
    text = config.read_bytes().replace(b"[keys]\n", b"[keys]  # ours\r\noverlap = 7200 # two hours\r\n")
    config.write_bytes(text)
    rekey(made.path, source(folder, SourceKind.FILE))
    kept = config.read_bytes().replace(b'source = "file"', b'source = "home"').splitlines()
    assert [line for line in kept if not line.startswith(b"path")] == text.splitlines()


def test_a_file_without_its_path_is_a_wrong_configuration(folder: Path) -> None:
    made = make(folder, SourceKind.HOME)
    config = made.path / "mandorla.toml"
    config.write_text(config.read_text().replace('source = "home"', 'source = "file"'))
    with refused(Code.BAD_CONFIG, "keys"):
        load_settings(config)


def test_the_cost_of_a_passphrase_is_moderate_unless_said() -> None:
    assert PassphraseCost() == PassphraseCost(3, 256 << 20)
