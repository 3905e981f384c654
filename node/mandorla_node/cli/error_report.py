"""Failures as the operator sees them: the code, what happened, and what to do next."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePath
from typing import Final

from mandorla_protocol.errors import Code, MandorlaError, NodeError

ADVICE: Final = {
    Code.BAD_INPUT: "`mandorla COMMAND --help` shows what each option takes.",
    Code.BAD_INDICATOR: "Check the value against the type; `mandorla check TYPE VALUE` takes one type.",
    Code.UNKNOWN_TYPE: "Name a type of the registry (SPEC A.1).",
    Code.BAD_FILE: "Check the path, and that the file is what the command reads.",
    Code.BAD_ROWS: "Nothing was stored. Mend the rows, or leave out --strict to take the others.",
    Code.BAD_HOME: "`mandorla doctor --home HOME` looks a home over.",
    Code.BAD_CONFIG: "Mend the file; a node's is mandorla.toml, and `mandorla doctor --home HOME` checks it.",
    Code.BAD_CARD: "Ask the peer for its card again: `mandorla card --home HOME`.",
    Code.UNKNOWN_PEER: "`mandorla peer list` names the pinned peers; `mandorla peer add CARD` pins one.",
    Code.NODE_NOT_RUNNING: "Start it with `mandorla serve --home HOME`.",
    Code.MESSAGE_TOO_LARGE: "Ask for less at once.",
    Code.BAD_PROOF: "The peer's answers are not what its key gives. Tell the peer.",
    Code.HEADER_EXPIRED: "Compare this machine's clock with the peer's.",
    Code.PROFILE_MISMATCH: "Agree with the peer on a version of mandorla, and install what it asks for.",
    Code.TABLE_MISMATCH: "The peer took back what it published, or restored an old store. Ask the peer.",
    Code.BUDGET_EXCEEDED: "Wait for the next key epoch, or ask the peer to raise this lab's budget.",
    Code.CAP_EXCEEDED: "Ask the peer to raise its cap for a round.",
    Code.EPOCH_RETIRED: "Ask for the round again.",
    Code.NOT_READY: "Ask again in a while.",
    Code.POLICY_REFUSED: "Ask the peer which kinds and collections it agrees to.",
    Code.NOT_PINNED: "Both labs must pin each other's current card: `mandorla peer add CARD`.",
    Code.CARD_REFUSED: "Give the peer this lab's card: `mandorla card --home HOME`.",
    Code.BAD_TRANSPORT: "Something between the labs speaks for the peer. Compare the cards out of band.",
    Code.DEADLINE: "Ask again; if it lasts, ask the peer whether its node is well.",
    Code.PEER_UNAVAILABLE: "Check that the peer's node runs and that its endpoint can be reached from here.",
    Code.RATE_LIMITED: "Ask again in a while.",
    Code.VERSION_MISMATCH: "Agree with the peer on a version of mandorla.",
    Code.STORE_FAILED: "Check free space and permissions of the home.",
    Code.INTERNAL: "This is a fault of mandorla; please report it with the line above.",
    Code.CHECK_FAILED: "This is a fault of mandorla, or of the store; please report it.",
}
"""What an operator can do next, for the codes where there is something to do."""


@contextmanager
def reported() -> Iterator[None]:
    """Print what goes wrong inside, and exit with its status."""
    try:
        yield
    except MandorlaError as error:
        show(error)
        sys.exit(error.code.info.exit_status)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        # Whoever read our output has had enough; the interpreter must not try to flush the rest.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        # The exception's own text may quote an indicator: where it arose is all that is shown.
        show(NodeError(Code.INTERNAL, _origin(error)))
        sys.exit(Code.INTERNAL.info.exit_status)


def show(error: MandorlaError) -> None:
    """Print an error to standard error: its diagnostics, wrapped and indented, and the advice."""
    from ..terminal import console, indented, safe

    out = console(stderr=True)
    code, _, explanation = error.diagnostics().partition(": ")
    out.print(safe(code), style="bold red")
    lines = [explanation]
    if error.detail:
        lines = [explanation.removesuffix(error.detail).strip(), error.detail]
    for said in "\n".join(lines).split("\n"):
        out.print(indented(safe(said)))
    if advice := ADVICE.get(error.code):
        out.print(indented(safe(f"Next: {advice}", "dim")))


def _origin(error: BaseException) -> str:
    trace = error.__traceback__
    where = "?"
    while trace is not None:
        code = trace.tb_frame.f_code
        where = f"{PurePath(code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} in {where}"
