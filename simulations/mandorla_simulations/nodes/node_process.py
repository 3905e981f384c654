"""A lab's node under simulated time: the process that `nodes.cluster` starts for each lab.

It serves a home as `mandorla serve` does, but for the time. Each line of its input is an order, which it
answers with a line:

    {"time": T}          it is T now, in Unix seconds: labels expire, headers and certificates are valid by it
    {"passed": T}        the same, and whatever waits for a time up to T waits no longer
    {"expired": []}      flags have expired: look at once, and not when this machine's clock says
    {"published": W}     wait until all that is flagged is announced in the rounds that stand for W, a list of
                         peers and collections; answers their tables' versions, in order
    {"compared": V}      wait until tables up to versions V, a list of peers, collections and versions, are
                         compared with all that is observed; answers how often something matched
    {"counted": []}      answers the bytes of the calls that this node made, and how many chunks it asked

It ends when its input does, and so with whoever started it, or by SIGTERM.
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
"""The call that only waits: how often one is made goes by this machine's time."""


class SetClock:
    """A clock that stands still until it is set."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        """Return the time, in Unix seconds."""
        return self.now


class SetTimer:
    """A timer whose time stands still until it is set, and whose sleepers wake then."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> float:
        """Return the time that was set."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return once so many seconds have passed, at once if there are none."""
        if seconds > 0:
            wakes: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), wakes))
            await wakes

    async def set(self, now: float) -> None:
        """Let time pass; who sleeps no longer has gone on when this returns."""
        self._now = max(self._now, now)
        while self._sleepers and self._sleepers[0][0] <= self._now + NEGLIGIBLE_WAIT:
            _, _, wakes = heapq.heappop(self._sleepers)
            if not wakes.done():
                wakes.set_result(None)
        # One step of the loop to wake them, and one for what they wake.
        for _ in range(2):
            await asyncio.sleep(0)


class Orders:
    """Does what is ordered of a node."""

    def __init__(self, node: RunningNode, clock: SetClock, timer: SetTimer, peers: dict[str, LabId]) -> None:
        self._node = node
        self._clock = clock
        self._timer = timer
        self._peers = peers

    async def obey(self, line: bytes) -> object:
        """Do what a line orders, and return what to answer."""
        ((order, given),) = json.loads(line).items()
        match order:
            case "time" | "passed":
                self._clock.now = given
                if order == "passed":
                    await self._timer.set(given)
            case "expired":
                self._node.changes.flagged.notify()
            case "published":
                watches = [(self._peers[peer], collection) for peer, collection in given]
                versions = await self._node.watch_progress.published(watches)
                return [versions[watch] for watch in watches]
            case "compared":
                versions = {(self._peers[peer], collection): version for peer, collection, version in given}
                await self._node.watch_progress.compared(versions)
                return self._node.changes.matched.count
            case "counted":
                return self._counted()
        return None

    def _counted(self) -> tuple[int, int]:
        size = asked = 0.0
        samples = (one for metric in self._node.metrics.registry.collect() for one in metric.samples)
        for sample in samples:
            method = sample.labels.get("method")
            if sample.name == _BYTES and method != _WAITING:
                size += sample.value
            elif sample.name == _CALLS and method == _ASKING and sample.labels["code"] == OK:
                asked += sample.value
        return int(size), int(asked)


async def _serve(path: Path, now: int) -> None:
    home, clock, timer = Home.open(path), SetClock(now), SetTimer(now)
    configure_logs(home.settings.log_level)
    with closing(home.open_store()) as store:
        peers = {peer.name: peer.lab for peer in store.peers.all()}
    async with running(home, clock, watch=home.settings.watch.enabled, timer=timer) as node:
        _say(READY)
        orders = Orders(node, clock, timer, peers)
        lines = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        loop.add_signal_handler(signal.SIGTERM, lines.feed_eof)
        while line := await lines.readline():
            _say(json.dumps(await orders.obey(line)).encode() + b"\n")


def _say(word: bytes) -> None:
    sys.stdout.buffer.write(word)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
