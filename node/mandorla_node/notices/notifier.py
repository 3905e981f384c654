"""The delivery of notices of new matches: each at least once, in order, with retries without end.

The store records the last match that each receiver acknowledged, so no notice is lost when the node crashes
or a receiver is away. If the node dies just after an acknowledgement, the receiver gets that notice again.
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

_PAGE: Final = 64
_POLL_INTERVAL: Final = 30.0
"""Seconds after which the store is read even without a signal."""

_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 300.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """The state of one receiver: waiting notices, and the failed attempts since the last success.

    `failing_since` is the Unix time of the first of these failures, 0 without one.
    """

    receiver: str
    waiting: int = 0
    failures: int = 0
    failing_since: int = 0
    last_error: str = ""


class Notifier:
    """Deliver a notice of each new match to each receiver."""

    def __init__(self, home: Home, store: Store, changes: ChangeFeed, clock: Clock) -> None:
        """Construct the configured receivers; raises NodeError(BAD_CONFIG) if one cannot be used."""
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
        self._states = {receiver.name: Delivery(receiver.name) for receiver in self._receivers}

    async def run(self) -> None:
        """Deliver notices until cancelled."""
        await asyncio.gather(*map(self._deliver_to, self._receivers))

    def deliveries(self) -> list[Delivery]:
        """Return the state of each receiver; raises NodeError(STORE_FAILED)."""
        waiting = self._store.notices.waiting
        return [replace(state, waiting=waiting(name)) for name, state in self._states.items()]

    async def _deliver_to(self, receiver: Receiver) -> None:
        after: int | None = None
        backoff = Backoff(_FIRST_WAIT, _LONGEST_WAIT)
        while True:
            seen = self._changes.matched.count
            try:
                if after is None:
                    after = await asyncio.to_thread(self._store.notices.begin, receiver.name)
                page = await asyncio.to_thread(self._store.matches.since, after, _PAGE)
                for record in page:
                    await receiver.deliver(self._id(record), self._document(record))
                    await asyncio.to_thread(self._store.notices.advance, receiver.name, record.event)
                    after = record.event
                    self._record_success(receiver)
                    backoff.reset()
            except Exception as error:
                # Read the page again: until the retry, a match may end or get another label.
                self._record_failure(receiver, _reason(error))
                await backoff.wait()
                continue
            if not page:
                await self._changes.matched.wait_beyond(seen, _POLL_INTERVAL)

    def _record_success(self, receiver: Receiver) -> None:
        if self._states[receiver.name].failures:
            self._states[receiver.name] = Delivery(receiver.name)
            _LOG.info("notices are delivered again", receiver=receiver.name)

    def _record_failure(self, receiver: Receiver, reason: str) -> None:
        """Record a failed attempt."""
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
        """Return the id of a notice: the same for each attempt, and unique.

        A restored store may reuse event numbers, so the id also has the time of the match.
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
    """Return the reason of a failure, without text from outside the node."""
    match error:
        case NotDeliveredError():
            return str(error)
        case MandorlaError():
            return error.code.name
        case _:
            return type(error).__name__
