"""A label opens with the key of its indicator, at its place, and not otherwise."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from mandorla_protocol.encoding import Writer
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code, CryptoError, EncodingError, MandorlaError
from mandorla_protocol.labels import (
    SEALED_LABEL_SIZE,
    Label,
    LabelKey,
    Reason,
    Severity,
    Tag,
    Tlp,
    open_sealed,
    seal,
    split_output,
)
from tests.protocol.alterations import alterations, assert_strict
from tests.protocol.strategies import LABELS, exactly

OUTPUT = bytes(range(64))
TAG, KEY = split_output(OUTPUT)
EPOCH = Epoch(LabId(b"h" * 32), LabId(b"q" * 32), "accounts", 3)
VERSION = 5
LABEL = Label(Reason.DISTILLATION, Severity.HIGH, 90, 1_700_000_000, 0, Tlp.RED)
SEALED = seal(LABEL, KEY, TAG, EPOCH, VERSION)


def assert_does_not_open(*args: Any) -> None:
    with pytest.raises(MandorlaError) as caught:
        open_sealed(*args)
    assert caught.value.code is Code.BAD_LABEL


@given(LABELS, exactly(64), st.integers(1, 2**40))
def test_a_label_opens_as_it_was_sealed(label: Label, output: bytes, version: int) -> None:
    tag, key = split_output(output)
    sealed = seal(label, key, tag, EPOCH, version)
    assert len(sealed) == SEALED_LABEL_SIZE == 272
    assert open_sealed(sealed, key, tag, EPOCH, version) == label


@given(LABELS)
def test_labels_have_one_encoding_of_one_size(label: Label) -> None:
    assert len(label.encode()) == 256
    assert Label.decode(label.encode()) == label


@given(LABELS, LABELS)
def test_labels_do_not_share_an_encoding(one: Label, other: Label) -> None:
    assert (one.encode() == other.encode()) == (one == other)


@pytest.mark.spec("6.3-1")
def test_no_byte_of_a_label_or_of_its_padding_is_free() -> None:
    assert_strict(LABEL, Label.decode)


def test_no_altered_byte_cut_or_extension_of_a_sealed_label_opens() -> None:
    for altered in alterations(SEALED):
        assert_does_not_open(altered, KEY, TAG, EPOCH, VERSION)


@pytest.mark.parametrize("position", range(16))
def test_a_label_does_not_open_at_another_tag(position: int) -> None:
    other = bytearray(TAG)
    other[position] ^= 1
    assert_does_not_open(SEALED, KEY, Tag(bytes(other)), EPOCH, VERSION)


@pytest.mark.parametrize("position", range(32))
def test_a_label_does_not_open_with_another_key(position: int) -> None:
    other = bytearray(KEY)
    other[position] ^= 1
    assert_does_not_open(SEALED, LabelKey(bytes(other)), TAG, EPOCH, VERSION)


@pytest.mark.parametrize("version", [0, VERSION - 1, VERSION + 1, VERSION + 2**32, 2**64 - 1])
def test_a_label_does_not_open_in_another_version(version: int) -> None:
    assert_does_not_open(SEALED, KEY, TAG, EPOCH, version)


@pytest.mark.parametrize(
    "change",
    [
        {"holder": LabId(b"x" * 32)},
        {"querier": LabId(b"x" * 32)},
        {"holder": EPOCH.querier, "querier": EPOCH.holder},
        {"collection": "infrastructure"},
        {"collection": ""},
        {"number": 4},
    ],
    ids=str,
)
def test_a_label_does_not_open_in_another_epoch(change: dict[str, Any]) -> None:
    assert_does_not_open(SEALED, KEY, TAG, replace(EPOCH, **change), VERSION)


def test_the_version_is_bound_by_the_nonce_and_by_the_associated_data() -> None:
    """Each alone would suffice. An implementation that forgets one of them fails here."""
    aad = Writer("mandorla/v1 sealed label").fixed(TAG, 16).data(EPOCH.encode())
    nonce = VERSION.to_bytes(12, "big")
    expected = ChaCha20Poly1305(KEY).encrypt(nonce, LABEL.encode(), aad.uint(VERSION, 8).finish())
    assert expected == SEALED


@pytest.mark.spec("6.3-1")
def test_what_a_holder_sealed_badly_is_refused_too() -> None:
    padded = bytearray(LABEL.encode())
    padded[-1] = 1
    aad = Writer("mandorla/v1 sealed label").fixed(TAG, 16).data(EPOCH.encode()).uint(VERSION, 8).finish()
    sealed = ChaCha20Poly1305(KEY).encrypt(VERSION.to_bytes(12, "big"), bytes(padded), aad)
    assert_does_not_open(sealed, KEY, TAG, EPOCH, VERSION)


def test_a_version_beyond_its_field_is_a_typed_error() -> None:
    version = 2**64
    with pytest.raises(MandorlaError):
        seal(LABEL, KEY, TAG, EPOCH, version)
    with pytest.raises(MandorlaError):
        open_sealed(SEALED, KEY, TAG, EPOCH, version)


@pytest.mark.spec("6.3-1")
@pytest.mark.parametrize(
    "fields",
    [{"confidence": -1}, {"confidence": 101}, {"first_seen": -1}, {"first_seen": 2**40}, {"expires": 2**40}],
    ids=str,
)
def test_a_label_that_makes_no_sense_is_refused(fields: dict[str, int]) -> None:
    with pytest.raises(EncodingError) as caught:
        Label(**fields)  # type: ignore[arg-type]
    assert caught.value.code is Code.BAD_LABEL


def test_an_output_is_split_as_the_specification_says() -> None:
    """HKDF-Expand of one block is HMAC(prk, info || 0x01) (RFC 5869 section 2.3)."""
    import hashlib
    import hmac

    info = Writer("mandorla/v1 label key").finish()
    expected = hmac.digest(OUTPUT[16:], info + b"\x01", hashlib.sha512)[:32]
    assert (OUTPUT[:16], expected) == (TAG, KEY)


@pytest.mark.parametrize("position", range(64))
def test_every_byte_of_an_output_decides_tag_or_key(position: int) -> None:
    other = bytearray(OUTPUT)
    other[position] ^= 1
    tag, key = split_output(bytes(other))
    assert (tag == TAG, key == KEY) == (position >= 16, position < 16)


@pytest.mark.parametrize("size", [0, 63, 65, 128])
def test_an_output_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(CryptoError) as caught:
        split_output(bytes(size))
    assert caught.value.code is Code.BAD_LENGTH


def test_values_are_those_of_the_specification() -> None:
    assert [reason.value for reason in Reason] == [0, 1, 2, 3, 4, 5]
    assert [severity.value for severity in Severity] == [1, 2, 3, 4]
    assert [tlp.value for tlp in Tlp] == [0, 1, 2, 3, 4]
    assert Label() == Label(Reason.UNSPECIFIED, Severity.MEDIUM, 50, 0, 0, Tlp.AMBER)


def test_a_label_of_another_size_is_none() -> None:
    for padded in (Label().encode() + bytes(1), Label().encode()[:-1], b""):
        with pytest.raises(EncodingError) as caught:
            Label.decode(padded)
        assert caught.value.code is Code.BAD_LABEL
