"""Fingerprints (SPEC A.8): values of things that come back nearly the same, made from a lab's logs.

A prompt has several values of each type. Which of them are indicators, and how many must match, is the
registry's to say (SPEC A.5).
"""

from .common_values import CommonValues
from .minhash import minhash_pairs_values, minhash_values, minhash_wide_values
from .prompt_text import normalise, words
from .sentence import sentence_values
from .template import mine, template_values

__all__ = [
    "CommonValues",
    "mine",
    "minhash_pairs_values",
    "minhash_values",
    "minhash_wide_values",
    "normalise",
    "sentence_values",
    "template_values",
    "words",
]
