"""Rounds as the operator sees them: their progress, and their outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mandorla.v1 import operator_pb2
from mandorla_protocol.errors import Code

from ...terminal import console, count, duration, indented, interactive, plural, safe, size, table
from ..error_report import ADVICE
from ..options import RoundKindOption

_STYLES = {"committed": "green", "unconfirmed": "yellow"}


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    """The end of a round; a round that could not start has no result."""

    peer: str
    kind: RoundKindOption
    collection: str
    result: operator_pb2.RoundResult | None
    code: str

    def as_object(self) -> dict[str, str | int | float | None]:
        """Return the fields of JSON output."""
        fields: dict[str, str | int | float | None] = {
            "peer": self.peer,
            "kind": self.kind.value,
            "collection": self.collection,
            "outcome": self.result.outcome if self.result else "failed",
            "code": self.code or None,
        }
        if self.result:
            fields |= {
                "round_id": self.result.round_id.hex(),
                "matches": self.result.matches,
                "new_matches": self.result.new_matches,
                "evaluated_by_peer": self.result.evaluated_by_peer,
                "evaluated_for_peer": self.result.evaluated_for_peer,
                "table_entries": self.result.table_entries,
                "bytes_sent": self.result.bytes_sent,
                "bytes_received": self.result.bytes_received,
                "seconds": round(self.result.seconds, 3),
                "bad_labels": self.result.bad_labels,
            }
        return fields


class RoundDisplay:
    """The progress of rounds on standard error: a bar on a terminal, a line per step elsewhere."""

    def __init__(self) -> None:
        self._console = console(stderr=True)
        self._progress = (
            Progress(
                TextColumn("{task.fields[peer]}", style="bold"),
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )
            if interactive()
            else None
        )
        self._task = TaskID(0)
        self._peer = ""
        self._step = ""

    def __enter__(self) -> Self:
        """Start to draw."""
        if self._progress:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the drawing."""
        if self._progress:
            self._progress.stop()

    def begin(self, peer: str) -> None:
        """Show the round with a peer from now on."""
        self._peer, self._step = peer, ""
        if self._progress:
            for task in self._progress.task_ids:
                self._progress.remove_task(task)
            self._task = self._progress.add_task("starting", total=None, peer=peer)

    def show(self, progress: operator_pb2.RoundProgress) -> None:
        """Show the round's progress."""
        if self._progress:
            self._progress.update(
                self._task,
                description=f"{progress.step:10}",
                completed=progress.done,
                total=progress.total or None,
            )
        elif progress.step != self._step and progress.step:
            self._console.print(safe(f"{self._peer}: {progress.step}"), style="dim")
        self._step = progress.step


def print_outcomes(outcomes: Sequence[RoundOutcome], kind: RoundKindOption, collection: str) -> None:
    """Print the rounds' matches and costs."""
    out = console()
    numbers = ("matches", "new", "asked", "answered", "sent", "received", "time")
    rows = table("peer", "outcome", *numbers, right=numbers)
    for outcome in outcomes:
        result = outcome.result
        if result is None:
            rows.add_row(safe(outcome.peer, "bold"), safe("failed", "red"), *[""] * len(numbers))
            continue
        rows.add_row(
            safe(outcome.peer, "bold"),
            safe(result.outcome, _STYLES.get(result.outcome, "red")),
            safe(count(result.matches), "bold"),
            count(result.new_matches),
            count(result.evaluated_by_peer),
            count(result.evaluated_for_peer),
            size(result.bytes_sent),
            size(result.bytes_received),
            duration(result.seconds),
        )
    out.print(safe(f"{kind.value} round over {collection}", "bold"))
    out.print(rows)
    for outcome in outcomes:
        if outcome.code:
            out.print(safe(f"{outcome.peer}: {outcome.code}. {Code[outcome.code].info.message}", "red"))
            if advice := ADVICE.get(Code[outcome.code]):
                out.print(indented(safe(f"Next: {advice}", "dim")))
        if outcome.result and outcome.result.bad_labels:
            bad = plural(outcome.result.bad_labels, "label")
            out.print(
                safe(f"{outcome.peer}: {bad} could not be opened; their matches were left out.", "yellow")
            )
    out.print(
        "asked and answered count evaluations, padded: neither lab learns how many indicators the other has.",
        style="dim",
    )
