"""Client software (SPEC A.7): fingerprints of TLS clients, and products in User-Agent headers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from .input_text import clean, refused

_JA4: Final = re.compile(r"[tqd](?:1[0-3]|s[23]|d[123]|00)[di][0-9]{4}[0-9a-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}")


def ja4(text: str) -> str:
    """Return the canonical form of a JA4 fingerprint of a TLS client (SPEC A.7), in lower case.

    Only the two characters of the ALPN name could be capitals, and no registered name has capitals there.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    fingerprint = clean(text)
    if not fingerprint.isascii() or not _JA4.fullmatch(fingerprint.lower()):
        raise refused("It is not a JA4 fingerprint of a TLS client.")
    return fingerprint.lower()


_TCHARS: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PRODUCT: Final = re.compile(rf"(?=[^/]*[A-Za-z])({_TCHARS})(?:/({_TCHARS}))?")
_MAJOR: Final = re.compile(r"[vV]?0*([0-9]{1,9})(?![0-9]).*")
_PARENTHESIS: Final = re.compile(r"([()])")
_SPACES: Final = re.compile(r"[ \t]+")

BASES: Final = frozenset(
    {
        "chrome",
        "dart",
        "electron",
        "firefox",
        "go",
        "java",
        "node",
        "node.js",
        "perl",
        "php",
        "python",
        "ruby",
    }
)
"""Products on which others are built, and which those name too. Part of profile 1 of `user-agent`."""

TOKENS_OF_ALL: Final = frozenset(
    {"applewebkit", "gecko", "khtml", "like", "mobile", "mozilla", "tablet", "version"}
)
"""Products that browsers of all makers name. Part of profile 1 of `user-agent`."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product in a User-Agent, in lower case, and its major version if there is one."""

    name: str
    major: str | None

    def __str__(self) -> str:
        if self.major is None:
            return self.name
        return f"{self.name}{' ' if '/' in self.name else '/'}{self.major}"

    def rank(self) -> int:
        """Return how well the product identifies the client:

        the first product of the highest rank is chosen.
        """
        if self.name in TOKENS_OF_ALL:
            return 0
        if self.name == "safari":
            return 2
        if self.name in BASES:
            return 3
        return 1 if self.major is None else 4


def user_agent(text: str) -> str:
    """Return the canonical form of a User-Agent (SPEC A.7): the product and its major version.

    Systems, devices, builds and minor versions are dropped, because they differ between one attacker's
    machines.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    products = list(_products(clean(text)))
    if not products:
        raise refused("It names no product.")
    chosen = max(products, key=Product.rank)
    if chosen.name == "safari":
        # The version after Safari is that of its engine. Its own version stands after `Version`.
        own = next((product.major for product in products if product.name == "version"), None)
        chosen = Product(chosen.name, own or chosen.major)
    return str(chosen)


def _products(text: str) -> Iterator[Product]:
    words = list(_words(text))
    for word, after in zip(words, [*words[1:], ""], strict=True):
        found = _PRODUCT.fullmatch(word)
        if not found:
            continue
        name, version = found[1].lower(), found[2]
        major = _major(version or "")
        if version and major is None and "/" not in after and _major(after):
            # In `OpenAI/Python 1.35.3` the product's edition stands before its version.
            yield Product(f"{name}/{version.lower()}", _major(after))
        else:
            yield Product(name, major)


def _words(text: str) -> Iterator[str]:
    """Yield the words outside comments, and the products that comments name as compatible."""
    depth = 0
    for piece in _PARENTHESIS.split(text):
        if piece == "(":
            depth += 1
        elif piece == ")":
            depth = max(0, depth - 1)
        elif not depth:
            yield from _SPACES.split(piece)
        else:
            items = [item.strip(" \t") for item in piece.split(";")]
            for item, following in pairwise(items):
                if item.lower() == "compatible":
                    # Both forms are common: `bingbot/2.0` and `MSIE 8.0`.
                    name, *rest = _SPACES.split(following)
                    yield name if "/" in name or not rest else f"{name}/{rest[0]}"


def _major(version: str) -> str | None:
    found = _MAJOR.fullmatch(version)
    return found[1] if found else None
