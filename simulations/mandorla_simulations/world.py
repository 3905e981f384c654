"""One run: attackers and labs act on each other, event by event, to the second.

Two runs of one seed differ only by what the labs share.
"""

from __future__ import annotations

from .account_lives import AccountLives
from .event_queue import Event
from .lab_responses import LabResponses
from .population import Population
from .run_record import RunRecord
from .run_state import ChannelFactory, RunState
from .scenario.model import Scenario


class World:
    """The attackers, labs and honest users of a run."""

    def __init__(
        self, scenario: Scenario, population: Population, seed: int, make_channel: ChannelFactory
    ) -> None:
        self._state = RunState(scenario, population, seed, make_channel)
        self._lives = AccountLives(self._state)
        self._labs = LabResponses(self._state, self._lives, seed)

    def run(self) -> RunRecord:
        """Run to the horizon of the scenario, and return what happened."""
        lives, labs = self._lives, self._labs
        lives.begin()
        labs.begin()
        self._state.queue.run(
            {
                Event.REPLACE: lives.replace,
                Event.OPEN: self._open,
                Event.NOTICE: lives.notice,
                Event.SUBSTITUTE: lives.substitute,
                Event.MOVE: lives.move,
                Event.FINISH: lives.finish_campaign,
                Event.RELEASE: lives.release,
                Event.LEASE: lives.lease,
                Event.DETECT: labs.detect,
                Event.CONVICT: labs.convict,
                Event.CONVICT_WRONGLY: labs.convict_wrongly,
                Event.REVIEW: labs.review,
                Event.BLOCK: labs.block,
                Event.HEAR: labs.hear,
                Event.ROUND: labs.round,
            }
        )
        lives.finish()
        return RunRecord(
            self._state.accounts,
            labs.flags,
            labs.matches,
            labs.blocks,
            [attacker.spent for attacker in self._state.attackers],
            labs.bystanders.blocked,
            labs.bystanders.ending,
            labs.bystanders.visits,
            self._state.channel.load,
        )

    def _open(self, now: int, campaign: int, slot: int, lab: int | None) -> None:
        account = self._lives.open(now, campaign, slot, lab)
        if account is not None:
            self._labs.await_detection(account, now)
