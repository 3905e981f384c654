"""The holder's half under everything that can happen to it: the real state machine, over a store in memory.

Two chunks may be asked for, each with one of two contents, any number of times. Each durable effect is a step
of its own, between which one other request runs, calls are cut off (their work may still be finished by its
thread, later or never), this lab states what the round was, the round closes, and the node is killed. A
killed node answers nothing more in this round (SPEC 9.5), and its store is what the next round finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import RoundError
from mandorla_protocol.group import Element
from mandorla_protocol.header import Offer, Party, RoundHeader, RoundId, RoundKind, RoundMode
from mandorla_protocol.session import holder
from mandorla_protocol.session.holder import HolderState
from mandorla_protocol.session.transcript import request_digest
from mandorla_protocol.table import TableCommitment

from .explorer import explore

Step: TypeAlias = Callable[[HolderState, holder.Event], tuple[HolderState, tuple[holder.Effect, ...]]]

_LABS: Final = (LabId(bytes([1] * 32)), LabId(bytes([2] * 32)))
_NOW: Final = 1_000
_CAP: Final = 2 * 16_384
_AT_ONCE: Final = 2
_BUDGET: Final = 2
"""Chunks of one element: the two that may be asked for, and no third."""

_OFFER: Final = Offer(1, Element(bytes([3] * 32)), _CAP, _CAP, TableCommitment(1, 256, bytes(32)))
HEADER: Final = RoundHeader(
    RoundId(bytes(16)), RoundMode.BATCH, RoundKind.SHARED, "accounts", (("email", 1),),
    Party(_LABS[0], bytes(32), _OFFER), Party(_LABS[1], bytes(32), _OFFER), "proof", "proof", _NOW, _NOW + 60,
)  # fmt: skip
_CONTENTS: Final = (bytes([7] * 32), bytes([8] * 32))


@dataclass(frozen=True)
class Call:
    """A request that is being answered: what is left to do for it, and who waits for the answer."""

    index: int
    content: int
    todo: tuple[str, ...]
    cut_off: bool = False


@dataclass(frozen=True)
class World:
    """The machine's chunks and flags, the store, the calls that run, and what was answered."""

    chunks: tuple[tuple[int, holder.Chunk], ...] = ()
    stated: tuple[int, ...] | None = None
    closed: bool = False
    dead: bool = False
    charged: tuple[tuple[int, bytes], ...] = ()
    kept: tuple[tuple[int, int], ...] = ()
    calls: frozenset[Call] = frozenset()
    answered: frozenset[tuple[int, int]] = frozenset()
    late: frozenset[tuple[int, int]] = frozenset()
    """Answers that were given after the statement to what it does not cover."""


Charge: TypeAlias = Callable[[World, int, bytes], World | None]
"""What the store does for a charge; None if it refuses."""


def _machine(world: World) -> HolderState:
    chunks = dict(world.chunks)
    return HolderState(HEADER, _LABS[1], chunks, stated=world.stated is not None, closed=world.closed)


def _after(world: World, machine: HolderState) -> World:
    return replace(world, chunks=tuple(sorted(machine.chunks.items())), closed=machine.closed)


def _todo(effects: tuple[holder.Effect, ...]) -> tuple[str, ...]:
    return tuple(type(effect).__name__ for effect in effects)


def _moves(step: Step, charge: Charge, world: World) -> Iterator[tuple[str, World]]:
    if world.dead:
        return
    yield "kill", replace(world, dead=True, calls=frozenset())
    for name, event in (("close", holder.Closed()), ("state", holder.StatementIssued())):
        try:
            machine, _ = step(_machine(world), event)
        except RoundError:
            continue
        if name == "close" or world.stated is None:
            reached = _after(world, machine)
            covered = tuple(sorted(index for index, _ in machine.chunks.items()))
            yield name, replace(reached, stated=covered) if name == "state" else reached
    for index in (0, 1):
        for content in (0, 1):
            yield from _request(step, world, index, content)
    for call in world.calls:
        yield from _go_on(step, charge, world, call)


def _request(step: Step, world: World, index: int, content: int) -> Iterator[tuple[str, World]]:
    event = holder.EvaluationRequested(index, _CONTENTS[content], _NOW)
    try:
        machine, effects = step(_machine(world), event)
    except RoundError:
        return
    call = Call(index, content, _todo(effects))
    if len(world.calls) < _AT_ONCE:
        yield f"request {index}{'ab'[content]}", replace(_after(world, machine), calls=world.calls | {call})


