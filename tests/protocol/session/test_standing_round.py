"""Standing rounds: both halves continue after the first chunks and pages, within the header's terms."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, EncodingError, RoundError
from mandorla_protocol.group import Element
from mandorla_protocol.header import Offer, Party, RoundHeader, RoundId, RoundKind, RoundMode
from mandorla_protocol.labels import SEALED_LABEL_SIZE, Tag
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.session import holder, querier
from mandorla_protocol.session.announcement import Announcement
from mandorla_protocol.session.querier import Phase, QuerierState
from mandorla_protocol.sizes import CHUNK_SIZE, size_class
from mandorla_protocol.table import Operation, TableCommitment, TableEntry, TableReader, parts_of

NOW = 1_700_000_000
HOLDER, QUERIER = LabId(b"h" * 32), LabId(b"q" * 32)


def version(number: int, count: int) -> list[TableEntry]:
    tags = [Tag(number.to_bytes(8, "big") + index.to_bytes(8, "big")) for index in range(count)]
    return [TableEntry(number, Operation.ADD, tag, bytes(SEALED_LABEL_SIZE)) for tag in tags]


def commitment(*versions: list[TableEntry]) -> TableCommitment:
    frontier = Frontier().extend(entry.leaf_hash() for entries in versions for entry in entries)
    return TableCommitment(versions[-1][-1].version, frontier.size, frontier.root)


FIRST, SECOND = version(1, 3), version(2, 2)
HEADER = RoundHeader(
    RoundId(bytes(16)),
    RoundMode.STANDING,
    RoundKind.WATCH,
    "accounts",
    (),
    Party(QUERIER, bytes(32), Offer(1, Element(b"k" * 32), 1000, 600, commitment(FIRST))),
    Party(HOLDER, bytes(32), Offer(1, Element(b"k" * 32), 1000, 600, commitment(FIRST))),
    "a test",
    "none",
    NOW,
    NOW + 600,
)


def answered(state: QuerierState, index: int) -> tuple[QuerierState, tuple[querier.Effect, ...]]:
    """Return the state after a chunk is blinded, answered and finalized."""
    state, _ = querier.step(state, querier.ChunkBlinded(index, bytes(32 * state.counts[index])))
    state, _ = querier.step(state, querier.ChunkAnswered(index, b"", b""))
    return querier.step(state, querier.ChunkFinalized(index, b"", b""))


def standing() -> QuerierState:
    """Return a querier's state in STANDING, with nothing under way."""
    reader = TableReader.resume(TableCommitment(), Frontier(), commitment(FIRST))
    state = querier.open_half(HEADER, QUERIER, 0, reader)
    state, _ = querier.step(state, querier.Started())
    state, effects = answered(state, 0)
    assert effects == (querier.RequestPage(0),)
    state, effects = querier.step(state, querier.PageReceived(parts_of(FIRST)))
    assert [type(effect) for effect in effects] == [querier.StageEntries, querier.AcceptTable]
    assert state.phase is Phase.STANDING
    return state


@pytest.mark.spec("9.3-1")
def test_a_watch_may_stand_and_a_shared_round_may_not() -> None:
    HEADER.require_valid(NOW)
    with pytest.raises(RoundError) as caught:
        replace(HEADER, kind=RoundKind.SHARED).require_valid(NOW)
    assert caught.value.code is Code.BAD_HEADER


def test_what_is_announced_is_read_and_held_to_its_root() -> None:
    table = commitment(FIRST, SECOND)
    state, effects = querier.step(standing(), querier.TableAnnounced(table))
    assert effects == (querier.RequestPage(3),)
    after, effects = querier.step(state, querier.PageReceived(parts_of(SECOND)))
    assert [type(effect) for effect in effects] == [querier.StageEntries, querier.AcceptTable]
    assert after.settled
    forged = [replace(SECOND[0], sealed=b"\x01" * SEALED_LABEL_SIZE), SECOND[1]]
    with pytest.raises(RoundError) as caught:
        querier.step(state, querier.PageReceived(parts_of(forged)))
    assert caught.value.code is Code.TABLE_MISMATCH


@pytest.mark.spec("19.2-2")
@pytest.mark.parametrize(
    "table",
    [
        TableCommitment(1, 2, bytes(32)),
        TableCommitment(1, 3, bytes(32)),
        TableCommitment(2, 3, bytes(32)),
        TableCommitment(1, 4, bytes(32)),
    ],
    ids=["smaller", "rewritten", "no entries", "no version"],
)
def test_an_announcement_that_takes_something_back_is_refused(table: TableCommitment) -> None:
    with pytest.raises(RoundError) as caught:
        querier.step(standing(), querier.TableAnnounced(table))
    assert caught.value.code is Code.TABLE_MISMATCH


