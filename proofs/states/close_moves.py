"""What may happen to two labs that close a round, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mandorla_protocol.errors import Code, RoundError
from mandorla_protocol.session import closing, holder
from mandorla_protocol.session.closing import Phase
from mandorla_protocol.session.holder import HolderState
from mandorla_protocol.session.transcript import CloseStatement

from .close_world import (
    ANSWER,
    ASKED_HALF,
    BLINDED,
    EMPTY_HALVES,
    LABS,
    NAMES,
    NOW,
    REQUEST,
    Call,
    Close,
    Lab,
    Question,
    Setting,
    World,
    Write,
)  # fmt: skip
from .holder_claims import HEADER


def moves(setting: Setting, world: World) -> Iterator[tuple[str, World]]:
    """Yield what may happen: what must at some time, and faults while there may be more.

    A wait ends when nothing else can happen, or as a fault.
    """
    progress = list(_progress(setting, world))
    yield from progress
    waits = list(_waits(setting, world))
    if not progress:
        yield from waits
    if world.faults < setting.faults:
        faults = [*_faults(setting, world), *(waits if progress else ())]
        yield from ((name, replace(after, faults=world.faults + 1)) for name, after in faults)


# What a lab does with an event: the driver of `closing.step`.


def _event(setting: Setting, world: World, who: int, event: closing.Event) -> World:
    """Advance a lab's close, and perform the effects; raises RoundError if the event is refused."""
    lab = world.labs[who]
    state, effects = setting.step(lab.closing, event)
    lab = replace(lab, closing=state)
    calls = world.calls
    for effect in effects:
        match effect:
            case closing.BarChunks():
                lab = _held(lab, who, holder.StatementIssued())
            case closing.ReplyStatement(statement):
                lab = replace(lab, signed=lab.signed | {statement})
            case closing.RecordEnd(end):
                own = {end.statement} if end.own and end.statement is not None else set()
                lab = replace(lab, signed=lab.signed | own, writes=(*lab.writes, Write("end", end)))
            case closing.CloseHalves():
                lab = replace(_held(lab, who, holder.Closed()), half_runs=False)
            case closing.SendStatement(statement):
                calls = (*calls, Call(who, "statement", statement))
            case closing.AllowComparison():
                lab = replace(lab, compares=True)
    return replace(world, labs=_with(world.labs, who, lab), calls=calls)


def _held(lab: Lab, who: int, event: holder.Event) -> Lab:
    """Advance a lab's half as the holder, whose effects the caller performs."""
    state, _ = holder.step(_holder(lab, who), event)
    return _after(lab, state)


def _holder(lab: Lab, who: int) -> HolderState:
    chunks = {} if lab.chunk is None else {0: lab.chunk}
    return HolderState(HEADER, LABS[who], chunks, stated=lab.barred, closed=lab.closed)


def _after(lab: Lab, state: HolderState) -> Lab:
    return replace(lab, chunk=state.chunks.get(0), barred=state.stated, closed=state.closed)


def _peer_half(lab: Lab, who: int) -> bytes | None:
    try:
        return _holder(lab, who).digest()
    except RoundError:
        return None


def _with(labs: tuple[Lab, Lab], who: int, lab: Lab) -> tuple[Lab, Lab]:
    return (lab, labs[1]) if who == 0 else (labs[0], lab)


def _lab(world: World, who: int, lab: Lab) -> World:
    return replace(world, labs=_with(world.labs, who, lab))


# What must happen at some time.


def _progress(setting: Setting, world: World) -> Iterator[tuple[str, World]]:
    for who, lab in enumerate(world.labs):
        if lab.dead:
            continue
        for write in lab.writes:
            if write.done:
                yield f"{NAMES[who]} hears of {write.what}", _hear(setting, world, who, write)
            else:
                yield f"{NAMES[who]} writes {write.what}", _write(world, who, write)
        if lab.half_runs and lab.open and not (setting.question is Question.CHUNK and who == 0):
            yield f"{NAMES[who]}'s half ends", _end_half(setting, world, who, EMPTY_HALVES[who])
        if lab.closing.phase is Phase.UNRECORDED and not lab.writes:
            # The next round that is agreed, or whatever ends rounds, tries again.
            again = _event(setting, world, who, closing.Failed(Code.ROUND_ABORTED))
            yield f"{NAMES[who]} records the end again", again
    for call in world.calls:
        name = f"{call.what} of the {NAMES[call.caller]}"
        if call.stage == "sent":
            for served in _serve(setting, world, call):
                yield f"{name} arrives", served
        elif call.stage == "served":
            for answered in _answer(world, call):
                yield f"{name} is answered", answered
        elif not call.unheard:
            yield f"the {NAMES[call.caller]} hears of {name}", _heard(setting, world, call)


