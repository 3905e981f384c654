"""A querier sends the planned chunks, and accepts the table only after all checks."""

from dataclasses import replace
from typing import Any

import pytest

from mandorla_protocol.errors import Code, RoundError
from mandorla_protocol.header import RoundHeader
from mandorla_protocol.labels import SEALED_LABEL_SIZE, Tag
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.session.querier import (
    CHUNKS_IN_FLIGHT,
    AcceptTable,
    Blind,
    ChunkAnswered,
    ChunkBlinded,
    ChunkFinalized,
    Event,
    Finalize,
    PageReceived,
    Phase,
    QuerierState,
    RequestEvaluation,
    RequestPage,
    StageEntries,
    Started,
    open_half,
    step,
)
from mandorla_protocol.session.transcript import answer_digest, half_digest, request_digest
from mandorla_protocol.sizes import CHUNK_SIZE, size_class
from mandorla_protocol.table import Operation, TableCommitment, TableEntry, TableReader, parts_of
from tests.protocol.test_header import HEADER

QUERIER = HEADER.initiator.lab
ENTRIES = tuple(
    TableEntry(1, Operation.ADD, Tag(bytes([n]) * 16), bytes(SEALED_LABEL_SIZE)) for n in range(1, 5)
)
FRONTIER = Frontier().extend(entry.leaf_hash() for entry in ENTRIES)
COMMITTED = TableCommitment(1, 4, FRONTIER.root)


def header(cap: int) -> RoundHeader:
    offer = replace(HEADER.responder.offer, cap=cap, budget=cap, table=COMMITTED)
    return replace(HEADER, responder=replace(HEADER.responder, offer=offer))


def opened(count: int = 10, verified: bool = False) -> QuerierState:
    read = (COMMITTED, FRONTIER) if verified else (TableCommitment(), Frontier())
    return open_half(header(10 * CHUNK_SIZE), QUERIER, count, TableReader.resume(*read, COMMITTED))


def advance(state: QuerierState, *events: Event) -> QuerierState:
    for event in events:
        state, _ = step(state, event)
    return state


def chunk(index: int) -> tuple[ChunkBlinded, ChunkAnswered, ChunkFinalized]:
    evaluated, proof = b"e%d" % index, b"p%d" % index
    return (
        ChunkBlinded(index, b"b%d" % index),
        ChunkAnswered(index, evaluated, proof),
        ChunkFinalized(index, evaluated, proof),
    )


def assert_refused(state: QuerierState, event: Event, code: Code = Code.WRONG_STATE) -> None:
    before = replace(state)
    with pytest.raises(RoundError) as caught:
        step(state, event)
    assert caught.value.code is code
    assert state == before


@pytest.mark.parametrize("count", [0, 1, 256, 257, 5000, CHUNK_SIZE, CHUNK_SIZE + 1, 50_000])
def test_what_is_sent_is_padded_to_a_size_class(count: int) -> None:
    state = opened(count)
    assert sum(state.counts) == size_class(count)
    assert max(state.counts) <= CHUNK_SIZE


@pytest.mark.spec("10.1-1")
@pytest.mark.parametrize(("cap", "largest"), [(256, 256), (362, 256), (363, 363), (CHUNK_SIZE, CHUNK_SIZE)])
def test_a_set_fits_if_its_size_class_does(cap: int, largest: int) -> None:
    reader = TableReader.resume(TableCommitment(), Frontier(), COMMITTED)
    assert open_half(header(cap), QUERIER, largest, reader).counts
    with pytest.raises(RoundError) as caught:
        open_half(header(cap), QUERIER, largest + 1, reader)
    assert caught.value.code is Code.CAP_EXCEEDED


def test_a_chunk_is_blinded_sent_finalized_and_then_the_table_is_read() -> None:
    state = opened()
    blinded, answered, finalized = chunk(0)
    state, effects = step(state, Started())
    assert effects == (Blind(0, 256),)
    state, effects = step(state, blinded)
    assert effects == (RequestEvaluation(0, b"b0"),)
    state, effects = step(state, answered)
    assert effects == (Finalize(0, b"e0", b"p0"),)
    state, effects = step(state, finalized)
    assert effects == (RequestPage(0),)
    assert state.phase is Phase.READING
    state, effects = step(state, PageReceived(parts_of(ENTRIES[:3])))
    assert effects == (StageEntries(0, parts_of(ENTRIES[:3])), RequestPage(3))
    state, effects = step(state, PageReceived(parts_of(ENTRIES[3:])))
    assert effects == (StageEntries(3, parts_of(ENTRIES[3:])), AcceptTable(state.reader))
    assert state.phase is Phase.COMPLETE


