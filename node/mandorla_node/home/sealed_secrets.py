"""The secrets of a home, as they lie on its disk: plain, or sealed under a key from elsewhere.

A home holds an identity key and a vault key; under the vault key, the store's seeds and the keys of TLS are
sealed. Where the configuration names a source, both are in `keys.json`, in slots: each is sealed under one
key, raw or from a passphrase by Argon2id. There is one slot, and two for as long as the source is changed.
Otherwise they are two plain files, as homes were made at first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from nacl import pwhash
from nacl.exceptions import CryptoError as NaclError
from nacl.utils import random
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mandorla_protocol.errors import Code, NodeError

from ..core import files
from ..crypto.vault import KEY_SIZE, Vault
from .key_kinds import SourceKind
from .key_sources import KeySource

SEALED: Final = "keys.json"
PLAIN: Final = ("identity.key", "store.key")
"""The identity key and the vault key of a home whose source is `home`."""

_FORMAT: Final = "mandorla home keys, version 2"
_MAX_FILE: Final = 65_536
_MIB: Final = 1 << 20

Hex = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{2}){1,400}$")]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a guess at a passphrase costs: passes of Argon2id, and bytes of memory."""

    passes: int = pwhash.argon2id.OPSLIMIT_MODERATE
    memory: int = pwhash.argon2id.MEMLIMIT_MODERATE


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """The 32 bytes of the identity key, and those of the vault key."""

    identity: bytes
    vault: bytes


class RawSlot(BaseModel):
    """The secrets, sealed under 32 random bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kdf: Literal["none"] = "none"
    sealed: Hex


class PassphraseSlot(BaseModel):
    """The secrets, sealed under a key that Argon2id makes of a passphrase. Memory is in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kdf: Literal["argon2id"] = "argon2id"
    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    passes: Annotated[int, Field(ge=1, le=16)]
    memory: Annotated[int, Field(ge=8 * _MIB, le=1024 * _MIB)]
    sealed: Hex


Slot: TypeAlias = Annotated[RawSlot | PassphraseSlot, Field(discriminator="kdf")]


class SealedFile(BaseModel):
    """What `keys.json` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["mandorla home keys, version 2"] = _FORMAT
    slots: Annotated[tuple[Slot, ...], Field(min_length=1, max_length=2)]

    def write(self, home: Path) -> None:
        """Put the file in its place."""
        files.replace(home / SEALED, (json.dumps(self.model_dump(), indent=2) + "\n").encode())


def seal(secrets: Secrets, source: KeySource, secret: bytes, cost: Cost) -> RawSlot | PassphraseSlot:
    """Seal the secrets under what a source gives."""
    both = secrets.identity + secrets.vault
    if source.kind is not SourceKind.PASSPHRASE:
        return RawSlot(sealed=Vault(secret).seal(both).hex())
    salt = random(pwhash.argon2id.SALTBYTES)
    key = _stretch(secret, salt, cost.passes, cost.memory)
    return PassphraseSlot(
        salt=salt.hex(), passes=cost.passes, memory=cost.memory, sealed=Vault(key).seal(both).hex()
    )


def read(home: Path, source: KeySource) -> tuple[Secrets, RawSlot | PassphraseSlot | None]:
    """Return a home's secrets, and the slot that gave them.

    Raises NodeError(BAD_HOME): a file is missing or broken, the key is not to be had, or is another one.
    """
    if source.kind is SourceKind.HOME:
        identity, vault = (_plain(home / name) for name in PLAIN)
        return Secrets(identity, vault), None
    stored = read_file(home)
    secret = source.secret()
    for slot in stored.slots:
        if isinstance(slot, PassphraseSlot) != (source.kind is SourceKind.PASSPHRASE):
            continue
        if isinstance(slot, PassphraseSlot):
            key = _stretch(secret, bytes.fromhex(slot.salt), slot.passes, slot.memory)
        else:
            key = secret
        try:
            both = Vault(key).open(bytes.fromhex(slot.sealed))
        except NodeError:
            continue
        if len(both) == 2 * KEY_SIZE:
            return Secrets(both[:KEY_SIZE], both[KEY_SIZE:]), slot
    what = "passphrase" if source.kind is SourceKind.PASSPHRASE else "key"
    raise NodeError(Code.BAD_HOME, f"this {what} does not open the home's keys")


def read_file(home: Path) -> SealedFile:
    """Return what `keys.json` holds; raises NodeError(BAD_HOME)."""
    try:
        with (home / SEALED).open("rb") as file:
            return SealedFile.model_validate_json(file.read(_MAX_FILE), strict=False)
    except OSError as error:
        raise NodeError(Code.BAD_HOME, f"{home / SEALED}: {error.strerror}") from None
    except ValidationError:
        what = "not a file of keys that this version of mandorla reads"
        raise NodeError(Code.BAD_HOME, f"{home / SEALED} is {what}") from None


def write_plain(home: Path, secrets: Secrets) -> None:
    """Put the secrets into the home as plain files."""
    for name, content in zip(PLAIN, (secrets.identity, secrets.vault), strict=True):
        files.replace(home / name, content)


def leftovers(home: Path, source: KeySource) -> list[str]:
    """Name the files that a change of source which did not end has left: the source does not need them."""
    unneeded = (SEALED,) if source.kind is SourceKind.HOME else PLAIN
    left = [name for name in unneeded if (home / name).exists()]
    if source.kind is not SourceKind.HOME and len(read_file(home).slots) > 1:
        left.append(f"the former key's slot in {SEALED}")
    return left


def _plain(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(KEY_SIZE + 1)
    except OSError as error:
        raise NodeError(Code.BAD_HOME, f"{path}: {error.strerror}") from None
    if len(content) != KEY_SIZE:
        raise NodeError(Code.BAD_HOME, f"{path} has not the {KEY_SIZE} bytes of a key")
    return content


def _stretch(passphrase: bytes, salt: bytes, passes: int, memory: int) -> bytes:
    try:
        return pwhash.argon2id.kdf(KEY_SIZE, passphrase, salt, opslimit=passes, memlimit=memory)
    except (NaclError, MemoryError):
        what = f"{memory // _MIB} MiB of memory are needed to take a passphrase, and are not there"
        raise NodeError(Code.BAD_HOME, what) from None
