"""A node's home: the folder that holds its keys, card, configuration, store and socket."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mandorla_protocol.card import Card, issue_card, require_endpoint, require_name
from mandorla_protocol.errors import Code, InputError, NodeError
from mandorla_protocol.signatures import lab_id

from . import certificates
from .clock import Clock, system_clock
from .settings import Settings, initial_toml, load_settings
from .vault import Vault, new_key

if TYPE_CHECKING:
    from .store import Store

_CONFIG = "mandorla.toml"
_IDENTITY = "identity.key"
_VAULT = "store.key"
_TLS_KEY = "tls.key"
_TLS_CERTIFICATE = "tls.crt"
_CARD = "card.json"
_STORE = "mandorla.db"
_SOCKET = "operator.sock"
_MAX_SOCKET_PATH = 107


@dataclass(frozen=True)
class Home:
    """An opened home."""

    path: Path
    settings: Settings
    card: Card
    identity: Ed25519PrivateKey
    tls_key: bytes
    tls_certificate: bytes
    vault: Vault

    @classmethod
    def create(cls, path: Path, lab: str, listen: str, endpoint: str | None = None) -> Home:
        """Make a home with new keys, for its owner's eyes only.

        Raises InputError(BAD_CARD) for a bad name or address, NodeError(BAD_HOME) if something is there.
        """
        require_name(lab)
        require_endpoint(listen)
        require_endpoint(endpoint or listen)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise NodeError(Code.BAD_HOME, f"{path} is not empty")
            path.chmod(0o700)
            identity = Ed25519PrivateKey.generate()
            tls_key, tls_certificate = certificates.issue_certificate(lab_id(identity), datetime.now(UTC))
            card = issue_card(
                identity,
                lab,
                certificates.der_from_pem(tls_certificate),
                endpoint or listen,
                f"mandorla.invalid/{lab}/{lab_id(identity).hex()[:16]}",
            )
            _write(path / _IDENTITY, identity.private_bytes_raw())
            _write(path / _VAULT, new_key())
            _write(path / _TLS_KEY, tls_key)
            _write(path / _TLS_CERTIFICATE, tls_certificate)
            _write(path / _CARD, card.to_json().encode())
            _write(path / _CONFIG, initial_toml(lab, listen, endpoint or listen).encode())
        except OSError as error:
            raise NodeError(Code.BAD_HOME, f"{path}: {error.strerror}") from None
        home = cls.open(path)
        home.open_store().close()
        return home

    @classmethod
    def open(cls, path: Path) -> Home:
        """Open a home.

        Raises NodeError: BAD_HOME if a file is missing or broken, BAD_CONFIG for a wrong configuration.
        """
        if not (path / _CONFIG).is_file():
            raise NodeError(
                Code.BAD_HOME, f"{path} is not a home; `mandorla init {path} --lab NAME` makes one"
            )
        settings = load_settings(path / _CONFIG)
        try:
            home = cls(
                path=path,
                settings=settings,
                card=Card.from_json((path / _CARD).read_text("utf-8")),
                identity=Ed25519PrivateKey.from_private_bytes((path / _IDENTITY).read_bytes()),
                tls_key=(path / _TLS_KEY).read_bytes(),
                tls_certificate=(path / _TLS_CERTIFICATE).read_bytes(),
                vault=Vault((path / _VAULT).read_bytes()),
            )
            certificates.require_pair(home.tls_key, home.tls_certificate)
            certificate_hash = hashlib.sha256(certificates.der_from_pem(home.tls_certificate)).digest()
        except (OSError, ValueError, TypeError, InputError) as error:
            raise NodeError(Code.BAD_HOME, f"{path}: {type(error).__name__} in a file of the home") from None
        if (lab_id(home.identity), certificate_hash) != (home.card.identity, home.card.certificate_hash):
            raise NodeError(
                Code.BAD_HOME, f"{path / _CARD} is not the card of {_IDENTITY} and {_TLS_CERTIFICATE}"
            )
        return home

    @property
    def operator_socket(self) -> Path:
        """The Unix socket on which the running node answers its operator."""
        socket = (self.path / _SOCKET).absolute()
        if len(os.fsencode(socket)) > _MAX_SOCKET_PATH:
            raise NodeError(Code.BAD_HOME, f"{socket} is too long for a socket; choose a shorter home")
        return socket

    def open_store(self, clock: Clock = system_clock) -> Store:
        """Open the store, and bring its schema up to date."""
        # The database takes half a second to load, and commands that ask a running node do without.
        from .store import Store  # noqa: PLC0415

        return Store.open(self.path / _STORE, self.vault, clock)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