@pytest.mark.spec("19.2-2")
def test_an_announcement_is_about_its_round_and_has_one_encoding() -> None:
    announcement = Announcement(HEADER.digest(), commitment(FIRST))
    encoded = announcement.encode()
    assert Announcement.decode(encoded) == announcement
    assert announcement.require_of(HEADER.digest()) == commitment(FIRST)
    with pytest.raises(RoundError) as caught:
        announcement.require_of(bytes(32))
    assert caught.value.code is Code.TABLE_MISMATCH
    for broken in (encoded[:-1], encoded + b"\0", b"\0" + encoded):
        with pytest.raises(EncodingError):
            Announcement.decode(broken)


def test_a_question_is_padded_and_only_then_counts() -> None:
    state, effects = querier.step(standing(), querier.IndicatorsQueued(17))
    assert effects == (querier.Blind(1, 23),)
    with pytest.raises(RoundError) as caught:
        querier.step(state, querier.IndicatorsQueued(1))
    assert caught.value.code is Code.WRONG_STATE, "one question at a time"
    # An announcement during a chunk waits until the chunk is finalized.
    state, _ = querier.step(state, querier.TableAnnounced(commitment(FIRST, SECOND)))
    state, effects = querier.step(state, querier.PageReceived(parts_of(SECOND)))
    assert [type(effect) for effect in effects] == [querier.StageEntries]
    state, effects = answered(state, 1)
    assert [type(effect) for effect in effects] == [querier.AcceptTable]
    assert len(state.digest()) == 32


def test_the_classes_of_a_standing_round_begin_at_sixteen() -> None:
    assert [size_class(n, 16) for n in (0, 16, 17, 24, 33, 47, 65, 92, 129, 183, 257)] == [
        *(16, 16, 23, 32, 46, 64, 91, 128, 182, 256, 363)
    ]


@pytest.mark.spec("19.3-1")
def test_no_more_is_asked_than_the_header_allows() -> None:
    state = standing()
    assert sum(state.counts) == 256
    state, _ = querier.step(state, querier.IndicatorsQueued(256))
    state, _ = answered(state, 1)
    with pytest.raises(RoundError) as caught:
        querier.step(state, querier.IndicatorsQueued(92))
    assert caught.value.code is Code.CAP_EXCEEDED


def test_who_leaves_is_done() -> None:
    state, _ = querier.step(standing(), querier.StandingEnded())
    assert state.phase is Phase.COMPLETE
    for late in (querier.IndicatorsQueued(1), querier.TableAnnounced(commitment(FIRST, SECOND))):
        with pytest.raises(RoundError):
            querier.step(state, late)
    state, _ = querier.step(standing(), querier.TableAnnounced(commitment(FIRST, SECOND)))
    with pytest.raises(RoundError):
        querier.step(state, querier.StandingEnded())


@pytest.mark.spec("19.3-1")
def test_a_holder_answers_as_many_small_chunks_as_the_cap_has() -> None:
    state = holder.HolderState(HEADER, HOLDER)
    state, effects = holder.step(state, holder.EvaluationRequested(37, bytes(32 * 16), NOW))
    assert effects
    for mode, index in ((RoundMode.STANDING, 38), (RoundMode.BATCH, 1)):
        with pytest.raises(RoundError) as caught:
            batch = holder.HolderState(replace(HEADER, mode=mode), HOLDER)
            holder.step(batch, holder.EvaluationRequested(index, bytes(32 * 16), NOW))
        assert caught.value.code is Code.CHUNK_OUT_OF_RANGE
    with pytest.raises(RoundError) as caught:
        holder.step(state, holder.EvaluationRequested(0, bytes(32 * 600), NOW))
    assert caught.value.code is Code.CAP_EXCEEDED
    assert CHUNK_SIZE > 600


@pytest.mark.spec("19.2-1")
def test_a_holder_hands_out_what_it_announced_and_nothing_else() -> None:
    state = holder.HolderState(HEADER, HOLDER)
    with pytest.raises(RoundError) as caught:
        holder.step(state, holder.PageRequested(3, NOW))
    assert caught.value.code is Code.CHUNK_OUT_OF_RANGE
    state, _ = holder.step(state, holder.TableExtended(commitment(FIRST, SECOND)))
    _, effects = holder.step(state, holder.PageRequested(3, NOW))
    assert effects == (holder.SendPage(3, 2),)
    with pytest.raises(RoundError) as caught:
        holder.step(state, holder.TableExtended(commitment(FIRST)))
    assert caught.value.code is Code.TABLE_MISMATCH
    batch = holder.HolderState(replace(HEADER, mode=RoundMode.BATCH), HOLDER)
    with pytest.raises(RoundError) as caught:
        holder.step(batch, holder.TableExtended(commitment(FIRST, SECOND)))
    assert caught.value.code is Code.WRONG_STATE
