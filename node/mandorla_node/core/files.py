"""Files that only their owner can read, written atomically."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mandorla_protocol.errors import Code, InputError, NodeError


def write_new(path: Path, content: bytes) -> None:
    """Write a new file, durably; raises FileExistsError if it exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def replace(path: Path, content: bytes) -> None:
    """Replace a file atomically: after a crash, the path has the old content or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        write_new(partial, content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the creation, renaming and removal of files in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def destroy(path: Path) -> None:
    """Overwrite a file with zeros and remove it, if it exists.

    Flash memory, snapshots, copy-on-write file systems and backups may keep the old content.
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
    """Lock a home against other commands that change its keys and cards; translate OSError.

    Raises InputError(BAD_INPUT) if another command has the lock, NodeError(BAD_HOME) for an OSError.
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
