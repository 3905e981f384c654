"""This lab's own cards, with the keys of their certificates, as they lie in its home.

The first card is in the home itself, each that followed in a folder of its own, named by its time of issue:
`cards/1800000000/`. A folder appears as a whole, so that a card is there with its key or not at all.
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

_FOLDER: Final = "cards"
_PLAIN: Final = b"-----BEGIN"


@dataclass(frozen=True, slots=True, repr=False)
class OwnCard:
    """A card of this lab, and the key and the certificate for TLS, as PEM."""

    card: Card
    tls_key: bytes
    tls_certificate: bytes


def newest_card(home: Path) -> Card:
    """Return the card to give to peers, without its key; raises NodeError(BAD_HOME)."""
    return _read_card(_folders(home)[0])


def read(home: Path, vault: Vault) -> list[OwnCard]:
    """Return the cards of a home, the newest first.

    Raises NodeError(BAD_HOME) if there is none, a part of one is missing or broken, or they do not fit.
    """
    return [_read(folder, vault) for folder in _folders(home)]


def add(home: Path, own: OwnCard, vault: Vault | None) -> None:
    """Put another card into the home; the key is sealed if there is a vault to seal it."""
    folder = home / _FOLDER / str(own.card.issued)
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
    """Write the files of a card into a folder that has none; the key is sealed if there is a vault."""
    files.write_new(folder / TLS_KEY, vault.seal(own.tls_key) if vault else own.tls_key)
    files.write_new(folder / TLS_CERTIFICATE, own.tls_certificate)
    files.write_new(folder / CARD, own.card.to_json().encode())


def remove(home: Path, card: Card) -> None:
    """Destroy a card's key, and take the card out of the home."""
    folder = home / _FOLDER / str(card.issued) if card.issued else home
    with suppress(OSError):
        files.destroy(folder / TLS_KEY)
        for name in (CARD, TLS_CERTIFICATE):
            (folder / name).unlink(missing_ok=True)
        if folder != home:
            folder.rmdir()


def seal_keys(home: Path, vault: Vault) -> None:
    """Seal the keys of all cards that lie in the home as plain files."""
    for folder in _folders(home):
        path = folder / TLS_KEY
        content = path.read_bytes()
        if content.startswith(_PLAIN):
            files.replace(path, vault.seal(content))


def plain_keys(home: Path) -> list[str]:
    """Name the keys of cards that lie in the home as plain files."""
    paths = [folder / TLS_KEY for folder in _folders(home)]
    return [str(path.relative_to(home)) for path in paths if path.read_bytes().startswith(_PLAIN)]


def _folders(home: Path) -> list[Path]:
    """Return the folders that hold cards, that of the newest first; raises NodeError(BAD_HOME) for none."""
    later = [path for path in (home / _FOLDER).glob("*") if path.name.isdecimal()]
    found = sorted(later, key=lambda path: int(path.name), reverse=True)
    # A card that has been followed for long enough is removed, its key first: then it is none any more.
    whole = [path for path in (*found, home) if (path / TLS_KEY).is_file() and (path / CARD).is_file()]
    if not whole:
        raise NodeError(Code.BAD_HOME, f"{home} has no {CARD} with its {TLS_KEY}")
    return whole


def _read_card(folder: Path) -> Card:
    try:
        card = Card.from_json((folder / CARD).read_text("utf-8"))
    except (OSError, ValueError, InputError) as error:
        raise NodeError(Code.BAD_HOME, f"{folder / CARD}: {type(error).__name__}") from None
    if card.issued and folder.name != str(card.issued):
        raise NodeError(Code.BAD_HOME, f"{folder / CARD} is another card than its folder says")
    return card


def _read(folder: Path, vault: Vault) -> OwnCard:
    card = _read_card(folder)
    try:
        key = (folder / TLS_KEY).read_bytes()
        certificate = (folder / TLS_CERTIFICATE).read_bytes()
        if not key.startswith(_PLAIN):
            key = vault.open(key)
        certificates.require_pair(key, certificate)
        der = certificates.der_from_pem(certificate)
    except (OSError, ValueError, TypeError) as error:
        what = f"{type(error).__name__} in the certificate's files"
        raise NodeError(Code.BAD_HOME, f"{folder}: {what}") from None
    if der != card.certificate:
        raise NodeError(Code.BAD_HOME, f"{folder / CARD} is not the card of {TLS_CERTIFICATE}")
    return OwnCard(card, key, certificate)
