"""IP addresses (SPEC A.4) and their networks (SPEC A.7)."""

from __future__ import annotations

import contextlib
import re
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from .input_text import clean, refused

# This accepts what `ipaddress.IPv4Address` accepts, in a fifth of the time. Lists have millions of addresses.
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = re.compile(rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}")


def ipv4(text: str) -> str:
    """Return the canonical form of an IPv4 address (SPEC A.4): four decimal octets without leading zeros.

    Octets with a leading zero are refused, because some programs read them as octal numbers.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    address = clean(text)
    if not _IPV4.fullmatch(address):
        raise refused("It is not an IPv4 address of four decimal octets.")
    return address


def ipv6(text: str) -> str:
    """Return the canonical form of an IPv6 address (SPEC A.4): the text of RFC 5952 section 4.

    An IPv4-mapped address is refused, because it names an IPv4 host: as two types, one host would never
    match.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    address: IPv6Address | None = None
    with contextlib.suppress(ValueError):
        address = IPv6Address(clean(text))
    if address is None:
        raise refused("It is not an IPv6 address.")
    if address.scope_id is not None:
        raise refused("It has a zone, which means something on one machine only.")
    if address.ipv4_mapped is not None:
        raise refused("It is an IPv4-mapped address: give the IPv4 address, as ipv4.")
    return str(address)


def ipv4_net24(text: str) -> str:
    """Return the canonical form of the /24 of an IPv4 address (SPEC A.7), such as `198.51.100.0/24`.

    The text is an address, or the prefix itself. A prefix with more bits set is refused, because its writer
    may have meant another length.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    prefix = clean(text)
    network = f"{ipv4(prefix.removesuffix('/24')).rpartition('.')[0]}.0/24"
    if "/" in prefix and prefix != network:
        raise refused("It is neither an address nor a prefix of 24 bits.")
    return network


def ipv6_net64(text: str) -> str:
    """Return the canonical form of the /64 of an IPv6 address (SPEC A.7), such as `2001:db8::/64`.

    The text is an address, or the prefix with its address in any spelling.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    prefix = clean(text)
    spelt = prefix.removesuffix("/64")
    address = ipv6(spelt)
    network = IPv6Network((address, 64), strict=False)
    if spelt != prefix and (str(network.network_address) != address or clean(spelt) != spelt):
        raise refused("It is neither an address nor a prefix of 64 bits.")
    return str(network)
