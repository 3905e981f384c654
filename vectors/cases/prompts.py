"""Vectors of prompts (SPEC A.8): words, values and templates, computed by the steps that SPEC lists."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final, TypeAlias

from .inputs import Case, Value, bad, good
from .structures import Fields, domain, join, sequence, text, uint

ABOUT: Final = "What prompts are made into: words, fingerprints of each type, templates"
SPEC: Final = "A.8"

UNSPACED: Final = (
    range(0x0E00, 0x0F00),
    range(0x1000, 0x10A0),
    range(0x1780, 0x1800),
    range(0x3040, 0x3100),
    range(0x3400, 0x4DC0),
    range(0x4E00, 0xA000),
    range(0x20000, 0x40000),
)
ENDS_OF_URLS: Final = {*range(0x21), *range(0x7F, 0xA1), 0x1680, 0x2028, 0x2029, *map(ord, '<>"')}
MINHASH: Final = {
    "prompt-minhash": (3, 25, 5),
    "prompt-minhash-wide": (3, 42, 3),
    "prompt-minhash-pairs": (2, 64, 5),
}
"""Run, bands and rows by type."""

OF_EVERY_PROMPT: Final = ("prompt-template", "prompt-minhash", "prompt-sentence")
"""The other types differ from one of these in numbers alone."""

TYPES: Final = ("prompt-template", *MINHASH, "prompt-sentence")


def blake2b(fields: Fields, size: int) -> bytes:
    """Hash a structure."""
    return hashlib.blake2b(join(fields), digest_size=size).digest()


# Words.


def category(character: str) -> str:
    """Return the first letter of a general category."""
    return unicodedata.category(character)[0]


def folded(prompt: str) -> str:
    """Return a folded prompt, by steps 1 to 3 of SPEC A.8."""
    if len(prompt) > 65_536:
        prompt = prompt[:32_768] + "\n" + prompt[-32_768:]
    prompt = unicodedata.normalize("NFKC", prompt).casefold()
    prompt = unicodedata.normalize("NFKC", prompt)
    kept = (one for one in prompt if category(one) != "M" and unicodedata.category(one) != "Cf")
    return unicodedata.normalize("NFKC", "".join(kept))


def is_word(character: str) -> bool:
    """Return whether a code point may stand in a name, other than a space, a dot or a hyphen."""
    return category(character) in "LN" or character == "_"


def name(rest: str, start: int, at_most: int = 40, also: str = " .-") -> int:
    """Return where a name that begins at `start` ends."""
    end = start
    while end < len(rest) and end - start < at_most and (is_word(rest[end]) or rest[end] in also):
        end += 1
    return end


def mark(rest: str) -> tuple[str, int]:
    """Return the mark at the start of a text and its length, if there is one."""
    for scheme in ("http://", "https://", "ftp://", "www."):
        if rest.startswith(scheme):
            end = len(scheme)
            while end < len(rest) and ord(rest[end]) not in ENDS_OF_URLS:
                end += 1
            if end > len(scheme):
                return "URL", end
    for opening in ("{{", "{", "${"):
        if rest.startswith(opening):
            end = name(rest, len(opening))
            if rest.startswith("}", end):
                two = opening != "${" and rest.startswith("}}", end)
                return "SLOT", end + 1 + two
    if rest.startswith("$") and len(rest) > 1 and is_word(rest[1]) and unicodedata.category(rest[1]) != "Nd":
        return "SLOT", name(rest, 1, also="")
    for opening, closing in (("</", ">"), ("<", ">"), ("[", "]")):
        start = len(opening)
        if rest.startswith(opening) and len(rest) > start and is_word(rest[start]):
            end = name(rest, start)
            if rest.startswith(closing, end):
                return "SLOT", end + 1
    if rest.startswith("%"):
        start = 1
        if rest.startswith("(", 1) and (end := name(rest, 2, also="")) > 2 and rest.startswith(")", end):
            start = end + 1
        if rest[start : start + 1] in tuple("sdifr") and not (rest[start + 1 :] and is_word(rest[start + 1])):
            return "SLOT", start + 1
    return "", 0


def in_words(part: str) -> str:
    """Return the words of a folded part, by steps 4 to 7 of SPEC A.8."""
    written, place = "", 0
    while place < len(part):
        kind, length = mark(part[place : place + 70_000])
        written += f" {kind} " if kind else part[place]
        place += length or 1
    spaced = ""
    for one in written:
        if unicodedata.category(one) == "Nd":
            spaced += "" if spaced.endswith("0") else "0"
        elif any(ord(one) in block for block in UNSPACED):
            spaced += f" {one} "
        else:
            spaced += one
    return " ".join("".join(one if category(one) in "LN" else " " for one in spaced).split(" ")).strip(" ")


def single_spaced(written: str) -> str:
    """Return words with one space between them."""
    return " ".join(word for word in written.split(" ") if word)


def normalised(prompt: str) -> str:
    """Return the words of a prompt as a text."""
    return single_spaced(in_words(folded(prompt)))


def words(prompt: str) -> list[str]:
    """Return the words that make the values of a prompt."""
    found = normalised(prompt).split(" ")
    if len(found) > 16_384:
        found = found[:8_192] + found[-8_192:]
    return [word[:64] for word in found if word]


def sentences(prompt: str) -> list[str]:
    """Return the sentences of a prompt."""
    parts, whole = [""], folded(prompt)
    for place, one in enumerate(whole):
        after = whole[place + 1 : place + 2]
        if one in "\n\r\u2028\u2029\u3002" or (one in ".!?" and after and ord(after) <= 0x20):
            parts.append("")
        else:
            parts[-1] += one
    return [single_spaced(in_words(part)) for part in parts]


# Values.


def runs(found: list[str], length: int) -> list[list[str]]:
    """Return the runs of `length` words."""
    return [found[start : start + length] for start in range(len(found) - length + 1)]


def prompt_run(run: str) -> Fields:
    """SPEC A.8."""
    return domain("prompt run") | {"run": text(run)}


def prompt_sentence(sentence: str) -> Fields:
    """SPEC A.8."""
    return domain("prompt sentence") | {"sentence": text(sentence)}


def prompt_word(word: str) -> Fields:
    """SPEC A.8."""
    return domain("prompt word") | {"word": text(word)}


def prompt_constant(of: str, index: int) -> Fields:
    """SPEC A.8."""
    return domain("prompt constant") | {"name": text(of), "index": uint(index, 2)}


def prompt_band(profile: str, band: int, rows: Iterable[int]) -> Fields:
    """SPEC A.8."""
    values = sequence([uint(row, 4) for row in rows])
    return domain("prompt band") | {"profile": text(profile), "band": uint(band, 2), "rows": values}


def template_values(prompt: str) -> list[str]:
    """Return the values of a prompt's runs in their order, each value once."""
    made = [run for run in runs(words(prompt), 6) if len(set(run)) >= 4]
    return list(dict.fromkeys(blake2b(prompt_run(" ".join(run)), 16).hex() for run in made))


