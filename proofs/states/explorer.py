"""Breadth-first search over the states of a world: every state that can be reached, once, nearest first."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from exhaustive.groups import Refuted

State = TypeVar("State", bound=Hashable)


def explore(
    start: State,
    moves: Callable[[State], Iterable[tuple[str, State]]],
    require: Callable[[State], Iterator[str]],
    most: int = 500_000,
) -> int:
    """Visit all states; return how many there are.

    `moves` names what can happen in a state, and what comes of it; `require` yields what is wrong with one.
    Raises Refuted with the shortest way to a state with which something is wrong.
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
        if len(came_from) > most:
            raise RuntimeError(f"more than {most} states: the world is not bounded")
        frontier = following
    return len(came_from)


def _way(state: State, came_from: dict[State, tuple[State, str] | None]) -> str:
    """Name the events that led to a state."""
    names: list[str] = []
    step = came_from[state]
    while step is not None:
        names.append(step[1])
        step = came_from[step[0]]
    return ", ".join(reversed(names)) or "nothing"
