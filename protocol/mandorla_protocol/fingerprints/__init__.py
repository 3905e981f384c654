"""Fingerprints of prompts and accounts, made from a lab's logs (SPEC A.8, A.9).

Similar prompts share some of their values. A prompt has several values of each type; the registry says how
many of them must match (SPEC A.5).
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