def _go_on(step: Step, charge: Charge, world: World, call: Call) -> Iterator[tuple[str, World]]:
    """Do the next thing for a call, or cut it off."""
    rest = replace(world, calls=world.calls - {call})
    name = f"{call.index}{'ab'[call.content]}"
    if call.cut_off:
        # The thread of a call that was cut off goes on with what it was in; nothing follows it.
        yield f"late {call.todo[0]} {name}", _durable(charge, rest, call)[0]
        return
    failed, _ = step(_machine(rest), holder.ChunkFailed(call.index))
    cut = _after(rest, failed)
    yield f"cut off {name}", cut
    if call.todo[0] in ("Charge", "StoreAnswer"):
        zombie = Call(call.index, call.content, call.todo[:1], cut_off=True)
        yield f"cut off {name} in {call.todo[0]}", replace(cut, calls=cut.calls | {zombie})
    done, good = _durable(charge, rest, call)
    if not good:
        yield f"refuse {name}", _after(done, step(_machine(done), holder.ChunkFailed(call.index))[0])
        return
    left = call.todo[1:]
    if call.todo[0] == "SendAnswer":
        barred = done.stated is not None and call.index not in done.stated
        late = done.late | {(call.index, call.content)} if barred else done.late
        yield (
            f"answer {name}",
            replace(done, answered=done.answered | {(call.index, call.content)}, late=late),
        )
        return
    event: holder.Event | None = None
    if call.todo[0] == "Evaluate":
        event = holder.EvaluationDone(call.index, b"answer" + _CONTENTS[call.content], b"")
    elif call.todo[0] == "StoreAnswer":
        event = holder.AnswerStored(call.index, b"answer" + _CONTENTS[call.content], b"")
    if event is not None:
        try:
            machine, effects = step(_machine(done), event)
        except RoundError:
            yield f"refuse {name}", _after(done, step(_machine(done), holder.ChunkFailed(call.index))[0])
            return
        done, left = _after(done, machine), _todo(effects)
    yield f"{call.todo[0]} {name}", replace(done, calls=done.calls | {replace(call, todo=left)})


def _durable(charge: Charge, world: World, call: Call) -> tuple[World, bool]:
    """Do what the store does for a call; say whether it did."""
    request = request_digest(HEADER.digest(), call.index, _CONTENTS[call.content])
    kept = dict(world.kept)
    match call.todo[0]:
        case "Charge":
            after = charge(world, call.index, request)
            return (world, False) if after is None else (after, True)
        case "StoreAnswer":
            if (call.index, request) in world.charged and call.index not in kept:
                return replace(world, kept=tuple(sorted({**kept, call.index: call.content}.items()))), True
            return world, call.index in kept
        case "SendAnswer":
            return world, kept.get(call.index) == call.content
        case _:
            return world, True


def _charge(world: World, index: int, request: bytes) -> World | None:
    """Charge as the store does, once for index and request; None if it refuses."""
    charged = dict(world.charged)
    if index in charged:
        return world if charged[index] == request else None
    if len(charged) >= _BUDGET:
        return None
    return replace(world, charged=tuple(sorted({**charged, index: request}.items())))


def _wrong_answers(world: World) -> Iterator[str]:
    if len({index for index, _ in world.answered}) != len(world.answered):
        yield "one index was answered for two contents"
    if not world.answered <= set(world.kept):
        yield "an answer left that is not kept"
    if world.late:
        yield "a chunk was answered that the statement does not cover"


def _wrong_charges(world: World) -> Iterator[str]:
    charged = dict(world.charged)
    if len(charged) > _BUDGET:
        yield "the budget is passed"
    for index, content in (*world.answered, *world.kept):
        if charged.get(index) != request_digest(HEADER.digest(), index, _CONTENTS[content]):
            yield f"chunk {index} was evaluated and is not what was charged"


def check_answers(step: Step = holder.step) -> int:
    """An index is answered for one content, with what is kept, and not once the statement leaves it out."""
    return explore(World(), lambda world: _moves(step, _charge, world), _wrong_answers)


def check_charges(charge: Charge = _charge) -> int:
    """What is evaluated was charged before, once, and within the budget."""
    return explore(World(), lambda world: _moves(holder.step, charge, world), _wrong_charges)


def control_answers() -> int:
    """Answer what comes after the statement: a mutant of the machine."""

    def step(state: HolderState, event: holder.Event) -> tuple[HolderState, tuple[holder.Effect, ...]]:
        if isinstance(event, holder.EvaluationRequested):
            reached, effects = holder.step(replace(state, stated=False), event)
            return replace(reached, stated=state.stated), effects
        return holder.step(state, event)

    return check_answers(step)


def control_charges() -> int:
    """Charge an index anew for another content: a mutant of the store."""

    def charge(world: World, index: int, request: bytes) -> World:
        return replace(world, charged=tuple(sorted({**dict(world.charged), index: request}.items())))

    return check_charges(charge)
