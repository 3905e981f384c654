"""The demo's account of itself: who has what, what was found, and what nobody learnt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.table import Table

from mandorla_protocol.engine.loader import load_engine

from ..terminal import count, duration, indented, pairs, safe, size, table, write_json
from .lists import TYPE, Lab
from .play import SHARED, WATCH, Finding, Result, Round
from .stage import Stage

_EXAMPLES: Final = 3


def introduce(stage: Stage, labs: Sequence[Lab], quick: bool) -> None:
    """Tell what is about to happen."""
    stage.say("Mandorla: three labs find the attackers that they share", style="bold")
    stage.say(
        "\nEach lab keeps its own list of throw-away mail domains, with which attackers open accounts, and "
        "may show it to nobody. Which domains are on more than one list? Three nodes find out, and the labs "
        "learn nothing else: no list leaves its lab, nor a hash that a dictionary could undo.\n"
    )
    rows = table(
        "lab", "flagged", "its list (a PyPI package)", "merely seen", right=("flagged", "merely seen")
    )
    for lab in labs:
        seen = count(len(lab.observed)) if lab.observed else ""
        source = f"{lab.package} {lab.version}"
        rows.add_row(safe(lab.name, "bold"), count(len(lab.flagged)), safe(source), seen)
    stage.say(indented(rows))
    engine = load_engine("auto").name
    if quick:
        stage.say("\n  Only one in ten of each list's domains is used (--quick).", style="dim")
    elif engine == "portable":
        stage.say(
            "\n  The portable engine takes minutes for this; --quick uses a tenth of each list.", style="dim"
        )
    stage.say()


def tell(stage: Stage, labs: Sequence[Lab], result: Result, seconds: float, kept: Path | None) -> None:
    """Tell what happened."""
    _tell_shared(stage, result)
    _tell_watch(stage, result)
    _tell_learnt(stage, labs, result)
    _tell_check(stage, result)
    stage.say(
        f"\n{duration(seconds)} in all, on the {result.engine} engine. The nodes are stopped, "
        + ("and their homes and logs kept:" if kept else "their keys and stores deleted.")
    )
    if kept:
        stage.say(f"  mandorla matches --home {kept / labs[0].name}")
    stage.say("A node of your own begins with: mandorla init HOME --lab NAME", style="dim")


def _tell_shared(stage: Stage, result: Result) -> None:
    stage.say("\nFlagged by both", style="bold")
    rows = _rounds_table("in both")
    examples = _examples_table()
    for one in _of_kind(result, SHARED):
        of = f"of {count(result.flagged[one.initiator])} and {count(result.flagged[one.responder])}"
        _add_round(rows, one, of)
        _add_examples(examples, result.finding(one.initiator, one.responder, SHARED))
    stage.say(indented(rows))
    stage.say(indented(examples))
    stage.say(indented(safe("time, sent and received are those of the lab named first", "dim")))


def _tell_watch(stage: Stage, result: Result) -> None:
    stage.say("\nSeen by one, flagged by the other: a warning before the harm", style="bold")
    rows = _rounds_table("warned")
    examples = _examples_table()
    for one in _of_kind(result, WATCH):
        of = f"of {count(result.observed[one.initiator])} that {one.initiator} saw"
        _add_round(rows, one, of)
        _add_examples(examples, result.finding(one.initiator, one.responder, WATCH))
    stage.say(indented(rows))
    stage.say(indented(examples))


def _tell_learnt(stage: Stage, labs: Sequence[Lab], result: Result) -> None:
    stage.say("\nWhat each lab learnt of the others, and what it did not", style="bold")
    numbers = ("flagged too", "warned", "not learnt", "size, at most")
    rows = table("lab", "of", *numbers, right=numbers)
    for lab in labs:
        for peer in (other for other in labs if other is not lab):
            common = len(result.finding(lab.name, peer.name, SHARED).found)
            known = result.finding(lab.name, peer.name, WATCH).found
            known |= result.finding(lab.name, peer.name, SHARED).found
            rows.add_row(
                safe(lab.name, "bold"),
                safe(peer.name),
                count(common),
                count(len(known) - common) if len(known) > common else "",
                count(result.flagged[peer.name] - len(known)),
                count(_largest_question(result, peer.name, lab.name)),
            )
    stage.say(indented(rows))
    legend = pairs()
    legend.add_row(
        "flagged too", "its own domains that the other flagged, and how severe that lab says each is"
    )
    legend.add_row("warned", "the same, of domains that it merely saw; the other learns a padded count")
    legend.add_row("not learnt", "the rest of the other's list; each guess costs one of a limited number")
    legend.add_row("size, at most", "the other's list, padded: only a class of sizes shows")
    stage.say(indented(legend))


def _of_kind(result: Result, kind: str) -> list[Round]:
    return [one for one in result.rounds if one.kind == kind]


def _largest_question(result: Result, asker: str, answerer: str) -> int:
    """Return how many evaluations a lab had from another in the shared round, padding included."""
    for one in _of_kind(result, SHARED):
        if (one.initiator, one.responder) == (asker, answerer):
            return one.result.evaluated_by_peer
        if (one.initiator, one.responder) == (answerer, asker):
            return one.result.evaluated_for_peer
    raise ValueError("the labs ran no shared round")


def _tell_check(stage: Stage, result: Result) -> None:
    wrong = [finding for finding in result.findings if not finding.agrees]
    stage.say("\nIs it true?", style="bold")
    if not wrong:
        domains = sum(len(finding.expected) for finding in result.findings)
        said = (
            f"Yes. The lists were also intersected in the clear, since here they are all at hand: all "
            f"{len(result.findings)} results are the same, {count(domains)} matches, to the domain."
        )
        stage.say(indented(safe(said, "green")))
    for finding in wrong:
        said = f"{count(len(finding.expected - finding.found))} missing, "
        said += f"{count(len(finding.found - finding.expected))} too many"
        line = safe(f"No. {finding.lab} with {finding.peer}, {finding.kind}: {said}.", "red")
        stage.say(indented(line))


def _rounds_table(found: str) -> Table:
    numbers = (found, "time", "sent", "received")
    return table("labs", found, "", *numbers[1:], right=numbers)


def _add_round(rows: Table, one: Round, of: str) -> None:
    result = one.result
    rows.add_row(
        safe(f"{one.initiator}, {one.responder}"),
        safe(count(result.matches), "bold"),
        safe(of, "dim"),
        duration(result.seconds),
        size(result.bytes_sent),
        size(result.bytes_received),
    )


def _examples_table() -> Table:
    """Return a table for a few of the values: both sides hold them."""
    rows = Table.grid(padding=(0, 1))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(style="dim", no_wrap=True, overflow="ellipsis")
    return rows


def _add_examples(rows: Table, finding: Finding) -> None:
    values = sorted(finding.found, key=lambda value: (len(value), value))
    middle = len(values) // 2
    if values:
        chosen = ", ".join(values[middle : middle + _EXAMPLES])
        rows.add_row(f"such as {finding.lab}, {finding.peer}:", safe(chosen))


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
                    "flagged": result.flagged[lab.name],
                    "observed": result.observed[lab.name],
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
