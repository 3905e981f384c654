"""Resources, which link accounts: numbers that contain their kind."""

from __future__ import annotations

from typing import Final, NewType

from .kinds import KINDS, ResourceKind

Resource = NewType("Resource", int)
"""serial * 8 + the column of its kind. Serials below `Population.counts` belong to honest users."""

NEVER: Final = 1 << 60
"""A time in seconds that no run reaches."""

_COLUMN_BITS: Final = 3
_COLUMN_MASK: Final = (1 << _COLUMN_BITS) - 1


def resource_of(column: int, serial: int) -> Resource:
    """Return the resource of a kind's column and a serial number."""
    return Resource(serial << _COLUMN_BITS | column)


def column_of(resource: Resource) -> int:
    """Return the column of a resource's kind."""
    return resource & _COLUMN_MASK


def serial_of(resource: Resource) -> int:
    """Return a resource's number among those of its kind."""
    return resource >> _COLUMN_BITS


def kind_of(resource: Resource) -> ResourceKind:
    """Return a resource's kind."""
    return KINDS[resource & _COLUMN_MASK]


class ResourceBook:
    """Numbers the resources that are new, and the addresses of the relays' exits."""

    def __init__(self, counts: tuple[int, ...], exits: tuple[int, ...], leases: tuple[int, ...]) -> None:
        self._next = list(counts)
        self._exits = exits
        # The addresses of a relay are numbered by lease, then by exit, after those of honest users.
        address = KINDS.index(ResourceKind.ADDRESS)
        self._address = address
        self._bases = []
        for number, times in zip(exits, leases, strict=True):
            self._bases.append(self._next[address])
            self._next[address] += number * times

    def fresh(self, column: int) -> Resource:
        """Return a resource that nobody has."""
        serial = self._next[column]
        self._next[column] = serial + 1
        return resource_of(column, serial)

    def exit_address(self, relay: int, lease: int, slot: int) -> Resource:
        """Return the address of a relay's exit during a lease."""
        return resource_of(self._address, self._bases[relay] + lease * self._exits[relay] + slot)

    def exit_of(self, address: Resource) -> tuple[int, int, int] | None:
        """Return the relay, lease and exit of an address; None if it is not a relay's address."""
        if column_of(address) != self._address:
            return None
        serial = serial_of(address)
        for relay in range(len(self._bases) - 1, -1, -1):
            if serial >= self._bases[relay]:
                lease, slot = divmod(serial - self._bases[relay], self._exits[relay])
                return relay, lease, slot
        return None
