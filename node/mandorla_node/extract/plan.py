"""The plan of an extraction: parts, types, and the names of groups."""

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

from .log_map import LogMap

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
"""The types whose text is in a column, with that column."""

PROMPT_TYPES: Final[Mapping[str, Values]] = {
    name: values for name, values in _PROMPT_TYPES.items() if name in REGISTRY
}
"""The types with values for each prompt, with the function that computes them."""

TEMPLATE: Final = "prompt-template"
BEHAVIOUR: Final = "behaviour"
SEQUENCE: Final = "request-sequence"

TYPES: Final = (
    *(name for name, _ in TEXT_TYPES),
    *PROMPT_TYPES,
    *(name for name in (TEMPLATE, BEHAVIOUR, SEQUENCE) if name in REGISTRY),
)
"""All types that can be extracted from logs."""

_GROUP_DIGITS: Final = 24


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """What each worker gets.

    `work` is a folder that all workers can access. `key` is the lab's secret for the names of groups.
    `accounts` are the accounts to extract; None means all. `naming` asks for the accounts behind each group.
    """

    work: Path
    parts: int
    log_map: LogMap
    types: frozenset[str]
    key: bytes
    accounts: frozenset[str] | None = None
    naming: bool = False

    def group(self, kind: str, name: str) -> str:
        """Return the name of the group of an account or a prompt; it reveals nothing without the key."""
        return hmac.digest(self.key, f"{kind}\0{name}".encode(), "sha256").hex()[:_GROUP_DIGITS]

    def any_of(self, names: Iterable[str]) -> bool:
        """Return whether the plan has one of some types."""
        return not self.types.isdisjoint(names)


def chosen_types(named: str) -> frozenset[str]:
    """Return the types of a list with commas; all types if it is empty.

    Raises InputError(UNKNOWN_TYPE) for a type that cannot be extracted.
    """
    names = frozenset(name.strip() for name in named.split(",") if name.strip()) or frozenset(TYPES)
    if not names <= set(TYPES):
        raise InputError(Code.UNKNOWN_TYPE, f"The types are {', '.join(TYPES)}.")
    return names
