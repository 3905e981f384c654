"""The querier's half against a hostile holder: the real state machine and table reader.

There are three chunks, at most two of them under way. Their blinding, answers and verification end in any
order. An answer may come twice, or be false, which the proof shows. The table has three entries in two
versions. Each page may have the next one or two entries, or entries of another table. A refused event ends
the half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final, TypeAlias

from mandorla_protocol.errors import RoundError
from mandorla_protocol.labels import SEALED_LABEL_SIZE, Tag
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.session import querier
from mandorla_protocol.session.querier import Phase, QuerierState
from mandorla_protocol.table import Operation, TableCommitment, TableEntry, TableReader, parts_of

from .explorer import explore
from .holder_claims import HEADER

Step: TypeAlias = Callable[[QuerierState, querier.Event], tuple[QuerierState, tuple[querier.Effect, ...]]]

_COUNTS: Final = (1, 1, 1)


def _entry(version: int, tag: int, label: int) -> TableEntry:
    sealed = bytes([label]) * SEALED_LABEL_SIZE
    return TableEntry(version, Operation.ADD, Tag(bytes([tag]) * 16), sealed)


_TABLE: Final = (_entry(1, 1, 0), _entry(1, 2, 0), _entry(2, 1, 0))
_OTHERS: Final = (_entry(1, 1, 9), _entry(1, 3, 0), _entry(2, 3, 0), _entry(2, 1, 9))
_COMMITTED: Final = TableCommitment(2, 3, Frontier().extend(one.leaf_hash() for one in _TABLE).root)
_READER: Final = TableReader(_COMMITTED, Frontier(), 0)


@dataclass(frozen=True)
class World:
    """The state of the machine, the running effects, the staged entries, and acceptance of the table."""

    phase: Phase = Phase.EVALUATING
    started: int = 0
    requests: tuple[tuple[int, bytes], ...] = ()
    answers: tuple[tuple[int, bytes], ...] = ()
    reader: TableReader = _READER
    under_way: frozenset[tuple[str, int]] = frozenset({("Start", 0)})
    finalized: frozenset[int] = frozenset()
    staged: tuple[TableEntry, ...] = ()
    accepted: bool = False
    ended: bool = False


def _machine(world: World) -> QuerierState:
    held = (dict(world.requests), dict(world.answers))
    return QuerierState(
        HEADER, HEADER.initiator.lab, _COUNTS, world.reader, world.phase, world.started, *held
    )


def _take(step: Step, world: World, event: querier.Event) -> World:
    """Return the world after an event, with the machine's effects begun."""
    try:
        machine, effects = step(_machine(world), event)
    except RoundError:
        return replace(world, ended=True, under_way=frozenset())
    world = replace(
        world,
        phase=machine.phase,
        started=machine.chunks_begun,
        requests=tuple(sorted(machine.requests.items())),
        answers=tuple(sorted(machine.answers.items())),
        reader=machine.reader,
    )
    for effect in effects:
        match effect:
            case querier.StageEntries(_, parts):
                entries = chain.from_iterable(part.entries() for part in parts)
                world = replace(world, staged=(*world.staged, *entries))
            case querier.AcceptTable():
                world = replace(world, accepted=True)
            case querier.RequestPage():
                world = replace(world, under_way=world.under_way | {("RequestPage", 0)})
            case _:
                world = replace(world, under_way=world.under_way | {(type(effect).__name__, effect.index)})
    return world


def _moves(step: Step, world: World) -> Iterator[tuple[str, World]]:
    for task in world.under_way:
        name, index = task
        rest = replace(world, under_way=world.under_way - {task})
        match name:
            case "Start":
                yield "start", _take(step, rest, querier.Started())
            case "Blind":
                yield f"blind {index}", _take(step, rest, querier.ChunkBlinded(index, bytes([index])))
            case "RequestEvaluation":
                answered = querier.ChunkAnswered(index, b"good", b"")
                yield f"answer {index}", _take(step, rest, answered)
                # The call is repeated, and both answers come.
                yield f"answer {index} once", _take(step, world, answered)
            case "Finalize":
                done = replace(rest, finalized=rest.finalized | {index})
                yield f"verify {index}", _take(step, done, querier.ChunkFinalized(index, b"good", b""))
                yield f"refuse {index}", replace(rest, ended=True, under_way=frozenset())
            case _:
                for page in _pages(len(world.staged)):
                    shown = " and ".join(f"{one.version}.{one.tag[0]}.{one.sealed[0]}" for one in page)
                    yield (
                        f"page {shown or 'of nothing'}",
                        _take(step, rest, querier.PageReceived(parts_of(page))),
                    )


def _pages(position: int) -> Iterator[tuple[TableEntry, ...]]:
    yield ()
    yield _TABLE
    for other in (*_TABLE, *_OTHERS):
        yield (other,)
    yield _TABLE[position : position + 2]
    yield _OTHERS[:2]


def _wrong(world: World) -> Iterator[str]:
    if not world.accepted:
        return
    if world.staged != _TABLE:
        yield "the accepted table differs from the header's"
    if world.finalized != set(range(len(_COUNTS))) or len(world.answers) != len(_COUNTS):
        yield "the table was accepted before every answer was verified"
    if world.phase is not Phase.COMPLETE:
        yield "a half accepted the table and is not complete"


def check_reading(step: Step = querier.step) -> int:
    """Check that only the header's table is accepted, and only after all answers are verified."""
    return explore(World(), lambda world: _moves(step, world), _wrong)


def control_reading() -> int:
    """Accept the table after enough entries, without comparing the root: a mutant."""

    def step(state: QuerierState, event: querier.Event) -> tuple[QuerierState, tuple[querier.Effect, ...]]:
        if isinstance(event, querier.PageReceived) and state.phase is Phase.READING:
            reader = state.reader.accept(event.parts)
            if reader.complete:
                staged = querier.StageEntries(state.reader.position, event.parts)
                return replace(state, reader=reader, phase=Phase.COMPLETE), (
                    staged,
                    querier.AcceptTable(reader),
                )
        return querier.step(state, event)

    return check_reading(step)
