"""What anyone says: values that benign traffic has in common, which a lab learns and leaves out (SPEC A.8).

The list is local. Two labs need not have the same: a value that either leaves out does not match.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

MIN_ACCOUNTS: Final = 10
"""Benign accounts that must have a value before it can be common, however few accounts there are."""

ONE_IN: Final = 1_000
"""A value is common if one in so many benign accounts has it.

An operator can try to make its own template common: that takes this share of all accounts.
"""


@dataclass(frozen=True, slots=True, repr=False)
class CommonValues:
    """The values that a lab leaves out."""

    values: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        # A value can be guessed, so it isn't printed.
        return f"CommonValues({len(self.values)})"

    @classmethod
    def learn(
        cls,
        accounts_by_value: Mapping[str, int],
        accounts: int,
        one_in: int = ONE_IN,
        min_accounts: int = MIN_ACCOUNTS,
    ) -> CommonValues:
        """Return the values that many of `accounts` benign accounts have, given how many have each."""
        return cls(
            frozenset(
                value
                for value, count in accounts_by_value.items()
                if count >= min_accounts and count * one_in >= accounts
            )
        )

    def left(self, values: Iterable[str]) -> tuple[str, ...]:
        """Return the values that are not common, in their order."""
        return tuple(value for value in values if value not in self.values)
