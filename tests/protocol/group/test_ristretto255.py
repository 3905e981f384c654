"""ristretto255 decodes strictly, and its arithmetic has no exceptions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_protocol.errors import Code, CryptoError, MandorlaError
from mandorla_protocol.group import Element, Group, Scalar
from mandorla_protocol.group.ristretto255 import Ristretto255
from tests.protocol import toy_group
from tests.protocol.strategies import exactly
from tests.protocol.toy_group import ToyGroup

ORDER = 2**252 + 27742317777372353535851937790883648493
RISTRETTO = Ristretto255()
GROUPS = pytest.mark.parametrize(
    ("group", "order"),
    [
        pytest.param(RISTRETTO, ORDER, id="ristretto255"),
        pytest.param(ToyGroup(), toy_group.ORDER, id="toy"),
    ],
)

NOT_ELEMENTS = {
    # A few of each type in RFC 9496 appendix A.2.
    "non-canonical 0": "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "non-canonical 1": "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "non-canonical 2": "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "non-canonical zero": "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "negative one": "0100000000000000000000000000000000000000000000000000000000000000",
    "negative 1": "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "negative 2": "ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
    "negative 3": "c34c4e1826e5d403b78e246e88aa051c36ccf0aafebffe137d148a2bf9104562",
    "no square 0": "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
    "no square 1": "4eac077a713c57b4f4397629a4145982c661f48044dd3f96427d40b147d9742f",
    "no square 2": "de6a7b00deadc788eb6b6c8d20c0ae96c2f2019078fa604fee5b87d6e989ad7b",
    "negative product 0": "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
    "negative product 1": "a45fdc55c76448c049a1ab33f17023edfb2be3581e9c7aade8a6125215e04220",
    "y is zero": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    # Further encodings.
    "identity": "00" * 32,
    "identity with the high bit": "00" * 31 + "80",
    "generator with the high bit": RISTRETTO.generator[:31].hex() + f"{RISTRETTO.generator[31] | 128:02x}",
    "Ed25519's generator": "5866666666666666666666666666666666666666666666666666666666666666",
    "empty": "",
    "too short": RISTRETTO.generator[:31].hex(),
    "too long": RISTRETTO.generator.hex() + "00",
}


@pytest.mark.spec("5.1-1")
@pytest.mark.parametrize("encoded", NOT_ELEMENTS.values(), ids=NOT_ELEMENTS.keys())
def test_what_is_not_a_canonical_element_is_refused(encoded: str) -> None:
    with pytest.raises(CryptoError) as caught:
        RISTRETTO.decode_element(bytes.fromhex(encoded))
    assert caught.value.code is Code.BAD_ELEMENT


@GROUPS
@given(encoded=st.binary(max_size=40))
def test_noise_raises_typed_errors_only(group: Group, order: int, encoded: bytes) -> None:
    for decode in (group.decode_element, group.decode_scalar):
        try:
            assert decode(encoded) == encoded
        except MandorlaError as error:
            assert error.code in {Code.BAD_ELEMENT, Code.BAD_SCALAR}


@pytest.mark.spec("5.1-2")
@pytest.mark.parametrize("value", [ORDER, ORDER + 1, 2**253, 2**255 - 19, 2**256 - 1])
def test_a_scalar_has_one_encoding(value: int) -> None:
    with pytest.raises(CryptoError) as caught:
        RISTRETTO.decode_scalar(value.to_bytes(32, "little"))
    assert caught.value.code is Code.BAD_SCALAR
    assert RISTRETTO.decode_scalar((ORDER - 1).to_bytes(32, "little"))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_scalar_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(CryptoError) as caught:
        RISTRETTO.decode_scalar(bytes(size))
    assert caught.value.code is Code.BAD_SCALAR


@GROUPS
def test_a_random_scalar_is_not_zero(group: Group, order: int) -> None:
    with pytest.raises(CryptoError) as caught:
        group.random_scalar(bytes(64))
    assert caught.value.code is Code.BAD_SCALAR


@pytest.mark.parametrize("multiple", [1, 2, 7, 2**255 // ORDER])
def test_a_random_scalar_that_reduces_to_zero_is_refused(multiple: int) -> None:
    with pytest.raises(CryptoError):
        RISTRETTO.random_scalar((multiple * ORDER).to_bytes(64, "little"))


@GROUPS
@given(st.data())
def test_the_arithmetic_is_that_of_a_group(group: Group, order: int, data: st.DataObject) -> None:
    a, b = (group.random_scalar(data.draw(exactly(63)) + b"\x01") for _ in range(2))
    element = group.hash_to_group(data.draw(st.binary(max_size=8)), b"dst")
    zero = Scalar(bytes(32))
    difference = group.scalar_multiply_subtract(a, b, b)  # a - b*b
    assert group.decode_element(element) == element
    assert group.multiply(group.scalar_invert(a), group.multiply(a, element)) == element
    assert group.multiply(a, group.multiply(b, element)) == group.multiply(b, group.multiply(a, element))
    assert group.multiply_generator(a) == group.multiply(a, group.generator)
    b_squared = group.multiply(b, group.multiply(b, element))
    assert group.add(group.multiply(difference, element), b_squared) == group.multiply(a, element)
    assert group.add(element, group.identity) == element
    assert group.multiply(zero, element) == group.multiply_generator(zero) == group.identity
    assert group.multiply(a, group.identity) == group.identity


@pytest.mark.parametrize("encoded", [b"\xff" * 32, b"\x01" + bytes(31)])
def test_multiplying_what_was_not_decoded_is_refused(encoded: bytes) -> None:
    with pytest.raises(CryptoError) as caught:
        RISTRETTO.multiply(Scalar(b"\x02" + bytes(31)), Element(encoded))
    assert caught.value.code is Code.BAD_ELEMENT
