"""Files that are whole or not there, for their owner only."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mandorla_protocol.errors import Code, InputError, NodeError


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet, through to the disk; raises FileExistsError if it is."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def replace(path: Path, content: bytes) -> None:
    """Put a file in another's place at once: after a crash there is the old one or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        write_new(partial, content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Bring to the disk what was made, renamed or removed in a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def destroy(path: Path) -> None:
    """Overwrite a file and remove it, if it is there.

    Flash translation, snapshots, copy-on-write file systems and backups may keep what was there before.
    """
    with suppress(FileNotFoundError):
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        sync_folder(path.parent)


@contextmanager
def locked_home(home: Path) -> Iterator[None]:
    """Keep out other commands that change a home's keys and cards, and give what the disk refuses its code.

    Raises InputError(BAD_INPUT) if there is one, NodeError(BAD_HOME) for what the disk refuses.
    """
    try:
        descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)
    except BlockingIOError:
        raise InputError(Code.BAD_INPUT, "another command changes this home's keys") from None
    except OSError as error:
        raise NodeError(Code.BAD_HOME, f"{home}: {os.strerror(error.errno or 0)}") from None
