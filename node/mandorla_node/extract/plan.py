"""What an extraction is told: the logs, the types, and how to name groups."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.fingerprints import (
    minhash_pairs_values,
    minhash_values,
    minhash_wide_values,
    sentence_values,
)
from mandorla_protocol.indicators import REGISTRY

from .columns import LogMap

Values = Callable[[str], Iterable[str]]

_TEXT_TYPES: Final = (
    ("email", "mail"),
    ("mailbox", "mail"),
    ("mail-domain", "mail"),
    ("ipv4", "address"),
    ("ipv6", "address"),
    ("ipv4-net24", "address"),
    ("ipv6-net64", "address"),
    ("payment-par", "payment"),
    ("payment-fingerprint", "payment"),
    ("user-agent", "user_agent"),
    ("ja4", "ja4"),
)
_PROMPT_TYPES: Final[Mapping[str, Values]] = {
    "prompt-minhash": minhash_values,
    "prompt-minhash-wide": minhash_wide_values,
    "prompt-minhash-pairs": minhash_pairs_values,
    "prompt-sentence": sentence_values,
}

TEXT_TYPES: Final = tuple((name, column) for name, column in _TEXT_TYPES if name in REGISTRY)
"""Types of which a column holds the text, and that column."""

PROMPT_TYPES: Final[Mapping[str, Values]] = {
    name: values for name, values in _PROMPT_TYPES.items() if name in REGISTRY
}
"""Types of which a prompt by itself has values, and the function that gives them."""

TEMPLATE: Final = "prompt-template"
BEHAVIOUR: Final = "behaviour"
SEQUENCE: Final = "request-sequence"

TYPES: Final = (
    *(name for name, _ in TEXT_TYPES),
    *PROMPT_TYPES,
    *(name for name in (TEMPLATE, BEHAVIOUR, SEQUENCE) if name in REGISTRY),
)
"""Every type that logs give."""

_GROUP_DIGITS: Final = 24


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """What every worker knows.

    `work` is a folder that all workers see. `key` is the lab's own, and names groups. `accounts` are those
    whose requests count, all if it is None.
    """

    work: Path
    parts: int
    log_map: LogMap
    types: frozenset[str]
    key: bytes
    accounts: frozenset[str] | None = None
    naming: bool = False

    def group(self, kind: str, name: str) -> str:
        """Return the name of an account's or a prompt's group, which tells nothing without the key."""
        return hmac.digest(self.key, f"{kind}\0{name}".encode(), "sha256").hex()[:_GROUP_DIGITS]

    def any_of(self, names: Iterable[str]) -> bool:
        """Say whether one of some types is wanted."""
        return not self.types.isdisjoint(names)


def chosen_types(named: str) -> frozenset[str]:
    """Return the types of a list with commas; all if it is empty.

    Raises InputError(UNKNOWN_TYPE) for a type that logs do not give.
    """
    names = frozenset(name.strip() for name in named.split(",") if name.strip()) or frozenset(TYPES)
    if not names <= set(TYPES):
        raise InputError(Code.UNKNOWN_TYPE, f"Logs give the types {', '.join(TYPES)}.")
    return names
