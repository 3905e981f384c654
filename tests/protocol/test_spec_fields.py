"""SPEC 14.2 lists all fields that are hashed, signed or sealed: an encoder from the table alone agrees."""

from __future__ import annotations

import hashlib
import importlib
import re
from typing import Any

import pytest

from mandorla_protocol.engine.portable import PortableEngine
from mandorla_protocol.epochs import epoch_keys
from mandorla_protocol.group import Element, Scalar
from mandorla_protocol.group.ristretto255 import Ristretto255
from tests.protocol.spec_cases import CASES, CHUNK
from tests.protocol.test_spec import ENGINE, EPOCH, INDICATOR, SEED, rows, section

CONTEXT = b"OPRFV1-\x01-ristretto255-SHA512"
PARTS = ("party", "offer", "profile", "cosigner")


def read_table() -> dict[str, list[tuple[str, str, str]]]:
    """Return field, encoding and reason of each field, by structure."""
    table: dict[str, list[tuple[str, str, str]]] = {}
    for structure, *field in rows(section("14.2")):
        if structure == "structure":
            continue
        if structure:
            fields = table.setdefault(structure, [])
        if field[0] != "none":
            fields.append((field[0], field[1], field[2]))
    return table


TABLE = read_table()
MADE = {row[0]: row[1:] for row in rows(section("14.1")) if row[0] != "structure"}
DOMAINS = {
    row[0].strip("`").removeprefix("mandorla/v1 "): row[2]
    for row in rows(section("14"))
    if row[0].startswith("`mandorla/v1 ")
}


def literal(field: str) -> bytes:
    """Return the bytes of a field that is a quoted constant."""
    name, _, rest = field.partition('"`')
    return name.lstrip('`"').encode() + (CONTEXT if rest.strip() == "context" else b"")


def write(encoding: str, field: str, value: Any) -> bytes:
    """Encode one field by the table."""
    kind, _, number = encoding.partition("-")
    match kind:
        case "text" | "data":
            raw = value.encode() if kind == "text" else value
            return len(raw).to_bytes(int(number or 4), "big") + raw
        case "fixed":
            assert len(value) == int(number), field
            return bytes(value)
        case "uint":
            return int(value).to_bytes(int(number), "big")
        case "bytes":
            return bytes(value)
        case "byte":
            return bytes.fromhex(field.removeprefix("0x"))
        case "constant":
            return literal(field)
        case "line":
            return (value if isinstance(value, bytes) else value.encode()) + b"\n"
        case _ if kind in PARTS:
            return encode_fields(kind, value)
        case _:
            of = encoding.removeprefix("sequence of ")
            assert of != encoding, encoding
            return len(value).to_bytes(4, "big") + b"".join(write(of, field, one) for one in value)


def encode_fields(structure: str, values: dict[str, Any]) -> bytes:
    """Encode the fields of a structure; `values` has exactly those that are neither constant nor a DST."""
    encoded, used = b"", set()
    for field, encoding, _ in TABLE[structure]:
        if encoding == "DST":
            continue
        fixed = encoding in ("constant", "byte") or field.startswith("`")
        if not fixed:
            used.add(field)
        encoded += write(encoding, field, literal(field) if fixed else values[field])
    assert used == values.keys()
    return encoded


def encode(structure: str, values: dict[str, Any]) -> bytes:
    """Encode a structure, after its domain if it has one."""
    domain = write("text", "domain", f"mandorla/v1 {structure}") if structure in DOMAINS else b""
    return domain + encode_fields(structure, values)


class Recorder(Ristretto255):
    """A ristretto255 that records the messages that it hashes, and their DSTs."""

    def __init__(self) -> None:
        self.hashed: list[tuple[bytes, bytes]] = []

    def hash(self, message: bytes) -> bytes:
        self.hashed.append((message, b""))
        return super().hash(message)

    def hash_to_group(self, message: bytes, dst: bytes) -> bytes:
        self.hashed.append((message, dst))
        return super().hash_to_group(message, dst)

    def hash_to_scalar(self, message: bytes, dst: bytes) -> Scalar:
        self.hashed.append((message, dst))
        return super().hash_to_scalar(message, dst)


