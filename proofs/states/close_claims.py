"""How a round ends between two nodes: the node's own code, under every order of what can happen to it.

Three worlds: one in which the halves ask nothing, and end or fail at any time; one in which the initiator's
half waits for a chunk; and one in which the initiator asks a chunk more than its half has, as a hostile lab
may. Faults are lost calls and answers, deadlines, crashes, stops, failed halves, time that passes early, and
an operator that hangs up. A caller repeats once what failed in a way that may pass, so that calls come twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, TypeAlias

import structlog.testing

from mandorla_node.rounds.registry import RoundRegistry
from mandorla_node.rounds.round import Answer as GivenAnswer
from mandorla_node.rounds.round import Round
from mandorla_node.store import RoundState
from mandorla_protocol.errors import Code, MandorlaError
from mandorla_protocol.log.entries import RoundClosed
from mandorla_protocol.session.transcript import CloseStatement, Outcome, half_digest

from .choices import choices, take
from .explorer import explore
from .fingerprint import fingerprint
from .nodes import HEADER, NAMES, Answer, Charge, Close, Entry, Node, Question, Records, Setting, World, lab


@dataclass(frozen=True)
class Lab:
    """What can be seen of one lab: its disk, what it signed, and whether it compared an aborted round."""

    state: RoundState
    log: tuple[Entry, ...]
    signed: frozenset[bytes]
    compared_aborted: bool


@dataclass(frozen=True)
class Run:
    """A state of the world: what tells it from others, how it was reached first, and what may follow."""

    key: bytes
    path: tuple[int, ...] = field(compare=False)
    labs: tuple[Lab, Lab] = field(compare=False)
    faults: int = field(compare=False)
    following: tuple[str, ...] = field(compare=False)


def _run(setting: Setting, path: tuple[int, ...]) -> Run:
    """Run the choices of a path in a new world, since coroutines cannot be copied."""
    world = World(setting)
    try:
        for choice in path:
            take(world, choice)
        labs = (_seen(world.nodes[0]), _seen(world.nodes[1]))
        key = hashlib.sha256(repr(fingerprint(world)).encode()).digest()
        following = tuple(name for name, _ in choices(world))
        return Run(key, path, labs, world.faults, following)
    finally:
        world.abandon()


def _seen(node: Node) -> Lab:
    records = node.records
    return Lab(records.state, tuple(records.log), frozenset(node.signed), node.compared_aborted)


class Exploration:
    """The states of a world and what follows each, found when they are asked for, and once for all claims."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._known: dict[Run, Run] = {}
        self.start = _run(setting, ())
        self.graph: dict[Run, tuple[tuple[str, Run], ...]] = {}

    def moves(self, state: Run) -> tuple[tuple[str, Run], ...]:
        """Name what may follow a state, and what comes of it."""
        if state not in self.graph:
            reached = [_run(self._setting, (*state.path, choice)) for choice in range(len(state.following))]
            for one in reached:
                same = self._known.setdefault(one, one)
                if (sorted(same.following), same.labs) != (sorted(one.following), one.labs):
                    raise RuntimeError("two states that differ are taken for one")
            self.graph[state] = tuple(zip(state.following, reached, strict=True))
        return self.graph[state]


_explored: Final = lru_cache(Exploration)

Wrong: TypeAlias = Callable[[Run], Iterator[str]]
"""What is wrong with a state."""

CLOSE: Final = Setting(Question.NONE, faults=2)
CHUNK: Final = Setting(Question.CHUNK, faults=1)
STRAY: Final = Setting(Question.STRAY, faults=1)


def _check(wrong: Wrong, *settings: Setting) -> int:
    """Visit all states of some worlds; raise Refuted with the shortest way to one that is wrong."""
    with structlog.testing.capture_logs():
        return sum(
            explore(exploration.start, exploration.moves, wrong) for exploration in map(_explored, settings)
        )


def _committed(statements: Iterable[bytes]) -> set[bytes]:
    return {one for one in statements if CloseStatement.decode(one).outcome is Outcome.COMMITTED}


def _commits(one: Lab) -> set[bytes]:
    """Return the commits of which a lab recorded both signatures."""
    return _committed(entry.statement for entry in one.log if isinstance(entry, Close) and entry.both)


def _two_ends(run: Run) -> Iterator[str]:
    for who, one in enumerate(run.labs):
        commits, other = _commits(one), run.labs[1 - who]
        if 0 < len(_committed(one.signed)) < len(one.signed):
            yield f"the {NAMES[who]} signed a commit and an abort"
        if not commits <= one.signed & other.signed:
            yield f"the {NAMES[who]} holds a commit that not both labs signed"
        if len(commits | _commits(other)) > 1:
            yield "the labs hold commits that differ"


