"""Backups of a home: one file that holds it as it was at one moment, and a home made of it again.

The file is a tar archive in gzip. Its first member says what the others are, with their sizes and hashes, so
that a reader knows of each what it must be before it takes it in. All are plain files under plain names.
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
from .folder import CONFIG, SOCKET, STORE, Home, Place
from .sealed_secrets import PLAIN

_MANIFEST: Final = "manifest.json"
_MAX_MANIFEST: Final = 4 << 20
_MAX_FILES: Final = 10_000
_BLOCK: Final = 512
_PIECE: Final = 1 << 20
_COMPRESSION: Final = 1
"""Stores are mostly random bytes: more takes longer, and finds nothing."""

Name = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$", max_length=99)
]
"""A path of plain names, none of which begins with a dot."""


class BackedUp(BaseModel):
    """A file of the home; its size is in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Name
    size: Annotated[int, Field(ge=0, lt=1 << 50)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """What a backup is of. Times are Unix seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["mandorla backup, version 1"] = "mandorla backup, version 1"
    lab: Annotated[str, Field(max_length=64)]
    identity: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    made: int
    store: Literal["sqlite", "postgresql"]
    files: Annotated[tuple[BackedUp, ...], Field(max_length=_MAX_FILES)]


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What was written: the manifest, keys that are in the clear, and what was left out by its name."""

    manifest: Manifest
    plain_keys: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What was read, and how many key epochs were ended."""

    manifest: Manifest
    ended: int


def back_up(place: Place, to: Path, clock: Clock = system_clock) -> BackupReport:
    """Write a home into a file that is not there yet, for its owner only; its node may run meanwhile.

    A store in PostgreSQL is left to that: the file holds the rest of the home.

    Raises InputError(BAD_FILE) if the file is there or cannot be written; NodeError: BAD_HOME, STORE_FAILED.
    """
    home = place.path
    in_home = not place.settings.store.url.get_secret_value()
    if to.exists():
        raise InputError(Code.BAD_FILE, f"{to} is there already")
    if to.resolve().is_relative_to(home.resolve()):
        raise InputError(Code.BAD_FILE, "a backup inside the home would be lost with it")
    with _refused(to), tempfile.TemporaryDirectory(prefix=".mandorla-", dir=to.parent) as scratch:
        whole = Path(scratch) / "whole"
        with files.alone(home):
            paths, left_out = _files_of(home)
            sources = {path: home / path for path in paths}
            if in_home:
                # It knows the database's driver, which loads for half a second.
                from ..store.backends.sqlite import copy_file  # noqa: PLC0415

                sources[STORE] = Path(scratch) / STORE
                copy_file(home / STORE, sources[STORE])
            card = place.read_card()
            manifest = Manifest(
                lab=card.name,
                identity=card.identity.hex(),
                made=clock(),
                store="sqlite" if in_home else "postgresql",
                files=tuple(_described(path, source) for path, source in sources.items()),
            )
            with _refused(to):
                _write(whole, manifest, sources)
            plain = (*(path for path in PLAIN if path in sources), *own_cards.plain_keys(home))
        whole.rename(to)
        files.sync_folder(to.parent)
    return BackupReport(manifest, plain, tuple(left_out))


def restore(source: Path, home: Path, clock: Clock = system_clock) -> RestoreReport:
    """Make a home of a backup, where nothing is yet; it is there as a whole or not at all.

    Its key epochs end, and later ones have numbers that none has had (SPEC 13). A store in PostgreSQL has to
    be there already, restored by that database's own means, and no node may use it.

    Raises InputError(BAD_FILE) for a file that is no whole backup; NodeError: BAD_HOME if something is in the
    way or the disk refuses, BAD_CONFIG, STORE_FAILED.
    """
    try:
        if home.exists() and (not home.is_dir() or any(home.iterdir())):
            raise NodeError(Code.BAD_HOME, f"{home} is not empty")
        home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".mandorla-", dir=home.parent) as scratch:
            made = Path(scratch) / "home"
            made.mkdir(mode=0o700)
            manifest = _extract(source, made)
            place = Home.locate(made)
            if place.read_card().identity.hex() != manifest.identity:
                raise InputError(Code.BAD_FILE, f"{source} holds the card of another lab")
            with closing(place.open_store(clock, alone=True)) as store:
                ended = store.restoration.begin_anew(place.read_card().identity)
                store.scrub()
            _sync(made)
            made.rename(home)
            files.sync_folder(home.parent)
    except OSError as error:
        raise NodeError(Code.BAD_HOME, f"{home}: {os.strerror(error.errno or 0)}") from None
    return RestoreReport(manifest, ended)


def _files_of(home: Path) -> tuple[list[str], list[str]]:
    """Return the paths in a home that belong into a backup, and those that nobody expects there."""
    taken, left_out = [], []
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home).as_posix()
        if name.startswith((STORE, SOCKET)) or any(part.startswith(".") for part in name.split("/")):
            continue
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and _is_plain(name):
            taken.append(name)
        elif not stat.S_ISDIR(mode):
            left_out.append(name)
    return taken, left_out


def _is_plain(name: str) -> bool:
    try:
        BackedUp(path=name, size=0, sha256="0" * 64)
    except ValidationError:
        return False
    return True


def _described(path: str, source: Path) -> BackedUp:
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return BackedUp(path=path, size=file.tell(), sha256=digest)


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
        for one in manifest.files:
            with sources[one.path].open("rb") as file:
                add(one.path, one.size, file)


def _extract(source: Path, to: Path) -> Manifest:
    """Write the files of a backup into a folder; raises InputError(BAD_FILE) for what is none."""
    with _refused(source), source.open("rb") as file, gzip.GzipFile(fileobj=file, mode="rb") as packed:
        name, size = _next_member(packed)
        if name != _MANIFEST or size > _MAX_MANIFEST:
            raise _bad("its first member is no manifest")
        manifest = _manifest(b"".join(_content(packed, size)))
        expected = {one.path: one for one in manifest.files}
        if len(expected) != len(manifest.files):
            raise _bad("its manifest names a file twice")
        if sum(one.size for one in manifest.files) > shutil.disk_usage(to).free:
            raise NodeError(Code.BAD_HOME, f"{to.parent.parent}: what the backup holds does not fit")
        while (member := _next_member(packed)) != ("", 0):
            one = expected.pop(member[0], None)
            if one is None or one.size != member[1]:
                raise _bad("it holds what its manifest does not say")
            _take(one, packed, to / one.path)
        if expected:
            raise _bad("a file of its manifest is missing")
        # To the end, where the checksum is; a writer fills up the last record.
        if any(packed.read(tarfile.RECORDSIZE)) or packed.read(1):
            raise _bad("something follows its end")
    if not {CONFIG, own_cards.CARD} <= {one.path for one in manifest.files}:
        raise _bad("it holds no home")
    return manifest


def _manifest(content: bytes) -> Manifest:
    try:
        return Manifest.model_validate(json.loads(content))
    except (ValidationError, ValueError, RecursionError):
        pass
    raise _bad("its manifest is malformed, or of another version")


def _take(one: BackedUp, packed: gzip.GzipFile, path: Path) -> None:
    digest = hashlib.sha256()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        for piece in _content(packed, one.size):
            digest.update(piece)
            out.write(piece)
        out.flush()
        os.fsync(descriptor)
    if digest.hexdigest() != one.sha256:
        raise _bad("a file in it is not what was backed up")


def _next_member(packed: gzip.GzipFile) -> tuple[str, int]:
    """Read the head of a member: its name and size; no name at the end.

    Not by `tarfile`, which reads extended heads of any size into memory.
    """
    block = packed.read(_BLOCK)
    if block == bytes(_BLOCK):
        return "", 0
    head = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    if not head.isreg() or not 0 <= head.size < 1 << 50:
        raise _bad("it holds something else than plain files")
    return head.name, head.size


def _content(packed: gzip.GzipFile, size: int) -> Iterator[bytes]:
    left = size
    while left:
        piece = packed.read(min(left, _PIECE))
        if not piece:
            raise _bad("it is cut off")
        left -= len(piece)
        yield piece
    packed.read(-size % _BLOCK)


def _sync(folder: Path) -> None:
    for path in (*(one for one in folder.rglob("*") if one.is_dir()), folder):
        files.sync_folder(path)


def _bad(what: str) -> InputError:
    return InputError(Code.BAD_FILE, f"This is no backup that can be used: {what}.")


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Raise InputError(BAD_FILE) for what cannot be read as an archive, or written as one."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError) as error:
        raise _bad(f"{type(error).__name__}") from None
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{path}: {os.strerror(error.errno or 0)}") from None
