"""Size classes are at least the count, grow by about sqrt(2), and are equal for all counts of a class."""

import math
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_protocol.dleq import MAX_BATCH
from mandorla_protocol.sizes import CHUNK_SIZE, chunk_counts, size_class

with localcontext() as precise:
    precise.prec = 60
    CLASSES = [math.ceil(Decimal(2**k).sqrt()) for k in range(16, 101)]
COUNTS = st.integers(0, CLASSES[-1])


def test_the_first_classes_are_the_published_ones() -> None:
    assert CLASSES[:9] == [256, 363, 512, 725, 1024, 1449, 2048, 2897, 4096]


@given(COUNTS)
def test_a_count_is_padded_to_the_smallest_class_that_holds_it(count: int) -> None:
    assert size_class(count) == next(padded for padded in CLASSES if padded >= count)


@pytest.mark.parametrize("padded", CLASSES)
def test_a_class_holds_itself_and_its_neighbours_differ(padded: int) -> None:
    assert size_class(padded) == size_class(padded - 1) == padded
    assert size_class(padded + 1) > padded


@given(COUNTS, COUNTS)
def test_more_is_never_padded_to_less(one: int, other: int) -> None:
    assert (size_class(one) <= size_class(other)) or one > other


def test_every_count_up_to_the_smallest_class_looks_the_same() -> None:
    assert {size_class(count) for count in range(257)} == {256}


def test_a_negative_count_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="negative"):
        size_class(-1)


@given(st.integers(0, 10 * CHUNK_SIZE))
def test_chunks_hold_everything_and_only_the_last_is_short(total: int) -> None:
    counts = chunk_counts(total)
    assert sum(counts) == total
    assert all(count == CHUNK_SIZE for count in counts[:-1])
    assert all(0 < count <= CHUNK_SIZE for count in counts)


def test_a_chunk_fits_a_proof() -> None:
    assert CHUNK_SIZE <= MAX_BATCH
