"""What a shell is told when it completes a command line (`mandorla --install-completion`).

The shell runs `mandorla` with a variable set, and shows or evaluates what comes out of it. So nothing but an
answer does: whatever goes wrong, it is empty.
"""

from __future__ import annotations

import io
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Final

import typer

_ASKED: Final = "_MANDORLA_COMPLETE"


def asked() -> bool:
    """Tell whether a shell asks how a line could go on."""
    return _ASKED in os.environ


@contextmanager
def answered() -> Iterator[None]:
    """Let nothing but an answer out."""
    with redirect_stderr(io.StringIO()):
        try:
            yield
        except Exception:  # a traceback would stand in the middle of what a person types
            sys.exit(1)


def typed() -> list[str]:
    """Return the words before the one that is being typed, without the program's name.

    Bash takes `--home=PATH` for three words, of which this leaves two in the environment.
    """
    if "COMP_WORDS" in os.environ:
        words, at = os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"])
        signs = [n for n in range(1, at) if words[n] == "=" and words[n - 1].startswith("--")]
        words = [word for n, word in enumerate(words) if n not in signs]
        at -= len(signs)
        os.environ |= {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(at)}
        return words[1:at]
    line = os.environ.get("_TYPER_COMPLETE_ARGS", "")
    try:
        words = shlex.split(line)
    except ValueError:
        # Somebody is in the middle of a quoted word.
        words = line.split()
    return words[1:] if line.endswith(" ") else words[1:-1]


def peers(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the peers that the home on the line pinned, or that of the environment."""
    from ..home.peer_names import peer_names

    home = ctx.params.get("home")
    if not home:
        return []
    # The shell has not expanded what is still being typed.
    return peer_names(Path(os.path.expandvars(home)).expanduser())


def collections(incomplete: str) -> list[str]:
    """Return the names of the collections."""
    from mandorla_protocol.indicators import Collection

    return [*Collection]


def types(incomplete: str) -> list[str]:
    """Return the types of indicators."""
    from mandorla_protocol.indicators import REGISTRY

    return sorted(REGISTRY)


def type_lists(incomplete: str) -> list[str]:
    """Return lists of types with commas between, that go on with one more type."""
    before, comma, _ = incomplete.rpartition(",")
    return [before + comma + name for name in types("") if name not in before.split(",")]


def reasons(incomplete: str) -> list[str]:
    """Return the reasons for which an indicator is flagged."""
    from mandorla_protocol.labels import Reason

    from ..formats.rows import name_of

    return [name_of(one) for one in Reason if one is not Reason.UNSPECIFIED]


def severities(incomplete: str) -> list[str]:
    """Return the severities of a label."""
    from mandorla_protocol.labels import Severity

    from ..formats.rows import name_of

    return [name_of(one) for one in Severity]


def tlps(incomplete: str) -> list[str]:
    """Return how far a label may be passed on."""
    from mandorla_protocol.labels import Tlp

    from ..formats.rows import name_of

    return [name_of(one) for one in Tlp]
