"""What the vault seals only its key opens, where it belongs; what it masks it shows again."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from mandorla_node.crypto.vault import MASKED_SIZE, ROW_OVERHEAD, Vault, new_key
from mandorla_protocol.errors import Code, NodeError

KEY = bytes(range(32))
VAULT = Vault(KEY)
LAST = 2**32 - 1

ROWS = st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=20)), max_size=20)
POSITIONS = st.one_of(
    st.lists(st.integers(0, 300), min_size=1, max_size=60, unique=True),
    st.lists(st.integers(0, LAST), min_size=1, max_size=30, unique=True),
    st.lists(st.integers(2**14 - 40, 2**14 + 40), min_size=1, max_size=60, unique=True),
    st.lists(st.integers(LAST - 100, LAST), min_size=1, max_size=60, unique=True),
).map(sorted)


def masked(vault: Vault, context: bytes, positions: list[int], values: bytes) -> bytes:
    return vault.mask(context, np.array(positions, dtype=np.int64), values)


def reference(context: bytes, position: int, value: bytes) -> bytes:
    """Mask one value by the library's ChaCha20, a block at a time."""
    info = b"mandorla vault mask" + len(context).to_bytes(4, "big") + context
    key = HKDFExpand(algorithm=SHA512(), length=32, info=info).derive(KEY)
    cipher = Cipher(ChaCha20(key, position.to_bytes(4, "little") + bytes(12)), mode=None)
    block = cipher.encryptor().update(bytes(64))
    return bytes(a ^ b for a, b in zip(block[:32], value, strict=True))


@given(ROWS)
def test_rows_open_as_they_were_sealed(rows: list[tuple[bytes, bytes]]) -> None:
    sealed = VAULT.seal_rows(rows)
    assert [len(one) for one in sealed] == [len(value) + ROW_OVERHEAD for value, _ in rows]
    again = [(one, associated) for one, (_, associated) in zip(sealed, rows, strict=True)]
    assert VAULT.open_rows(again) == [value for value, _ in rows]


def test_a_row_is_sealed_anew_each_time() -> None:
    assert len(set(VAULT.seal_rows([(b"value", b"here")] * 100))) == 100


@pytest.mark.parametrize("byte", [0, 11, 12, 16, 17, -1])
def test_an_altered_row_does_not_open(byte: int) -> None:
    altered = bytearray(VAULT.seal_rows([(b"value", b"here")])[0])
    altered[byte] ^= 1
    assert_closed(VAULT, bytes(altered), b"here")


@pytest.mark.parametrize("length", [0, 1, 12, ROW_OVERHEAD - 1, ROW_OVERHEAD + 4])
def test_a_cut_row_does_not_open(length: int) -> None:
    assert_closed(VAULT, VAULT.seal_rows([(b"value", b"here")])[0][:length], b"here")


def test_a_row_opens_in_its_place_and_under_its_key_alone() -> None:
    sealed = VAULT.seal_rows([(b"value", b"here")])[0]
    assert_closed(VAULT, sealed, b"there")
    assert_closed(Vault(new_key()), sealed, b"here")


def test_one_bad_row_among_good_ones_is_noticed() -> None:
    good, bad = VAULT.seal_rows([(b"one", b"1"), (b"two", b"2")])
    with pytest.raises(NodeError):
        VAULT.open_rows([(good, b"1"), (bad, b"3")])


def assert_closed(vault: Vault, sealed: bytes, associated: bytes) -> None:
    with pytest.raises(NodeError) as caught:
        vault.open_rows([(sealed, associated)])
    assert caught.value.code is Code.BAD_HOME


@given(POSITIONS, st.binary(max_size=20), st.randoms(use_true_random=False))
def test_a_mask_is_a_block_of_chacha20_for_each_position(positions, context, random) -> None:
    values = random.randbytes(MASKED_SIZE * len(positions))
    hidden = masked(VAULT, context, positions, values)
    one_by_one = [
        reference(context, position, values[32 * n : 32 * n + 32]) for n, position in enumerate(positions)
    ]
    assert hidden == b"".join(one_by_one)
    assert masked(VAULT, context, positions, hidden) == values


@pytest.mark.parametrize("step", [1, 2, 31, 32, 33, 34, 1000])
def test_a_value_comes_out_the_same_with_whatever_it_is_masked(step: int) -> None:
    positions = list(range(5, 5 + step * 2_000, step))
    values = np.random.default_rng(1).bytes(MASKED_SIZE * len(positions))
    whole = masked(VAULT, b"epoch", positions, values)
    for n in (0, 1, 17, 1_024, 1_999):
        alone = masked(VAULT, b"epoch", [positions[n]], values[32 * n : 32 * n + 32])
        assert (
            alone == whole[32 * n : 32 * n + 32] == reference(b"epoch", positions[n], values[32 * n :][:32])
        )


def test_masks_differ_by_context_position_and_key() -> None:
    zeros = bytes(MASKED_SIZE)
    masks = {
        masked(vault, context, [position], zeros)
        for vault in (VAULT, Vault(new_key()))
        for context in (b"", b"a", b"b", b"\x00")
        for position in (0, 1, LAST)
    }
    assert len(masks) == 24
    assert zeros not in masks


def test_nothing_is_masked_by_nothing() -> None:
    assert masked(VAULT, b"epoch", [], b"") == b""


@pytest.mark.parametrize("positions", [[-1], [2**32], [-1, 5], [0, 2**32], [0, 2**62]])
def test_a_position_out_of_range_is_refused(positions: list[int]) -> None:
    with pytest.raises(NodeError) as caught:
        masked(VAULT, b"epoch", positions, bytes(MASKED_SIZE * len(positions)))
    assert caught.value.code is Code.STORE_FAILED


@pytest.mark.parametrize(
    ("positions", "size"), [([2, 1], 64), ([1], 31), ([1], 64), ([], 32), ([1, 2], 32)], ids=str
)
def test_values_that_do_not_fit_their_positions_are_refused(positions: list[int], size: int) -> None:
    with pytest.raises(NodeError) as caught:
        masked(VAULT, b"epoch", positions, bytes(size))
    assert caught.value.code is Code.INTERNAL
