"""Sentences that prompts share, at any place in them (SPEC A.8)."""

from __future__ import annotations

import hashlib
from typing import Final

from ..encoding import Writer
from .prompt_text import sentences

MIN_LENGTH: Final = 40
"""The fewest characters of a normalised sentence with a value: many people write shorter ones."""

MIN_DIFFERENT_WORDS: Final = 4
MAX_VALUES: Final = 64
"""The most values of a prompt: the smallest, so that two labs keep the same of the values that they share."""

VALUE_BYTES: Final = 16


def sentence_values(prompt: str) -> tuple[str, ...]:
    """Return the sorted values of type `prompt-sentence` of a prompt (SPEC A.8)."""
    long = {sentence for sentence in sentences(prompt) if len(sentence) >= MIN_LENGTH}
    values = (
        sentence_value(sentence) for sentence in long if len(set(sentence.split())) >= MIN_DIFFERENT_WORDS
    )
    return tuple(sorted(values)[:MAX_VALUES])


def sentence_value(sentence: str) -> str:
    """Return the value of a normalised sentence, 32 hexadecimal digits (SPEC A.8)."""
    encoded = Writer("mandorla/v1 prompt sentence").text(sentence).finish()
    return hashlib.blake2b(encoded, digest_size=VALUE_BYTES).hexdigest()
