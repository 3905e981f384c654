"""Resources as indicators, for nodes to compare.

A node takes types of the registry only (SPEC 4.1). Relays have none, and templates and sequences have types
that match by groups (SPEC 4.5), while a simulated one is a single resource: they are written as another type.
To the protocol, an indicator is an opaque token whatever its type.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from ..kinds import Kind
from ..resources import Resource, kind_of, serial_of

_EXITS: Final = int(ipaddress.IPv6Address("2001:db8::"))

Written = tuple[str, str]
"""A registered type, and a value of it in canonical form."""

COLLECTIONS: Final = ("accounts", "infrastructure")
"""The collections of the types below."""


def written(resource: Resource) -> Written:
    """Write a resource as an indicator; different resources give different ones."""
    serial = serial_of(resource)
    match kind_of(resource):
        case Kind.PAYMENT:
            return "payment-par", f"SIMU{serial:025}"
        case Kind.DEVICE:
            return "device-id", f"simulation:{serial:032x}"
        case Kind.MAIL_DOMAIN:
            return "mail-domain", f"mail{serial}.example.net"
        case Kind.ADDRESS:
            return "ipv6", str(ipaddress.IPv6Address(_EXITS + serial))
        case kind:
            return "domain", f"{kind.value}{serial}.example.net"
