"""The sources of the key that seals a home's secrets: a passphrase, a key file, a systemd credential.

Keys and passphrases stay in this process's memory, and Python does not erase memory that it frees. Copies are
few and go out of scope at once; but an attacker who reads a node's memory or its swap space has its keys.
"""

from __future__ import annotations

import getpass
import os
import re
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mandorla_protocol.errors import Code, InputError, NodeError

from ..config.home_settings import KeySettings
from ..crypto.vault import KEY_SIZE, new_key
from .key_kinds import SourceKind

MIN_PASSPHRASE: Final = 12
MAX_PASSPHRASE: Final = 1024

_CREDENTIALS_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_GROUP_AND_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class KeySource:
    """The source of a home's key. `path` is of a file; `name` is of a systemd credential."""

    kind: SourceKind = SourceKind.HOME
    path: Path | None = None
    name: str = ""

    @classmethod
    def from_settings(cls, settings: KeySettings, home: Path) -> KeySource:
        """Return the source that a home's configuration names; paths are relative to the home."""
        path = None if settings.path is None else home / settings.path
        return cls(SourceKind(settings.source), path, settings.name or "")

    def to_settings(self) -> dict[str, str | None]:
        """Return the values of [keys] that name this source.

        They omit the file of a passphrase: it can be a descriptor that only one command has.
        """
        path = str(self.path) if self.kind is SourceKind.FILE else None
        name = self.name if self.kind is SourceKind.CREDENTIAL else None
        return {"source": self.kind.value, "path": path, "name": name}

    def require_usable(self, home: Path) -> None:
        """Raise InputError: BAD_INPUT unless this can be a home's source."""
        match self.kind:
            case SourceKind.FILE if self.path is None:
                raise InputError(Code.BAD_INPUT, "a key file needs its path")
            case SourceKind.CREDENTIAL if not _NAME.fullmatch(self.name):
                raise InputError(Code.BAD_INPUT, "a credential needs a name: letters, digits, _ . and -")
            case SourceKind.HOME if self.path is not None or self.name:
                raise InputError(Code.BAD_INPUT, "keys in the home have no path and no name")
            case SourceKind.FILE | SourceKind.CREDENTIAL if self.path and _is_inside(self.path, home):
                raise InputError(
                    Code.BAD_INPUT, "a key inside the home protects nothing: choose another path"
                )
            case _:
                pass

    def secret(self) -> bytes:
        """Return the key, or the encoded passphrase.

        Raises NodeError: BAD_HOME if it is missing or malformed, or if other users can read its file.
        """
        match self.kind:
            case SourceKind.FILE if self.path is not None:
                return _decode_key(_read(self.path), self.path)
            case SourceKind.CREDENTIAL:
                path = _credential_path(self.name)
                # systemd decides who can read a credential, and can show that as a mode for a group.
                return _decode_key(_read(path, private=False), path)
            case SourceKind.PASSPHRASE if self.path is not None:
                return _read_passphrase(self.path)
            case SourceKind.PASSPHRASE:
                return _encode_passphrase(_ask_at_terminal("Passphrase of this home: "))
            case _:
                raise NodeError(Code.INTERNAL, "this source has no secret")

    def new_secret(self) -> bytes:
        """Read or make the key or the passphrase that will seal a home.

        A missing key file is made, with 32 random bytes. A passphrase is asked for twice. For a credential,
        the file at `path` is read if there is a path; systemd has to load the credential from then on.

        Raises NodeError: BAD_HOME as `secret` does. Raises InputError: BAD_INPUT for a passphrase that is too
        short.
        """
        match self.kind:
            case SourceKind.FILE | SourceKind.CREDENTIAL if self.path is not None:
                _make_key_file(self.path)
                return _decode_key(_read(self.path), self.path)
            case SourceKind.PASSPHRASE:
                chosen = (
                    self.secret() if self.path else _encode_passphrase(_ask_at_terminal("New passphrase: "))
                )
                if len(chosen) < MIN_PASSPHRASE:
                    raise InputError(
                        Code.BAD_INPUT,
                        f"a passphrase has at least {MIN_PASSPHRASE} bytes; take several words",
                    )
                if (
                    self.path is None
                    and _encode_passphrase(_ask_at_terminal("The same passphrase again: ")) != chosen
                ):
                    raise InputError(Code.BAD_INPUT, "the two passphrases differ")
                return chosen
            case _:
                return self.secret()


def _is_inside(path: Path, home: Path) -> bool:
    return path.resolve().is_relative_to(home.resolve())


def _credential_path(name: str) -> Path:
    folder = os.environ.get(_CREDENTIALS_VARIABLE)
    if not folder:
        raise NodeError(
            Code.BAD_HOME,
            f"the home's key is the systemd credential {name}, and this process was given none: "
            f"LoadCredential={name}:PATH in the unit",
        )
    if not _NAME.fullmatch(name):
        raise NodeError(Code.BAD_HOME, "a credential cannot have that name")
    return Path(folder) / name


def _read(path: Path, private: bool = True) -> bytes:
    """Read a small file or descriptor; a file has to be private to its owner: this user or root."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if private and stat.S_ISREG(status.st_mode):
                if status.st_mode & _GROUP_AND_OTHERS:
                    raise NodeError(Code.BAD_HOME, f"other users can reach {path}; chmod go= it")
                if status.st_uid not in (os.geteuid(), 0):
                    raise NodeError(Code.BAD_HOME, f"{path} belongs to another user")
            return file.read(MAX_PASSPHRASE + 3)
    except OSError as error:
        raise NodeError(Code.BAD_HOME, f"the home's key: {path}: {error.strerror}") from None


def _decode_key(content: bytes, path: Path) -> bytes:
    """Decode a key: 32 bytes, or 64 hexadecimal digits and an optional end of line."""
    if len(content) == KEY_SIZE:
        return content
    digits = content.removesuffix(b"\n").removesuffix(b"\r")
    if re.fullmatch(rb"[0-9A-Fa-f]{64}", digits):
        return bytes.fromhex(digits.decode("ascii"))
    raise NodeError(Code.BAD_HOME, f"{path} holds no key: 32 bytes, or 64 hexadecimal digits")


def _make_key_file(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise NodeError(Code.BAD_HOME, f"the home's key: {path}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(new_key())
        file.flush()
        os.fsync(descriptor)


def _read_passphrase(path: Path) -> bytes:
    content = _read(path).removesuffix(b"\n").removesuffix(b"\r")
    try:
        return _encode_passphrase(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise NodeError(Code.BAD_HOME, f"{path} holds no passphrase: it is not UTF-8") from None


def _encode_passphrase(passphrase: str) -> bytes:
    """Encode a passphrase, normalised: keyboards compose the same letter of different code points."""
    encoded = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape")
    if not 0 < len(encoded) <= MAX_PASSPHRASE:
        raise NodeError(Code.BAD_HOME, f"a passphrase has 1 to {MAX_PASSPHRASE} bytes")
    return encoded


def _ask_at_terminal(prompt: str) -> str:
    """Ask at the terminal, wherever standard input comes from."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
        return getpass.getpass(prompt)
    except OSError:
        raise NodeError(
            Code.BAD_HOME,
            "the home's passphrase needs a terminal, and there is none: let MANDORLA_KEYS__PATH name a file "
            "or a descriptor that holds the passphrase (/dev/fd/3), or use a key file or a credential",
        ) from None
    except EOFError:
        raise NodeError(Code.BAD_HOME, "no passphrase was given") from None
