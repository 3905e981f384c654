"""URLs (SPEC A.7): parsed by the URL Standard, with hosts by SPEC A.3 and A.4, and one percent-encoding."""

from __future__ import annotations

import contextlib
import re
from typing import Final

from ada_url import URL, HostType

from . import addresses, names
from .input_text import MAX_INPUT, clean, refused

SCHEMES: Final = frozenset({"ftp:", "http:", "https:", "ws:", "wss:"})
"""The schemes with a host and a default port (URL Standard, special schemes without `file`)."""

# Browsers drop tabs and line ends within a URL. In a list they are signs of damage.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Escapes, and characters that RFC 3986 does not allow in a path or a query, are written anew.
_REWRITTEN: Final = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9._~!$&'()*+,;=:@/?-]")


def url(text: str) -> str:
    """Return the canonical form of a URL (SPEC A.7).

    User names, passwords and fragments are dropped: they select no resource, and an attacker may vary them.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    spelt = clean(text)
    if _CONTROL.search(spelt):
        raise refused("A URL holds no control characters.")
    found: URL | None = None
    # A lone surrogate also raises ValueError.
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
    """Percent-encode what RFC 3986 does not allow in a path or a query; decode unreserved characters.

    A percent sign that starts no escape is encoded too. Otherwise it could form a new escape with the decoded
    characters after it.
    """
    return _REWRITTEN.sub(_rewrite, component)


def _rewrite(found: re.Match[str]) -> str:
    written = found[0]
    if len(written) == 1:
        return f"%{ord(written):02X}"
    character = chr(int(written[1:], 16))
    return character if character in _UNRESERVED else written.upper()
