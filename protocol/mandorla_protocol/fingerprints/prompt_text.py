"""The normalised text of prompts, the input of fingerprints (SPEC A.8).

Normalisation removes what an attacker can vary at no cost, such as case, spaces, numbers and placeholders.
The work for one prompt is limited: only the two ends of a long prompt count.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_CHARACTERS: Final = 65_536
"""The most code points of a prompt that count: half of them at its start, half at its end."""

MAX_WORDS: Final = 16_384
"""The most words of a prompt that count: half of them at its start, half at its end."""

MAX_LETTERS: Final = 64
"""The most code points of a word that count: longer words are encoded data."""

_MARKS: Final = re.compile(
    # Each branch begins with a literal, which makes the search several times faster. The characters that end
    # an address are written out, because implementations differ about white space.
    r"(?:http://|https://|ftp://|www\.)[^\x00-\x20\x7f-\xa0\u1680\u2028\u2029<>\"]+"
    r"|\{\{?[\w .-]{0,40}\}\}?"
    r"|\$(?:\{[\w .-]{0,40}\}|[^\W\d]\w{0,39})"
    r"|</?\w[\w .-]{0,39}>"
    r"|\[\w[\w .-]{0,39}\]"
    r"|%(?:\(\w{1,40}\))?[sdifr](?!\w)"
)
_STARTS_OF_MARKS: Final = ("{", "<", "[", "$", "%", "://", "www.")
_DIGITS: Final = re.compile(r"\d+")
_NOT_A_WORD: Final = re.compile(r"[\W_]+")
_ASCII_WORDS: Final = {
    code: "0" if chr(code).isdigit() else " " for code in range(0x80) if not chr(code).isalpha()
}
_SENTENCE_ENDS: Final = re.compile(r"[\n\r\u2028\u2029\u3002]|[.!?](?=[\x00-\x20])")
_UNSPACED: Final = re.compile(
    r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff])"
)
"""Thai, Lao, Burmese, Khmer, kana and Han: scripts without spaces. Each of their letters is a word."""


def normalise(prompt: str) -> str:
    """Return the words of a prompt in their order, with one space between them (SPEC A.8).

    Words are letters and digits. SLOT replaces a placeholder, URL an address, and 0 a number.
    """
    return _to_words(_fold(_ends(prompt)))


def sentences(prompt: str) -> list[str]:
    """Return the sentences of a prompt that have words, each normalised as by `normalise` (SPEC A.8)."""
    parts = _SENTENCE_ENDS.split(_fold(_ends(prompt)))
    return [sentence for part in parts if (sentence := _to_words(part))]


def words(normalised: str) -> list[str]:
    """Return at most `MAX_WORDS` words from both ends of a normalised text, each cut to `MAX_LETTERS`."""
    found = normalised.split()
    if len(found) > MAX_WORDS:
        half = MAX_WORDS // 2
        found[half:-half] = []
    return [word[:MAX_LETTERS] for word in found]


def _ends(prompt: str) -> str:
    if len(prompt) <= MAX_CHARACTERS:
        return prompt
    half = MAX_CHARACTERS // 2
    return f"{prompt[:half]}\n{prompt[-half:]}"


def _fold(text: str) -> str:
    """Map characters that look the same to one character, and drop invisible ones."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # Control characters stay, because sentences end at line feeds.
    visible = "".join(
        character
        for character in folded
        if character.isalnum() or unicodedata.category(character) not in ("Cf", "Mn", "Mc", "Me")
    )
    return unicodedata.normalize("NFKC", visible)


def _to_words(folded: str) -> str:
    if any(start in folded for start in _STARTS_OF_MARKS):
        folded = _MARKS.sub(lambda found: " URL " if found[0][0] in "hfw" else " SLOT ", folded)
    if folded.isascii():
        spaced = folded.translate(_ASCII_WORDS)
        return " ".join((re.sub("00+", "0", spaced) if "00" in spaced else spaced).split())
    spaced = _NOT_A_WORD.sub(" ", _UNSPACED.sub(r" \1 ", _DIGITS.sub("0", folded)))
    return " ".join(spaced.split())
