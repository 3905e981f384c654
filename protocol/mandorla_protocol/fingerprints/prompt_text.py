"""The text of a prompt as fingerprints see it (SPEC A.8): what an operator varies at no cost is gone.

The work on any input is bounded: of a long prompt only the two ends are read.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_CHARACTERS: Final = 65_536
"""Code points of a prompt that are read: half of them at the start, half at the end."""

MAX_WORDS: Final = 16_384
"""Words of a prompt that are used: half of them at the start, half at the end."""

MAX_LETTERS: Final = 64
"""Code points of a word that are used: what is longer is encoded data."""

_MARKS: Final = re.compile(
    # Every branch begins with a literal, which makes the search several times faster. What ends an address
    # is written out, because readers differ on what white space is.
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
"""Thai, Lao, Burmese, Khmer, kana and Han: scripts without spaces, of which each letter is a word."""


def normalise(prompt: str) -> str:
    """Return the words of a prompt, in their order, with one space between them (SPEC A.8).

    Words are letters and digits. Placeholders have become SLOT, addresses URL, and numbers 0.
    """
    return _to_words(_fold(_ends(prompt)))


def sentences(prompt: str) -> list[str]:
    """Return the sentences of a prompt, each as `normalise` gives words, without empty ones (SPEC A.8)."""
    parts = _SENTENCE_ENDS.split(_fold(_ends(prompt)))
    return [sentence for part in parts if (sentence := _to_words(part))]


def words(normalised: str) -> list[str]:
    """Return the words of a normalised text, cut to `MAX_LETTERS`: at most `MAX_WORDS`, from both ends."""
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
    """Fold what looks the same, and drop what cannot be seen."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # Sentences end at line feeds, so control characters stay.
    seen = "".join(
        character
        for character in folded
        if character.isalnum() or unicodedata.category(character) not in ("Cf", "Mn", "Mc", "Me")
    )
    return unicodedata.normalize("NFKC", seen)


def _to_words(folded: str) -> str:
    if any(start in folded for start in _STARTS_OF_MARKS):
        folded = _MARKS.sub(lambda found: " URL " if found[0][0] in "hfw" else " SLOT ", folded)
    if folded.isascii():
        spaced = folded.translate(_ASCII_WORDS)
        return " ".join((re.sub("00+", "0", spaced) if "00" in spaced else spaced).split())
    spaced = _NOT_A_WORD.sub(" ", _UNSPACED.sub(r" \1 ", _DIGITS.sub("0", folded)))
    return " ".join(spaced.split())
