"""A standing round while it lasts: a round whose table grows and is announced (SPEC 19)."""

from __future__ import annotations

import asyncio
from typing import Final

from mandorla.v1 import exchange_pb2
from mandorla_protocol.errors import MandorlaError
from mandorla_protocol.header import RoundHeader
from mandorla_protocol.session.announcement import Announcement
from mandorla_protocol.sizes import STANDING_SMALLEST

from ..peers.client import PeerClient
from ..store import Peer
from ..tables.builder import PreparedEpoch
from .context import RoundContext
from .pace import LAST_MINUTE, version_pace
from .round import Round
from .standing_querier import SUBSCRIBED, StandingQuerier

_GATHERED: Final = 0.05
"""Seconds for which the holder gathers newly flagged indicators into one version."""

_EXPIRED: Final = 5.0
"""Seconds between two looks for labels that have expired."""


class StandingRound(Round):
    """One standing round between this lab and a peer."""

    querier: StandingQuerier

    def __init__(
        self,
        header: RoundHeader,
        peer: Peer,
        epoch: PreparedEpoch,
        querier: StandingQuerier,
        client: PeerClient,
        context: RoundContext,
    ) -> None:
        super().__init__(header, peer, epoch, querier, client, context)
        # The count of changes of the flagged set that this lab has published.
        self.published = -1
        self._key = epoch.held.epoch
        self._news = asyncio.Event()

    async def _run_querier(self) -> None:
        lifetime = self.header.expires - self._context.clock()
        ending = asyncio.create_task(self._leave_in(max(1.0, lifetime - LAST_MINUTE)))
        publishing = asyncio.create_task(self._publish())
        leaving = asyncio.create_task(self._wake_when_leaving())
        try:
            await super()._run_querier()
        finally:
            for task in (ending, publishing, leaving):
                task.cancel()
            await asyncio.gather(ending, publishing, leaving, return_exceptions=True)

    async def _leave_in(self, seconds: float) -> None:
        await self._context.timer.sleep(seconds)
        self.querier.leave.set()

    @property
    def table_version(self) -> int:
        """The version of this lab's table that was announced last."""
        return self.holder.table.version

    @property
    def continues(self) -> bool:
        """Whether this lab has caught up with the peer, and keeps the round open."""
        left = self.querier.leave.is_set() or self.closer.halted.is_set()
        return self.querier.caught_up.is_set() and not left

    async def _wake_when_leaving(self) -> None:
        """Answer a peer that waits for news once this lab would leave."""
        await self.querier.leave.wait()
        self._wake()

    async def _publish(self) -> None:
        """Add newly flagged indicators and expiries to the table, and announce them, until cancelled."""
        try:
            await self._extend_table()
        except MandorlaError as error:
            self.log.warning("round has no table", code=error.code.name)
        # The table grows no more in this round: the next round has it all.
        self.querier.leave.set()

    async def _extend_table(self) -> None:
        changes, timer = self._context.changes, self._context.timer
        pace = version_pace(timer.now)
        while True:
            seen = changes.flagged.count
            epoch = await self._context.tables.prepare(
                self.peer.lab, self.header.collection, STANDING_SMALLEST
            )
            if epoch.held.epoch != self._key:
                # The key has ended, and the next round is under the next one.
                return
            if epoch.held.commitment != self.holder.table:
                self.holder.extend(epoch.held.commitment)
                self._wake()
                pace.overdraw(1)
            self.published = seen
            changes.progressed.advance()
            if await changes.flagged.wait_beyond(seen, _EXPIRED):
                await asyncio.sleep(_GATHERED)
                await timer.sleep(pace.wait)

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def subscribe(self, version: int) -> exchange_pb2.SubscribeResponse:
        """Answer once the table is beyond a version, this lab would leave, or a while has passed.

        Raises RoundError, as `Closer.refusal` says, if the round has ended.
        """
        # One call waits at a time: a peer that calls again has given the earlier call up.
        self._wake()
        if self.holder.table.version <= version and not self.querier.leave.is_set():
            waiting = asyncio.create_task(self._news.wait())
            ended = asyncio.create_task(self.closer.halted.wait())
            try:
                await asyncio.wait({waiting, ended}, timeout=SUBSCRIBED, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
                ended.cancel()
        if self.closer.halted.is_set():
            raise self.closer.refusal()
        response = exchange_pb2.SubscribeResponse(leave=self.querier.leave.is_set())
        table = self.holder.table
        if table.version > version:
            response.encoded_announcement = Announcement(self.header.digest(), table).encode()
        return response
