"""Near-equal prompts (SPEC A.8): MinHash over short runs of words, in bands.

The probability that two prompts have the same minimum is the overlap of their sets of runs (Broder, "On the
resemblance and containment of documents", 1997). A value is the hash of a band, which is several minima. So
two different prompts hardly ever share a band by chance, and two similar prompts share one of the many bands
with high probability. BLAKE2b derives all random choices, so that all labs make the same ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..encoding import Writer
from .prompt_text import normalise, words

MIN_RUNS: Final = 8
"""The fewest different runs of a prompt with values: shorter prompts are equal by chance too often."""

VALUE_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Banding:
    """The parameters of a fingerprint type: words in a run, bands, and minima in a band (`rows`)."""

    name: str
    run: int
    bands: int
    rows: int


PRECISE: Final = Banding("prompt-minhash", run=3, bands=25, rows=5)
WIDE: Final = Banding("prompt-minhash-wide", run=3, bands=42, rows=3)
PAIRS: Final = Banding("prompt-minhash-pairs", run=2, bands=64, rows=5)
BANDINGS: Final = (PRECISE, WIDE, PAIRS)

_WORD: Final = Writer("mandorla/v1 prompt word").finish()
_BANDS: Final = {
    banding.name: Writer("mandorla/v1 prompt band").text(banding.name).finish() for banding in BANDINGS
}
_CACHED_WORDS: Final = 32_768
_BLOCK: Final = 2_048
"""The number of runs that are permuted at once, which limits a prompt's memory to a few megabytes."""


def minhash_values(prompt: str) -> tuple[str, ...]:
    """Return the 25 values of type `prompt-minhash` of a prompt; none for a short prompt (SPEC A.8)."""
    return band_values(words(normalise(prompt)), PRECISE)


def minhash_wide_values(prompt: str) -> tuple[str, ...]:
    """Return the 42 values of type `prompt-minhash-wide` of a prompt; none for a short prompt (SPEC A.8)."""
    return band_values(words(normalise(prompt)), WIDE)


def minhash_pairs_values(prompt: str) -> tuple[str, ...]:
    """Return the 64 values of type `prompt-minhash-pairs` of a prompt; none for a short prompt (SPEC A.8)."""
    return band_values(words(normalise(prompt)), PAIRS)


def band_values(prompt_words: Sequence[str], banding: Banding) -> tuple[str, ...]:
    """Return one value for each band, given the result of `words` (SPEC A.8).

    There is no value if the words have fewer than `MIN_RUNS` different runs.
    """
    runs = _run_hashes(prompt_words, banding.run)
    if len(runs) < MIN_RUNS:
        return ()
    minima = _minima(runs, banding.bands * banding.rows).astype(">u4").tobytes()
    size = 4 * banding.rows
    return tuple(
        band_value(banding.name, band, minima[band * size : (band + 1) * size])
        for band in range(banding.bands)
    )


def constant(name: str, index: int) -> bytes:
    """Return 8 bytes for a random choice, by its name and index (SPEC A.8)."""
    encoded = Writer("mandorla/v1 prompt constant").text(name).uint(index, 2).finish()
    return hashlib.blake2b(encoded, digest_size=8).digest()


@lru_cache(_CACHED_WORDS)
def word_hash(word: str) -> int:
    """Return the 32-bit hash of a word (SPEC A.8)."""
    encoded = word.encode()
    digest = hashlib.blake2b(_WORD + len(encoded).to_bytes(4, "big") + encoded, digest_size=4).digest()
    return int.from_bytes(digest, "big")


def band_value(banding: str, band: int, rows: bytes) -> str:
    """Return the value of a band, given its minima of four bytes each (SPEC A.8)."""
    encoded = _BANDS[banding] + band.to_bytes(2, "big") + (len(rows) // 4).to_bytes(4, "big") + rows
    return hashlib.blake2b(encoded, digest_size=VALUE_BYTES).hexdigest()


_LONGEST: Final = max(banding.run for banding in BANDINGS)
_ROWS: Final = max(banding.bands * banding.rows for banding in BANDINGS)

_MULTIPLIERS: Final = np.array(
    [int.from_bytes(constant("run", index), "big") for index in range(_LONGEST + 1)], dtype=np.uint64
)
_PERMUTATIONS: Final = np.array(
    [np.frombuffer(constant("permutation", index), dtype=">u4") for index in range(_ROWS)]
).astype(np.uint32)
_SCALES: Final = _PERMUTATIONS[:, 0] | np.uint32(1)
_SHIFTS: Final = _PERMUTATIONS[:, 1]


def _run_hashes(prompt_words: Sequence[str], run: int) -> NDArray[np.uint32]:
    """Return the different 32-bit hashes of the runs of words, in any order. Integers wrap at 2**64.

    The hash is multilinear and strongly universal: Lemire, Kaser, "Strongly universal string hashing is fast"
    (2014).
    """
    count = len(prompt_words) - run + 1
    if count < MIN_RUNS:
        return np.empty(0, dtype=np.uint32)
    hashes = np.fromiter(map(word_hash, prompt_words), dtype=np.uint64, count=len(prompt_words))
    sums = np.full(count, _MULTIPLIERS[0])
    for place in range(run):
        sums += _MULTIPLIERS[place + 1] * hashes[place : place + count]
    return np.unique((sums >> np.uint64(32)).astype(np.uint32))


def _minima(runs: NDArray[np.uint32], count: int) -> NDArray[np.uint32]:
    """Return the minimum of each of the first `count` permutations over the runs. Integers wrap at 2**32."""
    minima = np.full(count, 0xFFFFFFFF, dtype=np.uint32)
    for start in range(0, len(runs), _BLOCK):
        permuted = np.multiply.outer(runs[start : start + _BLOCK], _SCALES[:count])
        permuted += _SHIFTS[:count]
        np.minimum(minima, permuted.min(axis=0), out=minima)
    return minima
