"""Backups of a home: one file that holds the home's state at one moment, and the restoration of a home.

The file is a tar archive in gzip. Its first member is a manifest with the path, size and hash of each other
member, so that a reader can refuse a member before it reads its content. All members are regular files.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mandorla_protocol.errors import Code, InputError, NodeError

from ..core import files
from ..core.clock import Clock, system_clock
from . import own_cards
from .folder import CONFIG, SOCKET, STORE, Home, HomeFolder
from .sealed_secrets import PLAIN

_MANIFEST: Final = "manifest.json"
_MAX_MANIFEST: Final = 4 << 20
_MAX_FILES: Final = 10_000
_TAR_BLOCK: Final = 512
_PIECE: Final = 1 << 20
_COMPRESSION: Final = 1
"""The level of gzip. A store is mostly random bytes, which higher levels do not make smaller."""

Name = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$", max_length=99)
]
"""A relative path whose parts begin with no dot."""


class FileEntry(BaseModel):
    """A file of the home; its size is in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Name
    size: Annotated[int, Field(ge=0, lt=1 << 50)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """The description of a backup. Times are Unix seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["mandorla backup, version 1"] = "mandorla backup, version 1"
    lab: Annotated[str, Field(max_length=64)]
    identity: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    made: int
    store: Literal["sqlite", "postgresql"]
    files: Annotated[tuple[FileEntry, ...], Field(max_length=_MAX_FILES)]


@dataclass(frozen=True, slots=True)
class BackupReport:
    """The manifest of a backup, its files with plain keys, and the names of files that it omits."""

    manifest: Manifest
    plain_keys: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """The manifest of a restored backup, and the number of key epochs that the restoration ended."""

    manifest: Manifest
    ended: int


def back_up(home: HomeFolder, to: Path, clock: Clock = system_clock) -> BackupReport:
    """Write a home into a new file that only its owner can read. The home's node can run meanwhile.

    The file omits a store in PostgreSQL, for which the operator uses the database's own tools.

    Raises InputError: BAD_FILE if the file exists or cannot be written. Raises NodeError: BAD_HOME,
    STORE_FAILED.
    """
    folder = home.path
    in_home = not home.settings.store.url.get_secret_value()
    if to.exists():
        raise InputError(Code.BAD_FILE, f"{to} exists already")
    if to.resolve().is_relative_to(folder.resolve()):
        raise InputError(Code.BAD_FILE, "a backup inside the home would be lost with it")
    with _as_bad_file(to), tempfile.TemporaryDirectory(prefix=".mandorla-", dir=to.parent) as scratch:
        complete = Path(scratch) / "complete"
        with files.locked_home(folder):
            paths, left_out = _files_of(folder)
            sources = {path: folder / path for path in paths}
            if in_home:
                # The database's modules load for half a second.
                from ..store.backends.sqlite import copy_file  # noqa: PLC0415

                sources[STORE] = Path(scratch) / STORE
                copy_file(folder / STORE, sources[STORE])
            card = home.read_card()
            manifest = Manifest(
                lab=card.name,
                identity=card.identity.hex(),
                made=clock(),
                store="sqlite" if in_home else "postgresql",
                files=tuple(_entry_of(path, source) for path, source in sources.items()),
            )
            with _as_bad_file(to):
                _write(complete, manifest, sources)
            plain = (*(path for path in PLAIN if path in sources), *own_cards.plain_keys(folder))
        complete.rename(to)
        files.sync_folder(to.parent)
    return BackupReport(manifest, plain, tuple(left_out))


def restore(source: Path, home: Path, clock: Clock = system_clock) -> RestoreReport:
    """Make a home from a backup, in a new or empty folder. The home appears in one step.

    All key epochs end, and later key epochs get numbers that no earlier one had (SPEC 13). For a store in
    PostgreSQL, the operator restores the database first, and no node may use it meanwhile.

    Raises InputError: BAD_FILE for a file that is no complete backup. Raises NodeError: BAD_HOME if the
    folder is not empty or the disk refuses a write, BAD_CONFIG, STORE_FAILED.
    """
    try:
        if home.exists() and (not home.is_dir() or any(home.iterdir())):
            raise NodeError(Code.BAD_HOME, f"{home} is not empty")
        home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".mandorla-", dir=home.parent) as scratch:
            made = Path(scratch) / "home"
            made.mkdir(mode=0o700)
            manifest = _extract(source, made)
            located = Home.locate(made)
            if located.read_card().identity.hex() != manifest.identity:
                raise InputError(Code.BAD_FILE, f"{source} holds the card of another lab")
            with closing(located.open_store(clock, alone=True)) as store:
                ended = store.restoration.end_all_epochs(located.read_card().identity)
                store.scrub()
            _sync(made)
            made.rename(home)
            files.sync_folder(home.parent)
    except OSError as error:
        raise NodeError(Code.BAD_HOME, f"{home}: {os.strerror(error.errno or 0)}") from None
    return RestoreReport(manifest, ended)


def _files_of(home: Path) -> tuple[list[str], list[str]]:
    """Return the paths in a home that a backup holds, and unexpected paths, which it omits."""
    included, left_out = [], []
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home).as_posix()
        if name.startswith((STORE, SOCKET)) or any(part.startswith(".") for part in name.split("/")):
            continue
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and _has_allowed_name(name):
            included.append(name)
        elif not stat.S_ISDIR(mode):
            left_out.append(name)
    return included, left_out


def _has_allowed_name(name: str) -> bool:
    try:
        FileEntry(path=name, size=0, sha256="0" * 64)
    except ValidationError:
        return False
    return True


def _entry_of(path: str, source: Path) -> FileEntry:
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(path=path, size=file.tell(), sha256=digest)


def _write(path: Path, manifest: Manifest, sources: dict[str, Path]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        _pack(out, manifest, sources)
        out.flush()
        os.fsync(descriptor)


def _pack(out: IO[bytes], manifest: Manifest, sources: dict[str, Path]) -> None:
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=_COMPRESSION, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as archive,
    ):

        def add(name: str, size: int, content: IO[bytes]) -> None:
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = size, 0o600, manifest.made
            archive.addfile(member, content)

        encoded = (manifest.model_dump_json(indent=2) + "\n").encode()
        add(_MANIFEST, len(encoded), io.BytesIO(encoded))
        for entry in manifest.files:
            with sources[entry.path].open("rb") as file:
                add(entry.path, entry.size, file)


def _extract(source: Path, to: Path) -> Manifest:
    """Write the files of a backup into a folder; raises InputError: BAD_FILE for a malformed backup."""
    with _as_bad_file(source), source.open("rb") as file, gzip.GzipFile(fileobj=file, mode="rb") as packed:
        name, size = _next_member(packed)
        if name != _MANIFEST or size > _MAX_MANIFEST:
            raise _bad_backup("its first member is not a manifest")
        manifest = _parse_manifest(b"".join(_content(packed, size)))
        expected = {entry.path: entry for entry in manifest.files}
        if len(expected) != len(manifest.files):
            raise _bad_backup("its manifest names a file twice")
        if sum(entry.size for entry in manifest.files) > shutil.disk_usage(to).free:
            raise NodeError(
                Code.BAD_HOME, f"{to.parent.parent}: the disk has too little space for the backup"
            )
        while (member := _next_member(packed)) != ("", 0):
            entry = expected.pop(member[0], None)
            if entry is None or entry.size != member[1]:
                raise _bad_backup("it holds a file that its manifest does not list")
            _extract_file(entry, packed, to / entry.path)
        if expected:
            raise _bad_backup("a file of its manifest is missing")
        # Read to the end, where the checksum of gzip is. A writer of tar fills the last record with zeros.
        if any(packed.read(tarfile.RECORDSIZE)) or packed.read(1):
            raise _bad_backup("data follows its end")
    if not {CONFIG, own_cards.CARD} <= {entry.path for entry in manifest.files}:
        raise _bad_backup("it holds no home")
    return manifest


def _parse_manifest(content: bytes) -> Manifest:
    try:
        return Manifest.model_validate(json.loads(content))
    except (ValidationError, ValueError, RecursionError):
        pass
    raise _bad_backup("its manifest is malformed, or of another version")


def _extract_file(entry: FileEntry, packed: gzip.GzipFile, path: Path) -> None:
    digest = hashlib.sha256()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        for piece in _content(packed, entry.size):
            digest.update(piece)
            out.write(piece)
        out.flush()
        os.fsync(descriptor)
    if digest.hexdigest() != entry.sha256:
        raise _bad_backup("the hash of a file in it differs from the manifest")


def _next_member(packed: gzip.GzipFile) -> tuple[str, int]:
    """Read the header of a member, and return its name and size; no name at the end.

    `tarfile` would read extended headers of any size into memory.
    """
    block = packed.read(_TAR_BLOCK)
    if block == bytes(_TAR_BLOCK):
        return "", 0
    header = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    if not header.isreg() or not 0 <= header.size < 1 << 50:
        raise _bad_backup("it holds a member that is not a regular file")
    return header.name, header.size


def _content(packed: gzip.GzipFile, size: int) -> Iterator[bytes]:
    remaining = size
    while remaining:
        piece = packed.read(min(remaining, _PIECE))
        if not piece:
            raise _bad_backup("it is truncated")
        remaining -= len(piece)
        yield piece
    packed.read(-size % _TAR_BLOCK)


def _sync(folder: Path) -> None:
    for path in (*(inner for inner in folder.rglob("*") if inner.is_dir()), folder):
        files.sync_folder(path)


def _bad_backup(reason: str) -> InputError:
    return InputError(Code.BAD_FILE, f"This is not a usable backup: {reason}.")


@contextmanager
def _as_bad_file(path: Path) -> Iterator[None]:
    """Raise InputError: BAD_FILE for an archive that cannot be read or written."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError) as error:
        raise _bad_backup(f"{type(error).__name__}") from None
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{path}: {os.strerror(error.errno or 0)}") from None
