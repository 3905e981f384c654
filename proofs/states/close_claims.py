"""How a round ends between two labs: the real state machine of the close, under every order of events.

There are four worlds. In one, the halves ask nothing, and end or fail at any time. In one, the initiator's
half waits for a chunk. In two, a lab asks a chunk that is not in its half, as a hostile lab may.
`close_world` describes what each holds, and `close_moves` what may happen in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Final, TypeAlias

from mandorla_protocol.session import closing
from mandorla_protocol.session.closing import ClosingState, Phase, RoundState
from mandorla_protocol.session.transcript import CloseStatement, Outcome, half_digest

from .close_moves import moves
from .close_world import LABS, NAMES, Answer, Charge, Close, Disk, Lab, Question, Setting, World
from .explorer import explore
from .holder_claims import HEADER

Wrong: TypeAlias = Callable[[World], Iterator[str]]
"""What is wrong with a state."""

CLOSE: Final = Setting(Question.NONE, faults=2)
CHUNK: Final = Setting(Question.CHUNK, faults=2)
STRAY: Final = Setting(Question.STRAY, faults=1)
STRAY_BACK: Final = Setting(Question.STRAY, faults=1, asker=1)


class Exploration:
    """The states of a world and what follows each, found once for all claims."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.start = setting.start()
        self.graph: dict[World, tuple[tuple[str, World], ...]] = {}

    def moves(self, world: World) -> tuple[tuple[str, World], ...]:
        """Name what may follow a state, with the state that it leads to."""
        if world not in self.graph:
            self.graph[world] = tuple(moves(self._setting, world))
        return self.graph[world]


_explored: Final = lru_cache(Exploration)


def _check(wrong: Wrong, *settings: Setting) -> int:
    """Visit all states of some worlds; raise Refuted with the shortest way to one that is wrong."""
    return sum(
        explore(exploration.start, exploration.moves, wrong) for exploration in map(_explored, settings)
    )


def _committed(statements: Iterable[CloseStatement]) -> set[bytes]:
    return {one.encode() for one in statements if one.outcome is Outcome.COMMITTED}


def _commits(lab: Lab) -> set[bytes]:
    """Return the commits of which a lab recorded both signatures."""
    both = (entry.statement for entry in lab.disk.log if isinstance(entry, Close) and entry.both)
    return _committed(map(CloseStatement.decode, both))


def _two_ends(world: World) -> Iterator[str]:
    for who, lab in enumerate(world.labs):
        commits, other = _commits(lab), world.labs[1 - who]
        if 0 < len(_committed(lab.signed)) < len(lab.signed):
            yield f"the {NAMES[who]} signed a commit and an abort"
        if not commits <= _committed(lab.signed) & _committed(other.signed):
            yield f"the {NAMES[who]} holds a commit that not both labs signed"
        if len(commits | _commits(other)) > 1:
            yield "the labs hold commits that differ"


def _wrong_records(world: World) -> Iterator[str]:
    for who, lab in enumerate(world.labs):
        state = lab.disk.state
        if (state is RoundState.COMMITTED) != bool(_commits(lab)):
            both = "both signatures" if _commits(lab) else "not both signatures"
            yield f"the {NAMES[who]} recorded {both} on a commit, and the round as {state}"
        if _committed(lab.signed) and state is RoundState.ABORTED:
            yield f"the {NAMES[who]} signed a commit and recorded an abort"
        if lab.compares and state is RoundState.ABORTED:
            yield f"the {NAMES[who]} compares a round that it recorded as aborted"


def _wrong_order(world: World) -> Iterator[str]:
    for who, lab in enumerate(world.labs):
        log = lab.disk.log
        ends = [place for place, entry in enumerate(log) if isinstance(entry, RoundState)]
        if len(ends) > 1:
            yield f"the {NAMES[who]} recorded two ends"
        if ends and any(isinstance(entry, Charge | Answer) for entry in log[ends[0] :]):
            yield f"the {NAMES[who]} charged or answered a chunk after the end that it recorded"
        if log and lab.disk.state is None:
            yield f"the {NAMES[who]} recorded an end before the agreement"


def _wrong_answers(world: World) -> Iterator[str]:
    for who, lab in enumerate(world.labs):
        answers = [entry.digest for entry in lab.disk.log if isinstance(entry, Answer)]
        for statement in map(CloseStatement.decode, _commits(lab)):
            half = statement.responder_half if who == 0 else statement.initiator_half
            if half != half_digest(HEADER, LABS[1 - who], answers):
                yield f"the {NAMES[who]} holds a commit of other answers than it recorded"


def check_ends(*settings: Setting) -> int:
    """No lab signs two ends, and what both signed is one statement, whichever lab holds it."""
    return _check(_two_ends, *(settings or (CLOSE, CHUNK, STRAY, STRAY_BACK)))


def check_records(*settings: Setting) -> int:
    """A round is recorded as committed exactly by a lab that recorded both signatures on a commit."""
    return _check(_wrong_records, *(settings or (CLOSE, CHUNK, STRAY, STRAY_BACK)))


