"""There are vectors for all structures, fields and codes of SPEC and the code:

a new field without one fails.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import mandorla_protocol
from mandorla_protocol.audit.findings import Claim
from mandorla_protocol.card import Card
from mandorla_protocol.epochs import Epoch
from mandorla_protocol.errors import Code
from mandorla_protocol.header import RoundHeader
from mandorla_protocol.indicators import REGISTRY
from mandorla_protocol.labels import Reason, Severity, Tlp
from mandorla_protocol.session.transcript import CloseStatement
from mandorla_protocol.table import TableEntry
from tests.protocol.test_spec_fields import TABLE
from tests.vectors.files import CASES, FOLDER, of, read
from tests.vectors.log_operations import STRUCTURES
from tests.vectors.operations import WITHOUT_ENGINE, Operations

SPEC = (Path(__file__).parents[2] / "SPEC.md").read_text("utf-8")
BY_NAME = {case["name"]: case for case in CASES}
OPERATIONS = set(
    read(FOLDER / "schema.json")["properties"]["cases"]["items"]["properties"]["operation"]["enum"]
)

DERIVED = {
    "behaviour": "behaviour-values",
    "card": "read-card",
    "dated card": "read-card",
    "chunk answer": "answer-digest",
    "chunk request": "request-digest",
    "half": "half-digest",
    "label key": "split-output",
    "prompt band": "prompt-values",
    "prompt constant": "prompt-values",
    "prompt run": "prompt-values",
    "prompt sentence": "prompt-values",
    "prompt word": "prompt-values",
    "proof nonce": "proof-nonce",
    "request sequence": "sequence-values",
    "sealed label": "seal",
    "table leaf": "leaf-hash",
}
"""Structures that are hashed and never decoded, by their domain, with the operation that hashes them."""

TOTAL = {
    "answer-digest",
    "behaviour-values",
    "cosign",
    "encode",
    "encode-step",
    "half-digest",
    "header-digest",
    "leaf-hash",
    "merkle-root",
    "normalise-prompt",
    "prompt-values",
    "proof-nonce",
    "request-digest",
    "seal",
    "sequence-values",
    "sign",
    "sign-checkpoint",
    "size-class",
}
"""The operations that refuse no well-formed input."""


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def section(number: str) -> str:
    found = re.search(rf"^###? {re.escape(number)}\.? .*?(?=^###? |\Z)", SPEC, re.MULTILINE | re.DOTALL)
    assert found, number
    return found[0]


def cell(number: str, row: str, column: int = 1) -> str:
    """Return a cell of the table of a section, by the row's first cell."""
    for line in section(number).splitlines():
        cells = [one.strip() for one in line.strip("|").split("|")]
        if cells[0] == row:
            return cells[column]
    raise AssertionError(row)


def refused(name: str, code: str) -> None:
    assert BY_NAME[name]["error"] == code


