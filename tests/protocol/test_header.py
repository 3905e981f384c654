"""A header's signatures bind both labs to each field."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from enum import IntEnum
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given

from mandorla_protocol.encoding import Writer
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code, CryptoError, EncodingError, MandorlaError, RoundError
from mandorla_protocol.group import Element
from mandorla_protocol.header import (
    CLOCK_SKEW,
    MAX_CAP,
    MAX_LIFETIME,
    Offer,
    Party,
    RoundHeader,
    RoundId,
    RoundKind,
    RoundMode,
)
from mandorla_protocol.signatures import lab_id, sign, verify
from mandorla_protocol.table import MAX_TABLE_SIZE, TableCommitment
from tests.protocol.alterations import assert_strict
from tests.protocol.strategies import HEADERS, OFFERS

KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2)]
NOW = 1_700_000_000


def party(n: int) -> Party:
    table = TableCommitment(version=1, size=256 + n, root=bytes([n]) * 32)
    offer = Offer(n, Element(bytes([0x10 + n]) * 32), budget=10_000 + n, cap=1_000 + n, table=table)
    return Party(lab_id(KEYS[n - 1]), bytes([0x20 + n]) * 32, offer)


HEADER = RoundHeader(
    round_id=RoundId(b"r" * 16),
    mode=RoundMode.BATCH,
    kind=RoundKind.SHARED,
    collection="accounts",
    profiles=(("email", 1), ("mailbox", 2)),
    initiator=party(1),
    responder=party(2),
    purpose="find shared attackers",
    legal_basis="legitimate interest",
    created=NOW,
    expires=NOW + 3600,
)


def paths(value: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each field without inner fields."""
    for field in fields(value):
        inner = getattr(value, field.name)
        path = (*prefix, field.name)
        if is_dataclass(inner):
            yield from paths(inner, path)
        else:
            yield path


def get(value: Any, path: tuple[str, ...]) -> Any:
    return get(getattr(value, path[0]), path[1:]) if path else value


def put(value: Any, path: tuple[str, ...], new: Any) -> Any:
    return replace(value, **{path[0]: put(getattr(value, path[0]), path[1:], new)}) if path else new


def altered(path: tuple[str, ...]) -> RoundHeader:
    """Return the header with the smallest change of one field that its type allows."""
    match get(HEADER, path):
        case IntEnum() as member:
            new: Any = next(other for other in type(member) if other is not member)
        case int(number):
            new = number + 1
        case str(text):
            new = text + "."
        case bytes(data):
            new = data[:-1] + bytes([data[-1] ^ 1])
        case tuple(profiles):
            new = (*profiles[:-1], (profiles[-1][0], profiles[-1][1] + 1))
    return put(HEADER, path, new)


PATHS = list(paths(HEADER))


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_a_header_with_any_field_altered_is_not_the_one_that_was_signed(path: tuple[str, ...]) -> None:
    other = altered(path)
    assert other.encode() != HEADER.encode()
    assert other.digest() != HEADER.digest()
    assert RoundHeader.decode(other.encode()) == other
    for key in KEYS:
        signature = sign(key, HEADER.encode())
        verify(lab_id(key), HEADER.encode(), signature)
        with pytest.raises(CryptoError) as caught:
            verify(lab_id(key), other.encode(), signature)
        assert caught.value.code is Code.BAD_SIGNATURE


def test_every_field_is_altered_above() -> None:
    assert len(PATHS) == 9 + 2 * 9
    assert {path[0] for path in PATHS} == {field.name for field in fields(RoundHeader)}


def test_the_roles_of_the_labs_are_signed() -> None:
    swapped = replace(HEADER, initiator=HEADER.responder, responder=HEADER.initiator)
    assert swapped.encode() != HEADER.encode()


def test_no_byte_of_a_header_is_free() -> None:
    assert_strict(HEADER, RoundHeader.decode)


@given(HEADERS, HEADERS)
def test_headers_do_not_share_an_encoding(one: RoundHeader, other: RoundHeader) -> None:
    assert (one.encode() == other.encode()) == (one == other)


@given(OFFERS)
def test_offers_have_one_encoding(offer: Offer) -> None:
    assert_strict(offer, Offer.decode)


@given(HEADERS)
def test_any_header_is_valid_or_refused_with_a_typed_error(header: RoundHeader) -> None:
    try:
        header.require_valid(header.created)
    except MandorlaError as error:
        assert error.code in {Code.BAD_HEADER, Code.HEADER_EXPIRED}


@pytest.mark.parametrize(
    ("version", "suite"), [("mandorla/v2", None), ("", None), (None, "P256-SHA256"), (None, "")]
)
def test_another_version_or_suite_is_named_as_such(version: str | None, suite: str | None) -> None:
    writer = Writer("mandorla/v1 round header")
    writer.text("mandorla/v1" if version is None else version)
    writer.text("ristretto255-SHA512" if suite is None else suite)
    with pytest.raises(RoundError) as caught:
        RoundHeader.decode(writer.finish())
    assert caught.value.code is Code.VERSION_MISMATCH


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("value", [0, 3, 255])
def test_an_unknown_mode_or_kind_is_refused(offset: int, value: int) -> None:
    encoded = bytearray(HEADER.encode())
    encoded[encoded.index(HEADER.round_id) + 16 + offset] = value
    with pytest.raises(EncodingError) as caught:
        RoundHeader.decode(bytes(encoded))
    assert caught.value.code is Code.BAD_ENCODING


