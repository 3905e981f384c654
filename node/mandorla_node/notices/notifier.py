"""Delivering notices of new matches: each at least once, in order, for as long as it takes.

What a receiver has acknowledged is in the store, so neither a crash nor a receiver that is away loses
anything; one that acknowledges just as the node dies hears of a match again.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from typing import Final

import structlog

from mandorla_protocol.errors import MandorlaError

from ..core.backoff import Backoff
from ..core.change_feed import ChangeFeed
from ..core.clock import Clock
from ..formats.matches import FoundMatch
from ..home.folder import Home
from ..store import MatchRecord, Store
from .command import Command
from .receiver import NotDeliveredError, Receiver
from .webhook import Webhook

_LOG = structlog.get_logger()

_TOGETHER: Final = 64
_LOOK_AGAIN: Final = 30.0
"""Seconds after which the store is asked anyway."""

_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 300.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """How it goes with one receiver: attempts that failed since the last that did not, from when, and why."""

    receiver: str
    waiting: int = 0
    failures: int = 0
    failing_since: int = 0
    last_error: str = ""


class Notifier:
    """Tell receivers of matches as they begin."""

    def __init__(self, home: Home, store: Store, changes: ChangeFeed, clock: Clock) -> None:
        """Raises NodeError(BAD_CONFIG) if a receiver that is configured cannot be used."""
        self._lab = home.card.name
        self._prefix = home.card.identity.hex()[:16]
        self._store = store
        self._changes = changes
        self._clock = clock
        policy = home.settings.notify
        self._receivers: list[Receiver] = []
        if policy.webhook:
            self._receivers.append(Webhook(policy, policy.webhook, home.path, clock))
        if policy.command:
            self._receivers.append(Command(policy.command, home.path, policy.timeout))
        self._states = {one.name: Delivery(one.name) for one in self._receivers}

    async def run(self) -> None:
        """Deliver, until cancelled."""
        await asyncio.gather(*map(self._keep_telling, self._receivers))

    def deliveries(self) -> list[Delivery]:
        """Say how it goes with each receiver; raises NodeError(STORE_FAILED)."""
        waiting = self._store.notices.waiting
        return [replace(state, waiting=waiting(name)) for name, state in self._states.items()]

    async def _keep_telling(self, receiver: Receiver) -> None:
        after: int | None = None
        backoff = Backoff(_FIRST_WAIT, _LONGEST_WAIT)
        while True:
            seen = self._changes.matched.count
            try:
                if after is None:
                    after = await asyncio.to_thread(self._store.notices.begin, receiver.name)
                page = await asyncio.to_thread(self._store.matches.since, after, _TOGETHER)
                for record in page:
                    await receiver.deliver(self._id(record), self._document(record))
                    await asyncio.to_thread(self._store.notices.advance, receiver.name, record.event)
                    after = record.event
                    self._went_well(receiver)
                    backoff.reset()
            except Exception as error:
                # What waits is read again: by then a match may be over, or have another label.
                self._failed(receiver, _reason(error))
                await backoff.wait()
                continue
            if not page:
                await self._changes.matched.beyond(seen, _LOOK_AGAIN)

    def _went_well(self, receiver: Receiver) -> None:
        if self._states[receiver.name].failures:
            self._states[receiver.name] = Delivery(receiver.name)
            _LOG.info("notices are delivered again", receiver=receiver.name)

    def _failed(self, receiver: Receiver, reason: str) -> None:
        """Note a failure."""
        before = self._states[receiver.name]
        if not before.failures:
            _LOG.warning("notice not delivered", receiver=receiver.name, reason=reason)
        self._states[receiver.name] = replace(
            before,
            failures=before.failures + 1,
            failing_since=before.failing_since or self._clock(),
            last_error=reason,
        )

    def _id(self, record: MatchRecord) -> str:
        """Return what stays the same however often a notice is sent, and belongs to no other.

        A store that was put back from a backup may give a number again: the time tells the matches apart.
        """
        return f"{self._prefix}-{record.event}-{record.first_matched}"

    def _document(self, record: MatchRecord) -> bytes:
        match = FoundMatch.of(record)
        notice = {
            "type": "match.began",
            "lab": self._lab,
            "data": {"event": record.event, **match.as_object()},
        }
        return json.dumps(notice, ensure_ascii=False, separators=(",", ":")).encode()


def _reason(error: Exception) -> str:
    """Say why an attempt failed, in words that are ours."""
    match error:
        case NotDeliveredError():
            return str(error)
        case MandorlaError():
            return error.code.name
        case _:
            return type(error).__name__
