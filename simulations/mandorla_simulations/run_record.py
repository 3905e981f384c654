"""The record of a run: all accounts, flags, matches and blocks. All results are computed from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .kinds import Ending
from .population import Times
from .resources import NEVER, Resource
from .sharing.channel import Delivery, Load


class Flag(NamedTuple):
    """A lab flags a resource, from `at` until `expires`; `true` if an attacker had used it."""

    lab: int
    resource: Resource
    at: int
    expires: int
    true: bool


class Block(NamedTuple):
    """A lab blocks a resource."""

    at: int
    lab: int
    resource: Resource
    ending: Ending


@dataclass
class Accounts:
    """The accounts of attackers, as columns; times are in seconds, rates in exchanges a day.

    From `ended` on, an account's exchanges are of no use to the attacker. An account makes
    floor(((ended - opened) * rate + phase) / 86,400) useful exchanges.
    """

    campaign: list[int] = field(default_factory=list)
    lab: list[int] = field(default_factory=list)
    slot: list[int] = field(default_factory=list)
    opened: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    ending: list[Ending] = field(default_factory=list)
    rate: list[int] = field(default_factory=list)
    phase: list[int] = field(default_factory=list)
    equipment: list[tuple[Resource | None, ...]] = field(default_factory=list)
    _columns: dict[str, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        """Return the number of accounts that were opened."""
        return len(self.opened)

    def column(self, name: str) -> NDArray[np.int64]:
        """Return a column as an array; only after the run, since the array is cached."""
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = np.array(getattr(self, name), dtype=np.int64)
        return column


@dataclass
class RunRecord:
    """The record of one run."""

    accounts: Accounts
    flags: list[Flag]
    matches: list[Delivery]
    blocks: list[Block]
    spent: list[int]
    """[campaign]: cents."""

    benign_blocked: Times
    """[lab, person]: when the lab first blocked the person, or NEVER."""

    benign_ending: NDArray[np.int8]
    """[lab, person]: why the lab blocked the person (`Ending`)."""

    benign_visits: int
    """Pairs of a person and a lab that the person uses before the horizon."""

    load: Load

    @property
    def benign_total(self) -> int:
        """Count the honest users blocked, once for each lab that blocked them."""
        return int(np.count_nonzero(self.benign_blocked < NEVER))