def _wrong_records(run: Run) -> Iterator[str]:
    for who, one in enumerate(run.labs):
        if (one.state is RoundState.COMMITTED) != bool(_commits(one)):
            both = "both signatures" if _commits(one) else "not both signatures"
            yield f"the {NAMES[who]} recorded {both} on a commit, and the round as {one.state.value}"
        if _committed(one.signed) and one.state is RoundState.ABORTED:
            yield f"the {NAMES[who]} signed a commit and recorded an abort"
        if one.compared_aborted:
            yield f"the {NAMES[who]} compared a round that it recorded as aborted"


def _wrong_order(run: Run) -> Iterator[str]:
    for who, one in enumerate(run.labs):
        ends = [place for place, entry in enumerate(one.log) if isinstance(entry, RoundState)]
        if len(ends) > 1:
            yield f"the {NAMES[who]} recorded two ends"
        if ends and any(isinstance(entry, Charge | Answer) for entry in one.log[ends[0] :]):
            yield f"the {NAMES[who]} charged or answered a chunk after the end that it recorded"


def _wrong_answers(run: Run) -> Iterator[str]:
    for who, one in enumerate(run.labs):
        answers = [entry.digest for entry in one.log if isinstance(entry, Answer)]
        for statement in map(CloseStatement.decode, _commits(one)):
            half = statement.responder_half if who == 0 else statement.initiator_half
            if half != half_digest(HEADER, lab(1 - who), answers):
                yield f"the {NAMES[who]} holds a commit of other answers than it recorded"


def check_ends(*settings: Setting) -> int:
    """No lab signs two ends, and what both signed is one statement, whoever holds it."""
    return _check(_two_ends, *(settings or (CLOSE, STRAY)))


def check_records(*settings: Setting) -> int:
    """A round is recorded as committed exactly by a lab that recorded both signatures on a commit."""
    return _check(_wrong_records, *(settings or (CLOSE, STRAY)))


def check_order(*settings: Setting) -> int:
    """A lab's log holds one end of a round, and nothing that was charged or answered after it."""
    return _check(_wrong_order, *(settings or (CHUNK, STRAY)))


def check_answers(*settings: Setting) -> int:
    """A commit of both labs covers exactly the answers that the holder recorded."""
    return _check(_wrong_answers, *(settings or (CHUNK, STRAY)))


def check_endings(*settings: Setting) -> int:
    """From every state both rounds can end with no further fault: no lab waits for ever."""
    settings = settings or (CLOSE, CHUNK, STRAY)
    _check(lambda _: iter(()), *settings)
    ends: set[Run] = set()
    for setting in settings:
        ends |= _that_end(_explored(setting).graph)

    def stuck(run: Run) -> Iterator[str]:
        if run not in ends:
            yield "a round is open that ends no more"

    return _check(stuck, *settings)


def _that_end(graph: dict[Run, tuple[tuple[str, Run], ...]]) -> set[Run]:
    """Return the states in which both rounds have ended, and those from which they can without a fault."""
    comes_from: dict[Run, list[Run]] = {}
    for state, moves in graph.items():
        for _, reached in moves:
            if reached.faults == state.faults:
                comes_from.setdefault(reached, []).append(state)
    frontier = [state for state in graph if all(one.state is not RoundState.OPEN for one in state.labs)]
    ends = set(frontier)
    while frontier:
        before = comes_from.get(frontier.pop(), ())
        frontier += (new := set(before) - ends)
        ends |= new
    return ends


def control_ends() -> int:
    """Sign an abort, whether or not a commit was signed: a mutant of the node."""

    class Forgetful(RoundRegistry):
        async def abort(self, active: Round, error: MandorlaError) -> None:
            active.commit_signed = False
            await super().abort(active, error)

    return check_ends(replace(CLOSE, faults=1, rounds=Forgetful))


def control_records() -> int:
    """Record every end that is decided, and not the first only: a mutant of the node."""

    class Racing(RoundRegistry):
        async def finish(
            self,
            active: Round,
            state: RoundState,
            code: Code | None = None,
            closed: RoundClosed | None = None,
        ) -> None:
            await self._record_end(active, state, code, closed)

    return check_records(replace(CLOSE, faults=1, rounds=Racing))


def control_order() -> int:
    """Charge whether or not the round has ended: a mutant of the store."""

    class Late(Records):
        def may_charge(self) -> bool:
            return True

    return check_order(replace(CHUNK, records=Late))


def control_answers() -> int:
    """Forget a chunk when its caller hangs up, though a thread writes its answer: a mutant of the node."""

    class Hasty(Round):
        async def evaluate(self, index: int, blinded: bytes, now: int) -> GivenAnswer:
            return await self._answer(index, blinded, now)

    return check_answers(replace(STRAY, active=Hasty))


def control_endings() -> int:
    """Abort without a record: a mutant of the node."""

    class Silent(RoundRegistry):
        async def abort(self, active: Round, error: MandorlaError) -> None:
            active.abort_signed = True

    return check_endings(replace(CLOSE, faults=1, rounds=Silent))
