"""The HTTP addresses of a webhook and of its proxy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_MAX: Final = 2_000
_ALLOWED: Final = re.compile(r"[!-~]+")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")
_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Address:
    """An HTTP address. Its representation omits the target, which can hold a secret."""

    secure: bool
    host: str
    port: int
    target: str

    def __repr__(self) -> str:
        return f"Address({self.authority})"

    @property
    def authority(self) -> str:
        """The host and the port, as the `Host` header has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its name or its address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_address(text: str) -> Address:
    """Parse an address.

    Raises ValueError: the fault, without the address itself, which can hold a secret.
    """
    if len(text) > _MAX or not _ALLOWED.fullmatch(text):
        raise ValueError(f"an address is at most {_MAX:,} printable ASCII characters without spaces")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("this is not an address") from None
    if port == 0:
        raise ValueError("a port is not 0")
    if parts.scheme not in _PORTS:
        raise ValueError("the address begins with https:// or http://")
    if not _HOST.fullmatch(host):
        raise ValueError("the address has no host, or none that is ASCII")
    if "@" in parts.netloc:
        raise ValueError(
            "the address names a user, which a webhook does not need: the signature identifies this lab"
        )
    if parts.fragment:
        raise ValueError("the address has a fragment, which is never sent")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.scheme == "https", host, port or _PORTS[parts.scheme], target)


def require_webhook(text: str) -> str:
    """Return the address of a webhook; raises ValueError unless it is https or on this machine."""
    address = parse_address(text)
    if not (address.secure or address.is_loopback):
        raise ValueError("matches leave this machine by https only")
    return text


def require_proxy(text: str) -> str:
    """Return the address of a proxy; raises ValueError unless it is http://HOST:PORT."""
    address = parse_address(text)
    if address.secure or address.target != "/":
        raise ValueError("a proxy is http://HOST:PORT")
    return text
