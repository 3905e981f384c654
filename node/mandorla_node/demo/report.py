"""The report of the demo: the labs' lists, their matches, and what they did not learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.table import Table

from mandorla_protocol.engine.loader import load_engine

from ..terminal import count, duration, indented, pairs, safe, size, table, write_json
from .display import Display
from .lists import TYPE, Lab
from .steps import SHARED, WATCH, Finding, Result, Round

_EXAMPLES: Final = 3


def introduce(display: Display, labs: Sequence[Lab], quick: bool) -> None:
    """Print what the demo will do."""
    display.print("Mandorla: three labs find the attackers that they share", style="bold")
    display.print(
        "\nAttackers open accounts with disposable mail domains. Each lab has its own list of such domains, "
        "and must not show it to anybody. Three nodes find the domains that are on more than one list, and "
        "the labs learn nothing else. No list leaves its lab, and no hash that a dictionary could reverse.\n"
    )
    rows = table("lab", "flagged", "its list (a PyPI package)", "only seen", right=("flagged", "only seen"))
    for lab in labs:
        seen = count(len(lab.observed)) if lab.observed else ""
        source = f"{lab.package} {lab.version}"
        rows.add_row(safe(lab.name, "bold"), count(len(lab.flagged)), safe(source), seen)
    display.print(indented(rows))
    engine = load_engine("auto").name
    if quick:
        display.print("\n  The demo uses one in ten domains of each list (--quick).", style="dim")
    elif engine == "portable":
        display.print(
            "\n  The portable engine takes minutes for these lists; --quick uses a tenth of each.",
            style="dim",
        )
    display.print()


def print_report(
    display: Display, labs: Sequence[Lab], result: Result, seconds: float, kept: Path | None
) -> None:
    """Print the results."""
    _print_shared(display, result)
    _print_watch(display, result)
    _print_knowledge(display, labs, result)
    _print_check(display, result)
    display.print(
        f"\n{duration(seconds)} in all, on the {result.engine} engine. The nodes are stopped, "
        + ("and their homes and logs kept:" if kept else "and their keys and stores deleted.")
    )
    if kept:
        display.print(f"  mandorla matches --home {kept / labs[0].name}")
    display.print("To start a node of your own: mandorla init HOME --lab NAME", style="dim")


def _print_shared(display: Display, result: Result) -> None:
    display.print("\nFlagged by both labs", style="bold")
    rows = _rounds_table("in both")
    examples = _examples_table()
    for round_ in _of_kind(result, SHARED):
        of = f"of {count(result.flagged[round_.initiator])} and {count(result.flagged[round_.responder])}"
        _add_round(rows, round_, of)
        _add_examples(examples, result.finding(round_.initiator, round_.responder, SHARED))
    display.print(indented(rows))
    display.print(indented(examples))
    display.print(
        indented(safe("time, sent and received: as measured by the lab that is named first", "dim"))
    )


def _print_watch(display: Display, result: Result) -> None:
    display.print("\nSeen by one lab, flagged by the other: a warning before the harm", style="bold")
    rows = _rounds_table("warned")
    examples = _examples_table()
    for round_ in _of_kind(result, WATCH):
        of = f"of {count(result.observed[round_.initiator])} that {round_.initiator} saw"
        _add_round(rows, round_, of)
        _add_examples(examples, result.finding(round_.initiator, round_.responder, WATCH))
    display.print(indented(rows))
    display.print(indented(examples))


def _print_knowledge(display: Display, labs: Sequence[Lab], result: Result) -> None:
    display.print("\nWhat each lab learnt about the others, and what it did not learn", style="bold")
    numbers = ("flagged too", "warned", "not learnt", "size, at most")
    rows = table("lab", "about", *numbers, right=numbers)
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
    display.print(indented(rows))
    legend = pairs()
    legend.add_row(
        "flagged too", "its own flagged domains that the other flagged, with the other's severity for each"
    )
    legend.add_row(
        "warned", "domains that it only saw and the other flagged; the other learns a padded count"
    )
    legend.add_row(
        "not learnt", "the rest of the other's list; each guess costs one evaluation of a limited budget"
    )
    legend.add_row("size, at most", "an upper bound for the other's list, which is padded")
    display.print(indented(legend))


def _of_kind(result: Result, kind: str) -> list[Round]:
    return [round_ for round_ in result.rounds if round_.kind == kind]


def _largest_question(result: Result, asker: str, answerer: str) -> int:
    """Return the number of evaluations that a lab asked of another in the shared round, padding included."""
    for round_ in _of_kind(result, SHARED):
        if (round_.initiator, round_.responder) == (asker, answerer):
            return round_.result.evaluated_by_peer
        if (round_.initiator, round_.responder) == (answerer, asker):
            return round_.result.evaluated_for_peer
    raise ValueError("the labs ran no shared round")


def _print_check(display: Display, result: Result) -> None:
    wrong = [finding for finding in result.findings if not finding.agrees]
    display.print("\nAre the results correct?", style="bold")
    if not wrong:
        domains = sum(len(finding.expected) for finding in result.findings)
        verdict = (
            f"Yes. The demo holds all lists, so it also intersected them in the clear: all "
            f"{len(result.findings)} results are the same, with {count(domains)} matches."
        )
        display.print(indented(safe(verdict, "green")))
    for finding in wrong:
        errors = f"{count(len(finding.expected - finding.found))} missing, "
        errors += f"{count(len(finding.found - finding.expected))} too many"
        line = safe(f"No. {finding.lab} with {finding.peer}, {finding.kind}: {errors}.", "red")
        display.print(indented(line))


def _rounds_table(found: str) -> Table:
    numbers = (found, "time", "sent", "received")
    return table("labs", found, "", *numbers[1:], right=numbers)


def _add_round(rows: Table, round_: Round, of: str) -> None:
    result = round_.result
    rows.add_row(
        safe(f"{round_.initiator}, {round_.responder}"),
        safe(count(result.matches), "bold"),
        safe(of, "dim"),
        duration(result.seconds),
        size(result.bytes_sent),
        size(result.bytes_received),
    )


def _examples_table() -> Table:
    """Return a table for examples of matches, which both labs hold."""
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


def write_json_report(labs: Sequence[Lab], result: Result, seconds: float) -> None:
    """Write the report as JSON."""
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
                    "initiator": round_.initiator,
                    "responder": round_.responder,
                    "kind": round_.kind,
                    "round_id": round_.result.round_id.hex(),
                    "outcome": round_.result.outcome,
                    "matches": round_.result.matches,
                    "evaluated_by_peer": round_.result.evaluated_by_peer,
                    "evaluated_for_peer": round_.result.evaluated_for_peer,
                    "bytes_sent": round_.result.bytes_sent,
                    "bytes_received": round_.result.bytes_received,
                    "seconds": round(round_.result.seconds, 3),
                }
                for round_ in result.rounds
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