OFFER = HEADER.responder.offer


def with_offer(**changes: Any) -> dict[str, Any]:
    return {"responder": replace(HEADER.responder, offer=replace(OFFER, **changes))}


def with_table(version: int, size: int) -> dict[str, Any]:
    return with_offer(table=TableCommitment(version, size, bytes(32)))


@pytest.mark.spec("9.3-1")
@pytest.mark.parametrize(
    "changes",
    [
        {"responder": HEADER.initiator},
        {"responder": replace(HEADER.responder, lab=HEADER.initiator.lab)},
        {"mode": RoundMode.STANDING},
        {"purpose": ""},
        {"purpose": " "},
        {"legal_basis": ""},
        {"legal_basis": "\t"},
        {"purpose": "two\nlines"},
        {"legal_basis": "\x1b[2J"},
        {"collection": "a\x00"},
        {"purpose": "\u202eesrever"},
        {"purpose": "\ud800"},
        {"purpose": "a" * 201},
        {"legal_basis": "é" * 101},
        {"collection": "a" * 33},
        {"profiles": (("mailbox", 1), ("email", 1))},
        {"profiles": (("email", 1), ("email", 1))},
        with_offer(epoch_number=0),
        {"initiator": replace(HEADER.initiator, offer=replace(HEADER.initiator.offer, epoch_number=0))},
        with_offer(cap=0),
        with_offer(cap=OFFER.budget + 1),
        with_offer(cap=MAX_CAP + 1, budget=MAX_CAP + 1),
        with_table(0, 256),
        with_table(0, 0),
        with_table(257, 256),
        with_table(1, MAX_TABLE_SIZE + 1),
        {"created": NOW, "expires": NOW},
        {"created": NOW + 1, "expires": NOW},
        {"created": NOW, "expires": NOW + MAX_LIFETIME + 1},
    ],
    ids="-".join,
)
def test_a_header_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RoundError) as caught:
        replace(HEADER, **changes).require_valid(NOW)
    assert caught.value.code is Code.BAD_HEADER


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kind": RoundKind.WATCH},
        {"profiles": ()},
        {"purpose": "a" * 200, "legal_basis": "é" * 100, "collection": "a" * 32},
        {"expires": NOW + MAX_LIFETIME},
        with_offer(epoch_number=1),
        with_offer(epoch_number=2**32 - 1),
        with_offer(cap=OFFER.budget),
        with_offer(cap=MAX_CAP, budget=MAX_CAP),
        with_table(1, MAX_TABLE_SIZE),
    ],
    ids="-".join,
)
def test_a_valid_header_is_accepted_and_survives_its_encoding(changes: dict[str, Any]) -> None:
    header = replace(HEADER, **changes)
    header.require_valid(NOW)
    RoundHeader.decode(header.encode()).require_valid(NOW)


@pytest.mark.parametrize("now", [NOW - CLOCK_SKEW, NOW, HEADER.expires - 1])
def test_a_header_is_good_within_its_validity(now: int) -> None:
    HEADER.require_valid(now)
    HEADER.require_current(now)


@pytest.mark.spec("9.3-2")
@pytest.mark.parametrize("now", [0, NOW - CLOCK_SKEW - 1, HEADER.expires, HEADER.expires + 1, 2**64])
def test_an_early_or_late_header_is_refused(now: int) -> None:
    for check in (HEADER.require_valid, HEADER.require_current):
        with pytest.raises(RoundError) as caught:
            check(now)
        assert caught.value.code is Code.HEADER_EXPIRED


def test_each_party_faces_the_other_and_holds_under_its_own_epoch() -> None:
    one, other = HEADER.initiator, HEADER.responder
    assert (HEADER.party(one.lab), HEADER.other(one.lab)) == (one, other)
    assert (HEADER.party(other.lab), HEADER.other(other.lab)) == (other, one)
    assert HEADER.epoch(one.lab) == Epoch(one.lab, other.lab, "accounts", 1)
    assert HEADER.epoch(other.lab) == Epoch(other.lab, one.lab, "accounts", 2)


def test_a_stranger_is_no_party() -> None:
    for ask in (HEADER.party, HEADER.other, HEADER.epoch):
        with pytest.raises(RoundError) as caught:
            ask(LabId(b"x" * 32))
        assert caught.value.code is Code.BAD_HEADER


def test_the_bounds_are_those_of_the_specification() -> None:
    assert (MAX_CAP, MAX_LIFETIME, CLOCK_SKEW) == (4_294_967_296, 604_800, 300)


def test_an_offer_may_be_the_smallest_that_there_is() -> None:
    """One evaluation, and a table with as many versions as entries."""
    offer = replace(HEADER.initiator.offer, budget=1, cap=1, table=TableCommitment(1, 1, bytes(32)))
    replace(HEADER, initiator=replace(HEADER.initiator, offer=offer)).require_valid(NOW)