def _write(world: World, who: int, write: Write) -> World:
    lab, refusal, end = world.labs[who], None, write.end
    disk = lab.disk
    try:
        match write.what:
            case "agreement":
                disk = disk.agree()
            case "charge":
                disk = disk.charge(REQUEST)
            case "answer":
                disk = disk.store_answer(REQUEST, ANSWER)
            case _ if end is not None:
                closed = None
                if end.statement is not None:
                    closed = Close(end.statement.encode(), end.own and bool(end.peer_signature))
                disk = disk.finish(end.state, closed)
    except RoundError as error:
        refusal = error.code
    done = replace(write, done=True, refusal=refusal)
    writes = tuple(done if one is write else one for one in lab.writes)
    return _lab(world, who, replace(lab, disk=disk, writes=writes))


def _hear(setting: Setting, world: World, who: int, write: Write) -> World:
    lab = world.labs[who]
    lab = replace(lab, writes=tuple(one for one in lab.writes if one is not write))
    world = _lab(world, who, lab)
    match write.what:
        case "agreement":
            world = _event(setting, world, who, closing.HeaderAgreed())
            if who == setting.asker and setting.question is not Question.NONE and world.labs[who].open:
                what = "evaluate" if setting.question is Question.CHUNK else "stray"
                world = replace(world, calls=(*world.calls, Call(who, what)))
            return world
        case "end":
            if lab.closing.phase is not Phase.RECORDING:
                # Only a mutant records two ends.
                return world
            return _event(setting, world, who, closing.EndRecorded())
    if write.orphan:
        return world
    try:
        if write.refusal is not None:
            raise RoundError(write.refusal)
        if write.what == "charge":
            lab = _held(lab, who, holder.EvaluationDone(0, b"evaluated", b"proof"))
            return _lab(world, who, replace(lab, writes=(*lab.writes, Write("answer"))))
        return _lab(world, who, _held(lab, who, holder.AnswerStored(0, b"evaluated", b"proof")))
    except RoundError:
        return _lab(world, who, _held(lab, who, holder.ChunkFailed(0)))


def _end_half(setting: Setting, world: World, who: int, digest: bytes) -> World:
    world = _lab(world, who, replace(world.labs[who], half_runs=False))
    world = _event(setting, world, who, closing.HalfCompleted(digest))
    if who == 0:
        world = replace(world, calls=(*world.calls, Call(0, "close")))
    return world


def _serve(setting: Setting, world: World, call: Call) -> Iterator[World]:
    """Yield the world in which a call has arrived; nothing where the call is told to wait."""
    who = 1 - call.caller
    lab = world.labs[who]
    if lab.dead or lab.closing.phase is Phase.ENDED:
        code = Code.UNKNOWN_ROUND if lab.dead else lab.closing.refusal
        yield _answered(world, call, error=code)
        return
    if lab.closing.phase in (Phase.PROPOSED, Phase.WITHDRAWN):
        return
    try:
        match call.what:
            case "close":
                if lab.half_runs and lab.open:
                    return
                requested = closing.StatementRequested(_peer_half(lab, who))
                _, replies = setting.step(lab.closing, requested)
                (reply,) = (one.statement for one in replies if isinstance(one, closing.ReplyStatement))
                yield _answered(_event(setting, world, who, requested), call, reply=reply)
            case "statement" if call.statement is not None:
                received = closing.StatementReceived(call.statement, b"signature", _peer_half(lab, who))
                world = _event(setting, world, who, received)
                yield _replaced(world, call, replace(call, stage="served"))
            case _:
                state, effects = holder.step(_holder(lab, who), holder.EvaluationRequested(0, BLINDED, NOW))
                lab = _after(lab, state)
                if any(isinstance(effect, holder.Charge) for effect in effects):
                    lab = replace(lab, writes=(*lab.writes, Write("charge")))
                yield _replaced(_lab(world, who, lab), call, replace(call, stage="served"))
    except RoundError as error:
        if error.code is not Code.NOT_READY:
            yield _answered(world, call, error=error.code)


def _answer(world: World, call: Call) -> Iterator[World]:
    """Yield the world in which a call that is served is answered, if that is so far."""
    who = 1 - call.caller
    lab = world.labs[who]
    if lab.dead:
        return
    if call.what == "statement":
        if lab.closing.phase is Phase.ENDED:
            yield _answered(world, call)
        elif lab.closing.phase is Phase.UNRECORDED:
            yield _answered(world, call, error=Code.STORE_FAILED)
        return
    if lab.chunk is not None and lab.chunk.answer is not None:
        yield _answered(world, call)
    elif lab.chunk is None:
        yield _answered(world, call, error=Code.UNKNOWN_ROUND)


def _heard(setting: Setting, world: World, call: Call) -> World:
    """The caller hears the answer to a call."""
    world = _replaced(world, call, None)
    lab = world.labs[call.caller]
    if lab.dead:
        return world
    if call.error is not None and call.error.info.retryable and not call.repeated:
        again = Call(call.caller, call.what, call.statement, repeated=True)
        return replace(world, calls=(*world.calls, again))
    match call.what:
        case "evaluate" if lab.half_runs and lab.open:
            if call.error is None:
                return _end_half(setting, world, 0, ASKED_HALF)
            world = _lab(world, 0, replace(lab, half_runs=False))
            return _event(setting, world, 0, closing.Failed(call.error))
        case "close":
            return _hear_statement(setting, world, call)
    return world


