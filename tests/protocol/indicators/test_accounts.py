"""Laws of the indicators of accounts (SPEC A.6): spellings of one value agree, and two values differ."""

import hashlib
import string
from collections.abc import Iterator
from uuid import UUID

import phonenumbers
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from mandorla_protocol.indicators import REGISTRY, Collection

from .spellings import canonical

ACCOUNTS = [name for name, kind in REGISTRY.items() if kind.collection is Collection.ACCOUNTS]
SCOPE = st.from_regex(r"[a-z][a-z0-6]{0,6}(-[a-z]{1,9})?", fullmatch=True)
HEX64 = st.binary(min_size=32, max_size=32).map(bytes.hex)
HOSTILE = {
    "phone": st.text(st.sampled_from("+0123456789 ()./-;extEXT\uff0b\u0660\ud800\0\n"), max_size=24),
    "payment-par": st.text(st.sampled_from("V0019zßſK\u212a-\ud800\0"), min_size=27, max_size=31),
    "payment-fingerprint": st.text(st.sampled_from("abL:0123456789fF-\u212a\ud800\0"), max_size=72),
    "device-id": st.text(st.sampled_from("aB:0f-{}urn:id.~+/=\u212a\ud800\0"), max_size=45),
    "wallet": st.text(st.sampled_from("0xX13bcBC1qpQPaAfF\u212aſ\ud800\0"), max_size=64),
}


@pytest.mark.parametrize("type_name", HOSTILE)
@given(data=st.data())
def test_any_text_near_a_value_is_canonicalised_or_refused(type_name: str, data: st.DataObject) -> None:
    canonical(type_name, data.draw(HOSTILE[type_name]))


# Telephone numbers


def numbers() -> Iterator[phonenumbers.PhoneNumber]:
    """Yield the example number of each type of each country in the metadata."""
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in PhoneNumberType.values():
            if number := phonenumbers.example_number_for_type(region, kind):
                yield number


NUMBERS = list(numbers())


@pytest.mark.spec("A.6-3")
def test_a_number_in_e164_is_its_own_canonical_value_in_every_country() -> None:
    refused = []
    for number in NUMBERS:
        text = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        value = canonical("phone", text)
        assert value in (text, None)
        if value is None:
            refused.append(number)
    assert len(NUMBERS) > 1000
    # Canada's numbers of seven digits work within Canada only.
    assert [(number.country_code, number.national_number) for number in refused] == [(1, 3101234)]


def test_a_number_in_international_form_is_the_same_in_every_country() -> None:
    for number in NUMBERS:
        text = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
        same = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        assert canonical("phone", text) == canonical("phone", same)


@pytest.mark.spec("A.6-2")
@given(number=st.sampled_from(NUMBERS), data=st.data())
def test_separators_change_no_number_and_without_its_plus_sign_it_is_none(
    number: phonenumbers.PhoneNumber, data: st.DataObject
) -> None:
    text = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    gaps = data.draw(st.lists(st.text(st.sampled_from(" ()./-"), max_size=2), min_size=len(text)))
    spelt = text[:2] + "".join(gap + digit for gap, digit in zip(gaps, text[2:], strict=False))
    assert canonical("phone", spelt) == canonical("phone", text)
    assert canonical("phone", spelt[1:]) is None
    assert canonical("phone", f"00{spelt[1:]}") is None


@pytest.mark.spec("A.6-3")
@given(
    country=st.sampled_from(sorted({number.country_code for number in NUMBERS})),
    zeros=st.integers(0, 3),
    digits=st.text(st.sampled_from(string.digits), min_size=4, max_size=15),
)
@example(44, 3, "84174652")  # each parsing would drop a zero
@example(49, 0, "1234567890123")
@example(49, 0, "12345678901234")
def test_a_number_is_read_in_one_way_or_refused(country: int, zeros: int, digits: str) -> None:
    value = canonical("phone", f"+{country}{'0' * zeros}{digits}")
    assert value is None or len(value) <= 16


# Payment instruments


@st.composite
def card_numbers(draw: st.DrawFn) -> str:
    """Draw a card number with a right or wrong check digit, with or without separators."""
    digits = draw(st.text(st.sampled_from(string.digits), min_size=8, max_size=19))
    gap = draw(st.sampled_from(["", " ", "-"]))
    return gap.join(digits[start : start + 4] for start in range(0, len(digits), 4))


