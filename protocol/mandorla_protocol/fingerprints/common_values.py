"""Common values: values of benign traffic, which a lab learns and leaves out (SPEC A.8).

Each lab has its own list. Two labs need not have equal lists: a value that one lab leaves out does not match.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

MIN_ACCOUNTS: Final = 10
"""The fewest benign accounts with a common value, for any number of accounts."""

ONE_IN: Final = 1_000
"""A value is common if at least one in this many benign accounts has it.

An attacker who wants its own template to be common needs this share of all accounts.
"""


@dataclass(frozen=True, slots=True, repr=False)
class CommonValues:
    """The common values of a lab."""

    values: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        # A value is the hash of text that can be guessed, so this leaves the values out.
        return f"CommonValues({len(self.values)})"

    @classmethod
    def learn(
        cls,
        accounts_by_value: Mapping[str, int],
        accounts: int,
        one_in: int = ONE_IN,
        min_accounts: int = MIN_ACCOUNTS,
    ) -> CommonValues:
        """Return the common values, given the numbers of benign accounts by value and in all."""
        return cls(
            frozenset(
                value
                for value, count in accounts_by_value.items()
                if count >= min_accounts and count * one_in >= accounts
            )
        )

    def without(self, values: Iterable[str]) -> tuple[str, ...]:
        """Return the given values that are not common, in their order."""
        return tuple(value for value in values if value not in self.values)
