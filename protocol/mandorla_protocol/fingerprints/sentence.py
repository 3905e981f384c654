"""Sentences that prompts share (SPEC A.8), wherever in them they stand."""

from __future__ import annotations

import hashlib
from typing import Final

from ..encoding import Writer
from .prompt_text import sentences

MIN_LENGTH: Final = 40
"""Characters of a normalised sentence: shorter ones are said by anyone."""

MIN_DIFFERENT_WORDS: Final = 4
MAX_VALUES: Final = 64
"""Values of a prompt: the smallest, so that two labs keep the same ones of the sentences that they share."""

VALUE_BYTES: Final = 16


def sentence_values(prompt: str) -> tuple[str, ...]:
    """Return the values of type `prompt-sentence` of a prompt, sorted (SPEC A.8)."""
    long = {sentence for sentence in sentences(prompt) if len(sentence) >= MIN_LENGTH}
    values = (
        sentence_value(sentence) for sentence in long if len(set(sentence.split())) >= MIN_DIFFERENT_WORDS
    )
    return tuple(sorted(values)[:MAX_VALUES])


def sentence_value(sentence: str) -> str:
    """Return the value of a normalised sentence (SPEC A.8)."""
    encoded = Writer("mandorla/v1 prompt sentence").text(sentence).finish()
    return hashlib.blake2b(encoded, digest_size=VALUE_BYTES).hexdigest()