@pytest.mark.spec("A.6-4")
@pytest.mark.parametrize("type_name", ACCOUNTS)
@given(number=card_numbers())
@example("4111111111111111")
def test_a_card_number_is_no_indicator_of_any_account(type_name: str, number: str) -> None:
    assert canonical(type_name, number) is None


@pytest.mark.spec("A.6-4")
@given(number=card_numbers(), scope=SCOPE, pad=st.sampled_from("0123456789abcdefABCDEF"), data=st.data())
def test_a_card_number_is_no_fingerprint_in_any_padding(
    number: str, scope: str, pad: str, data: st.DataObject
) -> None:
    digits = number.replace(" ", "").replace("-", "")
    left = data.draw(st.integers(0, 64 - len(digits)))
    padded = pad * left + digits + pad * (64 - len(digits) - left)
    for text in (digits, padded, number):
        assert canonical("payment-fingerprint", f"{scope}:{text}") is None
    assert canonical("payment-fingerprint", f"{digits}:{hashlib.sha256(digits.encode()).hexdigest()}") is None


@pytest.mark.spec("A.6-1")
@pytest.mark.parametrize("type_name", ["payment-fingerprint", "device-id", "watermark"])
@given(digits=HEX64, scope=SCOPE, other=SCOPE)
def test_a_scoped_value_is_one_in_any_case_and_another_in_another_scope(
    type_name: str, digits: str, scope: str, other: str
) -> None:
    assume(any(digit in "abcdef" for digit in digits.strip("abcdef")))
    value = canonical(type_name, f"{scope}:{digits}")
    assert value == f"{scope}:{digits}"
    assert canonical(type_name, f"{scope.upper()}:{digits.upper()}") == value
    assert (canonical(type_name, f"{other}:{digits}") == value) == (other == scope)
    assert canonical(type_name, digits) is None


@pytest.mark.spec("A.6-7")
@given(reference=st.text(st.sampled_from(string.ascii_letters + string.digits), min_size=27, max_size=31))
def test_a_payment_account_reference_has_29_letters_and_digits_of_any_case(reference: str) -> None:
    value = canonical("payment-par", reference)
    assert value == (reference.upper() if len(reference) == 29 else None)
    assert canonical("payment-par", reference.swapcase()) == value


# Devices


@pytest.mark.spec("A.6-5")
@given(uuid=st.uuids(), other=st.uuids())
@example(UUID(int=0), UUID(int=1))
@example(UUID(int=2**128 - 1), UUID(int=1))
def test_a_uuid_is_one_device_in_any_spelling_unless_it_is_none(uuid: UUID, other: UUID) -> None:
    named = 0 < uuid.int < 2**128 - 1
    for text in (str(uuid), str(uuid).upper(), f"{{{uuid}}}", uuid.urn, uuid.urn.upper()):
        assert canonical("device-id", text) == (str(uuid) if named else None)
    assert canonical("device-id", uuid.hex) is None
    if named and other != uuid:
        assert canonical("device-id", str(uuid)) != canonical("device-id", str(other))


@pytest.mark.spec("A.6-8")
@given(
    scope=SCOPE,
    device=st.text(st.sampled_from(string.ascii_letters + string.digits + "._~+/=-: "), max_size=140),
)
def test_the_case_of_an_identifier_counts_unless_it_is_hexadecimal(scope: str, device: str) -> None:
    value = canonical("device-id", f"{scope}:{device}")
    allowed = 16 <= len(device) <= 128 and not set(device) & set(": ")
    if not allowed:
        # The rule removes white space around a text.
        assert value is None or device != device.strip()
    elif set(device) <= set(string.hexdigits + "-"):
        assert value == f"{scope}:{device.lower()}" == canonical("device-id", f"{scope}:{device.upper()}")
    else:
        assert value == f"{scope}:{device}"
        same = device.swapcase() == device
        assert (canonical("device-id", f"{scope}:{device.swapcase()}") == value) == same


# Wallets

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def base58check(payload: bytes) -> str:
    """Encode in Base58Check, as Bitcoin does."""
    whole = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, text = int.from_bytes(whole, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(whole) - len(whole.lstrip(b"\0"))) + text