def sentence_values(prompt: str) -> list[str]:
    """Return the values of a prompt's sentences."""
    kept = {one for one in sentences(prompt) if len(one) >= 40 and len(set(one.split(" "))) >= 4}
    return sorted(blake2b(prompt_sentence(one), 16).hex() for one in kept)[:64]


def minhash_values(kind: str, prompt: str) -> list[str]:
    """Return the values of a prompt's bands."""
    length, bands, rows = MINHASH[kind]
    multipliers = [int.from_bytes(blake2b(prompt_constant("run", i), 8), "big") for i in range(4)]
    hashes = set()
    for run in runs(words(prompt), length):
        total = multipliers[0]
        for multiplier, word in zip(multipliers[1:], run, strict=False):
            total += multiplier * int.from_bytes(blake2b(prompt_word(word), 4), "big")
        hashes.add(total % 2**64 >> 32)
    if len(hashes) < 8:
        return []
    minima = []
    for index in range(bands * rows):
        drawn = blake2b(prompt_constant("permutation", index), 8)
        scale, shift = int.from_bytes(drawn[:4], "big") | 1, int.from_bytes(drawn[4:], "big")
        minima.append(min((scale * one + shift) % 2**32 for one in hashes))
    return [
        blake2b(prompt_band(kind, band, minima[band * rows : (band + 1) * rows]), 16).hex()
        for band in range(bands)
    ]


