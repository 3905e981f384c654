"""A watch is tried again for as long as it takes, at a pace that a peer that is away does not feel."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mandorla_node.rounds.registry import RoundRegistry
from mandorla_node.rounds.round_locks import RoundLocks
from mandorla_node.rounds.watcher import Watcher
from mandorla_protocol.errors import Code, TransportError
from mandorla_protocol.session.closing import RoundState
from tests.support.labs import make_labs


class Ending(Exception):
    """The test has seen enough."""


def test_a_watch_with_a_peer_that_is_away_is_tried_at_least_every_minute(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it is away, and whatever goes wrong; once a round has stood, from the beginning again."""
    a, _ = make_labs(folder, "lab-a", "lab-b")
    slept: list[float] = []
    outcomes: list[object] = [TransportError(Code.PEER_UNAVAILABLE)] * 9
    outcomes += [ValueError("a defect"), Stood(), TransportError(Code.PEER_UNAVAILABLE), Ending()]

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    class Proposing:
        async def stand(self, *_: object) -> object:
            match outcomes.pop(0):
                case Ending() as end:
                    raise asyncio.CancelledError from end
                case Exception() as error:
                    raise error
                case active:
                    return active

    peers = SimpleNamespace(get=lambda lab: lab)
    context: Any = SimpleNamespace(lab=a.card.identity, store=SimpleNamespace(peers=peers))

    async def kept() -> None:
        watch = Watcher(context, RoundRegistry(context, RoundLocks()), Proposing())  # type: ignore[arg-type]
        with pytest.raises(asyncio.CancelledError):
            await watch._keep(b"\xff" * 32, "accounts", "lab-b")  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(kept())
    for seconds, longest in zip(slept, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 1, 2], strict=True):
        assert longest / 2 <= seconds <= longest


class Stood:
    """A round that stood for an hour, and failed."""

    closer = SimpleNamespace(state=RoundState.ABORTED, code=Code.PEER_UNAVAILABLE, seconds=3600.0)