def test_a_table_that_did_not_grow_is_not_read_again() -> None:
    state, effects = step(advance(opened(verified=True), Started(), *chunk(0)[:2]), chunk(0)[2])
    assert state.phase is Phase.COMPLETE
    assert effects == (AcceptTable(state.reader),)


def test_a_half_is_opened_for_the_headers_table_alone() -> None:
    other = replace(COMMITTED, root=bytes(32))
    with pytest.raises(RoundError) as caught:
        open_half(header(10), QUERIER, 1, TableReader.resume(TableCommitment(), Frontier(), other))
    assert caught.value.code is Code.TABLE_MISMATCH


def test_a_few_chunks_are_in_flight_at_a_time() -> None:
    state, effects = step(opened(5 * CHUNK_SIZE), Started())
    assert [effect.index for effect in effects if isinstance(effect, Blind)] == list(range(CHUNKS_IN_FLIGHT))
    for index in range(CHUNKS_IN_FLIGHT):
        state = advance(state, *chunk(index)[:2])
    state, effects = step(state, chunk(1)[2])
    assert effects == (Blind(CHUNKS_IN_FLIGHT, CHUNK_SIZE),)


def test_no_tag_is_compared_before_the_last_chunk_and_the_last_page() -> None:
    state = advance(opened(2 * CHUNK_SIZE), Started(), *chunk(0), *chunk(1)[:2])
    assert_refused(state, PageReceived(parts_of(ENTRIES)))
    state = advance(state, chunk(1)[2])
    assert state.phase is Phase.READING
    assert advance(state, PageReceived(parts_of(ENTRIES))).phase is Phase.COMPLETE


BLINDED, ANSWERED, FINALIZED = chunk(0)
EVENTS: dict[str, Event] = {
    "started": Started(),
    "blinded": BLINDED,
    "answered": ANSWERED,
    "finalized": FINALIZED,
    "page": PageReceived(parts_of(ENTRIES)),
}
HISTORY = [Started(), BLINDED, ANSWERED, FINALIZED, PageReceived(parts_of(ENTRIES))]
# One more event fits: an answer that comes twice is finalized twice, and refused the second time.
ALLOWED = [{"started"}, {"blinded"}, {"answered", "finalized"}, {"answered", "finalized"}, {"page"}, set()]


@pytest.mark.parametrize("happened", range(6))
@pytest.mark.parametrize("name", EVENTS)
def test_an_event_out_of_order_is_refused_and_changes_nothing(happened: int, name: str) -> None:
    state = advance(opened(), *HISTORY[:happened])
    if name in ALLOWED[happened]:
        step(state, EVENTS[name])
    else:
        assert_refused(state, EVENTS[name])


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("index", [-1, 1, 2**32])
def test_a_chunk_that_was_not_begun_is_refused(kind: int, index: int) -> None:
    state = advance(opened(), Started(), BLINDED)
    event: Any = chunk(0)[kind]
    assert_refused(state, replace(event, index=index))


@pytest.mark.spec("10.1-1")
@pytest.mark.parametrize(
    ("page", "code"),
    [
        ((), Code.BAD_TABLE),
        (ENTRIES[::-1], Code.BAD_TABLE),
        ((*ENTRIES, ENTRIES[-1]), Code.BAD_TABLE),
        ((*ENTRIES[:3], replace(ENTRIES[3], sealed=b"\x01" * SEALED_LABEL_SIZE)), Code.TABLE_MISMATCH),
    ],
)
def test_a_table_that_was_not_committed_to_is_refused(page: tuple[TableEntry, ...], code: Code) -> None:
    assert_refused(advance(opened(), *HISTORY[:4]), PageReceived(parts_of(page)), code)


def test_the_digest_covers_every_answer_in_the_order_of_indices() -> None:
    state = advance(opened(2 * CHUNK_SIZE), Started(), *chunk(1), *chunk(0)[:2])
    with pytest.raises(RoundError) as caught:
        state.digest()
    assert caught.value.code is Code.WRONG_STATE
    state = advance(state, chunk(0)[2])
    requests = [request_digest(state.header.digest(), i, b"b%d" % i) for i in range(2)]
    answers = [answer_digest(requests[i], b"e%d" % i, b"p%d" % i) for i in range(2)]
    assert state.digest() == half_digest(state.header, QUERIER, answers)


def test_a_stranger_cannot_ask() -> None:
    with pytest.raises(RoundError) as caught:
        open_half(header(256), HEADER.round_id * 2, 1, opened().reader)  # type: ignore[arg-type]
    assert caught.value.code is Code.BAD_HEADER