def values(kind: str, prompt: str) -> list[str]:
    """Return a prompt's values of a type, sorted where SPEC fixes no order."""
    if kind == "prompt-template":
        return sorted(template_values(prompt))
    return sentence_values(prompt) if kind == "prompt-sentence" else minhash_values(kind, prompt)


# Templates.


def groups(prompts: list[list[str]], k: int, common: list[str]) -> dict[str, list[str]]:
    """Return the templates in (account, prompt) pairs."""
    accounts: dict[str, set[str]] = {}
    for account, prompt in prompts:
        for value in template_values(prompt):
            accounts.setdefault(value, set()).add(account)
    accounts = {one: having for one, having in accounts.items() if len(having) >= k and one not in common}
    neighbours: dict[tuple[str, str], set[str]] = {}
    for account, prompt in prompts:
        kept = [value for value in template_values(prompt) if value in accounts]
        for pair in pairwise(kept):
            neighbours.setdefault((min(pair), max(pair)), set()).add(account)
    group = {value: value for value in accounts}
    for (one, other), both in neighbours.items():
        if 2 * len(both) > max(len(accounts[one]), len(accounts[other])):
            smaller, greater = sorted((group[one], group[other]))
            group = {value: smaller if of == greater else of for value, of in group.items()}
    sizes = Counter(group.values())
    return {
        f"template-{smallest[:12]}": sorted(value for value, of in group.items() if of == smallest)[:64]
        for smallest, size in sizes.items()
        if size >= 2
    }


# Cases.

TEXTS: Final = {
    "plain": "Think step by step, and explain your reasoning.",
    "empty": "",
    "nothing-but-marks": "?! -- ... \u200b\u0301",
    "case-and-width": "ＴＨＩＮＫ Straße ΟΔΟΣ \u0130 ﬁne",
    "format-characters": "th\u200bi\u2060n\u00adk \u202estep\u202c \ufeffby",
    "marks-that-stay": "t\u0334h\u0336i\u0335n\u0337k e\u0301tape \u0939\u093f\u0928\u094d\u0926\u0940",
    "numbers": "v1.25, 2026-02-03 ٣٤ 1,000 x²  a1b22c",
    "underscore": "snake_case __init__",
    "lone-surrogate": "a\ud800b \udfff",
    "control-characters": "a\0b\x1cc\x85d\te\nf",
    "braces": "{x} {{ user.name }} {} {0} {{x} {a,b} ${topic} ${} {{{x}}} {a\nb}",
    "angles": "<topic> </topic> <br/> a < b > c <a href=x> <>",
    "brackets": "[TOPIC] [insert your topic here] [] [1] [a](b) [a, b]",
    "dollars": "$topic $_x1 $100 US$5 $" + "n" * 41,
    "percents": "%s %d %(topic)s 100%d %sx 5% discount %%",
    "names-of-40-and-41": "{" + "n" * 40 + "} {" + "n" * 41 + "}",
    "urls": 'See https://a.example/x?y={z}&n=5, <http://b.example> "www.c.example/(d)" www. ftp://e/f.',
    "url-ends": "https://a.example/\u00a0b https://c.example/\u3000d https://e.example/\u2028f",
    "scripts-without-spaces": "请一步一步地思考3个问题。ﾄｰｸﾝ 토큰 하나 สวัสดี",
}

