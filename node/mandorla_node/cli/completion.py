"""Completion of command lines by a shell (`mandorla --install-completion`).

The shell runs `mandorla` with a variable set, and shows or evaluates its output. So the output is an answer
or nothing: an error is not printed.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from pkgutil import resolve_name
from typing import Final, TypeAlias

import typer

_REQUEST: Final = "_MANDORLA_COMPLETE"
_SUGGESTIONS: Final = "mandorla_node.cli.suggestions"

Suggest: TypeAlias = Callable[[typer.Context, str], list[str]]


def requested() -> bool:
    """Return whether a shell requests a completion."""
    return _REQUEST in os.environ


@contextmanager
def errors_hidden() -> Iterator[None]:
    """Exit without a message if an exception is raised inside."""
    with redirect_stderr(io.StringIO()):
        try:
            yield
        except Exception:  # a traceback would stand in the middle of the line that a person types
            sys.exit(1)


def join_split_options() -> None:
    """Undo how bash splits `--home=PATH`: as three words, of which this leaves two in the environment."""
    if "COMP_WORDS" not in os.environ:
        return
    words, at = os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"])
    signs = [n for n in range(1, at) if words[n] == "=" and words[n - 1].startswith("--")]
    words = [word for n, word in enumerate(words) if n not in signs]
    os.environ |= {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(at - len(signs))}


def _suggest(target: str) -> Suggest:
    def suggest(ctx: typer.Context, incomplete: str) -> list[str]:
        suggestions: list[str] = resolve_name(f"{_SUGGESTIONS}.{target}")(ctx, incomplete)
        return suggestions

    return suggest


peers: Final = _suggest("peers:peers")
collections: Final = _suggest("indicators:collections")
types: Final = _suggest("indicators:types")
type_lists: Final = _suggest("indicators:type_lists")
reasons: Final = _suggest("labels:reasons")
severities: Final = _suggest("labels:severities")
tlps: Final = _suggest("labels:tlps")
