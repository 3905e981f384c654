"""Mail (SPEC A.2): addresses, their mailboxes, and mail domains."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from . import names
from .input_text import clean, refused

MAX_LOCAL: Final = 64
MAX_ADDRESS: Final = 254

_ATOM: Final = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOT_ATOM: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider's rule for the mailbox of an address.

    A tag starts at any of `separators`. The provider ignores the characters `ignored` in a user's name.
    `domain` is the canonical domain where one mailbox has several.
    """

    separators: str = "+"
    ignored: str = ""
    domain: str | None = None


_ANY: Final = Provider()
_GOOGLE: Final = Provider(ignored=".", domain="gmail.com")
_PROTON: Final = Provider(ignored=".-_")
_YAHOO: Final = Provider(separators="+-")

PROVIDERS: Final[Mapping[str, Provider]] = MappingProxyType(
    {
        "gmail.com": _GOOGLE,
        "googlemail.com": _GOOGLE,
        "pm.me": _PROTON,
        "proton.me": _PROTON,
        "protonmail.ch": _PROTON,
        "protonmail.com": _PROTON,
        "rocketmail.com": _YAHOO,
        "yahoo.com": _YAHOO,
        "ymail.com": _YAHOO,
    }
)
"""The rules by domain; part of profile 1 of `mailbox`. Outlook, iCloud and Fastmail use the default rule,
`+`.

A wrong rule would merge two people, so each rule follows what the provider publishes about its addresses.
"""


def email(text: str) -> str:
    """Return the canonical form of a mail address (SPEC A.2).

    The local part is lowercased. RFC 5321 leaves its case to the receiving host. But providers deliver all
    cases to one mailbox, and an attacker who varies the case must not look like several people.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    local, _, domain = clean(text).rpartition("@")
    address = f"{_local_part(local)}@{names.a_labels(domain)}"
    if _octets(address) > MAX_ADDRESS:
        raise refused(f"A mail address has at most {MAX_ADDRESS} octets.")
    return address


def mailbox(text: str) -> str:
    """Return the canonical address of the mailbox of a mail address (SPEC A.2).

    If the provider's rule would leave no valid local part, the local part stays whole.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    local, _, domain = email(text).rpartition("@")
    # The listed providers issue ASCII names only. Removing characters from ASCII text keeps it in NFC.
    provider = PROVIDERS.get(domain, _ANY) if local.isascii() else _ANY
    name = local
    for separator in provider.separators:
        name = name.partition(separator)[0]
    for character in provider.ignored:
        name = name.replace(character, "")
    if not name or name.endswith("."):
        name = local
    return f"{name}@{provider.domain or domain}"


def mail_domain(text: str) -> str:
    """Return the canonical form of the domain of mail addresses (SPEC A.2), by the rule of SPEC A.3.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    return names.domain(text)


def _local_part(local: str) -> str:
    canonical = local.lower() if local.isascii() else _nfc(_nfc(local).lower())
    if _octets(canonical) > MAX_LOCAL:
        raise refused(f"The part before the @ has at most {MAX_LOCAL} octets.")
    if not _DOT_ATOM.fullmatch(canonical) and not _is_international(canonical):
        raise refused("The part before the @ is missing, or is not an unquoted local part.")
    return canonical


def _is_international(local: str) -> bool:
    """Return whether a local part is one of RFC 6531, without unsafe characters.

    The library checks the local part under the domain `test`. With the real domain it would refuse
    special-use domains by its own list, and the result would depend on the library's version.
    """
    from email_validator import validate_email  # noqa: PLC0415 - slow to load, and seldom needed

    try:
        checked = validate_email(
            f"{local}@test",
            allow_smtputf8=True,
            allow_empty_local=False,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
            strict=False,
            check_deliverability=False,
            test_environment=True,
        )
    except ValueError:
        return False
    return checked.local_part == local


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