def _hear_statement(setting: Setting, world: World, call: Call) -> World:
    lab = world.labs[0]
    if call.error is not None or call.reply is None:
        code = call.error or Code.INTERNAL
        lost = closing.PeerLost(code) if code.info.retryable else closing.Failed(code)
        return _event(setting, world, 0, lost)
    received = closing.StatementReceived(call.reply, b"signature", _peer_half(lab, 0))
    try:
        return _event(setting, world, 0, received)
    except RoundError as error:
        return _event(setting, world, 0, closing.Failed(error.code))


def _answered(
    world: World, call: Call, error: Code | None = None, reply: CloseStatement | None = None
) -> World:
    if call.unheard:
        return _replaced(world, call, None)
    return _replaced(world, call, replace(call, stage="answered", error=error, reply=reply))


def _replaced(world: World, call: Call, other: Call | None) -> World:
    calls = tuple(one for one in world.calls if one is not call)
    return replace(world, calls=calls if other is None else (*calls, other))


# Waits that end, and faults.


def _waits(setting: Setting, world: World) -> Iterator[tuple[str, World]]:
    """Yield the ends of waits: the responder's for the close, and a caller's for an answer."""
    responder = world.labs[1]
    if responder.open and not responder.half_runs:
        lost = _event(setting, world, 1, closing.PeerLost(Code.DEADLINE))
        yield "the responder waits no longer for the close", lost
    for call in world.calls:
        if not call.unheard and call.stage != "answered":
            yield (
                f"{call.what} of the {NAMES[call.caller]} meets its deadline",
                _give_up(setting, world, call),
            )


def _give_up(setting: Setting, world: World, call: Call) -> World:
    """The caller hangs up; what the peer does for the call goes on."""
    if call.stage == "sent":
        lost = replace(call, stage="answered", error=Code.DEADLINE)
        return _heard(setting, _replaced(world, call, lost), lost)
    left = replace(call, unheard=True)
    world = _replaced(world, call, left)
    if setting.forgets_chunks and call.what in ("evaluate", "stray"):
        who = 1 - call.caller
        lab = _held(world.labs[who], who, holder.ChunkFailed(0))
        writes = tuple(
            replace(one, orphan=True) if one.what in ("charge", "answer") else one for one in lab.writes
        )
        world = _lab(world, who, replace(lab, writes=writes))
    failed = replace(call, stage="answered", error=Code.DEADLINE)
    return _heard(setting, replace(world, calls=(*world.calls, failed)), failed)


def _faults(setting: Setting, world: World) -> Iterator[tuple[str, World]]:
    for call in world.calls:
        name = f"{call.what} of the {NAMES[call.caller]}"
        if call.unheard:
            continue
        failed = replace(call, stage="answered", error=Code.PEER_UNAVAILABLE, reply=None)
        if call.stage == "sent":
            yield f"{name} is lost", _heard(setting, _replaced(world, call, failed), failed)
        elif call.stage == "served":
            cut = _replaced(world, call, replace(call, unheard=True))
            lost = _heard(setting, replace(cut, calls=(*cut.calls, failed)), failed)
            yield f"the connection of {name} breaks", lost
        elif call.error is not Code.PEER_UNAVAILABLE:
            yield f"the answer to {name} is lost", _heard(setting, _replaced(world, call, failed), failed)
    for who, lab in enumerate(world.labs):
        if lab.dead:
            continue
        name = NAMES[who]
        yield f"the {name} is killed", _kill(world, who)
        if not lab.stopped and lab.closing.phase is not Phase.ENDED:
            stopped = _lab(world, who, replace(lab, stopped=True))
            ended = _event(setting, stopped, who, closing.Failed(Code.ROUND_ABORTED))
            yield f"the {name} stops, or its operator hangs up", ended
        if lab.half_runs and lab.open:
            failed_half = _lab(world, who, replace(lab, half_runs=False))
            yield (
                f"the {name}'s half fails",
                _event(setting, failed_half, who, closing.Failed(Code.BAD_PROOF)),
            )
        for write in lab.writes:
            if write.what == "end" and not write.done and lab.closing.phase is Phase.RECORDING:
                left = replace(lab, writes=tuple(one for one in lab.writes if one is not write))
                refused = _event(setting, _lab(world, who, left), who, closing.RecordFailed())
                yield f"the {name}'s store refuses the end", refused
    if world.labs[1].open:
        anew = _event(setting, world, 1, closing.PeerLost(Code.ROUND_ABORTED))
        yield "the initiator proposes another round", anew


def _kill(world: World, who: int) -> World:
    """Lose all of a node but its disk, and start it again; what it sent may still arrive."""
    lab = replace(world.labs[who], dead=True, writes=(), half_runs=False, disk=world.labs[who].disk.restart())
    calls = []
    for call in world.calls:
        if call.caller == who:
            if call.stage != "answered":
                calls.append(replace(call, unheard=True))
        elif call.stage == "served" and not call.unheard:
            calls.append(replace(call, stage="answered", error=Code.PEER_UNAVAILABLE))
        elif call.stage != "served":
            calls.append(call)
    return replace(_lab(world, who, lab), calls=tuple(calls))
