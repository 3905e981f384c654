"""The holder's half: the real state machine with a store in memory, under all orders of events.

The querier may request two chunks, each with one of two contents, any number of times. Each effect is a step
of its own. Between two steps, another request may run, a call may be cancelled (its thread may still finish
the current effect, later or never), this lab may issue its statement, the round may close, and the node may
be killed. A killed node answers nothing more in this round (SPEC 9.5).
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
"""The budget in chunks of one element: enough for both indices, and no more."""

_OFFER: Final = Offer(1, Element(bytes([3] * 32)), _CAP, _CAP, TableCommitment(1, 256, bytes(32)))
HEADER: Final = RoundHeader(
    RoundId(bytes(16)), RoundMode.BATCH, RoundKind.SHARED, "accounts", (("email", 1),),
    Party(_LABS[0], bytes(32), _OFFER), Party(_LABS[1], bytes(32), _OFFER), "proof", "proof", _NOW, _NOW + 60,
)  # fmt: skip
_CONTENTS: Final = (bytes([7] * 32), bytes([8] * 32))


@dataclass(frozen=True)
class Call:
    """A running call: its chunk, its remaining effects, and whether it was cancelled."""

    index: int
    content: int
    todo: tuple[str, ...]
    cut_off: bool = False


@dataclass(frozen=True)
class World:
    """The state of the machine, the contents of the store, the running calls, and the sent answers."""

    chunks: tuple[tuple[int, holder.Chunk], ...] = ()
    stated: tuple[int, ...] | None = None
    closed: bool = False
    dead: bool = False
    charged: tuple[tuple[int, bytes], ...] = ()
    kept: tuple[tuple[int, int], ...] = ()
    calls: frozenset[Call] = frozenset()
    answered: frozenset[tuple[int, int]] = frozenset()
    late: frozenset[tuple[int, int]] = frozenset()
    """Answers that were sent after the statement, to chunks that the statement does not cover."""


Charge: TypeAlias = Callable[[World, int, bytes], World | None]
"""The store's charge: returns the world after it, or None if the store refuses."""


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
    """Yield the moves of a call: its next effect, or its cancellation."""
    rest = replace(world, calls=world.calls - {call})
    name = f"{call.index}{'ab'[call.content]}"
    if call.cut_off:
        # The thread of a cancelled call finishes the current effect, and no effect follows.
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
    """Return the world after the store's part of a call's next effect, and whether the store accepted."""
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
    """Charge once for each index and request, as the store does; return None if the store refuses."""
    charged = dict(world.charged)
    if index in charged:
        return world if charged[index] == request else None
    if len(charged) >= _BUDGET:
        return None
    return replace(world, charged=tuple(sorted({**charged, index: request}.items())))


def _wrong_answers(world: World) -> Iterator[str]:
    if len({index for index, _ in world.answered}) != len(world.answered):
        yield "one index has answers to two contents"
    if not world.answered <= set(world.kept):
        yield "an answer was sent that the store does not have"
    if world.late:
        yield "after the statement, a chunk was answered that it does not cover"


def _wrong_charges(world: World) -> Iterator[str]:
    charged = dict(world.charged)
    if len(charged) > _BUDGET:
        yield "the budget is exceeded"
    for index, content in (*world.answered, *world.kept):
        if charged.get(index) != request_digest(HEADER.digest(), index, _CONTENTS[content]):
            yield f"chunk {index} was evaluated without its charge"


def check_answers(step: Step = holder.step) -> int:
    """Check that an index has stored answers to one content only, and none that the statement leaves out."""
    return explore(World(), lambda world: _moves(step, _charge, world), _wrong_answers)


def check_charges(charge: Charge = _charge) -> int:
    """Check that each evaluated chunk was charged before, once, and within the budget."""
    return explore(World(), lambda world: _moves(holder.step, charge, world), _wrong_charges)


def control_answers() -> int:
    """Answer new chunks after the statement: a mutant of the machine."""

    def step(state: HolderState, event: holder.Event) -> tuple[HolderState, tuple[holder.Effect, ...]]:
        if isinstance(event, holder.EvaluationRequested):
            reached, effects = holder.step(replace(state, stated=False), event)
            return replace(reached, stated=state.stated), effects
        return holder.step(state, event)

    return check_answers(step)


def control_charges() -> int:
    """Charge an index again for another content: a mutant of the store."""

    def charge(world: World, index: int, request: bytes) -> World:
        return replace(world, charged=tuple(sorted({**dict(world.charged), index: request}.items())))

    return check_charges(charge)
