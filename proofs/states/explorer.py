"""Breadth-first search over the reachable states of a world."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from exhaustive.groups import Refuted

State = TypeVar("State", bound=Hashable)


def explore(
    start: State,
    moves: Callable[[State], Iterable[tuple[str, State]]],
    require: Callable[[State], Iterator[str]],
    limit: int = 500_000,
) -> int:
    """Visit all reachable states; return their number.

    `moves` yields the name and the resulting state of each move. `require` yields the faults of a state.

    Raises Refuted with a shortest sequence of moves to a faulty state. Raises RuntimeError for more than
    `limit` states.
    """
    came_from: dict[State, tuple[State, str] | None] = {start: None}
    frontier = [start]
    while frontier:
        following = []
        for state in frontier:
            for wrong in require(state):
                raise Refuted(f"{wrong}, after {_way(state, came_from)}")
            for name, reached in moves(state):
                if reached not in came_from:
                    came_from[reached] = (state, name)
                    following.append(reached)
        if len(came_from) > limit:
            raise RuntimeError(f"more than {limit} states: the world is not bounded")
        frontier = following
    return len(came_from)


def _way(state: State, came_from: dict[State, tuple[State, str] | None]) -> str:
    """Return the names of the moves that lead to a state."""
    names: list[str] = []
    step = came_from[state]
    while step is not None:
        names.append(step[1])
        step = came_from[step[0]]
    return ", ".join(reversed(names)) or "nothing"