DISTIL: Final = (
    "You are an expert in {field}. Solve the problem below and write down every step of your reasoning, "
    "however small, before you state the result. Do not summarise, and do not skip a step that seems "
    "obvious to you!\nProblem: a train leaves at 9:40 and covers 120 km in 75 minutes.\n"
    "How fast is it on average, and when does it arrive if the line is 300 km long?"
)
Pieces: TypeAlias = list[tuple[str, int]]
"""Texts, and how often each comes."""

LETTERS: Final = "aa bb cc dd ee ff gg hh ii jj kk ll"
PROMPTS: Final[dict[str, Pieces]] = {
    "plain": [(DISTIL, 1)],
    "edited": [(DISTIL.replace("every step", "each step").replace("9:40", "11:05").upper(), 1)],
    "seven-words": [("one two three four five six seven", 1)],
    "ten-words": [("one two three four five six seven eight nine ten", 1)],
    "nine-words": [("one two three four five six seven eight nine", 1)],
    "repeated": [("Say it again. ", 40)],
    "numbers": [("1.5 2.5 3.5\n", 40)],
    "words-of-64-and-more": [("a" * 64 + "b one two three four five six seven " + "a" * 64 + "c", 1)],
    "cut-in-characters": [(DISTIL, 1), ("-", 70_000), (" and one two three four five six", 1)],
    "cut-in-words": [("x ", 9_000), (DISTIL, 1), (" y", 9_000), (" " + DISTIL[:60], 1)],
    "sentences-of-39-and-40": [(f"{LETTERS} mmm. {LETTERS} mmmm.", 1)],
    "sentence-of-three-words": [("internationalisation internationalisation and so. ", 2)],
    "ideographs": [("请一步一步地思考这个问题,然后给出你的答案和完整的推理过程。" * 2, 1)],
}
FILLED: Final = [
    [f"{lab}-{number}", f"{before} {' '.join(f'payload{chr(97 + number)}{i}' for i in 'abcdefgh')} {after}"]
    for lab, count, before, after in (
        ("one", 4, "describe in detail how a person would go about", "and show all of your reasoning"),
        ("two", 3, "translate what follows without any loss of meaning", "and show all of your reasoning"),
    )
    for number in range(count)
]
FILLED.append(["one-0", "describe in detail how a person would go about anything at all"])
PHRASE: Final = template_values("and show all of your reasoning now")


def repeated(pieces: Pieces) -> str:
    """Return a prompt."""
    return "".join(piece * times for piece, times in pieces)


def cases() -> Iterator[Case]:
    """Yield all vectors of prompts."""
    for title, prompt in TEXTS.items():
        yield good(f"words-{title}", "normalise-prompt", {"prompt": prompt}, {"text": normalised(prompt)})
    for title, pieces in PROMPTS.items():
        for kind in TYPES if title in ("plain", "ten-words") else OF_EVERY_PROMPT:
            given: Value = {"type": kind, "pieces": pieces}
            found = values(kind, repeated(pieces))
            yield good(f"{kind}-of-{title}", "prompt-values", given, {"values": found})
    for title, k, common in (
        ("of-two-accounts", 2, []),
        ("of-three-accounts", 3, []),
        ("of-four-accounts", 4, []),
        ("of-eight-accounts", 8, []),
        ("without-a-common-phrase", 3, sorted(PHRASE)),
        ("of-no-prompt", 2, []),
    ):
        prompts = [] if title == "of-no-prompt" else FILLED
        mining: Value = {"prompts": prompts, "min_accounts": k, "common": common}
        yield good(f"templates-{title}", "mine-templates", mining, {"groups": groups(prompts, k, common)})
    for k in (0, 1):
        mining = {"prompts": FILLED, "min_accounts": k, "common": []}
        yield bad(f"templates-of-{('no', 'one')[k]}-account", "mine-templates", mining, "BAD_INPUT")