def destination(structure: str) -> bytes:
    return b"".join(literal(field) for field, encoding, _ in TABLE[structure] if encoding == "DST")


def expected(structure: str, **values: Any) -> tuple[bytes, bytes]:
    named = {name.replace("_", " "): value for name, value in values.items()}
    return encode(structure, named), destination(structure)


@pytest.mark.parametrize("structure", CASES)
def test_the_table_alone_encodes_what_the_code_hashes_signs_and_seals(structure: str) -> None:
    values, made, result = CASES[structure]
    assert made(encode(structure, values)) == result


def test_the_table_alone_encodes_what_the_oprf_hashes() -> None:
    group = Recorder()
    engine = PortableEngine(group)
    keys = epoch_keys(engine, SEED, EPOCH)
    assert group.hashed == [expected("OPRF key", seed=SEED, info=EPOCH.encode(), counter=0)]
    group.hashed.clear()
    token = INDICATOR.token()
    output = engine.evaluate(keys, token)
    element = group.multiply(keys.secret, Ristretto255().hash_to_group(token, b"HashToGroup-" + CONTEXT))
    assert group.hashed == [
        expected("OPRF input", token=token),
        expected("OPRF output", token=token, element=element),
    ]
    assert output == hashlib.sha512(group.hashed[1][0]).digest()


@pytest.mark.parametrize("verifying", [False, True])
def test_the_table_alone_encodes_what_a_proof_hashes(verifying: bool) -> None:
    plain, group = Ristretto255(), Recorder()
    keys = epoch_keys(ENGINE, SEED, EPOCH)
    blinded = CHUNK["blinded"] + plain.generator
    nonce = bytes(range(64))
    evaluated, proof = PortableEngine(group).evaluate_and_prove(keys, blinded, nonce)
    if verifying:
        group.hashed.clear()
        PortableEngine(group).verify(keys.public, blinded, evaluated, proof)
    pairs = [(blinded[at : at + 32], evaluated[at : at + 32]) for at in (0, 32)]
    (seed, *weights), challenge = group.hashed[:-1], group.hashed[-1]
    assert seed == expected(
        "proof seed", public_key=keys.public, pairs=2, blinded=blinded, evaluated=evaluated
    )
    hashed_seed = hashlib.sha512(seed[0]).digest()
    assert weights == [
        expected("proof weight", seed=hashed_seed, index=index, blinded=c, evaluated=d)
        for index, (c, d) in enumerate(pairs)
    ]
    scalars = [plain.hash_to_scalar(*weight) for weight in weights]
    m, z = (
        plain.add(*(plain.multiply(d, Element(pair[side])) for d, pair in zip(scalars, pairs, strict=True)))
        for side in (0, 1)
    )
    r = plain.random_scalar(nonce)
    t2, t3 = plain.multiply_generator(r), plain.multiply(r, m)
    assert challenge == expected("proof challenge", public_key=keys.public, M=m, Z=z, t2=t2, t3=t3)


def test_every_structure_has_its_fields_and_its_maker() -> None:
    assert MADE.keys() | set(PARTS) == TABLE.keys()
    oprf = {"OPRF input", "OPRF output", "OPRF key", "proof seed", "proof weight", "proof challenge"}
    assert CASES.keys() | oprf == MADE.keys()
    for _, function in MADE.values():
        found = re.fullmatch(r"`([a-z_.]+)\.((?:[A-Z]\w+\.)?\w+)`", function)
        assert found, function
        value: Any = importlib.import_module(f"mandorla_protocol.{found[1]}")
        for name in found[2].split("."):
            value = getattr(value, name)
        assert callable(value)


def test_every_domain_that_is_hashed_signed_keyed_or_sealed_has_its_fields() -> None:
    plain = {name for name, use in DOMAINS.items() if use in ("sealed", "kept", "sent")}
    assert DOMAINS.keys() - plain == DOMAINS.keys() & MADE.keys()


def test_every_field_has_a_reason() -> None:
    assert all(reason for fields in TABLE.values() for _, _, reason in fields)
    assert sum(len(fields) for fields in TABLE.values()) > 100
