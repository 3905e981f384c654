"""Functions on whole columns return the same bytes with the native extension and without it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from mandorla_protocol import labels, native_extension
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code, CryptoError, RoundError
from mandorla_protocol.labels import SEALED_LABEL_SIZE, Label, LabelKey, Tag, open_sealed
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.table import Operation, TableEntry, TablePart, parts_of
from tests.protocol.strategies import exactly

EPOCH = Epoch(LabId(bytes(32)), LabId(b"q" * 32), "accounts", 3)
LABELS = st.builds(Label, confidence=st.integers(0, 100), first_seen=st.integers(0, 2**40 - 1))
FRONTIERS = st.integers(0, 70).map(lambda n: Frontier().extend(bytes([i]) * 32 for i in range(n)))


@st.composite
def entries(draw: st.DrawFn) -> list[TableEntry]:
    made = []
    for tag in draw(st.lists(exactly(16), max_size=20)):
        what = draw(st.sampled_from(Operation))
        sealed = tag * (SEALED_LABEL_SIZE // 16) if what is Operation.ADD else b""
        made.append(TableEntry(draw(st.integers(1, 2)), what, Tag(tag), sealed))
    return made


def without_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_extension, "BUILT", False)


@settings(max_examples=40, deadline=None)
@given(st.lists(exactly(64), max_size=9))
def test_outputs_are_split_as_one_by_one(outputs: list[bytes]) -> None:
    joined = b"".join(outputs)
    split = [labels.split_output(output) for output in outputs]
    expected = (b"".join(tag for tag, _ in split), b"".join(key for _, key in split))
    assert labels.split_outputs(joined) == labels.split_outputs_portable(joined) == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(LABELS, exactly(32), exactly(16)), max_size=9), st.integers(1, 2**63))
def test_labels_are_sealed_as_one_by_one(said: list[tuple[Label, bytes, bytes]], version: int) -> None:
    given_labels = [label for label, _, _ in said]
    keys, tags = b"".join(key for _, key, _ in said), b"".join(tag for _, _, tag in said)
    sealed = labels.seal_labels(given_labels, keys, tags, EPOCH, version)
    assert sealed == labels.seal_labels_portable(given_labels, keys, tags, EPOCH, version)
    for place, (label, key, tag) in enumerate(said):
        one = sealed[place * SEALED_LABEL_SIZE : (place + 1) * SEALED_LABEL_SIZE]
        assert open_sealed(one, LabelKey(key), Tag(tag), EPOCH, version) == label


@pytest.mark.spec("6.5-1")
@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(LABELS, exactly(32), exactly(16), st.sampled_from(["", "altered", "malformed"])), max_size=9
    ),
    st.integers(1, 2**63),
)
def test_labels_are_opened_as_one_by_one(said: list[tuple[Label, bytes, bytes, str]], version: int) -> None:
    keys, tags = b"".join(key for _, key, _, _ in said), b"".join(tag for _, _, tag, _ in said)
    sealed = []
    for label, key, tag, fault in said:
        one = bytearray(labels.seal(label, LabelKey(key), Tag(tag), EPOCH, version))
        if fault == "altered":
            one[version % len(one)] ^= 1
        elif fault == "malformed":
            nonce, aad = version.to_bytes(12, "big"), labels._aad(Tag(tag), EPOCH, version)
            one = bytearray(ChaCha20Poly1305(key).encrypt(nonce, bytes(256), aad))
        sealed.append(bytes(one))
    opened = labels.open_labels(b"".join(sealed), keys, tags, EPOCH, version)
    assert opened == labels.open_labels_portable(b"".join(sealed), keys, tags, EPOCH, version)
    assert opened == [None if fault else label for label, _, _, fault in said]


@settings(max_examples=60, deadline=None)
@given(FRONTIERS, entries())
def test_entries_are_appended_as_one_by_one(frontier: Frontier, some: list[TableEntry]) -> None:
    appended = expected = frontier
    for part in parts_of(some):
        appended = part.append_to(appended)
        expected = part.append_to_portable(expected)
    assert appended == expected == frontier.extend(entry.leaf_hash() for entry in some)


@settings(max_examples=60, deadline=None)
@given(entries(), st.integers(-2, 22), st.integers(-2, 22))
def test_columns_hold_the_entries_and_any_range_of_them(
    some: list[TableEntry], start: int, stop: int
) -> None:
    parts = parts_of(some)
    for part in parts:
        part.require_whole()
    assert [entry for part in parts for entry in part.entries()] == some
    for part in parts:
        inside = list(part.entries())
        assert [part.entry(index) for index in range(len(part))] == inside
        cut = part.cut(start, max(start, stop))
        assert list(cut.entries()) == inside[max(start, 0) : max(start, stop, 0)]


@pytest.mark.parametrize(
    "work",
    [
        lambda: labels.split_outputs(bytes(63)),
        lambda: labels.seal_labels([Label()], bytes(31), bytes(16), EPOCH, 1),
        lambda: labels.seal_labels([Label()], bytes(32), bytes(17), EPOCH, 1),
        lambda: labels.seal_labels([Label()] * 2, bytes(32), bytes(32), EPOCH, 1),
        lambda: labels.open_labels(bytes(271), bytes(32), bytes(16), EPOCH, 1),
        lambda: labels.open_labels(bytes(272), bytes(64), bytes(16), EPOCH, 1),
    ],
    ids=["a cut output", "a short key", "a long tag", "a key for two", "a cut label", "two keys for one"],
)
@pytest.mark.parametrize("built", [True, False])
def test_columns_of_other_sizes_are_refused(
    work: Callable[[], object], built: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not built:
        without_the_extension(monkeypatch)
    with pytest.raises(CryptoError) as caught:
        work()
    assert caught.value.code is Code.BAD_LENGTH


@pytest.mark.spec("7.3-2")
@pytest.mark.parametrize(
    "part",
    [
        TablePart(1, b"", b"", b""),
        TablePart(1, b"\x03", bytes(16), b""),
        TablePart(1, b"\x01", bytes(15), bytes(SEALED_LABEL_SIZE)),
        TablePart(1, b"\x01", bytes(16), bytes(SEALED_LABEL_SIZE - 1)),
        TablePart(1, b"\x01", bytes(16), b""),
        TablePart(1, b"\x02", bytes(16), bytes(SEALED_LABEL_SIZE)),
        TablePart(1, b"\x01\x02", bytes(32), bytes(2 * SEALED_LABEL_SIZE)),
    ],
    ids=["empty", "unknown operation", "short tag", "short label", "no label", "label of none", "two labels"],
)
def test_a_part_whose_columns_do_not_fit_is_refused(part: TablePart) -> None:
    with pytest.raises(RoundError) as caught:
        part.require_whole()
    assert caught.value.code is Code.BAD_TABLE


def test_without_the_extension_the_same_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    some = [TableEntry(1, Operation.ADD, Tag(bytes([n]) * 16), bytes(SEALED_LABEL_SIZE)) for n in range(5)]
    (part,) = parts_of(some)
    built = (part.append_to(Frontier()), labels.split_outputs(bytes(128)))
    without_the_extension(monkeypatch)
    assert (part.append_to(Frontier()), labels.split_outputs(bytes(128))) == built
