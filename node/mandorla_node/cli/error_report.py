"""Errors as the operator sees them: the code, the cause, and the next step."""

from __future__ import annotations

from typing import Final

from mandorla_protocol.errors import Code, MandorlaError

from ..terminal import console, indented, safe

ADVICE: Final = {
    Code.BAD_INPUT: "`mandorla COMMAND --help` shows what each option takes.",
    Code.BAD_INDICATOR: "Check the value against the type; `mandorla check TYPE VALUE` takes one type.",
    Code.UNKNOWN_TYPE: "Name a type of the registry (SPEC A.1).",
    Code.BAD_FILE: "Check the path, and that the file is what the command reads.",
    Code.BAD_ROWS: "Nothing was stored. Correct the rows, or leave out --strict to ingest the others.",
    Code.BAD_HOME: "`mandorla doctor --home HOME` checks a home.",
    Code.BAD_CONFIG: "Correct the file. `mandorla doctor --home HOME` checks a node's mandorla.toml.",
    Code.BAD_CARD: "Ask the peer for its card again: `mandorla card --home HOME`.",
    Code.UNKNOWN_PEER: "`mandorla peer list` names the pinned peers; `mandorla peer add CARD` pins one.",
    Code.NODE_NOT_RUNNING: "Start it with `mandorla serve --home HOME`.",
    Code.MESSAGE_TOO_LARGE: "Send a smaller request.",
    Code.BAD_PROOF: "The peer's answers do not follow from its key. Inform the peer.",
    Code.HEADER_EXPIRED: "Compare this machine's clock with the peer's.",
    Code.PROFILE_MISMATCH: "Agree with the peer on a version of mandorla, and install its packages.",
    Code.TABLE_MISMATCH: "The peer withdrew entries of its table, or restored an old store. Ask the peer.",
    Code.BUDGET_EXCEEDED: "Wait for the next key epoch, or ask the peer to raise this lab's budget.",
    Code.CAP_EXCEEDED: "Ask the peer to raise its cap for a round.",
    Code.EPOCH_RETIRED: "Start the round again.",
    Code.NOT_READY: "Try again later.",
    Code.POLICY_REFUSED: "Ask the peer which kinds and collections it agrees to.",
    Code.NOT_PINNED: "Both labs must pin each other's current card: `mandorla peer add CARD`.",
    Code.CARD_REFUSED: "Give the peer this lab's card: `mandorla card --home HOME`.",
    Code.BAD_TRANSPORT: "Something between the labs poses as the peer. Compare the cards out of band.",
    Code.DEADLINE: "Try again. If the error persists, ask the peer whether its node works.",
    Code.PEER_UNAVAILABLE: "Check that the peer's node runs and that its endpoint can be reached from here.",
    Code.RATE_LIMITED: "Try again later.",
    Code.VERSION_MISMATCH: "Agree with the peer on a version of mandorla.",
    Code.STORE_FAILED: "Check the free space and the permissions of the home.",
    Code.INTERNAL: "This is a fault of mandorla; please report it with the line above.",
    Code.CHECK_FAILED: "This is a fault of mandorla, or of the store; please report it.",
}
"""The operator's next step, for each code that has one."""


def show_error(error: MandorlaError) -> None:
    """Print an error to standard error: its diagnostics, wrapped and indented, and the advice."""
    out = console(stderr=True)
    code, _, explanation = error.diagnostics().partition(": ")
    out.print(safe(code), style="bold red")
    lines = [explanation]
    if error.detail:
        lines = [explanation.removesuffix(error.detail).strip(), error.detail]
    for line in "\n".join(lines).split("\n"):
        out.print(indented(safe(line)))
    if advice := ADVICE.get(error.code):
        out.print(indented(safe(f"Next: {advice}", "dim")))
