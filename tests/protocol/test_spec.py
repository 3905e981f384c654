"""SPEC.md and the code say the same thing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mandorla_protocol.engine import PortableEngine
from mandorla_protocol.epochs import Epoch, LabId, epoch_keys, proof_nonce
from mandorla_protocol.errors import Code
from mandorla_protocol.group import Element
from mandorla_protocol.header import Kind, Mode, Offer, Party, RoundHeader, RoundId
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label, Reason, Severity, Tlp, seal, split_output
from mandorla_protocol.session import holder, querier
from mandorla_protocol.session.transcript import CloseStatement, Outcome, request_digest
from mandorla_protocol.sizes import size_class
from mandorla_protocol.table import Operation, TableCommitment, TableEntry

ROOT = Path(__file__).parents[2]
SPEC = (ROOT / "SPEC.md").read_text(encoding="utf-8")
SOURCES = [
    path
    for folder in ("protocol", "node", "simulations", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
]

ENGINE = PortableEngine()
EPOCH = Epoch(LabId(bytes([1] * 32)), LabId(bytes([2] * 32)), "infrastructure", 1)
SEED = bytes(range(32))
INDICATOR = Indicator.parse("ipv4", "198.51.100.7")
LABEL = Label(Reason.DISTILLATION, Severity.HIGH, 90, 1_767_225_600, 0, Tlp.AMBER)


def header() -> RoundHeader:
    """The header of the examples."""
    offer = Offer(1, Element(bytes([3] * 32)), 1000, 500, TableCommitment(1, 256, bytes([4] * 32)))
    return RoundHeader(
        round_id=RoundId(bytes(16)),
        mode=Mode.BATCH,
        kind=Kind.SHARED,
        collection="infrastructure",
        profiles=(("domain", 1), ("ipv4", 1), ("ipv6", 1)),
        initiator=Party(EPOCH.holder, bytes([5] * 32), offer),
        responder=Party(EPOCH.querier, bytes([6] * 32), offer),
        purpose="example",
        legal_basis="none",
        created=1_767_225_600,
        expires=1_767_229_200,
    )


def sealed_example() -> tuple[bytes, bytes]:
    """The tag and the sealed label of the examples."""
    output = ENGINE.evaluate(epoch_keys(ENGINE, SEED, EPOCH), INDICATOR.token())
    tag, key = split_output(output)
    return tag, seal(LABEL, key, tag, EPOCH, 1)


def entry() -> TableEntry:
    """The table entry of the examples."""
    tag, sealed = sealed_example()
    return TableEntry(1, Operation.ADD, tag, sealed)  # type: ignore[arg-type]


EXAMPLES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "indicator": ('encoding of (type "ipv4", profile 1, value "198.51.100.7")', INDICATOR.encode),
    "token": ("its token", INDICATOR.token),
    "epoch": (
        'encoding of the epoch (holder 32 x 01, querier 32 x 02, "infrastructure", number 1)',
        EPOCH.encode,
    ),
    "public-key": (
        "public key of that epoch with the seed 00 01 02 ... 1f",
        lambda: epoch_keys(ENGINE, SEED, EPOCH).public,
    ),
    "tag": ("tag of the indicator in that epoch", lambda: sealed_example()[0]),
    "label": (
        "encoding, before the zeros, of (distillation, high, 90, first seen 1767225600, no expiry, amber)",
        lambda: LABEL.encode().rstrip(b"\x00"),
    ),
    "sealed-label": ("that label, sealed in version 1", lambda: sealed_example()[1]),
    "leaf": ("leaf hash of the addition of tag and label in version 1", lambda: entry().leaf_hash()),
    "header-digest": (
        "digest of a batch header of kind shared over infrastructure: round id 16 x 00, profiles "
        "(domain, 1) (ipv4, 1) (ipv6, 1), initiator 32 x 01 with certificate hash 32 x 05, responder "
        "32 x 02 with 32 x 06, both offering epoch 1, key 32 x 03, budget 1000, cap 500, table version 1 "
        'of 256 entries with root 32 x 04, purpose "example", legal basis "none", 1767225600 to 1767229200',
        lambda: header().digest(),
    ),
    "request-digest": (
        "request digest of chunk 0 of that round with one element, 32 x 07",
        lambda: request_digest(header().digest(), 0, bytes([7] * 32)),
    ),
    "proof-nonce": (
        "the 64 bytes behind the nonce of that chunk's proof, with the epoch and seed above",
        lambda: proof_nonce(SEED, EPOCH, request_digest(header().digest(), 0, bytes([7] * 32))),
    ),
    "close": (
        "encoding of the close that commits that round with halves 32 x 08 and 32 x 09",
        lambda: CloseStatement(
            header().digest(), bytes([8] * 32), bytes([9] * 32), Outcome.COMMITTED
        ).encode(),
    ),
}


def section(number: str) -> str:
    """Return the text of a section, up to the next heading of its depth or above."""
    depth = number.count(".") + 2
    found = re.search(
        rf"^{'#' * depth} {re.escape(number)}\.? .*?(?=^#{{2,{depth}}} |\Z)", SPEC, re.MULTILINE | re.DOTALL
    )
    assert found, f"SPEC has no section {number}"
    return found[0]


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the tables in a text."""
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("|--"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_what_the_code_computes(name: str) -> None:
    block = re.search(rf"```text example={name}\n(.*?)```", section("16"), re.DOTALL)
    assert block, f"SPEC has no example {name}"
    assert bytes.fromhex(block[1]) == EXAMPLES[name][1]()


def test_the_error_table_is_the_catalogue() -> None:
    table = [row for row in rows(section("11")) if row[0].startswith("`")]
    assert table == [
        [
            f"`{code.name}`",
            str(code.info.exit_status),
            code.info.status.value,
            "yes" if code.info.retryable else "",
            code.info.message,
        ]
        for code in Code
    ]


def test_every_code_that_is_named_is_in_the_catalogue() -> None:
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", SPEC))
    assert named <= Code.__members__.keys() | {"EVALUATING", "READING", "COMPLETE"}


def test_the_domain_strings_are_those_of_the_code() -> None:
    listed = {row[0].strip("`") for row in rows(section("14")) if row[0].startswith("`")}
    used = {
        string
        for path in (ROOT / "protocol").rglob("*.py")
        for string in re.findall(r'"(mandorla/v1 [a-z ]+)"', path.read_text(encoding="utf-8"))
    }
    assert listed == used


def test_every_section_that_code_cites_exists() -> None:
    cited = {
        number
        for path in SOURCES
        for citation in re.findall(
            r"SPEC ((?:\d+(?:\.\d+)?(?:, | and )?)+)", path.read_text(encoding="utf-8")
        )
        for number in re.findall(r"\d+(?:\.\d+)?", citation)
    }
    assert len(cited) > 20
    for number in sorted(cited):
        section(number)


@pytest.mark.parametrize(("machine", "number"), [(querier, "10.1"), (holder, "10.2")])
def test_state_tables_name_every_event_and_effect(machine: object, number: str) -> None:
    text = section(number)
    for alias in ("Event", "Effect"):
        for member in getattr(machine, alias).__args__:
            assert re.search(rf"\b{member.__name__}\b", text), f"{number} does not name {member.__name__}"


def test_the_size_classes_are_those_of_the_code() -> None:
    listed = [int(n) for n in re.findall(r"\d+", re.search(r"2, \.\.\.: ([\d, ]+)", section("8"))[1])]  # type: ignore[index]
    classes = [size_class(1)]
    while len(classes) < len(listed):
        classes.append(size_class(classes[-1] + 1))
    assert listed == classes
