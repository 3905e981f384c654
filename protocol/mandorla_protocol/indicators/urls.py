"""URLs (SPEC A.7): the URL Standard to read them, SPEC A.3 and A.4 for hosts, one percent-encoding."""

from __future__ import annotations

import contextlib
import re
from typing import Final

from ada_url import URL, HostType

from . import addresses, names
from .input_text import MAX_INPUT, clean, refused

SCHEMES: Final = frozenset({"ftp:", "http:", "https:", "ws:", "wss:"})
"""The schemes of the URL Standard that have a host and a default port."""

# Browsers drop tabs and line ends wherever they stand; in a list they are damage.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# What RFC 3986 lets stand in a path or a query is left; an escape, and all else, is written anew.
_REWRITTEN: Final = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9._~!$&'()*+,;=:@/?-]")


def url(text: str) -> str:
    """Return the canonical form of a URL (SPEC A.7).

    User names, passwords and fragments go: they choose no resource, and an attacker may vary them at will.

    Raises InputError(BAD_INDICATOR).
    """
    spelt = clean(text)
    if _CONTROL.search(spelt):
        raise refused("A URL holds no control characters.")
    found: URL | None = None
    # A lone surrogate is a ValueError, too.
    with contextlib.suppress(ValueError):
        found = URL(spelt)
    if found is None or found.protocol not in SCHEMES:
        raise refused("It is not a URL of ftp, http, https, ws or wss.")
    port = f":{found.port}" if found.port else ""
    canonical = f"{found.protocol}//{_host(found)}{port}{_escaped(found.pathname)}{_escaped(found.search)}"
    if len(canonical) > MAX_INPUT:
        raise refused(f"Percent-encoded, it is longer than {MAX_INPUT} characters.")
    return canonical


def _host(found: URL) -> str:
    match found.host_type:
        case HostType.IPV4:
            return addresses.ipv4(found.hostname)
        case HostType.IPV6:
            return f"[{addresses.ipv6(found.hostname.strip('[]'))}]"
        case _:
            return names.a_labels(found.hostname)


def _escaped(component: str) -> str:
    """Percent-encode what RFC 3986 does not let stand in a path or a query, and nothing unreserved.

    A percent sign that starts no escape is one that was not encoded. Encoding it keeps what is decoded behind
    it from becoming part of a new escape.
    """
    return _REWRITTEN.sub(_rewrite, component)


def _rewrite(found: re.Match[str]) -> str:
    written = found[0]
    if len(written) == 1:
        return f"%{ord(written):02X}"
    character = chr(int(written[1:], 16))
    return character if character in _UNRESERVED else written.upper()
