"""This lab's own cards, with the keys of their certificates, in the files of its home.

The first card is in the home itself. Each later card is in a folder that its time of issue names:
`cards/1800000000/`. The folder appears in one step, so that a card never lacks its key.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mandorla_protocol.card import Card
from mandorla_protocol.errors import Code, InputError, NodeError

from ..core import files
from ..crypto import certificates
from ..crypto.vault import Vault

CARD: Final = "card.json"
TLS_KEY: Final = "tls.key"
TLS_CERTIFICATE: Final = "tls.crt"

_CARDS: Final = "cards"
_PEM_START: Final = b"-----BEGIN"


@dataclass(frozen=True, slots=True, repr=False)
class OwnCard:
    """A card of this lab, with the key and the certificate of TLS as PEM."""

    card: Card
    tls_key: bytes
    tls_certificate: bytes


def newest_card(home: Path) -> Card:
    """Return the card to give to peers, without its key; raises NodeError: BAD_HOME."""
    return _read_card(_card_folders(home)[0])


def read(home: Path, vault: Vault) -> list[OwnCard]:
    """Return the cards of a home, the newest first.

    Raises NodeError: BAD_HOME if there is no card, or a part of one is missing, malformed or of another card.
    """
    return [_read(folder, vault) for folder in _card_folders(home)]


def add(home: Path, own: OwnCard, vault: Vault | None) -> None:
    """Add a card to the home; a vault seals its key."""
    folder = home / _CARDS / str(own.card.issued)
    partial = folder.with_name(f".{folder.name}")
    try:
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        write(partial, own, vault)
        files.sync_folder(partial)
        partial.rename(folder)
        files.sync_folder(folder.parent)
        files.sync_folder(home)
    except OSError as error:
        raise NodeError(Code.BAD_HOME, f"{folder}: {os.strerror(error.errno or 0)}") from None


def write(folder: Path, own: OwnCard, vault: Vault | None) -> None:
    """Write the files of a card into a folder without a card; a vault seals its key."""
    files.write_new(folder / TLS_KEY, vault.seal(own.tls_key) if vault else own.tls_key)
    files.write_new(folder / TLS_CERTIFICATE, own.tls_certificate)
    files.write_new(folder / CARD, own.card.to_json().encode())


def remove(home: Path, card: Card) -> None:
    """Destroy a card's key, and remove the card from the home."""
    folder = home / _CARDS / str(card.issued) if card.issued else home
    with suppress(OSError):
        files.destroy(folder / TLS_KEY)
        for name in (CARD, TLS_CERTIFICATE):
            (folder / name).unlink(missing_ok=True)
        if folder != home:
            folder.rmdir()


def seal_keys(home: Path, vault: Vault) -> None:
    """Seal the keys of all cards whose keys are plain files."""
    for folder in _card_folders(home):
        path = folder / TLS_KEY
        content = path.read_bytes()
        if content.startswith(_PEM_START):
            files.replace(path, vault.seal(content))


def plain_keys(home: Path) -> list[str]:
    """Return the names of the keys of cards that are plain files, relative to the home."""
    paths = [folder / TLS_KEY for folder in _card_folders(home)]
    return [str(path.relative_to(home)) for path in paths if path.read_bytes().startswith(_PEM_START)]


def _card_folders(home: Path) -> list[Path]:
    """Return the folders that hold cards, newest first; raises NodeError: BAD_HOME if there is none."""
    later = [path for path in (home / _CARDS).glob("*") if path.name.isdecimal()]
    newest_first = sorted(later, key=lambda path: int(path.name), reverse=True)
    # `remove` destroys the key of a replaced card first. A card without its key is no card of this lab.
    complete = [
        path for path in (*newest_first, home) if (path / TLS_KEY).is_file() and (path / CARD).is_file()
    ]
    if not complete:
        raise NodeError(Code.BAD_HOME, f"{home} has no {CARD} with its {TLS_KEY}")
    return complete


def _read_card(folder: Path) -> Card:
    try:
        card = Card.from_json((folder / CARD).read_text("utf-8"))
    except (OSError, ValueError, InputError) as error:
        raise NodeError(Code.BAD_HOME, f"{folder / CARD}: {type(error).__name__}") from None
    if card.issued and folder.name != str(card.issued):
        raise NodeError(Code.BAD_HOME, f"{folder / CARD} was not issued at the time that its folder names")
    return card


def _read(folder: Path, vault: Vault) -> OwnCard:
    card = _read_card(folder)
    try:
        key = (folder / TLS_KEY).read_bytes()
        certificate = (folder / TLS_CERTIFICATE).read_bytes()
        if not key.startswith(_PEM_START):
            key = vault.open(key)
        certificates.require_pair(key, certificate)
        der = certificates.der_from_pem(certificate)
    except (OSError, ValueError, TypeError) as error:
        reason = f"{type(error).__name__} in the files of the certificate"
        raise NodeError(Code.BAD_HOME, f"{folder}: {reason}") from None
    if der != card.certificate:
        raise NodeError(Code.BAD_HOME, f"{folder / CARD} is not the card of {TLS_CERTIFICATE}")
    return OwnCard(card, key, certificate)
