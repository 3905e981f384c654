"""A card is valid only as its lab signed it."""

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from mandorla_protocol.card import MAX_CARD_BYTES, MAX_ISSUED, Card, issue_card
from mandorla_protocol.errors import Code, InputError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
CARD = issue_card(KEY, "lab-a", b"certificate", "node.lab-a.example:7443", "lab-a.example/log")
DATED = issue_card(
    KEY, "lab-a", b"certificate", "node.lab-a.example:7443", "lab-a.example/log", 1_800_000_000
)
NAMES = st.sampled_from(["a", "0", "lab-a", "a--b", "a" * 63])
ENDPOINTS = st.sampled_from(["127.0.0.1:1", "[::1]:65535", "node.example:7443"])


def assert_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Card.from_json(text)
    assert caught.value.code is Code.BAD_CARD


def changed(**fields: Any) -> str:
    return json.dumps(json.loads(CARD.to_json()) | fields)


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


ORIGINS = st.text(min_size=1, max_size=20).filter(
    lambda text: text.isprintable() and not {" ", "+"} & set(text)
)


@given(NAMES, st.binary(max_size=64), ENDPOINTS, ORIGINS, st.integers(0, MAX_ISSUED - 1))
def test_a_card_reads_as_it_was_issued(
    name: str, certificate: bytes, endpoint: str, origin: str, issued: int
) -> None:
    card = issue_card(KEY, name, certificate, endpoint, origin, issued)
    assert card.issued == issued
    assert Card.from_json(card.to_json()) == card
    assert card.certificate_hash == hashlib.sha256(certificate).digest()


@pytest.mark.spec("9.1-1")
@pytest.mark.parametrize(
    "fields",
    [
        {"name": "lab-b"},
        {"endpoint": "node.lab-b.example:7443"},
        {"log_origin": "lab-b.example/log"},
        {"certificate": encoded(b"another")},
        {"identity": encoded(OTHER.public_key().public_bytes_raw())},
        {"identity": encoded(b"\x01" + bytes(31))},
        {"identity": encoded(bytes(31))},
        {"signature": encoded(bytes(64))},
        {"signature": encoded(CARD.signature + b"\x00")},
        {"signature": encoded(OTHER.sign(b""))},
    ],
    ids=str,
)
def test_a_card_with_any_field_altered_is_refused(fields: dict[str, str]) -> None:
    assert_refused(changed(**fields))


@pytest.mark.spec("9.1-1")
@pytest.mark.parametrize(
    "issued", [0, -1, 1, 1_800_000_001, MAX_ISSUED, 1.8e9, "1800000000", True, None, [], "x"]
)
def test_a_date_other_than_the_signed_one_is_refused(issued: object) -> None:
    assert_refused(json.dumps(json.loads(DATED.to_json()) | {"issued": issued}))


@pytest.mark.spec("9.1-1")
def test_a_card_with_a_date_and_one_without_are_not_each_other() -> None:
    dated, undated = json.loads(DATED.to_json()), json.loads(CARD.to_json())
    assert_refused(json.dumps(undated | {"signature": dated["signature"]}))
    assert_refused(json.dumps(dated | {"signature": undated["signature"]}))
    assert_refused(json.dumps(undated | {"issued": 0}))
    assert_refused(json.dumps(undated | {"format": dated["format"]}))
    assert_refused(json.dumps(dated | {"format": undated["format"]}))


@pytest.mark.parametrize("issued", [-1, MAX_ISSUED])
def test_a_card_is_issued_at_a_time_that_cards_have(issued: int) -> None:
    with pytest.raises(InputError) as caught:
        issue_card(KEY, "a", b"", "a:1", "o", issued)
    assert caught.value.code is Code.BAD_CARD


def test_a_certificate_does_not_move_into_its_neighbours() -> None:
    assert_refused(changed(name="lab-", certificate=encoded(b"acertificate")))


@pytest.mark.parametrize("field", json.loads(CARD.to_json()))
@pytest.mark.parametrize("value", [None, 1, [], {}, True, "\ud800", "", "%%%"])
def test_a_field_of_another_kind_is_refused(field: str, value: object) -> None:
    assert_refused(changed(**{field: value}))


@pytest.mark.spec("9.1-1")
@pytest.mark.parametrize("field", json.loads(CARD.to_json()))
def test_a_card_has_exactly_its_fields(field: str) -> None:
    fields = json.loads(CARD.to_json())
    del fields[field]
    assert_refused(json.dumps(fields))
    assert_refused(changed(another=""))


@pytest.mark.spec("9.1-1")
@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "0", '"card"', "\x00", "[" * 10_000, "1" * 5_000, " " * (MAX_CARD_BYTES + 1)],
    ids=lambda text: text[:4],
)
def test_what_is_no_card_is_refused(text: str) -> None:
    assert_refused(text)


def test_a_card_over_the_size_limit_is_refused_before_it_is_parsed() -> None:
    assert_refused(CARD.to_json() + " " * MAX_CARD_BYTES)


@given(st.text(max_size=50))
def test_noise_raises_typed_errors_only(text: str) -> None:
    assert_refused(text)


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a_b", "a.b", "a b", "a\n", "é", "a" * 64, "../a", "\u0661"]
)
def test_a_name_that_is_no_label_is_not_issued(name: str) -> None:
    with pytest.raises(InputError) as caught:
        issue_card(KEY, name, b"", "a:1", "o")
    assert caught.value.code is Code.BAD_CARD


@pytest.mark.spec("9.1-1")
@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "a",
        "a:",
        ":1",
        "a:65536",
        "a:-1",
        "a:1:2",
        "::1:1",
        "[::1]",
        "a b:1",
        "a:1\n",
        "http://a:1",
        "a:\u0661",
    ],
)
def test_an_endpoint_that_is_none_is_not_issued(endpoint: str) -> None:
    with pytest.raises(InputError) as caught:
        issue_card(KEY, "a", b"", endpoint, "o")
    assert caught.value.code is Code.BAD_CARD


@pytest.mark.spec("9.1-1", "18.3-1")
@pytest.mark.parametrize("origin", ["", "a\n", "a\x00", "\u202e", "a" * 256, "a b", "a+b"])
def test_a_log_origin_that_cannot_be_shown_is_not_issued(origin: str) -> None:
    with pytest.raises(InputError) as caught:
        issue_card(KEY, "a", b"", "a:1", origin)
    assert caught.value.code is Code.BAD_CARD


def test_base64_is_read_strictly() -> None:
    signature = encoded(CARD.signature)
    for text in (
        signature + "\n",
        " " + signature,
        signature.rstrip("="),
        signature[:8] + "!" + signature[8:],
    ):
        assert_refused(changed(signature=text))
