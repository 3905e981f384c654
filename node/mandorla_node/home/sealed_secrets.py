"""The secrets of a home on its disk: plain, or sealed under the key of a source outside the home.

A home has two secrets: the identity key, and the vault key, which seals the store's seeds and the TLS keys.
With the source `home`, both are plain files. With any other source, both are in `keys.json`, in slots. A slot
holds both secrets, sealed under one key: 32 random bytes, or a key that Argon2id derives from a passphrase.
There is one slot, and a second one during a change of the source.
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
class PassphraseCost:
    """The cost of one guess at a passphrase: passes of Argon2id, and bytes of memory."""

    passes: int = pwhash.argon2id.OPSLIMIT_MODERATE
    memory: int = pwhash.argon2id.MEMLIMIT_MODERATE


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """The identity key and the vault key, 32 bytes each."""

    identity: bytes
    vault: bytes


class RawSlot(BaseModel):
    """The secrets, sealed under a key of 32 random bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kdf: Literal["none"] = "none"
    sealed: Hex


class PassphraseSlot(BaseModel):
    """The secrets, sealed under a key that Argon2id derives from a passphrase. `memory` is in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kdf: Literal["argon2id"] = "argon2id"
    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    passes: Annotated[int, Field(ge=1, le=16)]
    memory: Annotated[int, Field(ge=8 * _MIB, le=1024 * _MIB)]
    sealed: Hex


Slot: TypeAlias = Annotated[RawSlot | PassphraseSlot, Field(discriminator="kdf")]


class SealedFile(BaseModel):
    """The content of `keys.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["mandorla home keys, version 2"] = _FORMAT
    slots: Annotated[tuple[Slot, ...], Field(min_length=1, max_length=2)]

    def write(self, home: Path) -> None:
        """Write the file, in place of the former one."""
        files.replace(home / SEALED, (json.dumps(self.model_dump(), indent=2) + "\n").encode())


def seal(
    secrets: Secrets, source: KeySource, secret: bytes, cost: PassphraseCost
) -> RawSlot | PassphraseSlot:
    """Seal the secrets under the key or the passphrase of a source."""
    plaintext = secrets.identity + secrets.vault
    if source.kind is not SourceKind.PASSPHRASE:
        return RawSlot(sealed=Vault(secret).seal(plaintext).hex())
    salt = random(pwhash.argon2id.SALTBYTES)
    key = _derive_key(secret, salt, cost.passes, cost.memory)
    return PassphraseSlot(
        salt=salt.hex(), passes=cost.passes, memory=cost.memory, sealed=Vault(key).seal(plaintext).hex()
    )


def read(home: Path, source: KeySource) -> tuple[Secrets, RawSlot | PassphraseSlot | None]:
    """Return a home's secrets, and the slot that they come from; None for plain files.

    Raises NodeError: BAD_HOME if a file is missing or malformed, or the key is missing or is another one.
    """
    if source.kind is SourceKind.HOME:
        identity, vault = (_read_plain(home / name) for name in PLAIN)
        return Secrets(identity, vault), None
    stored = read_file(home)
    secret = source.secret()
    for slot in stored.slots:
        if isinstance(slot, PassphraseSlot) != (source.kind is SourceKind.PASSPHRASE):
            continue
        if isinstance(slot, PassphraseSlot):
            key = _derive_key(secret, bytes.fromhex(slot.salt), slot.passes, slot.memory)
        else:
            key = secret
        try:
            plaintext = Vault(key).open(bytes.fromhex(slot.sealed))
        except NodeError:
            continue
        if len(plaintext) == 2 * KEY_SIZE:
            return Secrets(plaintext[:KEY_SIZE], plaintext[KEY_SIZE:]), slot
    secret_name = "passphrase" if source.kind is SourceKind.PASSPHRASE else "key"
    raise NodeError(Code.BAD_HOME, f"this {secret_name} does not open the home's keys")


def read_file(home: Path) -> SealedFile:
    """Return the content of `keys.json`; raises NodeError: BAD_HOME."""
    try:
        with (home / SEALED).open("rb") as file:
            return SealedFile.model_validate_json(file.read(_MAX_FILE), strict=False)
    except OSError as error:
        raise NodeError(Code.BAD_HOME, f"{home / SEALED}: {error.strerror}") from None
    except ValidationError:
        reason = "not a file of keys that this version of mandorla reads"
        raise NodeError(Code.BAD_HOME, f"{home / SEALED} is {reason}") from None


def write_plain(home: Path, secrets: Secrets) -> None:
    """Write the secrets into the home as plain files."""
    for name, content in zip(PLAIN, (secrets.identity, secrets.vault), strict=True):
        files.replace(home / name, content)


def unfinished_rekey(home: Path, source: KeySource) -> list[str]:
    """Return the names of what an interrupted rekey left: files and slots that the source does not need."""
    unneeded = (SEALED,) if source.kind is SourceKind.HOME else PLAIN
    remains = [name for name in unneeded if (home / name).exists()]
    if source.kind is not SourceKind.HOME and len(read_file(home).slots) > 1:
        remains.append(f"the former key's slot in {SEALED}")
    return remains


def _read_plain(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(KEY_SIZE + 1)
    except OSError as error:
        raise NodeError(Code.BAD_HOME, f"{path}: {error.strerror}") from None
    if len(content) != KEY_SIZE:
        raise NodeError(Code.BAD_HOME, f"{path} is not a key of {KEY_SIZE} bytes")
    return content


def _derive_key(passphrase: bytes, salt: bytes, passes: int, memory: int) -> bytes:
    try:
        return pwhash.argon2id.kdf(KEY_SIZE, passphrase, salt, opslimit=passes, memlimit=memory)
    except (NaclError, MemoryError):
        reason = f"the passphrase needs {memory // _MIB} MiB of memory, and there is less"
        raise NodeError(Code.BAD_HOME, reason) from None
