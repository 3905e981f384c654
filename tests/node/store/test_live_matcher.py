"""Comparing while a round stands finds what comparing everything would, whatever comes in which order."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mandorla_node.crypto.vault import Vault, new_key
from mandorla_node.store import IndicatorSet, LabelledIndicator, Store, live_matcher
from mandorla_node.store.live_matcher import PrefixIndex
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.group import Element
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import SEALED_LABEL_SIZE, Label, Tag
from mandorla_protocol.table import Operation, TableCommitment, TableEntry, TableReader, parts_of

ME, PEER = LabId(bytes(32)), LabId(b"p" * 32)
ASKED = Epoch(PEER, ME, "infrastructure", 1)
# Two prefixes, and several tags behind each.
TAGS = [Tag(bytes([0]) * 7 + bytes([a]) + bytes(7) + bytes([b])) for a in (0, 255) for b in (0, 1, 255)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99)), max_size=12),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99)), max_size=12),
    st.integers(0, 6),
)
def test_an_index_finds_all_numbers_of_a_prefix_in_their_order(
    first: list[tuple[int, int]], later: list[tuple[int, int]], recent: int
) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(live_matcher, "_RECENT", recent)
    prefixes, numbers = ([row[place] for row in first] for place in (0, 1))
    index = PrefixIndex(np.array(prefixes, np.uint64), np.array(numbers, np.int64))
    for prefix, number in later:
        index.add(np.array([prefix], np.uint64), [number])
    patch.undo()
    assert len(index) == len(first) + len(later)
    expected = [[n for p, n in first + later if p == wanted] for wanted in range(7)]
    assert index.find(np.arange(7, dtype=np.uint64)) == expected


class Lab:
    """A querier with a peer's table, and a plain account of both."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder / "mandorla.db", Vault(new_key()), lambda: 1_800_000_000)
        self.peer_epoch = self.store.querier.begin(self.store.querier.look_up(ASKED, Element(bytes(32))))
        self.own: dict[int, Tag] = {}
        self.observed: set[int] = set()
        self.entries: list[TableEntry] = []

    def tag(self, tag: Tag, observed: bool) -> int:
        """Have an indicator that has a tag; return its id."""
        number = len(self.own) + 1
        row = LabelledIndicator(Indicator.parse("ipv4", f"198.18.0.{number}"), Label())
        target = IndicatorSet.OBSERVED if observed else IndicatorSet.FLAGGED
        self.store.indicators.add(target, [row], None)
        self.store.querier.store_tags(self.peer_epoch, [number], tag, tag * 2)
        self.own[number] = tag
        self.observed |= {number} if observed else set()
        return number

    def grow(self, operations: dict[Tag, Operation]) -> tuple[int, list[TableEntry]]:
        """Append a version to the peer's table, verified or as much as; return its leaf and entries."""
        version, leaf = self.peer_epoch.verified.version + 1, len(self.entries)
        entries = [
            TableEntry(
                version, what, tag, bytes([version]) * (SEALED_LABEL_SIZE if what is Operation.ADD else 0)
            )
            for tag, what in sorted(operations.items())
        ]
        self.entries += entries
        frontier = self.peer_epoch.frontier.extend(entry.leaf_hash() for entry in entries)
        committed = TableCommitment(version, len(self.entries), frontier.root)
        reader = TableReader.resume(self.peer_epoch.verified, self.peer_epoch.frontier, committed)
        self.store.querier.stage_entries(self.peer_epoch, leaf, parts_of(entries))
        self.accept(reader.accept(parts_of(entries)))
        return leaf, entries

    def accept(self, reader: TableReader) -> None:
        self.peer_epoch = self.store.querier.accept_table(self.peer_epoch, reader, True)

    def matching(self) -> dict[int, bytes]:
        """Return the observed indicators that match, with their operations, by a plain loop."""
        newest = {entry.tag: entry for entry in self.entries}
        return {
            number: newest[self.own[number]].sealed
            for number in self.observed
            if self.own[number] in newest and newest[self.own[number]].operation is Operation.ADD
        }


Step = tuple[Tag, bool] | dict[Tag, Operation]
"""An own indicator with a tag, observed or flagged only; or a version of the peer's table."""

VERSIONS = st.dictionaries(st.sampled_from(TAGS), st.sampled_from(Operation), min_size=1)
OWN = st.tuples(st.sampled_from(TAGS), st.booleans())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(VERSIONS, OWN), max_size=4),
    st.lists(st.one_of(VERSIONS, OWN), max_size=6),
)
def test_step_by_step_is_as_all_at_once(before: list[Step], after: list[Step]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="md-"))
    try:
        lab = Lab(folder)
        for step in before:
            lab.tag(*step) if isinstance(step, tuple) else lab.grow(step)
        lab.grow({TAGS[0]: Operation.REVOKE})
        found = lab.matching()
        index = lab.store.live_matcher(lab.peer_epoch)
        assert index.sizes == (len(lab.own), len(lab.entries))
        for step in after:
            if isinstance(step, tuple):
                number = lab.tag(*step)
                reader = TableReader.resume(
                    lab.peer_epoch.verified, lab.peer_epoch.frontier, lab.peer_epoch.verified
                )
                lab.accept(reader)
                new = index.add_own_indicators([number] if number in lab.observed else [])
            else:
                leaf, entries = lab.grow(step)
                new = index.add_entries(leaf, parts_of(entries))
            found |= {number: entry.sealed for number, _, entry in new.added}
            for number in new.revoked:
                found.pop(number, None)
            for number, key, entry in new.added:
                assert (key, entry.tag) == (lab.own[number] * 2, lab.own[number])
            # One that is flagged only is in the index once it is loaded anew, or observed.
            assert found.keys() <= lab.observed
            assert found == lab.matching()
        lab.store.close()
    finally:
        shutil.rmtree(folder)
