"""SPEC.md and the code agree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest
from google.protobuf.descriptor import FieldDescriptor

from mandorla.v1 import exchange_pb2
from mandorla_protocol.audit.findings import Claim
from mandorla_protocol.engine.portable import PortableEngine
from mandorla_protocol.epochs import Epoch, LabId, epoch_keys, proof_nonce
from mandorla_protocol.errors import Code, RoundError
from mandorla_protocol.group import Element
from mandorla_protocol.header import Offer, Party, RoundHeader, RoundId, RoundKind, RoundMode
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import SEALED_LABEL_SIZE, Label, Reason, Severity, Tag, Tlp, seal, split_output
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.session import closing, holder, querier
from mandorla_protocol.session.transcript import (
    CloseStatement,
    Outcome,
    answer_digest,
    half_digest,
    request_digest,
)
from mandorla_protocol.sizes import CHUNK_SIZE, size_class
from mandorla_protocol.table import Operation, TableCommitment, TableEntry, TableReader, parts_of

ROOT = Path(__file__).parents[2]
SPEC = (ROOT / "SPEC.md").read_text(encoding="utf-8")

ENGINE = PortableEngine()
EPOCH = Epoch(LabId(bytes([1] * 32)), LabId(bytes([2] * 32)), "infrastructure", 1)
SEED = bytes(range(32))
INDICATOR = Indicator.parse("ipv4", "198.51.100.7")
LABEL = Label(Reason.DISTILLATION, Severity.HIGH, 90, 1_767_225_600, 0, Tlp.AMBER)


def header() -> RoundHeader:
    """Return the header of the examples."""
    offer = Offer(1, Element(bytes([3] * 32)), 1000, 500, TableCommitment(1, 256, bytes([4] * 32)))
    return RoundHeader(
        round_id=RoundId(bytes(16)),
        mode=RoundMode.BATCH,
        kind=RoundKind.SHARED,
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
    """Return the tag and the sealed label of the examples."""
    output = ENGINE.evaluate(epoch_keys(ENGINE, SEED, EPOCH), INDICATOR.token())
    tag, key = split_output(output)
    return tag, seal(LABEL, key, tag, EPOCH, 1)


def entry() -> TableEntry:
    """Return the table entry of the examples."""
    tag, sealed = sealed_example()
    return TableEntry(1, Operation.ADD, tag, sealed)  # type: ignore[arg-type]


def chunk() -> dict[str, bytes]:
    """Return the chunk of the examples, from its blinding to its transcript."""
    keys = epoch_keys(ENGINE, SEED, EPOCH)
    blind, blinded = ENGINE.blind(INDICATOR.token(), bytes(range(64)))
    request = request_digest(header().digest(), 0, blinded)
    nonce = proof_nonce(SEED, EPOCH, request)
    evaluated, proof = ENGINE.evaluate_and_prove(keys, blinded, nonce)
    answer = answer_digest(request, evaluated, proof)
    return {
        "blind": blind,
        "blinded": blinded,
        "request-digest": request,
        "proof-nonce": nonce,
        "evaluated": evaluated,
        "proof": proof,
        "answer-digest": answer,
        "half-digest": half_digest(header(), EPOCH.querier, [answer]),
    }


def examples() -> dict[str, bytes]:
    """Return the examples of section 16, as the code computes them."""
    keys = epoch_keys(ENGINE, SEED, EPOCH)
    tag, sealed = sealed_example()
    halves = bytes([8] * 32), bytes([9] * 32)
    return chunk() | {
        "indicator": INDICATOR.encode(),
        "token": INDICATOR.token(),
        "epoch": EPOCH.encode(),
        "public-key": keys.public,
        "output": ENGINE.evaluate(keys, INDICATOR.token()),
        "tag": tag,
        "label": LABEL.encode().rstrip(b"\x00"),
        "sealed-label": sealed,
        "leaf": entry().leaf_hash(),
        "header": header().encode(),
        "header-digest": header().digest(),
        "close": CloseStatement(header().digest(), *halves, Outcome.COMMITTED).encode(),
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


def test_examples_are_what_the_code_computes() -> None:
    blocks = re.findall(r"```text example=([a-z-]+)\n(.*?)```", SPEC, re.DOTALL)
    written = {name: bytes.fromhex(block) for name, block in blocks}
    assert len(written) == len(blocks)
    assert written == examples()


def test_the_examples_answer_unblinds_to_the_example_output() -> None:
    values = examples()
    assert values["output"] == ENGINE.verify_and_finalize(
        Element(values["public-key"]),
        *(values[name] for name in ("token", "blind", "blinded", "evaluated", "proof")),
    )


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


def test_the_domain_strings_are_those_of_the_code() -> None:
    listed = {row[0].strip("`") for row in rows(section("14")) if row[0].startswith("`")}
    used = {
        string
        for path in (ROOT / "protocol").rglob("*.py")
        for string in re.findall(r'"(mandorla/v1 [a-z ]+)"', path.read_text(encoding="utf-8"))
    }
    assert listed == used


@pytest.mark.parametrize(("machine", "number"), [(querier, "10.1"), (holder, "10.2")])
def test_state_tables_name_every_event_and_effect(machine: object, number: str) -> None:
    # Section 19.5 has what a standing round adds to either.
    added = {"10.1": {"IndicatorsQueued", "TableAnnounced", "StandingEnded"}, "10.2": {"TableExtended"}}[
        number
    ]
    assert added <= set(re.findall(r"`(\w+)`", section("19.5")))
    named = set(re.findall(r"`([A-Z][a-z]\w+)`", section(number))) | added
    members = {
        member.__name__ for alias in ("Event", "Effect") for member in getattr(machine, alias).__args__
    }
    assert members == named


Row: TypeAlias = tuple[str, str, tuple[str, ...], str]
"""State, event, effects or code, next state."""


def state_table(number: str) -> set[Row]:
    """Return the rows of a state table, one for each state of a row."""
    return {
        (
            state,
            event.strip("`"),
            tuple(re.findall(r"`(\w+)`", effects)),
            state if after == "the same" else after,
        )
        for states, event, _, effects, after in (row for row in rows(section(number)) if len(row) == 5)
        if event != "event"
        for state in states.split(", ")
    }


def explore(
    machine: ModuleType, start: Any, events: Sequence[object], name: Callable[[Any], str]
) -> tuple[set[Row], set[Row]]:
    """Try all events in all reachable states; return the accepted rows and the refused rows."""
    accepted: set[Row] = set()
    refused: set[Row] = set()
    seen, waiting = [start], [start]
    while waiting:
        state = waiting.pop()
        for event in events:
            event_name = type(event).__name__
            try:
                after, effects = machine.step(state, event)
            except RoundError as error:
                refused.add((name(state), event_name, (error.code.name,), name(state)))
                continue
            effect_names = tuple(dict.fromkeys(type(effect).__name__ for effect in effects))
            accepted.add((name(state), event_name, effect_names, name(after)))
            if after not in seen:
                seen.append(after)
                waiting.append(after)
    return accepted, refused


def assert_table(number: str, accepted: set[Row], refused: set[Row]) -> None:
    assert state_table(number) == accepted | {row for row in refused if row[2] != ("WRONG_STATE",)}


def test_the_queriers_table_is_what_step_does() -> None:
    entries = tuple(
        TableEntry(1, Operation.ADD, Tag(bytes([n]) * 16), bytes(SEALED_LABEL_SIZE)) for n in (1, 2, 3)
    )
    frontier = Frontier().extend(one.leaf_hash() for one in entries)
    committed = TableCommitment(1, 3, frontier.root)
    offer = replace(header().responder.offer, table=committed, budget=2**20, cap=2**20)
    terms = replace(header(), responder=replace(header().responder, offer=offer))
    events: list[object] = [querier.Started()]
    for index in range(3):
        events.append(querier.ChunkBlinded(index, b""))
        events += [kind(index, b"", b"") for kind in (querier.ChunkAnswered, querier.ChunkFinalized)]
    other = replace(entries[2], tag=Tag(bytes([4]) * 16))
    events += [querier.PageReceived(parts_of(page)) for page in (entries[:2], entries[2:], (other,), ())]
    accepted: set[Row] = set()
    refused: set[Row] = set()
    for verified in ((TableCommitment(), Frontier()), (committed, frontier)):
        reader = TableReader.resume(*verified, committed)
        start = querier.open_half(terms, EPOCH.holder, 2 * CHUNK_SIZE + 1, reader)
        assert len(start.counts) == 3
        more, less = explore(querier, start, events, lambda state: str(state.phase.name))
        accepted |= more
        refused |= less
    assert_table("10.1", accepted, refused)


def test_the_table_of_a_standing_querier_is_what_step_does() -> None:
    versions = [
        tuple(TableEntry(v, Operation.ADD, Tag(bytes([n]) * 16), bytes(SEALED_LABEL_SIZE)) for n in (1, 2))
        for v in (1, 2)
    ]
    frontiers = [Frontier().extend(one.leaf_hash() for one in versions[0])]
    frontiers.append(frontiers[0].extend(one.leaf_hash() for one in versions[1]))
    tables = [TableCommitment(v, one.size, one.root) for v, one in enumerate(frontiers, 1)]
    offer = replace(header().responder.offer, table=tables[0], budget=2**20, cap=3 * CHUNK_SIZE + 256)
    terms = replace(
        header(),
        mode=RoundMode.STANDING,
        kind=RoundKind.WATCH,
        responder=replace(header().responder, offer=offer),
    )
    events: list[object] = [querier.StandingEnded()]
    events += [querier.IndicatorsQueued(count) for count in (2 * CHUNK_SIZE + 1, 4 * CHUNK_SIZE)]
    for index in range(4):
        events.append(querier.ChunkBlinded(index, b""))
        events += [kind(index, b"", b"") for kind in (querier.ChunkAnswered, querier.ChunkFinalized)]
    events += [querier.TableAnnounced(table) for table in (*tables, TableCommitment(1, 1, bytes(32)))]
    other = replace(versions[1][1], tag=Tag(bytes([4]) * 16))
    pages = (versions[0], versions[1][:1], versions[1][1:], (other,), ())
    events += [querier.PageReceived(parts_of(page)) for page in pages]
    reader = TableReader.resume(TableCommitment(), Frontier(), tables[0])
    start = querier.open_half(terms, EPOCH.holder, 1, reader)
    start, _ = querier.step(start, querier.Started())
    accepted, refused = explore(querier, start, events, lambda state: str(state.phase.name))
    for found in (accepted, refused):
        found -= {row for row in found if row[0] != "STANDING"}
    assert_table("19.5", accepted, refused)


def test_the_holders_table_is_what_step_does() -> None:
    terms, now = header(), header().created

    def name(state: holder.HolderState) -> str:
        if state.closed:
            return "closed"
        chunk = state.chunks.get(0)
        if chunk is None:
            return "barred" if state.stated else "unknown"
        return "pending" if chunk.answer is None else "answered"

    events = [
        holder.EvaluationRequested(0, bytes(32), now),
        holder.EvaluationRequested(0, bytes(64), now),
        holder.EvaluationDone(0, b"", b""),
        holder.AnswerStored(0, b"", b""),
        holder.ChunkFailed(0),
        holder.PageRequested(0, now),
        holder.PageRequested(256, now),
        holder.StatementIssued(),
        holder.Closed(),
    ]
    assert_table("10.2", *explore(holder, holder.HolderState(terms, EPOCH.holder), events, name))


def test_the_table_of_the_close_is_what_step_does() -> None:
    digest, own, peers = (bytes([n]) * 32 for n in range(3))
    commits = [CloseStatement(digest, *halves, Outcome.COMMITTED) for halves in ((own, peers), (peers, own))]
    statements = [
        *commits,
        CloseStatement.abort(digest, Code.INTERNAL),
        CloseStatement.abort(own, Code.INTERNAL),
    ]
    events: list[object] = [closing.StatementReceived(one, b"", peers) for one in statements]
    events += [closing.StatementRequested(half) for half in (peers, None)]
    events += [closing.HeaderAgreed(), closing.HalfCompleted(own), closing.Failed(Code.BAD_PROOF)]
    events += [closing.PeerLost(Code.DEADLINE), closing.EndRecorded(), closing.RecordFailed()]
    accepted: set[Row] = set()
    refused: set[Row] = set()
    reasons = (("BAD_PROOF",), ("DEADLINE",))
    for initiator in (True, False):
        start = closing.ClosingState(digest, initiator)
        more, less = explore(closing, start, events, lambda state: str(state.phase.value))
        accepted |= more
        # The code of an abort is the reason that the lab had: here, that of the event above.
        refused |= {(*row[:2], ("REASON",) if row[2] in reasons else row[2], row[3]) for row in less}
    assert_table("10.3", accepted, refused)


def test_the_message_table_is_the_protobuf() -> None:
    table = [row[:4] for row in rows(section("9")) if len(row) == 5 and row[1].isdigit()]
    assert table == [
        [
            message.name,
            str(field.number),
            field.name,
            ("repeated " if field.is_repeated else "")
            + (field.message_type.name if field.message_type else _SCALARS[field.type]),
        ]
        for message in exchange_pb2.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
    ]


_SCALARS = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_BOOL: "bool",
}


def test_the_size_classes_are_those_of_the_code() -> None:
    listed = [int(n) for n in re.findall(r"\d+", re.search(r"2, \.\.\.: ([\d, ]+)", section("8"))[1])]  # type: ignore[index]
    classes = [size_class(1)]
    while len(classes) < len(listed):
        classes.append(size_class(classes[-1] + 1))
    assert listed == classes


def test_the_audit_claims_are_those_of_the_code() -> None:
    assert [row[0] for row in rows(section("17.2")) if row[0] != "claim"] == [claim.value for claim in Claim]
