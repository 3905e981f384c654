"""The demo's account of itself: who has what, what was found, and what nobody learnt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.padding import Padding
from rich.table import Table

from ..cli.output import count, duration, safe, size, table, write_json
from .lists import TYPE, Lab
from .play import SHARED, WATCH, Finding, Result, Round
from .stage import Stage

_EXAMPLES: Final = 3


def introduce(stage: Stage, labs: Sequence[Lab]) -> None:
    """Tell what is about to happen."""
    stage.say("Mandorla: three labs find the attackers that they share", style="bold")
    stage.say(
        "\nEach lab keeps its own list of throw-away mail domains, which attackers sign up with, and may "
        "show it to nobody. What do the lists have in common? Three nodes find out, and the labs learn "
        "nothing else: not a domain that only one of them has ever leaves its lab, not even hashed.\n"
    )
    rows = table("lab", "flagged", "its list (from PyPI)", "merely seen", right=("flagged", "merely seen"))
    for lab in labs:
        seen = count(len(lab.observed)) if lab.observed else ""
        rows.add_row(
            safe(lab.name, "bold"), count(len(lab.flagged)), safe(f"{lab.package} {lab.version}"), seen
        )
    stage.say(Padding(rows, (0, 0, 1, 2)))


def tell(stage: Stage, labs: Sequence[Lab], result: Result, seconds: float, kept: Path | None) -> None:
    """Tell what happened."""
    _tell_shared(stage, labs, result)
    _tell_watch(stage, labs, result)
    _tell_learnt(stage, labs, result)
    _tell_check(stage, result)
    stage.say(
        f"\n{duration(seconds)} in all, on the {result.engine} engine. The nodes are stopped, "
        + ("their homes and logs kept:" if kept else "their keys and stores deleted.")
    )
    if kept:
        stage.say(f"  {kept}")
        stage.say(f"  mandorla matches --home {kept / labs[0].name}", style="dim")
    stage.say("Your own node begins with: mandorla init HOME --lab NAME", style="dim")


def _tell_shared(stage: Stage, labs: Sequence[Lab], result: Result) -> None:
    sizes = {lab.name: len(lab.flagged) for lab in labs}
    stage.say("\nFlagged by both", style="bold")
    rows = _rounds_table("in both")
    shared = [one for one in result.rounds if one.kind == SHARED]
    for one in shared:
        of = f"of {count(sizes[one.initiator])} and {count(sizes[one.responder])}"
        _add_round(rows, f"{one.initiator} - {one.responder}", one, of)
    stage.say(Padding(rows, (0, 0, 0, 2)))
    first = shared[-1]
    _tell_examples(stage, result.finding(first.initiator, first.responder, SHARED))


def _tell_watch(stage: Stage, labs: Sequence[Lab], result: Result) -> None:
    sizes = {lab.name: len(lab.observed) for lab in labs}
    stage.say("\nSeen by one, flagged by the other: a warning before the harm", style="bold")
    rows = _rounds_table("warned of")
    watches = [one for one in result.rounds if one.kind == WATCH]
    for one in watches:
        of = f"of {count(sizes[one.initiator])} that {one.initiator} saw"
        _add_round(rows, f"{one.initiator} < {one.responder}", one, of)
    stage.say(Padding(rows, (0, 0, 0, 2)))
    first = watches[0]
    _tell_examples(stage, result.finding(first.initiator, first.responder, WATCH))


def _tell_learnt(stage: Stage, labs: Sequence[Lab], result: Result) -> None:
    stage.say("\nWhat each lab learnt, and what it did not", style="bold")
    sizes = {lab.name: len(lab.flagged) for lab in labs}
    for lab in labs:
        lines = []
        for peer in (other for other in labs if other is not lab):
            shared = result.finding(lab.name, peer.name, SHARED)
            common, watched = len(shared.found), len(result.finding(lab.name, peer.name, WATCH).found)
            warned = f", and {count(watched)} of those that it saw" if watched else ""
            lines.append(
                f"{peer.name} flagged {count(common)} of {lab.name}'s own{warned}, and says how severe each is; "
                f"nothing of the other {count(sizes[peer.name] - common)}."
            )
            asked = _largest_question(result, peer.name, lab.name)
            lines.append(
                f"{peer.name} holds at most {count(asked)}: its questions were padded to that; "
                "which it asked about stays hidden."
            )
        stage.say(Padding(safe(lab.name, "bold"), (0, 0, 0, 2)))
        for line in lines:
            stage.say(Padding(safe(line), (0, 0, 0, 4)))


def _largest_question(result: Result, asker: str, answerer: str) -> int:
    """Return how many evaluations a lab had from another in the shared round, padding included."""
    for one in result.rounds:
        if one.kind == SHARED and (one.initiator, one.responder) == (asker, answerer):
            return one.result.evaluated_by_peer
        if one.kind == SHARED and (one.initiator, one.responder) == (answerer, asker):
            return one.result.evaluated_for_peer
    raise ValueError("the labs ran no shared round")


def _tell_check(stage: Stage, result: Result) -> None:
    wrong = [finding for finding in result.findings if not finding.agrees]
    stage.say("\nIs it true?", style="bold")
    if not wrong:
        domains = sum(len(finding.expected) for finding in result.findings)
        stage.say(
            Padding(
                safe(
                    f"Yes. The lists were also intersected in the clear, here, where all are at hand: all "
                    f"{len(result.findings)} results are the same, {count(domains)} matches, to the domain.",
                    "green",
                ),
                (0, 0, 0, 2),
            )
        )
    for finding in wrong:
        missing, extra = finding.expected - finding.found, finding.found - finding.expected
        said = f"No. {finding.lab} with {finding.peer}, {finding.kind}: {count(len(missing))} missing, {count(len(extra))} too many."
        stage.say(Padding(safe(said, "red"), (0, 0, 0, 2)))


def _rounds_table(found: str) -> Table:
    numbers = (found, "time", "sent", "received")
    return table("labs", found, "", *numbers[1:], right=numbers)


def _add_round(rows: Table, labs: str, one: Round, of: str) -> None:
    result = one.result
    rows.add_row(
        safe(labs),
        safe(count(result.matches), "bold"),
        safe(of, "dim"),
        duration(result.seconds),
        size(result.bytes_sent),
        size(result.bytes_received),
    )


def _tell_examples(stage: Stage, finding: Finding) -> None:
    """Show a few of the values: both sides hold them."""
    values = sorted(finding.found, key=lambda value: (len(value), value))
    middle = len(values) // 2
    chosen = ", ".join(values[middle : middle + _EXAMPLES])
    if chosen:
        stage.say(
            Padding(safe(f"{finding.lab} - {finding.peer}, for instance: {chosen}", "dim"), (0, 0, 0, 2))
        )


def tell_program(labs: Sequence[Lab], result: Result, seconds: float) -> None:
    """Write the account as JSON."""
    write_json(
        {
            "type": TYPE,
            "engine": result.engine,
            "seconds": round(seconds, 3),
            "agrees": result.agrees,
            "labs": [
                {
                    "name": lab.name,
                    "package": lab.package,
                    "version": lab.version,
                    "flagged": len(lab.flagged),
                    "observed": len(lab.observed),
                }
                for lab in labs
            ],
            "rounds": [
                {
                    "initiator": one.initiator,
                    "responder": one.responder,
                    "kind": one.kind,
                    "round_id": one.result.round_id.hex(),
                    "outcome": one.result.outcome,
                    "matches": one.result.matches,
                    "evaluated_by_peer": one.result.evaluated_by_peer,
                    "evaluated_for_peer": one.result.evaluated_for_peer,
                    "bytes_sent": one.result.bytes_sent,
                    "bytes_received": one.result.bytes_received,
                    "seconds": round(one.result.seconds, 3),
                }
                for one in result.rounds
            ],
            "findings": [
                {
                    "lab": finding.lab,
                    "peer": finding.peer,
                    "kind": finding.kind,
                    "found": len(finding.found),
                    "expected": len(finding.expected),
                    "agrees": finding.agrees,
                }
                for finding in result.findings
            ],
        }
    )