def check_order(*settings: Setting) -> int:
    """A lab's log holds one end of a round, and nothing that was charged or answered after it."""
    return _check(_wrong_order, *(settings or (CLOSE, CHUNK, STRAY, STRAY_BACK)))


def check_answers(*settings: Setting) -> int:
    """A commit of both labs covers exactly the answers that the holder recorded."""
    return _check(_wrong_answers, *(settings or (CHUNK, STRAY)))


def _unrecorded_call(world: World) -> Iterator[str]:
    for call in world.calls:
        if call.statement is not None:
            encoded, log = call.statement.encode(), world.labs[call.caller].disk.log
            if not any(isinstance(entry, Close) and entry.statement == encoded for entry in log):
                yield f"the {NAMES[call.caller]} sent a statement that it had not recorded"


def check_initiators_answers(*settings: Setting) -> int:
    """A lab that takes a commit answers nothing that the commit leaves out, the initiator included."""
    return _check(_wrong_answers, *(settings or (STRAY_BACK,)))


def check_sent(*settings: Setting) -> int:
    """A lab calls its peer only with a statement that it has recorded."""
    return _check(_unrecorded_call, *(settings or (CLOSE,)))


def check_endings(*settings: Setting) -> int:
    """From every state both rounds can end with no further fault: no lab waits for ever."""
    settings = settings or (CLOSE, CHUNK, STRAY, STRAY_BACK)
    _check(lambda _: iter(()), *settings)
    ends: set[World] = set()
    for setting in settings:
        ends |= _that_end(_explored(setting).graph)

    def stuck(world: World) -> Iterator[str]:
        if world not in ends:
            yield "a round is open that ends no more"

    return _check(stuck, *settings)


def _has_ended(lab: Lab) -> bool:
    return lab.disk.state not in (None, RoundState.OPEN) or (lab.dead and lab.disk.state is None)


def _that_end(graph: dict[World, tuple[tuple[str, World], ...]]) -> set[World]:
    """Return the states in which both rounds have ended, and those from which they can without a fault."""
    comes_from: dict[World, list[World]] = {}
    for state, following in graph.items():
        for _, reached in following:
            if reached.faults == state.faults:
                comes_from.setdefault(reached, []).append(state)
    frontier = [state for state in graph if all(map(_has_ended, state.labs))]
    ends = set(frontier)
    while frontier:
        before = comes_from.get(frontier.pop(), ())
        frontier += (new := set(before) - ends)
        ends |= new
    return ends


Result: TypeAlias = tuple[ClosingState, tuple[closing.Effect, ...]]


def control_ends() -> int:
    """Sign an abort, whether or not a commit was signed: a mutant of the machine."""

    def forgetful(state: ClosingState, event: closing.Event) -> Result:
        if isinstance(event, closing.Failed):
            state = replace(state, phase=Phase.RUNNING if state.open else state.phase)
        return closing.step(state, event)

    return check_ends(replace(CLOSE, faults=1, step=forgetful))


def control_records() -> int:
    """Record every end that is decided, and not the first only: a mutant of the machine."""

    def racing(state: ClosingState, event: closing.Event) -> Result:
        if isinstance(event, closing.Failed) and state.phase is Phase.RECORDING:
            state = replace(state, phase=Phase.STATED)
        return closing.step(state, event)

    return check_records(replace(CLOSE, faults=1, step=racing))


def control_order() -> int:
    """Charge whether or not the round has ended: a mutant of the store."""

    class Late(Disk):
        def may_charge(self) -> bool:
            return True

    return check_order(replace(CHUNK, faults=1, disk=Late))


def control_answers() -> int:
    """Forget a chunk when its caller hangs up, though a thread writes its answer: a mutant of the node."""
    return check_answers(replace(STRAY, forgets_chunks=True))


def control_initiators_answers() -> int:
    """Take a commit without barring new chunks: a mutant of the machine."""

    def open_ended(state: ClosingState, event: closing.Event) -> Result:
        reached, effects = closing.step(state, event)
        if isinstance(event, closing.StatementReceived):
            effects = tuple(one for one in effects if not isinstance(one, closing.BarChunks))
        return reached, effects

    return check_initiators_answers(replace(STRAY_BACK, step=open_ended))


def control_sent() -> int:
    """Send a statement when it is decided, and not when it is recorded: a mutant of the machine."""

    def hasty(state: ClosingState, event: closing.Event) -> Result:
        reached, effects = closing.step(state, event)
        if isinstance(event, closing.Failed) and reached.end and reached.end.statement and effects:
            effects = (*effects, closing.SendStatement(reached.end.statement))
        return reached, effects

    return check_sent(replace(CLOSE, faults=1, step=hasty))


def control_endings() -> int:
    """Abort without a record: a mutant of the machine."""

    def silent(state: ClosingState, event: closing.Event) -> Result:
        reached, effects = closing.step(state, event)
        return reached, () if isinstance(event, closing.Failed) else effects

    return check_endings(replace(CLOSE, faults=1, step=silent))
