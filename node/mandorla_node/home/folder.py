"""A node's home: the folder of its keys, cards, configuration, store and operator's socket."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mandorla_protocol.card import Card, issue_card, require_endpoint, require_name
from mandorla_protocol.errors import Code, NodeError
from mandorla_protocol.signatures import lab_id

from ..config.settings import Settings, load_settings
from ..core import files
from ..core.clock import Clock, system_clock
from ..crypto import certificates
from ..crypto.vault import LockedVault, Vault, new_key
from . import own_cards, sealed_secrets
from .key_kinds import SourceKind
from .key_sources import KeySource
from .own_cards import OwnCard
from .sealed_secrets import PassphraseCost, SealedFile, Secrets

if TYPE_CHECKING:
    from ..store import Store

CONFIG = "mandorla.toml"
STORE = "mandorla.db"
SOCKET = "operator.sock"
_MAX_SOCKET_PATH = 107
_PLAIN_KEYS = KeySource()


@dataclass(frozen=True)
class HomeFolder:
    """A home whose keys are not read: enough to ask a running node, and to pin peers."""

    path: Path
    settings: Settings

    @property
    def key_source(self) -> KeySource:
        """The source of the key that seals this home's secrets."""
        return KeySource.from_settings(self.settings.keys, self.path)

    @property
    def operator_socket(self) -> Path:
        """The running node's Unix socket for its operator; raises NodeError: BAD_HOME for a long path."""
        socket = (self.path / SOCKET).absolute()
        if len(os.fsencode(socket)) > _MAX_SOCKET_PATH:
            raise NodeError(Code.BAD_HOME, f"{socket} is too long for a socket; choose a shorter home")
        return socket

    def read_card(self) -> Card:
        """Return the card to give to peers; raises NodeError: BAD_HOME."""
        return own_cards.newest_card(self.path)

    def open_store(self, clock: Clock = system_clock, alone: bool = False) -> Store:
        """Open the store without the key of its sealed values, and migrate its schema.

        `alone` locks a PostgreSQL store against other nodes; a node that serves sets it.
        """
        return self._store(LockedVault(), clock, alone)

    def _store(self, vault: Vault, clock: Clock, alone: bool = False) -> Store:
        # The database's modules load for half a second, and commands that ask a running node need none.
        from ..store import Store  # noqa: PLC0415

        url = self.settings.store.url.get_secret_value()
        return Store.open(self.path / STORE, vault, clock, url, alone)


@dataclass(frozen=True)
class Home(HomeFolder):
    """An opened home. `cards` are this lab's own, newest first."""

    identity: Ed25519PrivateKey
    vault: Vault
    cards: tuple[OwnCard, ...]

    @property
    def card(self) -> Card:
        """The newest card at the time when the home was opened."""
        return self.cards[0].card

    @property
    def tls_key(self) -> bytes:
        """The key of the certificate in `card`, as PEM."""
        return self.cards[0].tls_key

    @property
    def tls_certificate(self) -> bytes:
        """The certificate in `card`, as PEM."""
        return self.cards[0].tls_certificate

    @classmethod
    def create(
        cls,
        path: Path,
        lab: str,
        listen: str,
        endpoint: str | None = None,
        source: KeySource = _PLAIN_KEYS,
        cost: PassphraseCost | None = None,
    ) -> Home:
        """Make a home with new keys, which only its owner can read.

        With a source other than `home`, no key is ever written in the clear. `cost` is the cost of a
        passphrase.

        Raises InputError: BAD_CARD for an invalid name or address; BAD_INPUT for an unusable source or
        passphrase. Raises NodeError: BAD_HOME if the folder is not empty, or the source has no key.
        """
        require_name(lab)
        require_endpoint(listen)
        require_endpoint(endpoint or listen)
        source.require_usable(path)
        try:
            if path.exists() and any(path.iterdir()):
                raise NodeError(Code.BAD_HOME, f"{path} is not empty")
            secret = None if source.kind is SourceKind.HOME else source.new_secret()
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            identity, vault_key = Ed25519PrivateKey.generate(), new_key()
            secrets = Secrets(identity.private_bytes_raw(), vault_key)
            if secret is None:
                sealed_secrets.write_plain(path, secrets)
            else:
                SealedFile(
                    slots=(sealed_secrets.seal(secrets, source, secret, cost or PassphraseCost()),)
                ).write(path)
            tls_key, tls_certificate = certificates.issue_certificate(
                lab_id(identity), datetime.fromtimestamp(system_clock(), UTC)
            )
            card = issue_card(
                identity,
                lab,
                certificates.der_from_pem(tls_certificate),
                endpoint or listen,
                f"mandorla.invalid/{lab}/{lab_id(identity).hex()[:16]}",
            )
            vault = Vault(vault_key)
            own = OwnCard(card, tls_key, tls_certificate)
            own_cards.write(path, own, vault if secret else None)
            # Other commands write no TOML, so they need not load its library.
            from ..config.default_file import initial_toml  # noqa: PLC0415

            text = initial_toml(lab, listen, endpoint or listen, source.to_settings())
            files.write_new(path / CONFIG, text.encode())
        except OSError as error:
            raise NodeError(Code.BAD_HOME, f"{path}: {error.strerror}") from None
        home = cls(path, load_settings(path / CONFIG), identity, vault, (own,))
        home.open_store().close()
        return home

    @classmethod
    def locate(cls, path: Path) -> HomeFolder:
        """Return the home in a folder without reading its keys.

        Raises NodeError: BAD_HOME if the folder is no home; BAD_CONFIG for an invalid configuration.
        """
        if not (path / CONFIG).is_file():
            raise NodeError(
                Code.BAD_HOME, f"{path} is not a home; `mandorla init {path} --lab NAME` makes one"
            )
        return HomeFolder(path, load_settings(path / CONFIG))

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a home. This asks for the passphrase at the terminal if the configuration says so.

        Raises NodeError: BAD_HOME if a file is missing or malformed, or the key is not the home's; BAD_CONFIG
        for an invalid configuration.
        """
        located = cls.locate(path)
        secrets, _ = sealed_secrets.read(path, located.key_source)
        identity, vault = Ed25519PrivateKey.from_private_bytes(secrets.identity), Vault(secrets.vault)
        cards = tuple(own_cards.read(path, vault))
        if any(own.card.identity != lab_id(identity) for own in cards):
            raise NodeError(Code.BAD_HOME, f"{path} holds a card of another identity")
        return cls(path, located.settings, identity, vault, cards)

    def open_store(self, clock: Clock = system_clock, alone: bool = False) -> Store:
        """Open the store with the key of its sealed values, and migrate its schema."""
        return self._store(self.vault, clock, alone)
