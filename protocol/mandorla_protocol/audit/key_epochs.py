"""Checks that a lab's rounds used the keys and tables that its log declared (SPEC 17.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..epochs import Epoch, LabId
from ..errors import MandorlaError
from ..header import RoundHeader
from ..log.entries import KeyEpochBegun, KeyEpochEnded, TableVersionPublished
from ..table import TableCommitment
from .findings import Claim


@dataclass
class _Held:
    begun: KeyEpochBegun
    tables: dict[TableCommitment, int] = field(default_factory=dict)
    latest: TableCommitment = field(default_factory=TableCommitment)
    charged: int = 0
    ended: bool = False


class KeyEpochLedger:
    """The key epochs whose holder is one lab, as its log declares them.

    Each method takes the next entry or header of the log, and yields its faults.
    """

    def __init__(self) -> None:
        self._held: dict[Epoch, _Held] = {}
        self._latest: dict[tuple[LabId, str], Epoch] = {}

    def begin(self, lab: LabId, entry: KeyEpochBegun) -> Iterator[tuple[Claim, str]]:
        """Add a key epoch that began."""
        epoch, line = entry.epoch, (entry.epoch.querier, entry.epoch.collection)
        if epoch.holder != lab:
            yield Claim.KEYED, "a key epoch in the log belongs to another holder"
            return
        before = self._latest.get(line)
        if before is not None and epoch.number <= before.number:
            yield Claim.KEYED, f"epoch {epoch.number} comes after epoch {before.number}"
            return
        if before is not None and not self._held[before].ended:
            yield Claim.KEYED, f"epoch {epoch.number} begins before epoch {before.number} ended"
        if not entry.at < entry.expires:
            yield Claim.TIMED, f"epoch {epoch.number} ends before it begins"
        self._held[epoch] = _Held(entry)
        self._latest[line] = epoch

    def end(self, entry: KeyEpochEnded) -> Iterator[tuple[Claim, str]]:
        """Mark a key epoch as ended."""
        held = self._held.get(entry.epoch)
        if held is None or held.ended:
            yield Claim.KEYED, "the log ends an epoch that it did not begin"
        else:
            held.ended = True

    def publish(self, position: int, entry: TableVersionPublished) -> Iterator[tuple[Claim, str]]:
        """Add a table version, which is the log's entry at index `position`."""
        held = self._held.get(entry.epoch)
        if held is None or held.ended:
            yield Claim.DECLARED, "a table version belongs to no open epoch"
            return
        table = TableCommitment(entry.version, entry.size, entry.root)
        try:
            table.require_extends(held.latest)
        except MandorlaError as error:
            yield Claim.TABLED, error.detail
        held.latest = table
        held.tables.setdefault(table, position)

    def agree(self, lab: LabId, header: RoundHeader) -> Iterator[tuple[Claim, str]]:
        """Compare this lab's offer in an agreed header with the log."""
        offer, epoch = header.party(lab).offer, header.epoch(lab)
        held = self._held.get(epoch)
        if held is None:
            yield Claim.DECLARED, f"epoch {epoch.number} was offered before it was in the log"
            return
        if offer.public_key != held.begun.public_key:
            yield Claim.KEYED, f"epoch {epoch.number} was offered with another key than the log has"
        if offer.budget != held.begun.budget:
            yield Claim.BUDGETED, "the header names another budget than the log"
        if offer.table not in held.tables:
            yield Claim.DECLARED, "the header names a table before it was in the log"

    def declared_at(self, lab: LabId, header: RoundHeader) -> int | None:
        """Return the index of the log's entry with the table that a header offers; None if there is none."""
        held = self._held.get(header.epoch(lab))
        return None if held is None else held.tables.get(header.party(lab).offer.table)

    def charge(self, lab: LabId, header: RoundHeader, count: int) -> Iterator[tuple[Claim, str]]:
        """Charge evaluations to the key epoch of a header."""
        epoch = header.epoch(lab)
        held = self._held.get(epoch)
        if held is None:
            return
        if held.ended:
            yield Claim.KEYED, f"epoch {epoch.number} was used after its end"
        held.charged += count
        if held.charged > held.begun.budget:
            over = f"{held.charged} evaluations are over the budget of {held.begun.budget}"
            yield Claim.BUDGETED, over
