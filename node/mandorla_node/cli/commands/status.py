"""`mandorla status`."""

from __future__ import annotations

from mandorla_protocol.errors import Code

from ..help import manual
from ..help import status as exit_status
from ..lazy_commands import handled_by
from ..options import HomeOption, JsonOption


@handled_by("mandorla_node.cli.handlers.status:status")
@manual(
    ("As tables:", "mandorla status"),
    ("For a program:", "mandorla status --json"),
    exit_status=(exit_status(Code.NODE_NOT_RUNNING, "the output shows what the store holds."),),
    see="`mandorla top`, `mandorla doctor`; docs/observing.md, for metrics and health checks",
)
def status(home: HomeOption, as_json: JsonOption = False) -> None:
    """Show the state of the node: peers, budgets, key epochs, backlog and rounds.

    If the node does not run, the command shows what the store holds, and fails with NODE_NOT_RUNNING.
    """
