"""Rekey a home and die at each step of it, in a process of its own for every death; say what is left.

    python -m tests.support.rekey_crashes TEMPLATE FOLDER KIND [KEY]

Prints one line for each death: `old` or `new`, by the source that opens what is left, and the secrets'
digest. The last line is that of a rekey that lives.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from mandorla_node.home.folder import Home
from mandorla_node.home.key_kinds import SourceKind
from mandorla_node.home.key_sources import KeySource
from mandorla_node.home.rekey import rekey
from mandorla_node.home.sealed_secrets import PassphraseCost

_DEATH = 9
CHEAP = PassphraseCost(1, 8 << 20)


def main(template: Path, folder: Path, new: KeySource) -> None:
    """Die at step 1, 2, ... until there are no more steps."""
    died = True
    step = 0
    while died:
        step += 1
        home = folder / str(step)
        shutil.copytree(template, home)
        child = os.fork()
        if child == 0:
            _die_at(step)
            rekey(home, new, CHEAP)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        died = os.waitstatus_to_exitcode(status) == _DEATH
        assert died or os.waitstatus_to_exitcode(status) == 0
        sys.stdout.write(_what_is_left(home, new) + "\n")
        sys.stdout.flush()
        # Done again, it finishes, whatever was left.
        rekey(home, new, CHEAP)
        assert _what_is_left(home, new).startswith("new")


def _die_at(step: int) -> None:
    """End this process instead of the file operation of that number, and with nothing cleaned up."""
    left = step

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os._exit(_DEATH)
            return function(*arguments, **options)

        return call

    for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink"), (os, "fdopen")):
        setattr(owner, name, counted(getattr(owner, name)))


def _what_is_left(home: Path, new: KeySource) -> str:
    opened = Home.open(home)
    secrets = opened.identity.private_bytes_raw() + opened.tls_key + opened.vault._key
    state = "new" if opened.key_source.to_settings() == new.to_settings() else "old"
    return f"{state} {hashlib.sha256(secrets).hexdigest()}"


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        KeySource(SourceKind(sys.argv[3]), Path(sys.argv[4]) if len(sys.argv) > 4 else None),
    )
