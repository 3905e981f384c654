"""The claims of SPEC 17.2, and the form of a vector with the claims that do not hold."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Final

from .example import BLINDED, A, B, Lab
from .inputs import Case, Value, good
from .recorder import File, Recorder, chunk, logged

SEALED: Final = "The file is whole, and is what the lab sealed."
LOGGED: Final = "The log is one tree, which the lab signed and its peers cosigned."
DECLARED: Final = "Every key and every table was in the log before a round used it."
AGREED: Final = "Both labs signed every round before it began."
BOUNDED: Final = "Every round stayed within what its header allows."
PROVED: Final = "Every evaluation used the key that the header names."
RECORDED: Final = "What the labs signed at the end is what was exchanged."
BUDGETED: Final = "No querier had more evaluations than its budget."
TABLED: Final = "No tag table was taken back or rewritten."
KEYED: Final = "Each key epoch has one key, ends before the next begins, and never comes back."
TIMED: Final = "Times are in order."
CONSISTENT: Final = "The labs' records do not contradict each other."


STEP: Final = 100


def _usual(lab: Lab) -> File:
    """Return a lab's usual file, which determines the numbers of parts in the lab's other files."""
    recorder = Recorder(lab)
    chunks = logged(chunk(BLINDED)) if lab is B else [recorder.proposed()]
    end = (*chunks, recorder.aborted(), recorder.ended())
    return recorder.file(*recorder.before(), recorder.agreed(), *end)


USUAL: Final = [list(_usual(lab).values()) for lab in (B, A)]


def _numbered(file: File) -> File:
    """Return a file's parts by number: the usual file's numbers for equal parts, numbers between for others.

    So a case that differs from another in one part is a small JSON Merge Patch.
    """
    parts = list(file.values())
    matchers = [SequenceMatcher(None, usual, parts, autojunk=False) for usual in USUAL]
    nearest = max(matchers, key=SequenceMatcher.ratio)
    numbers = [0] * len(parts)
    for _, start, stop, first, end in nearest.get_opcodes():
        for place in range(first, end):
            beyond = place - first - (stop - start)
            numbers[place] = STEP * (stop + 1 + beyond) if beyond < 0 else STEP * stop + beyond + 1
    return {str(number): part for number, part in zip(numbers, parts, strict=True)}


def given(files: list[File]) -> Value:
    """Return the input of files that are verified together."""
    return {"files": {f"file-{place}": _numbered(file) for place, file in enumerate(files, 1)}}


def claims_case(name: str, files: list[File], *broken: str) -> Case:
    """Return the vector of files, and of the claims that do not hold, in the order of SPEC 17.2."""
    return good(name, "verify-bundles", given(files), {"broken": list(broken)})
