"""Every command of `mandorla`, in the order of its help."""

from __future__ import annotations

from typing import Final

from .lazy_commands import CommandEntry

_COMMANDS: Final = "mandorla_node.cli.commands"
_START: Final = "Start"
_NODE: Final = "A node"
_RESULTS: Final = "What it found"

COMMANDS: Final = (
    CommandEntry(
        "demo",
        f"{_COMMANDS}.demo:demo",
        _START,
        "Watch three labs find the attackers that they share.",
    ),
    CommandEntry(
        "doctor",
        f"{_COMMANDS}.doctor:doctor",
        _START,
        "Check this installation, and a home if one is given.",
    ),
    CommandEntry(
        "init", f"{_COMMANDS}.init:init", _NODE, "Make a home: keys, card, configuration and store."
    ),
    CommandEntry("card", f"{_COMMANDS}.card:card", _NODE, "Write this lab's card, for peers to pin."),
    CommandEntry(
        "renew",
        f"{_COMMANDS}.card:renew",
        _NODE,
        "Issue a new certificate and a new card, and send the card to the peers.",
    ),
    CommandEntry(
        "rekey",
        f"{_COMMANDS}.rekey:rekey",
        _NODE,
        "Change the source of the key that seals this home's secrets, or change the passphrase.",
    ),
    CommandEntry("peer", f"{_COMMANDS}.peer:app", _NODE, "Pin, list, pause and unpin peers."),
    CommandEntry(
        "extract", f"{_COMMANDS}.extract:extract", _NODE, "Make indicators from request logs, for `ingest`."
    ),
    CommandEntry(
        "ingest",
        f"{_COMMANDS}.ingest:ingest",
        _NODE,
        "Take in a list: plain, CSV, JSON Lines, Parquet, a STIX 2.1 bundle or a MISP event.",
    ),
    CommandEntry("serve", f"{_COMMANDS}.serve:serve", _NODE, "Run the node until SIGTERM or Ctrl-C."),
    CommandEntry(
        "backup",
        f"{_COMMANDS}.backup:backup",
        _NODE,
        "Write the home into one file: store, configuration, cards and keys.",
    ),
    CommandEntry("restore", f"{_COMMANDS}.backup:restore", _NODE, "Make a home from a backup."),
    CommandEntry(
        "round", f"{_COMMANDS}.round:start", _NODE, "Run a round with a peer: find the indicators in common."
    ),
    CommandEntry(
        "matches",
        f"{_COMMANDS}.matches:matches",
        _RESULTS,
        "List the indicators of this lab that a peer flagged.",
    ),
    CommandEntry("check", f"{_COMMANDS}.check:check", _RESULTS, "Ask the running node about indicators."),
    CommandEntry(
        "status",
        f"{_COMMANDS}.status:status",
        _RESULTS,
        "Show the state of the node: peers, budgets, key epochs, backlog and rounds.",
    ),
    CommandEntry(
        "top",
        f"{_COMMANDS}.top:top",
        _RESULTS,
        "Watch the running node: peers, budgets, open rounds, load.",
    ),
    CommandEntry(
        "audit",
        f"{_COMMANDS}.audit:app",
        _RESULTS,
        "Record what this lab did for an auditor, or verify such records.",
    ),
)
