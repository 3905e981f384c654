"""A lab's node in simulated time: the process that `nodes.cluster` starts for each lab.

It serves a home as `mandorla serve` does, but its time is set from outside. Each line of its standard input
is an order, and it answers each with a line:

{"time": T}          set the clock to T, in Unix seconds; labels, headers and certificates expire by it
{"passed": T}        set the clock and the timer to T, and wake the sleepers that are due {"expired": []}
look for expired flags at once, not by the clock of this machine {"published": W}     wait until all flags are
announced in the standing rounds of W, a list of peers and collections; the answer is the list of their table
versions {"compared": V}      wait until the tables up to versions V, a list of peers, collections and
versions, are compared with the observed set; the answer is the match count {"counted": []}      the answer is
the bytes of this node's calls, and the number of its questions

The process ends at the end of its input, so with its parent at the latest, or by SIGTERM.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import signal
import sys
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Final

from mandorla_node.app.node import RunningNode, running
from mandorla_node.home.folder import Home
from mandorla_node.rounds.pace import NEGLIGIBLE_WAIT
from mandorla_node.telemetry.logs import configure_logs
from mandorla_node.telemetry.metrics import OK
from mandorla_protocol.epochs import LabId

READY = b"ready\n"
_BYTES: Final = "mandorla_call_bytes_total"
_CALLS: Final = "mandorla_calls_made_total"
_ASKING: Final = "Evaluate"
_WAITING: Final = "Subscribe"
"""The call that only waits; the number of such calls depends on the time of this machine."""


class SetClock:
    """A clock that advances only when it is set."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        """Return the time, in Unix seconds."""
        return self.now


class SetTimer:
    """A timer that advances only when it is set, and then wakes the sleepers that are due."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> float:
        """Return the present time."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Sleep for some seconds of this timer."""
        if seconds > 0:
            wakes: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), wakes))
            await wakes

    async def set(self, now: float) -> None:
        """Advance to a time; the sleepers that are due have gone on when this returns."""
        self._now = max(self._now, now)
        while self._sleepers and self._sleepers[0][0] <= self._now + NEGLIGIBLE_WAIT:
            _, _, wakes = heapq.heappop(self._sleepers)
            if not wakes.done():
                wakes.set_result(None)
        # The first step of the loop wakes the sleepers, the second one what they wake.
        for _ in range(2):
            await asyncio.sleep(0)


class Orders:
    """Carries out the orders to a node."""

    def __init__(self, node: RunningNode, clock: SetClock, timer: SetTimer, peers: dict[str, LabId]) -> None:
        self._node = node
        self._clock = clock
        self._timer = timer
        self._peers = peers

    async def carry_out(self, line: bytes) -> object:
        """Carry out the order of a line, and return the answer."""
        ((order, argument),) = json.loads(line).items()
        match order:
            case "time" | "passed":
                self._clock.now = argument
                if order == "passed":
                    await self._timer.set(argument)
            case "expired":
                self._node.changes.flagged.advance()
            case "published":
                watches = [(self._peers[peer], collection) for peer, collection in argument]
                versions = await self._node.watch_progress.published(watches)
                return [versions[watch] for watch in watches]
            case "compared":
                versions = {
                    (self._peers[peer], collection): version for peer, collection, version in argument
                }
                await self._node.watch_progress.compared(versions)
                return self._node.changes.matched.count
            case "counted":
                return self._counted()
        return None

    def _counted(self) -> tuple[int, int]:
        size = questions = 0.0
        samples = (one for metric in self._node.metrics.registry.collect() for one in metric.samples)
        for sample in samples:
            method = sample.labels.get("method")
            if sample.name == _BYTES and method != _WAITING:
                size += sample.value
            elif sample.name == _CALLS and method == _ASKING and sample.labels["code"] == OK:
                questions += sample.value
        return int(size), int(questions)


async def _serve(path: Path, now: int) -> None:
    home, clock, timer = Home.open(path), SetClock(now), SetTimer(now)
    configure_logs(home.settings.log_level)
    with closing(home.open_store()) as store:
        peers = {peer.name: peer.lab for peer in store.peers.all()}
    async with running(home, clock, watch=home.settings.watch.enabled, timer=timer) as node:
        _answer(READY)
        orders = Orders(node, clock, timer, peers)
        lines = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        loop.add_signal_handler(signal.SIGTERM, lines.feed_eof)
        while line := await lines.readline():
            _answer(json.dumps(await orders.carry_out(line)).encode() + b"\n")


def _answer(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
