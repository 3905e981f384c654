"""Notes, checkpoints and entries at their limits are parsed, and just beyond they are refused."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from mandorla_protocol.errors import Code, MandorlaError
from mandorla_protocol.header import RoundId
from mandorla_protocol.log.checkpoint import (
    Checkpoint,
    LogKey,
    cosign,
    cosignatures_by,
    open_checkpoint,
    verify_cosignature,
    with_cosignatures,
)
from mandorla_protocol.log.entries import LogEntry, RoundClosed, RoundEnded, RoundProposed, decode_entry
from mandorla_protocol.log.fraud import FraudProof, verifier_key
from mandorla_protocol.log.notes import Note, NoteSignature, SignatureType, key_id
from mandorla_protocol.log.proofs import verify_consistency, verify_inclusion
from mandorla_protocol.merkle import EMPTY_ROOT, Frontier, hash_children, hash_leaf
from tests.protocol.log.test_checkpoint import CHECKPOINT, KEY, LOG, NOTE, NOW, ORIGIN, OTHER

SIGNED = NoteSignature("key", b"\0\0\0\1", b"signature")
ROUND = RoundId(bytes(16))


def line(content: bytes = b"12345", name: str = "key") -> str:
    return f"\u2014 {name} {base64.b64encode(content).decode()}\n"


def padded_to(size: int) -> bytes:
    fill = size - len(Note("\n", (SIGNED,)).encode())
    return Note("x" * fill + "\n", (SIGNED,)).encode()


def assert_refused(function: object, *arguments: object) -> None:
    with pytest.raises(MandorlaError) as caught:
        function(*arguments)  # type: ignore[operator]
    assert caught.value.code is Code.BAD_CHECKPOINT


@pytest.mark.parametrize(
    "note",
    [
        pytest.param("text\n\n" + line(), id="plain"),
        pytest.param("text\n\n" + line() * 64, id="as-many-signatures-as-allowed"),
        pytest.param(padded_to(16_384).decode(), id="as-long-as-allowed"),
        pytest.param("one\n\ntwo\n\n" + line(), id="empty-line-in-the-text"),
    ],
)
def test_a_note_is_parsed_to_what_encodes_to_it(note: str) -> None:
    assert Note.decode(note.encode()).encode() == note.encode()


@pytest.mark.parametrize(
    "note",
    [
        pytest.param("", id="empty"),
        pytest.param(line(), id="no-text"),
        pytest.param("text\n" + line(), id="no-empty-line"),
        pytest.param("text\n\n", id="no-signature"),
        pytest.param("te\txt\n\n" + line(), id="control-character"),
        pytest.param("text\n\n" + line()[:-1] + "X", id="no-newline-at-the-end"),
        pytest.param("text\n\n" + line() * 65, id="a-signature-too-many"),
        pytest.param("text\n\n" + line(b"1234"), id="key-id-alone"),
        pytest.param("text\n\n" + line().replace("\u2014 ", "- "), id="no-dash"),
        pytest.param("text\n\n\u2014 key\n", id="no-space"),
        pytest.param("text\n\n" + line(name=""), id="no-name"),
        pytest.param("text\n\n" + line(name="a+b"), id="plus-in-the-name"),
        pytest.param("text\n\n" + line(name="a\u00a0b"), id="space-in-the-name"),
        pytest.param("text\n\n" + line(name="a\u200bb"), id="unprintable-name"),
        pytest.param(padded_to(16_385).decode(), id="a-byte-too-long"),
    ],
)
def test_a_note_that_no_lab_writes_is_refused(note: str) -> None:
    assert_refused(Note.decode, note.encode())


def test_signature_types_are_those_of_c2sp() -> None:
    assert (SignatureType.ED25519, SignatureType.COSIGNATURE) == (1, 4)


@pytest.mark.parametrize("text", [f"a+b\n1\n{'A' * 43}=\n", f"a b\n1\n{'A' * 43}=\n"])
def test_a_checkpoints_origin_can_name_a_key(text: str) -> None:
    assert_refused(Checkpoint.parse, text)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_checkpoints_root_has_32_bytes(size: int) -> None:
    assert_refused(Checkpoint.parse, replace(CHECKPOINT, root=bytes(size)).text())


def test_a_checkpoint_of_another_log_is_refused_whoever_signed_it() -> None:
    text = replace(CHECKPOINT, origin="mandorla.invalid/other").text()
    identifier = key_id(ORIGIN, SignatureType.ED25519, LOG.lab)
    note = Note(text, (NoteSignature(ORIGIN, identifier, KEY.sign(text.encode())),)).encode()
    assert_refused(open_checkpoint, note, LOG)


def test_a_cosignatures_time_fits_63_bits() -> None:
    last = 2**63 - 1
    assert verify_cosignature(LOG.lab, CHECKPOINT, cosign(KEY, CHECKPOINT, last)) == last
    assert_refused(verify_cosignature, LOG.lab, CHECKPOINT, cosign(KEY, CHECKPOINT, last + 1))


def test_a_note_carries_the_cosignatures_that_it_was_given() -> None:
    cosignature = cosign(OTHER, CHECKPOINT, NOW)
    witness = LogKey("witness", LOG.lab)
    note = with_cosignatures(NOTE, [(witness, cosignature)])
    assert cosignatures_by(note, witness) == [cosignature]
    assert open_checkpoint(note, LOG) == CHECKPOINT


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(verifier_key(LogKey("a b", LOG.lab)), id="space-in-the-origin"),
        pytest.param(verifier_key(LOG).replace(key_id(ORIGIN, SignatureType.ED25519, LOG.lab).hex(), "0" * 8),
                     id="another-key-id"),
        pytest.param(
            f"{ORIGIN}+{key_id(ORIGIN, SignatureType.ED25519, LOG.lab).hex()}"
            f"+{base64.b64encode(bytes([4]) + LOG.lab).decode()}",
            id="another-type",
        ),
    ],
)  # fmt: skip
def test_a_fraud_proof_names_its_log_by_a_well_formed_key(key: str) -> None:
    other = replace(CHECKPOINT, root=bytes(32))
    text = other.text()
    identifier = key_id(ORIGIN, SignatureType.ED25519, LOG.lab)
    second = Note(text, (NoteSignature(ORIGIN, identifier, KEY.sign(text.encode())),)).encode()
    proof = FraudProof(LOG, NOTE, second).encode()
    assert FraudProof.decode(proof).log == LOG
    assert_refused(FraudProof.decode, proof.replace(verifier_key(LOG).encode(), key.encode()))


@pytest.mark.parametrize("missing", [b"mandorla/v1 fraud proof\n", b"\n=====\n\n"])
def test_a_fraud_proof_has_its_first_line_and_its_divider(missing: bytes) -> None:
    text = replace(CHECKPOINT, root=bytes(32)).text()
    identifier = key_id(ORIGIN, SignatureType.ED25519, LOG.lab)
    second = Note(text, (NoteSignature(ORIGIN, identifier, KEY.sign(text.encode())),)).encode()
    assert_refused(FraudProof.decode, FraudProof(LOG, NOTE, second).encode().replace(missing, b""))


@pytest.mark.parametrize(
    ("longest", "too_long"),
    [
        pytest.param(
            RoundProposed(bytes(8_192), bytes(64), NOW), RoundProposed(bytes(8_193), bytes(64), NOW),
            id="header",
        ),
        pytest.param(
            RoundClosed(ROUND, bytes(512), bytes(64), bytes(64), NOW),
            RoundClosed(ROUND, bytes(513), bytes(64), bytes(64), NOW),
            id="statement",
        ),
        pytest.param(
            RoundEnded(ROUND, "s" * 64, "c" * 64, NOW), RoundEnded(ROUND, "s" * 65, "c", NOW), id="state"
        ),
        pytest.param(
            RoundEnded(ROUND, "s" * 64, "c" * 64, NOW), RoundEnded(ROUND, "s", "c" * 65, NOW), id="code"
        ),
    ],
)  # fmt: skip
def test_an_entrys_fields_have_their_limits(longest: LogEntry, too_long: LogEntry) -> None:
    assert decode_entry(longest.encode()) == longest
    with pytest.raises(MandorlaError):
        decode_entry(too_long.encode())


LEAVES = [hash_leaf(bytes([number])) for number in range(4)]
ROOT = Frontier().extend(LEAVES).root
LEFT, RIGHT = (hash_children(*LEAVES[at : at + 2]) for at in (0, 2))


@pytest.mark.parametrize(
    ("old", "old_root", "proof"),
    [
        pytest.param(-1, EMPTY_ROOT, [], id="negative"),
        pytest.param(5, ROOT, [], id="larger"),
        pytest.param(8, ROOT, [], id="larger-and-complete"),
        pytest.param(2, LEFT, [RIGHT[:31]], id="hash-of-31-bytes"),
        pytest.param(2, LEFT, [RIGHT + b"\0"], id="hash-of-33-bytes"),
        pytest.param(3, ROOT, [], id="empty"),
        pytest.param(2, LEFT, [RIGHT, RIGHT], id="too-long"),
        pytest.param(0, ROOT, [], id="empty-tree-with-a-root"),
        pytest.param(4, LEFT, [], id="same-size-other-root"),
    ],
)
def test_what_proves_no_consistency_is_refused(old: int, old_root: bytes, proof: list[bytes]) -> None:
    verify_consistency(2, LEFT, 4, ROOT, [RIGHT])
    assert_refused(verify_consistency, old, old_root, 4, ROOT, proof)


def test_a_proof_that_goes_on_beyond_the_root_is_refused() -> None:
    verify_inclusion(LEAVES[0], 0, 4, ROOT, [LEAVES[1], RIGHT])
    beyond = hash_children(RIGHT, ROOT)
    assert_refused(verify_inclusion, LEAVES[0], 0, 4, beyond, [LEAVES[1], RIGHT, RIGHT])
    three = Frontier().extend(LEAVES[:3]).root
    proof = [LEAVES[2], LEAVES[3], LEFT]
    verify_consistency(3, three, 4, ROOT, proof)
    one, other = hash_children(RIGHT, three), hash_children(RIGHT, ROOT)
    assert_refused(verify_consistency, 3, one, 4, other, [*proof, RIGHT])
