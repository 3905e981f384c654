"""The index of the lists of shared infrastructure: it finds the lists that an indicator is on.

A search costs one look-up for each size of network, or for each part of a name, however long the lists are.
Each list is a bit of a mask, so an entry of several lists is stored once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from mandorla_protocol.indicators import Indicator

Network = IPv4Network | IPv6Network

_VERSIONS: Final = {"ipv4": 4, "ipv4-net24": 4, "ipv6": 6, "ipv6-net64": 6}
_BITS: Final = {4: 32, 6: 128}


class Index:
    """Networks by their size, and names and other values by their type."""

    def __init__(self) -> None:
        self._names: list[str] = []
        # By IP version and prefix length: the networks' masks by their leading bits.
        self._networks: dict[int, dict[int, dict[int, int]]] = {4: {}, 6: {}}
        self._values: dict[tuple[str, str], int] = {}
        self._under: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        """Return the number of entries."""
        sizes = [len(table) for version in self._networks.values() for table in version.values()]
        return sum(sizes) + len(self._values) + len(self._under)

    def new_list(self, name: str) -> int:
        """Add an empty list; return its mask."""
        self._names.append(name)
        return 1 << (len(self._names) - 1)

    def add_network(self, mask: int, network: Network) -> None:
        """Add a network, which covers its addresses and the networks inside it."""
        self.add_prefix(mask, network.version, int(network.network_address), network.prefixlen)

    def add_prefix(self, mask: int, version: int, address: int, size: int) -> None:
        """Add a network by its address and its prefix length."""
        table = self._networks[version].setdefault(size, {})
        bits = address >> (_BITS[version] - size)
        table[bits] = table.get(bits, 0) | mask

    def add_value(self, mask: int, kind: str, value: str) -> None:
        """Add a canonical value of a type."""
        self._values[kind, value] = self._values.get((kind, value), 0) | mask

    def add_under(self, mask: int, kind: str, name: str) -> None:
        """Add a name and all names below it, for a type whose values are names."""
        self._under[kind, name] = self._under.get((kind, name), 0) | mask

    def mask_of(self, indicator: Indicator) -> int:
        """Return the mask of the lists that an indicator is on."""
        kind, value = indicator.type, indicator.value
        mask = self._values.get((kind, value), 0)
        version = _VERSIONS.get(kind)
        if version is not None:
            return mask | self._of_network(version, value)
        if kind in ("domain", "mail-domain"):
            for name in _names_above(value):
                mask |= self._under.get((kind, name), 0)
        return mask

    def count(self, masks: Counter[int]) -> dict[str, int]:
        """Return the number of hits of each list that had one, given the number of hits of each mask."""
        counts: Counter[str] = Counter()
        for mask, number in masks.items():
            for bit, name in enumerate(self._names):
                if mask >> bit & 1:
                    counts[name] += number
        return dict(sorted(counts.items()))

    def _of_network(self, version: int, value: str) -> int:
        text, _, prefix = value.partition("/")
        address = int(IPv4Address(text) if version == 4 else IPv6Address(text))
        bits = _BITS[version]
        longest = int(prefix) if prefix else bits
        mask = 0
        for size, table in self._networks[version].items():
            if size <= longest:
                mask |= table.get(address >> (bits - size), 0)
        return mask


def _names_above(name: str) -> Iterator[str]:
    """Yield a name, and each name above it."""
    while name:
        yield name
        name = name.partition(".")[2]
