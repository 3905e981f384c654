"""The watch: a standing round with each peer over each collection, begun again whenever one ends.

Of two labs, the one with the lower identity proposes. The other proposes if no round begins for a while.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, MandorlaError
from mandorla_protocol.header import RoundKind
from mandorla_protocol.session.closing import RoundState

from ..core.backoff import Backoff
from .context import RoundContext
from .initiator import Initiator
from .registry import RoundRegistry

_LOG = structlog.get_logger()

_LOOK_EVERY: Final = 2.0
"""Seconds between two looks for peers that were pinned or unpinned."""

_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 60.0
_PATIENCE: Final = 15.0
"""Seconds that the lab with the higher identity waits for a proposal of the other one."""

_PATIENCE_AT_FIRST: Final = 2.0
"""The same after a start: the other lab may wait long before its next attempt."""

_STOOD: Final = 10.0
"""Seconds after which a standing round that failed counts as a success: the next attempt comes soon."""


class Watcher:
    """Keep a standing round open with each pinned peer, for each collection of the policy."""

    def __init__(self, context: RoundContext, registry: RoundRegistry, initiator: Initiator) -> None:
        self._context = context
        self._registry = registry
        self._initiator = initiator
        self._retired = False
        self._kept: dict[tuple[LabId, str], asyncio.Task[None]] = {}

    async def retire(self) -> None:
        """Begin no more rounds."""
        self._retired = True

    async def run(self) -> None:
        """Keep the rounds, until cancelled."""
        try:
            while not self._retired:
                try:
                    await self._look()
                except MandorlaError as error:
                    _LOG.warning("no look for peers", code=error.code.name)
                await asyncio.sleep(_LOOK_EVERY)
            # The registry closes the standing rounds with the peers: cancelled tasks could not take part.
            await asyncio.gather(*self._kept.values(), return_exceptions=True)
        finally:
            for task in self._kept.values():
                task.cancel()
            await asyncio.gather(*self._kept.values(), return_exceptions=True)

    async def _look(self) -> None:
        peers = await asyncio.to_thread(self._context.store.peers.all)
        wanted = {
            (peer.lab, collection.value): peer
            for peer in peers
            for collection in self._context.watch.collections
            if not (peer.caught or peer.paused_at)
            and RoundKind.WATCH in self._context.policies.of(peer.name, collection.value).kinds
        }
        for key in self._kept.keys() - wanted.keys():
            self._kept.pop(key).cancel()
            self._registry.make_way(*key)
        for key in wanted.keys() - self._kept.keys():
            self._kept[key] = asyncio.create_task(self._keep(*key, wanted[key].name))

    async def _keep(self, lab: LabId, collection: str, name: str) -> None:
        """Propose one standing round after another; wait longer after each attempt that fails."""
        first = self._context.lab < lab
        backoff, patience = Backoff(_FIRST_WAIT, _LONGEST_WAIT), _PATIENCE_AT_FIRST
        while not self._retired:
            if not first:
                await self._wait_for_proposal(lab, collection, patience)
                patience = _PATIENCE
            try:
                peer = await asyncio.to_thread(self._context.store.peers.get, lab)
                active = await self._initiator.stand(peer, collection)
                code = active.closer.code
                if active.closer.state is RoundState.COMMITTED:
                    backoff.reset()
                    continue
                if (active.closer.seconds or 0.0) >= _STOOD:
                    backoff.reset()
            except MandorlaError as error:
                code = error.code
            except Exception as error:
                # The watch goes on whatever failed: a lab without one is not warned.
                _LOG.exception("watch failed", error=type(error).__name__)
                code = Code.INTERNAL
            _LOG.info("no watch", peer=name, collection=collection, code=code.name if code else "")
            await backoff.wait()
            if code is Code.NOT_READY:
                # The peer is there and busy with another round, which ends soon.
                backoff.reset()

    async def _wait_for_proposal(self, lab: LabId, collection: str, patience: float) -> None:
        """Return once there has been no standing round with a peer for `patience` seconds."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while loop.time() < last + patience:
            standing = self._registry.standing()
            if any((one.peer.lab, one.header.collection) == (lab, collection) for one in standing):
                last = loop.time()
            await asyncio.sleep(_FIRST_WAIT)
