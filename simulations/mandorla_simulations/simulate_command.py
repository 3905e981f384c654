"""The work of `mandorla simulate`: run a study or a sweep with a progress bar, and write the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mandorla_node.core.worker_pools import SerialPool, worker_pool
from mandorla_node.terminal import console, interactive, write_json
from mandorla_protocol.errors import Code, InputError, NodeError

from . import results, summary
from .measures import Measures, measure
from .nodes.run import simulate_with_nodes
from .report import render_study, render_sweep
from .run_record import RunRecord
from .scenario.loader import load
from .scenario.model import Scheme
from .scenario.presets import preset_names
from .sensitivity import measure_sensitivity, sensitivity_runs
from .study import Run, measure_run, run_all, simulate
from .study_options import Fidelity
from .study_plan import StudyPlan
from .sweep import as_tree as sweep_tree
from .sweep import load_sweep, run_sweep

_pool = partial(worker_pool, advice="Use fewer --workers.")


def study(
    plan: StudyPlan, folder: Path | None, *, sensitivity: bool, workers: int, ray: bool, as_json: bool
) -> None:
    """Run a study, write its results to a folder if one is given, and print a summary.

    Raises InputError(BAD_FILE) if the folder cannot be written, NodeError(CHECK_FAILED) if real nodes and set
    logic find different matches.
    """
    _make_folder(folder)
    loaded, nodes = plan.loaded, plan.fidelity is Fidelity.NODES
    moved = sensitivity_runs(loaded, plan.seeds[:1]) if sensitivity else []
    started = time.monotonic()
    with (
        _pool(1 if nodes else workers, ray=ray) as pool,
        _progress(len(plan.runs) + len(moved)) as advance,
    ):
        if nodes:
            # The nodes of one run keep all cores busy.
            measured = run_all(plan.runs, _measure_with_nodes, SerialPool(), advance)
        else:
            measured = run_all(plan.runs, measure_run, pool, advance)
        base, effects = measure_sensitivity(moved, pool, advance)
    cells = [
        results.CellResult(
            cell, [one for run, one in zip(plan.runs, measured, strict=True) if run.cell == cell]
        )
        for cell in plan.cells
    ]
    seconds = time.monotonic() - started
    found = results.StudyResults(loaded, plan.fidelity, plan.seeds, cells, seconds, effects, base)
    paths = []
    if folder is not None:
        with _writing(folder):
            paths = results.write(found, folder)
            page = folder / "report.html"
            page.write_text(render_study(results.as_tree(found)), encoding="utf-8")
            paths.append(page)
    if as_json:
        write_json(results.as_tree(found))
    else:
        summary.print_study(console(), found, paths)


def sweep(
    file: Path, scenario: str | None, folder: Path | None, *, workers: int, ray: bool, as_json: bool
) -> None:
    """Run a sweep; runs that an earlier start of the same sweep finished are not run again.

    Raises InputError: BAD_INPUT without a folder, BAD_FILE or BAD_CONFIG for a file that is no sweep.
    """
    if folder is None:
        raise InputError(
            Code.BAD_INPUT, "a sweep needs --out FOLDER, from which it resumes after an interruption"
        )
    plan = load_sweep(file, scenario)
    _make_folder(folder)
    with _writing(folder):
        with _pool(workers, ray=ray) as pool, _progress(len(plan.runs)) as advance:
            rows = run_sweep(plan, folder, pool, advance)
        (folder / "sweep.html").write_text(render_sweep(sweep_tree(plan, rows)), encoding="utf-8")
    if as_json:
        write_json(sweep_tree(plan, rows))
    else:
        summary.print_sweep(console(), plan, rows, folder)


def require_none(*options: object) -> None:
    """Refuse options that a sweep's file sets.

    Raises InputError(BAD_INPUT).
    """
    if any(options):
        raise InputError(
            Code.BAD_INPUT,
            "a sweep takes sharing and seeds from its file, the attack is configured and the fidelity fast: "
            "leave those options out",
        )


def list_presets(as_json: bool) -> None:
    """List the presets."""
    presets = [load(name) for name in preset_names()]
    if as_json:
        write_json([{"name": one.name, "title": one.scenario.title} for one in presets])
    else:
        summary.print_presets(console(), presets)


def _measure_with_nodes(run: Run) -> Measures:
    """Run a cell with real nodes and by set logic, and compare the records."""
    if run.cell.sharing.scheme is Scheme.NONE:
        return measure_run(run)
    record = simulate_with_nodes(run.scenario, run.cell, run.seed)
    if _comparable(record) != _comparable(simulate(run.scenario, run.cell, run.seed)):
        raise NodeError(Code.CHECK_FAILED, "real nodes and set logic found different matches")
    return measure(run.scenario, record)


def _comparable(record: RunRecord) -> tuple[object, ...]:
    """Return the parts of a record that do not depend on the fidelity: all but the load."""
    return record.accounts, record.flags, record.matches, record.blocks, record.benign_blocked.tolist()


def _make_folder(folder: Path | None) -> None:
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{folder}: {error.strerror}") from None


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn an error of the file system into one of the catalogue."""
    try:
        yield
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{error.filename or folder}: {error.strerror}") from None


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show on a terminal how many runs are done."""
    if not interactive():
        yield lambda: None
        return
    columns = (
        TextColumn("  simulating"),
        BarColumn(30),
        MofNCompleteColumn(),
        TextColumn("runs"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