def paths(kind: Any) -> Iterator[str]:
    """Yield the path of each field of a structure, with a dot before the fields of inner structures."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        if is_dataclass(hints[field.name]):
            yield from (f"{field.name}.{inner}" for inner in paths(hints[field.name]))
        else:
            yield field.name


def ours() -> set[type[Any]]:
    """Return all dataclasses of the protocol with a canonical encoding."""
    modules = pkgutil.walk_packages(mandorla_protocol.__path__, "mandorla_protocol.")
    return {
        value
        for info in modules
        if not info.name.endswith(("__main__", "_native", "engine.native"))
        for value in vars(importlib.import_module(info.name)).values()
        if isinstance(value, type) and is_dataclass(value) and "encode" in vars(value)
    }


# Operations and structures


def test_every_operation_has_vectors_that_succeed_and_that_fail() -> None:
    assert {case["operation"] for case in CASES if "output" in case} == OPERATIONS - {
        "decode",
        "decode-fields",
    }
    assert {case["operation"] for case in CASES if "error" in case} == (OPERATIONS - TOTAL) | {
        "encode-fields"
    }
    assert all(callable(getattr(Operations, one.replace("-", "_"))) for one in OPERATIONS)
    assert OPERATIONS > WITHOUT_ENGINE > TOTAL - {"encode"}


def test_the_readme_explains_every_operation() -> None:
    explained = re.findall(r"^\| `([a-z-]+)` \|", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(explained) == sorted(OPERATIONS)


def test_every_domain_string_of_the_specification_has_a_vector() -> None:
    listed = set(re.findall(r"^\| `mandorla/v1 ([a-z ]+)` \|", section("14"), re.MULTILINE))
    assert listed == STRUCTURES.keys() | DERIVED.keys()
    encoded = {case["input"]["structure"] for case in of("encode")}
    assert encoded == STRUCTURES.keys()
    for domain in STRUCTURES:
        text = f"mandorla/v1 {domain}".encode()
        encodings = [
            case["output"]["encoding"] for case in of("encode") if case["input"]["structure"] == domain
        ]
        assert all(one.startswith((len(text).to_bytes(4, "big") + text).hex()) for one in encodings)


def test_every_encoded_structure_of_the_code_has_a_vector() -> None:
    # The replay compares each encoding with the vector's members, field by field.
    kinds = {kind for kind, _ in STRUCTURES.values()}
    assert {kind.__name__ for kind in ours() - kinds} == {"Proof", "Note", "FraudProof", "Step"}


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize(
    "fault",
    [
        "trailing-byte",
        "short",
        "empty",
        "without-domain",
        "domain-of-another-version",
        "domain-of-another-structure",
    ],
)
def test_every_structure_is_refused_with_the_common_faults(structure: str, fault: str) -> None:
    case = BY_NAME[f"{slug(structure)}-{fault}"]
    assert (case["operation"], case["input"]["structure"]) == ("decode", structure)


# Transcripts


HASHES = {"seed": "seed", "weight": "weight d_i", "challenge": "challenge c"}


def listed(structure: str) -> list[str]:
    """Return the fields of a structure, as SPEC 14.2 lists them."""
    return [field for field, _, _ in TABLE[structure]]


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize("how", ["without", "altered"])
def test_every_field_of_a_proofs_hashes_is_left_out_and_altered(hash_name: str, how: str) -> None:
    assert len(listed(f"proof {hash_name}")) >= 5
    for field in listed(f"proof {hash_name}"):
        refused(f"proof-{hash_name}-{how}-{slug(field)}", "BAD_PROOF")


@pytest.mark.parametrize("structure", [name for name in TABLE if name.startswith("log ")])
@pytest.mark.parametrize("how", ["without", "altered"])
def test_every_field_of_an_entry_of_a_log_is_left_out_and_altered(structure: str, how: str) -> None:
    for field in ["domain", *listed(structure)]:
        refused(f"{slug(structure)}-included-{how}-{slug(field)}", "BAD_CHECKPOINT")


@pytest.mark.parametrize("how", ["without", "altered"])
def test_every_field_of_a_checkpoint_and_of_a_cosignature_is_left_out_and_altered(how: str) -> None:
    state = [field.split()[0] for field in listed("checkpoint")]
    *own, last = listed("cosignature")
    assert last == "checkpoint"
    for prefix, named in (
        ("checkpoint", state),
        ("checkpoint-key-id", listed("key id")),
        ("cosignature", [*own, *state]),
    ):
        for field in named:
            refused(f"{prefix}-{how}-{slug(field)}", "BAD_CHECKPOINT")


def test_the_hashes_of_a_proof_are_those_of_the_specification() -> None:
    table = re.findall(
        r"^\| (\w+(?: \w+)?) \| .* \| (?:SHA-512|HashToScalar) \|$", section("5.4"), re.MULTILINE
    )
    assert table == list(HASHES.values())


SIGNED = {"header": RoundHeader, "close": CloseStatement, "abort": CloseStatement}
CONSTANT = {"header": ["domain", "version", "suite"], "close": ["domain"], "abort": ["domain"]}
"""Fields that are the same in every structure of a kind, which our types therefore do not have."""


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("how", ["without", "altered"])
def test_every_field_of_a_signed_structure_is_left_out_and_altered(name: str, how: str) -> None:
    for path in [*CONSTANT[name], *paths(SIGNED[name])]:
        refused(f"{name}-signature-{how}-{slug(path)}", "BAD_SIGNATURE")


@pytest.mark.parametrize("how", ["without", "altered"])
def test_every_field_of_a_card_and_of_a_seal_is_left_out_and_altered(how: str) -> None:
    for path in ["domain", *(field.name for field in fields(Card) if field.name != "signature")]:
        if path != "issued":
            refused(f"card-signature-{how}-{slug(path)}", "BAD_CARD")
        refused(f"card-dated-signature-{how}-{slug(path)}", "BAD_CARD")
    for path in re.findall(r"\w+", re.search(r"string, the ([\w, ]+ and \w+)", section("17.1"))[1]):  # type: ignore[index]
        if path != "and":
            case = BY_NAME[f"bundle-seal-signature-{how}-{slug(path)}"]
            assert case["output"]["broken"] == [Claim.SEALED]


def test_every_field_of_a_labels_associated_data_is_left_out_and_altered() -> None:
    data = cell("6.4", "AAD").replace("encoding of: text `mandorla/v1 sealed label`", "text domain")
    named = [re.sub(r" \(.*\)", "", field).split()[-1] for field in data.split(", ")]
    assert named[:2] == ["domain", "tag"]
    for field in named:
        refused(f"label-aad-without-{field}", "BAD_LABEL")
        refused(f"label-aad-altered-{field}", "BAD_LABEL")
    for field in paths(Epoch):
        refused(f"label-aad-altered-epoch-{slug(field)}", "BAD_LABEL")
    refused("label-nonce-altered", "BAD_LABEL")


DIGESTS = {
    "request-digest": {"header_digest", "index", "blinded"},
    "answer-digest": {"request", "evaluated", "proof"},
    "half-digest": {"header_digest", "querier", "answers"},
    "header-digest": set(paths(RoundHeader)),
    "leaf-hash": set(paths(TableEntry)),
}


@pytest.mark.parametrize("operation", DIGESTS)
def test_every_field_of_a_digest_gives_another_digest(operation: str) -> None:
    prefix = {"leaf-hash": "leaf"}.get(operation, operation)
    for path in DIGESTS[operation]:
        assert BY_NAME[f"{prefix}-altered-{slug(path)}"]["operation"] == operation
    outputs = [str(case["output"]) for case in of(operation)]
    assert len(outputs) == len(set(outputs))


@pytest.mark.parametrize("operation", ["request-digest", "answer-digest", "half-digest"])
def test_a_digest_has_as_many_fields_as_the_specification_gives_it(operation: str) -> None:
    row = cell("9.6", operation.removesuffix("-digest"))
    assert row.count(", ") == len(DIGESTS[operation])
    assert all(case["input"].keys() == DIGESTS[operation] for case in of(operation))


def test_every_field_of_an_epoch_gives_another_key_and_nonce() -> None:
    for path in paths(Epoch):
        assert f"key-other-{slug(path)}" in BY_NAME
        assert f"proof-nonce-other-epoch-{slug(path)}" in BY_NAME
        refused(f"label-opened-with-other-epoch-{slug(path)}", "BAD_LABEL")
    for operation in ("derive-key-pair", "proof-nonce"):
        outputs = [str(case["output"]) for case in of(operation) if "output" in case]
        assert len(outputs) == len(set(outputs))


@pytest.mark.parametrize("path", list(paths(CloseStatement)))
def test_every_field_of_a_close_is_compared(path: str) -> None:
    refused(f"close-other-{slug(path)}", "TRANSCRIPT_MISMATCH")


# Values


@pytest.mark.parametrize(("field", "kind"), [("reason", Reason), ("severity", Severity), ("tlp", Tlp)])
def test_every_member_of_a_labels_enumerations_has_a_vector(field: str, kind: type[IntEnum]) -> None:
    values = [case["input"]["value"] for case in of("encode") if case["input"]["structure"] == "label"]
    assert {value[field] for value in values} == set(kind)


def test_every_type_of_indicator_has_vectors_of_both_kinds() -> None:
    parsed = of("parse")
    assert {case["input"]["type"] for case in parsed if "output" in case} == set(REGISTRY)
    assert {case["input"]["type"] for case in parsed if case.get("error") == "BAD_INDICATOR"} == set(REGISTRY)


@pytest.mark.parametrize("claim", Claim)
def test_every_claim_about_bundles_is_broken_by_itself(claim: Claim) -> None:
    verdicts = [case["output"]["broken"] for case in of("verify-bundles") if "output" in case]
    assert [claim] in verdicts
    assert [] in verdicts


@pytest.mark.parametrize(
    "number", ["3.1", "3.3", "A.1", "5.1", "5.3", "5.4", "6.3", "7.3", "18.2", "18.4", "18.5"]
)
def test_every_code_that_a_section_of_pure_rules_names_has_a_vector(number: str) -> None:
    named = {name for name in re.findall(r"`([A-Z_]+)`", section(number)) if name in Code.__members__}
    assert named
    assert named <= {case.get("error") for case in CASES}
