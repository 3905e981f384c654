"""Where the key comes from that seals a home's secrets: a passphrase, a key file, a systemd credential.

What is read here lives in this process's memory, and Python does not erase what it frees. Copies are few and
go out of scope at once; but whoever reads a node's memory, or what was swapped out of it, has its keys.
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

_CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a home's key comes from. `path` is a file; `name` is a systemd credential's."""

    kind: SourceKind = SourceKind.HOME
    path: Path | None = None
    name: str = ""

    @classmethod
    def configured(cls, settings: KeySettings, home: Path) -> KeySource:
        """Return what a home's configuration names; paths are relative to the home."""
        path = None if settings.path is None else home / settings.path
        return cls(SourceKind(settings.source), path, settings.name or "")

    def values(self) -> dict[str, str | None]:
        """Return what the configuration says of this source.

        The file that a passphrase was read from once is not among it.
        """
        path = str(self.path) if self.kind is SourceKind.FILE else None
        name = self.name if self.kind is SourceKind.CREDENTIAL else None
        return {"source": self.kind.value, "path": path, "name": name}

    def require_usable(self, home: Path) -> None:
        """Raise InputError(BAD_INPUT) unless this can be a home's source."""
        match self.kind:
            case SourceKind.FILE if self.path is None:
                raise InputError(Code.BAD_INPUT, "a key file needs its path")
            case SourceKind.CREDENTIAL if not _NAME.fullmatch(self.name):
                raise InputError(Code.BAD_INPUT, "a credential needs a name: letters, digits, _ . and -")
            case SourceKind.HOME if self.path is not None or self.name:
                raise InputError(Code.BAD_INPUT, "keys in the home have no path and no name")
            case SourceKind.FILE | SourceKind.CREDENTIAL if self.path and _inside(self.path, home):
                raise InputError(
                    Code.BAD_INPUT, "a key inside the home protects nothing: choose another path"
                )
            case _:
                pass

    def secret(self) -> bytes:
        """Read the key, or the passphrase.

        Raises NodeError(BAD_HOME) if it is not there, is not one, or others can read its file.
        """
        match self.kind:
            case SourceKind.FILE if self.path is not None:
                return _key(_read(self.path), self.path)
            case SourceKind.CREDENTIAL:
                path = _credential(self.name)
                # Who may read a credential is systemd's to say, which may show it as a mode for a group.
                return _key(_read(path, private=False), path)
            case SourceKind.PASSPHRASE if self.path is not None:
                return _passphrase_from(self.path)
            case SourceKind.PASSPHRASE:
                return _normal(_ask("Passphrase of this home: "))
            case _:
                raise NodeError(Code.INTERNAL, "this source has no secret")

    def new_secret(self) -> bytes:
        """Read or make what will seal a home.

        A key file that is not there is made, with 32 random bytes; a passphrase is asked for twice; for a
        credential, the file at `path` is read if there is one named: systemd has to load it from then on.

        Raises NodeError(BAD_HOME) as `secret` does, InputError(BAD_INPUT) for a passphrase that will not do.
        """
        match self.kind:
            case SourceKind.FILE | SourceKind.CREDENTIAL if self.path is not None:
                _make_key_file(self.path)
                return _key(_read(self.path), self.path)
            case SourceKind.PASSPHRASE:
                chosen = self.secret() if self.path else _normal(_ask("New passphrase: "))
                if len(chosen) < MIN_PASSPHRASE:
                    raise InputError(
                        Code.BAD_INPUT,
                        f"a passphrase has at least {MIN_PASSPHRASE} bytes; several words do well",
                    )
                if self.path is None and _normal(_ask("The same again: ")) != chosen:
                    raise InputError(Code.BAD_INPUT, "the two passphrases differ")
                return chosen
            case _:
                return self.secret()


def _inside(path: Path, home: Path) -> bool:
    return path.resolve().is_relative_to(home.resolve())


def _credential(name: str) -> Path:
    folder = os.environ.get(_CREDENTIALS)
    if not folder:
        raise NodeError(
            Code.BAD_HOME,
            f"the home's key is the systemd credential {name}, and this process was given none: "
            f"LoadCredential={name}:PATH in the unit",
        )
    if not _NAME.fullmatch(name):
        raise NodeError(Code.BAD_HOME, "no credential has that name")
    return Path(folder) / name


def _read(path: Path, private: bool = True) -> bytes:
    """Read a small file or descriptor; a file has to be its owner's only, and the owner this user or root."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if private and stat.S_ISREG(status.st_mode):
                if status.st_mode & _OTHERS:
                    raise NodeError(Code.BAD_HOME, f"others can reach {path}; chmod go= it")
                if status.st_uid not in (os.geteuid(), 0):
                    raise NodeError(Code.BAD_HOME, f"{path} is another user's")
            return file.read(MAX_PASSPHRASE + 3)
    except OSError as error:
        raise NodeError(Code.BAD_HOME, f"the home's key: {path}: {error.strerror}") from None


def _key(content: bytes, path: Path) -> bytes:
    """Read a key: 32 bytes, or their 64 hexadecimal digits and perhaps an end of line."""
    if len(content) == KEY_SIZE:
        return content
    written = content.removesuffix(b"\n").removesuffix(b"\r")
    if re.fullmatch(rb"[0-9A-Fa-f]{64}", written):
        return bytes.fromhex(written.decode("ascii"))
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


def _passphrase_from(path: Path) -> bytes:
    content = _read(path).removesuffix(b"\n").removesuffix(b"\r")
    try:
        return _normal(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise NodeError(Code.BAD_HOME, f"{path} holds no passphrase: it is not UTF-8") from None


def _normal(passphrase: str) -> bytes:
    """Encode a passphrase so that keyboards which compose letters in other ways write the same."""
    encoded = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape")
    if not 0 < len(encoded) <= MAX_PASSPHRASE:
        raise NodeError(Code.BAD_HOME, f"a passphrase has 1 to {MAX_PASSPHRASE} bytes")
    return encoded


def _ask(prompt: str) -> str:
    """Ask at the terminal, whatever standard input is."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
        return getpass.getpass(prompt)
    except OSError:
        raise NodeError(
            Code.BAD_HOME,
            "the home's passphrase is asked for at a terminal, and there is none: let MANDORLA_KEYS__PATH "
            "name a file or a descriptor that holds it (/dev/fd/3), or take a key file or a credential",
        ) from None
    except EOFError:
        raise NodeError(Code.BAD_HOME, "no passphrase was given") from None
