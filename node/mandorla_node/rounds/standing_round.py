"""A standing round while it lasts: as a batch round, and the table grows, and is announced (SPEC 19)."""

from __future__ import annotations

import asyncio
from typing import Final

from mandorla.v1 import exchange_pb2
from mandorla_protocol.errors import MandorlaError
from mandorla_protocol.session import holder
from mandorla_protocol.session.announcement import Announcement
from mandorla_protocol.sizes import STANDING_SMALLEST

from ..core.change_feed import ChangeFeed
from ..core.clock import Timer
from ..tables.builder import PreparedEpoch, TableBuilder
from . import pace as pace_of
from .round import Round
from .standing_querier import SUBSCRIBED, StandingQuerier

_GATHERED: Final = 0.05
"""Seconds for which the holder gathers what is flagged into one version."""

_EXPIRED: Final = 5.0
"""Seconds between two looks for labels that have expired."""


class StandingRound(Round):
    """One standing round between this lab and a peer."""

    half: StandingQuerier

    def publish_with(self, tables: TableBuilder, changes: ChangeFeed, timer: Timer) -> None:
        """Say where the table of this lab comes from, what tells that it may have changed, and a timer."""
        self._tables = tables
        self._changes = changes
        self._timer = timer
        # The count of changes of the flagged set that this lab has published.
        self.published = -1
        self._news = asyncio.Event()

    async def _run_half(self, lifetime: float) -> None:
        ending = asyncio.create_task(self._leave_in(max(1.0, lifetime - pace_of.LAST_MINUTE)))
        publishing = asyncio.create_task(self._publish())
        leaving = asyncio.create_task(self._tell())
        try:
            await super()._run_half(lifetime)
        finally:
            for task in (ending, publishing, leaving):
                task.cancel()
            await asyncio.gather(ending, publishing, leaving, return_exceptions=True)

    async def _leave_in(self, seconds: float) -> None:
        await self._timer.sleep(seconds)
        self.half.leave.set()

    @property
    def table_version(self) -> int:
        """The version of this lab's table that was announced last."""
        return self._holder.table.version

    @property
    def going_on(self) -> bool:
        """Whether this lab has caught up with the peer, and means to go on."""
        return self.half.caught_up.is_set() and not (self.half.leave.is_set() or self.ended.is_set())

    async def _tell(self) -> None:
        """Answer whoever waits for news when this lab would leave."""
        await self.half.leave.wait()
        self._wake()

    async def _publish(self) -> None:
        """Add to the table what is flagged and what expires, and announce it, until cancelled."""
        try:
            await self._keep_up()
        except MandorlaError as error:
            self.log.warning("round has no table", code=error.code.name)
        # The table grows no more in this round: one that begins anew has it all.
        self.half.leave.set()

    async def _keep_up(self) -> None:
        collection = self.header.collection
        pace = pace_of.of_versions(self._timer.now)
        while True:
            seen = self._changes.flagged.count
            ready: PreparedEpoch = await self._tables.prepare(self.peer.lab, collection, STANDING_SMALLEST)
            if ready.held.epoch != self._ready.held.epoch:
                # The key has ended, and the next round is under the next one.
                return
            if ready.held.commitment != self._holder.table:
                self._holder, _ = holder.step(self._holder, holder.TableExtended(ready.held.commitment))
                self._wake()
                pace.spend(1)
            self.published = seen
            self._changes.kept_up.notify()
            if await self._changes.flagged.beyond(seen, _EXPIRED):
                await asyncio.sleep(_GATHERED)
                await self._timer.sleep(pace.wait)

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def subscribe(self, version: int) -> exchange_pb2.SubscribeResponse:
        """Wait for a while until the table is beyond a version, or this lab would leave."""
        # One caller waits at a time: whoever asks again has given the earlier call up.
        self._wake()
        if self._holder.table.version <= version and not self.half.leave.is_set():
            waiting = asyncio.create_task(self._news.wait())
            ended = asyncio.create_task(self.ended.wait())
            try:
                await asyncio.wait({waiting, ended}, timeout=SUBSCRIBED, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
                ended.cancel()
        if self.ended.is_set():
            raise self.over()
        response = exchange_pb2.SubscribeResponse(leave=self.half.leave.is_set())
        table = self._holder.table
        if table.version > version:
            response.encoded_announcement = Announcement(self.header.digest(), table).encode()
        return response
