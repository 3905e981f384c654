"""Each log entry has one encoding, and the parser refuses all other bytes."""

from __future__ import annotations

from dataclasses import fields, replace

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import EncodingError
from mandorla_protocol.header import RoundId
from mandorla_protocol.log.entries import (
    ChunkCharged,
    ChunkEvaluated,
    KeyEpochBegun,
    KeyEpochEnded,
    LogEntry,
    PeerCaught,
    PeerCosigned,
    RoundAgreed,
    RoundClosed,
    RoundEnded,
    RoundProposed,
    TableVersionPublished,
    decode_entry,
)

EPOCH = Epoch(LabId(bytes([1] * 32)), LabId(bytes([2] * 32)), "infrastructure", 1)
ROUND = RoundId(bytes([3] * 16))
ENTRIES: list[LogEntry] = [
    KeyEpochBegun(EPOCH, bytes([4] * 32), 5, 6, 7),
    KeyEpochEnded(EPOCH, 7),
    TableVersionPublished(EPOCH, 1, 256, bytes([8] * 32), 7),
    RoundProposed(b"header", bytes([9] * 64), 7),
    RoundAgreed(b"header", bytes([9] * 64), bytes([10] * 64), 7),
    ChunkCharged(ROUND, 0, 256, bytes([11] * 32), 7),
    ChunkEvaluated(ROUND, 0, bytes([12] * 32), bytes([13] * 64), 7),
    RoundClosed(ROUND, b"statement", bytes([9] * 64), b"", 7),
    RoundEnded(ROUND, "committed", "", 7),
    PeerCosigned(LabId(bytes([2] * 32)), b"note", bytes([14] * 72)),
    PeerCaught(LabId(bytes([2] * 32)), b"one", b"other", 7),
]
by_name = pytest.mark.parametrize("entry", ENTRIES, ids=[type(entry).__name__ for entry in ENTRIES])


@by_name
def test_an_entry_is_read_as_it_was_written(entry: LogEntry) -> None:
    assert decode_entry(entry.encode()) == entry


@by_name
def test_every_field_is_in_the_encoding(entry: LogEntry) -> None:
    for field in fields(entry):
        value = getattr(entry, field.name)
        match value:
            case int():
                other: object = value + 1
            case str():
                other = value + "x"
            case Epoch():
                other = replace(value, number=2)
            case _:
                other = bytes([value[0] ^ 1]) + value[1:] if value else bytes([1] * 64)
        changed = replace(entry, **{field.name: other})
        assert changed.encode() != entry.encode()
        assert decode_entry(changed.encode()) == changed


@by_name
def test_an_entry_that_is_cut_off_or_longer_is_refused(entry: LogEntry) -> None:
    encoded = entry.encode()
    for end in range(len(encoded)):
        with pytest.raises(EncodingError):
            decode_entry(encoded[:end])
    with pytest.raises(EncodingError):
        decode_entry(encoded + b"\x00")


@given(st.binary(max_size=300))
def test_noise_is_no_entry(noise: bytes) -> None:
    with pytest.raises(EncodingError):
        decode_entry(noise)
