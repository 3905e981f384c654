"""The claims of an audit, and the findings against them (SPEC 17.2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .bundle import Bundle

MAX_FINDINGS: Final = 10_000
"""The most findings that a reader keeps of one file, so that a file of faults cannot fill the memory."""


class Claim(StrEnum):
    """The claims that an audit checks, with the texts of SPEC 17.2."""

    SEALED = "The file is whole, and is what the lab sealed."
    LOGGED = "The log is one tree, which the lab signed and its peers cosigned."
    DECLARED = "Every key and every table was in the log before a round used it."
    AGREED = "Both labs signed every round before it began."
    BOUNDED = "Every round stayed within what its header allows."
    PROVED = "Every evaluation used the key that the header names."
    RECORDED = "What the labs signed at the end is what was exchanged."
    BUDGETED = "No querier had more evaluations than its budget."
    TABLED = "No tag table was taken back or rewritten."
    KEYED = "Each key epoch has one key, ends before the next begins, and never comes back."
    TIMED = "Times are in order."
    CONSISTENT = "The labs' records do not contradict each other."


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: the broken claim, the name of the lab, the round (empty for none), and the fault."""

    claim: Claim
    lab: str
    round_id: bytes
    fault: str


@dataclass
class Conclusion:
    """The result of an audit: the bundles, and all findings against claims."""

    bundles: list[Bundle]
    findings: list[Finding]

    @property
    def holds(self) -> bool:
        """Whether all claims hold."""
        return not self.findings

    def of(self, claim: Claim) -> list[Finding]:
        """Return the findings against a claim."""
        return [finding for finding in self.findings if finding.claim is claim]
