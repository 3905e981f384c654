"""An extraction, from logs to a file of indicators."""

from __future__ import annotations

import math
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from mandorla_protocol.errors import Code, InputError, NodeError

from ..core.worker_pools import WorkerPool
from . import accounts, prompts, texts, writer
from .log_map import LogMap
from .log_reader import MAX_REPORTED, Piece, find_pieces
from .parts import GROUPS, Row, merge
from .plan import BEHAVIOUR, PROMPT_TYPES, SEQUENCE, TEMPLATE, TEXT_TYPES, Plan
from .splitter import SplitReport, split

R = TypeVar("R")
T = TypeVar("T")

KEY_SIZE: Final = 32
PART_BYTES: Final = 1 << 26
"""The bytes of logs for each part; memory holds a part several times."""

MAX_PARTS: Final = 1024

Progress = Callable[[str, int, int], None]
"""Called with a stage, the work done in it, and all its work (0 if unknown)."""


@dataclass(frozen=True, slots=True)
class ExtractionOptions:
    """The options of `mandorla extract`.

    `stop_list` holds (type, value) pairs to leave out. `common` asks for a stop list instead: the values that
    at least so many groups have. `names` is the file for the accounts behind each group. With `parts` 0, the
    size of the logs decides.
    """

    logs: Path
    out: Path
    log_map: LogMap
    types: frozenset[str]
    key: bytes
    accounts: frozenset[str] | None = None
    stop_list: frozenset[tuple[str, str]] = frozenset()
    common: int = 0
    names: Path | None = None
    work: Path | None = None
    parts: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """Counts of an extraction: rows read, used, bad and written; the first bad rows by file and position."""

    rows: int
    used: int
    bad: int
    first_bad: tuple[tuple[str, int, str], ...]
    refused_texts: int
    templates: int
    stopped: int
    written: int


def extract(options: ExtractionOptions, pool: WorkerPool, progress: Progress) -> Report:
    """Extract indicators from logs, and write them.

    Raises InputError: BAD_FILE if a log cannot be read, BAD_INPUT for an unknown extension of the output;
    NodeError(STORE_FAILED) if the disk is full.
    """
    writer.writer_of(options.out)
    pieces = find_pieces(options.logs)
    parts = options.parts or _parts(pieces)
    with _workspace(options.work or options.out.parent) as work:
        naming = options.names is not None
        plan = Plan(work, parts, options.log_map, options.types, options.key, options.accounts, naming)
        run = partial(_run, pool, progress)
        numbered = list(enumerate(pieces))
        reports = run("reading", partial(split, plan), numbered)
        refused, templates = _stages(plan, run)
        rows = merge(work, "out")
        if options.common:
            rows = writer.common_only(rows, options.common)
        stop_filter = _StopFilter(options.stop_list)
        written = writer.write(options.out, _with_progress(stop_filter.kept(rows), progress))
        if options.names is not None:
            writer.write(options.names, merge(work, "groups"), GROUPS)
    return _report(reports, sum(refused), templates, stop_filter.count, written)


def _stages(plan: Plan, run: Callable[..., list[int]]) -> tuple[list[int], int]:
    """Run the stages after the first; return the number of bad texts of each part, and of templates."""
    every = range(plan.parts)
    refused: list[int] = []
    templates = 0
    if plan.any_of((BEHAVIOUR, SEQUENCE)):
        if BEHAVIOUR in plan.types:
            run("payment instruments", partial(accounts.count_sharing, plan), every)
        run("accounts", partial(accounts.fingerprint_accounts, plan), every)
    if plan.any_of((*PROMPT_TYPES, TEMPLATE)):
        run("prompts", partial(prompts.fingerprint_prompts, plan), every)
    if TEMPLATE in plan.types:
        run("templates", partial(prompts.count_runs, plan), every)
        run("templates", partial(prompts.pair_runs, plan), every)
        run("templates", partial(prompts.count_pairs, plan), every)
        templates = prompts.group_templates(plan)
        if plan.naming:
            run("templates", partial(prompts.name_templates, plan), every)
    if plan.any_of(name for name, _ in TEXT_TYPES):
        refused = run("texts", partial(texts.parse_texts, plan), every)
    return refused, templates


def load_key(path: Path) -> bytes:
    """Return the key for the names of groups; a new key is made if the file does not exist.

    Raises NodeError(BAD_CONFIG) if the file is not a key.
    """
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
            file.write(secrets.token_bytes(KEY_SIZE))
    except FileExistsError:
        pass
    except OSError as error:
        raise NodeError(Code.STORE_FAILED, f"{path}: {error.strerror}") from None
    try:
        key = path.read_bytes()
    except OSError as error:
        raise NodeError(Code.BAD_CONFIG, f"{path}: {error.strerror}") from None
    if len(key) != KEY_SIZE:
        raise NodeError(Code.BAD_CONFIG, f"{path} is not a key of {KEY_SIZE} bytes")
    return key


def _parts(pieces: list[Piece]) -> int:
    """Return a number of parts; compressed logs count five times their size."""
    size = 0
    for path in {piece.path for piece in pieces}:
        squeezed = path.suffix.lower() in (".gz", ".parquet")
        size += path.stat().st_size * (5 if squeezed else 1)
    return min(MAX_PARTS, max(1, math.ceil(size / PART_BYTES)))


@contextmanager
def _workspace(parent: Path) -> Iterator[Path]:
    """Make a folder that only this user can read, and remove it when the context ends."""
    try:
        work = Path(tempfile.mkdtemp(prefix=".mandorla-extract-", dir=parent))
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{parent}: {error.strerror}") from None
    try:
        yield work
    except OSError as error:
        raise NodeError(
            Code.STORE_FAILED, f"{error.strerror}: choose a folder with more room by --work"
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run(
    pool: WorkerPool, progress: Progress, stage: str, task: Callable[[T], R], items: Iterable[T]
) -> list[R]:
    given = list(items)
    results: list[R] = []
    progress(stage, 0, len(given))
    for result in pool.map(task, given):
        results.append(result)
        progress(stage, len(results), len(given))
    return results


def _with_progress(rows: Iterator[Row], progress: Progress) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if number % 100_000 == 0:
            progress("writing", number, 0)
        yield row


class _StopFilter:
    """Leaves out and counts the rows of a stop list."""

    def __init__(self, stop_list: frozenset[tuple[str, str]]) -> None:
        self._stop_list = stop_list
        self.count = 0

    def kept(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows that are not on the stop list."""
        for row in rows:
            if row[:2] in self._stop_list:
                self.count += 1
            else:
                yield row


def _report(reports: list[SplitReport], refused: int, templates: int, stopped: int, written: int) -> Report:
    first: list[tuple[str, int, str]] = []
    before: dict[Path, int] = {}
    for report in reports:
        piece = report.piece
        # A position counts from the start of the file, so the rows of earlier pieces are added.
        start = before.get(piece.path, 0)
        first += [(piece.path.name, start + number, reason) for number, reason in sorted(report.faults.first)]
        before[piece.path] = start + report.rows
    return Report(
        sum(report.used + report.faults.total for report in reports),
        sum(report.used for report in reports),
        sum(report.faults.total for report in reports),
        tuple(first[:MAX_REPORTED]),
        refused,
        templates,
        stopped,
        written,
    )
