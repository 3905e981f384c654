"""What a peer sends is decoded strictly or refused, whatever it is; `tools/fuzz.py` looks for longer."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.decoders import DECODERS

LARGEST = 1 << 20
"""Bytes that a decoder may take for some hundred bytes, whatever lengths these claim."""

INTERESTING = (
    b"\x00",
    b"\xff",
    b"\x00" * 4,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\n\n",
    "\u0660".encode(),
    b'"',
)


@st.composite
def altered(draw: st.DrawFn, valid: tuple[bytes, ...]) -> bytes:
    """Change valid bytes in some places: bytes, lengths, cuts, repetitions, and parts of others."""
    encoded = bytearray(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(encoded)))
        end = draw(st.integers(start, min(len(encoded), start + 64)))
        other = draw(st.sampled_from(valid))
        put = draw(
            st.one_of(
                st.sampled_from(INTERESTING),
                st.binary(max_size=8),
                st.just(bytes(encoded[start:end]) * 2),
                st.just(other[start : end + 8]),
            )
        )
        encoded[start:end] = put
    return bytes(encoded)


@pytest.mark.parametrize("name", DECODERS)
def test_valid_bytes_are_taken(name: str) -> None:
    for encoded in DECODERS[name].valid:
        assert DECODERS[name].law(encoded)


@pytest.mark.parametrize("name", DECODERS)
def test_any_bytes_are_refused_with_a_code_or_are_the_only_ones_of_their_value(name: str) -> None:
    decoder = DECODERS[name]

    @settings(max_examples=100, deadline=None)
    @given(st.one_of(altered(decoder.valid), st.binary(max_size=600)))
    def holds(encoded: bytes) -> None:
        decoder.law(encoded)

    holds()


@pytest.mark.parametrize("name", DECODERS)
def test_no_length_that_is_claimed_is_believed(name: str) -> None:
    decoder = DECODERS[name]
    for encoded in decoder.valid:
        decoder.law(encoded)
        for start in range(0, min(len(encoded), 600)):
            claiming = encoded[:start] + b"\xff\xff\xff\xf0" + encoded[start + 4 :]
            tracemalloc.start()
            try:
                decoder.law(claiming)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert peak < LARGEST