def segwit(version: int, program: bytes) -> str:
    """Encode a segregated witness address (BIP 173, BIP 350)."""
    bits = "".join(f"{byte:08b}" for byte in program)
    bits += "0" * (-len(bits) % 5)
    data = [version, *(int(bits[start : start + 5], 2) for start in range(0, len(bits), 5))]
    state = 1
    for value in [3, 3, 0, 2, 3, *data, 0, 0, 0, 0, 0, 0]:
        state, top = (state & 0x1FFFFFF) << 5 ^ value, state >> 25
        for bit, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            if top >> bit & 1:
                state ^= term
    state ^= 0x2BC830A3 if version else 1
    return "bc1" + "".join(
        BECH32[value] for value in [*data, *(state >> 5 * n & 31 for n in range(5, -1, -1))]
    )


BASE58_ADDRESS = st.builds(
    lambda version, body: base58check(version + body),
    st.sampled_from([b"\0", b"\5"]),
    st.one_of(st.binary(min_size=20, max_size=20), st.just(bytes(20))),
)
SEGWIT_ADDRESS = st.one_of(
    st.builds(
        segwit, st.just(0), st.sampled_from([20, 32]).flatmap(lambda n: st.binary(min_size=n, max_size=n))
    ),
    st.builds(segwit, st.integers(1, 16), st.binary(min_size=2, max_size=40)),
)
ETHEREUM_ADDRESS = st.binary(min_size=20, max_size=20).map(lambda body: f"0x{body.hex()}")


@pytest.mark.spec("A.6-6")
@given(address=st.one_of(BASE58_ADDRESS, SEGWIT_ADDRESS), data=st.data())
def test_an_address_of_bitcoin_is_taken_and_one_with_another_character_is_not(
    address: str, data: st.DataObject
) -> None:
    assert canonical("wallet", address) == address
    place = data.draw(st.integers(1, len(address) - 1))
    other = data.draw(st.sampled_from(BECH32 if address.startswith("bc1") else BASE58))
    assume(other != address[place])
    assert canonical("wallet", address[:place] + other + address[place + 1 :]) is None


@given(address=SEGWIT_ADDRESS, place=st.integers(0, 13))
def test_a_segregated_witness_address_is_in_one_case(address: str, place: int) -> None:
    assert canonical("wallet", address.upper()) == address
    mixed = address[:place] + address[place].upper() + address[place + 1 :]
    assert canonical("wallet", mixed) == (address if mixed == address else None)


@pytest.mark.spec("A.6-6")
@given(version=st.one_of(st.just(0), st.integers(17, 31)), program=st.binary(min_size=2, max_size=40))
def test_a_witness_program_that_no_rule_allows_is_none(version: int, program: bytes) -> None:
    assume(version or len(program) not in (20, 32))
    assert canonical("wallet", segwit(version, program)) is None


@pytest.mark.spec("A.6-6")
@given(version=st.integers(0, 255), body=st.binary(min_size=18, max_size=22))
def test_only_hashes_of_bitcoins_main_network_are_wallets(version: int, body: bytes) -> None:
    address = base58check(bytes([version]) + body)
    allowed = version in (0, 5) and len(body) == 20
    assert canonical("wallet", address) == (address if allowed else None)


@pytest.mark.spec("A.6-6")
@given(address=ETHEREUM_ADDRESS, other=ETHEREUM_ADDRESS, data=st.data())
def test_an_address_of_ethereum_is_one_in_one_case_or_in_the_right_ones(
    address: str, other: str, data: st.DataObject
) -> None:
    value = canonical("wallet", address)
    assert value is not None
    assert value.lower() == address
    assert canonical("wallet", address.upper()) == canonical("wallet", f"0x{address[2:].upper()}") == value
    letters = [place for place in range(2, 42) if address[place].isalpha()]
    assume(letters)
    place = data.draw(st.sampled_from(letters))
    mistyped = value[:place] + value[place].swapcase() + value[place + 1 :]
    one_case = mistyped[2:] in (mistyped[2:].lower(), mistyped[2:].upper())
    assert canonical("wallet", mistyped) == (value if one_case else None)
    assert (canonical("wallet", other) == value) == (other == address)
