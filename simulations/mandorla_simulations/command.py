"""What `mandorla simulate` does: plan, run with progress, write the results, and tell them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mandorla_node.core.worker_pools import SerialPool, worker_pool
from mandorla_node.terminal import console, interactive, write_json
from mandorla_protocol.errors import Code, InputError, NodeError

from . import results, summary
from .measures import Measures, measure
from .nodes.run import require_rounds, require_small, simulate_with_nodes
from .record import Record
from .report import render_study, render_sweep
from .scenario.loader import Loaded, load
from .scenario.model import Scheme, Sharing, parse_sharing
from .scenario.presets import preset_names
from .sensitivity import measure_sensitivity, questions
from .study import Cell, Run, cells_of, measure_run, run_all, seeds_of, simulate
from .study_options import Attack
from .sweep import as_tree as sweep_tree
from .sweep import load_sweep, run_sweep

_pool = partial(worker_pool, advice="Use fewer --workers.")


@dataclass(frozen=True)
class Changes:
    """What the command line changes of a scenario; what is empty or None stays as the scenario says."""

    sharing: Sequence[str]
    attacks: Sequence[Attack]
    seeds: int | None
    seed: int | None


@dataclass(frozen=True)
class Plan:
    """What to run."""

    loaded: Loaded
    cells: list[Cell]
    seeds: list[int]
    nodes: bool


def plan(wanted: str, changes: Changes, nodes: bool) -> Plan:
    """Read a scenario and decide what to run.

    Raises InputError: what `load` raises, BAD_INPUT for sharing that is none or that real nodes cannot do.
    """
    loaded = load(wanted)
    update: dict[str, object] = {}
    if changes.sharing:
        update["sharing"] = tuple(_sharing(text) for text in changes.sharing)
    if changes.attacks:
        update["attacks"] = tuple(changes.attacks)
        if Attack.ADAPTIVE in changes.attacks and loaded.scenario.adaptive is None:
            raise InputError(
                Code.BAD_INPUT, "the scenario does not say how attackers learn: it has no table adaptive"
            )
    if changes.seeds is not None:
        update["seeds"] = changes.seeds
    if changes.seed is not None:
        update["seed"] = changes.seed
    scenario = loaded.scenario.model_copy(update=update)
    cells = cells_of(scenario)
    seeds = seeds_of(scenario)
    if nodes:
        require_small(scenario)
        # The seeds differ by luck alone, and each takes real nodes a while: one unless more are asked for.
        seeds = seeds if changes.seeds else seeds[:1]
        cells = [
            cell
            for cell in cells
            if cell.attack is Attack.CONFIGURED and (changes.sharing or _for_nodes(cell))
        ]
        for cell in cells:
            if cell.sharing.scheme is not Scheme.NONE:
                require_rounds(scenario, cell)
        if not cells:
            raise InputError(Code.BAD_INPUT, "fidelity nodes runs the configured attack only, by rounds")
    return Plan(Loaded(loaded.name, scenario, loaded.tree), cells, seeds, nodes)


def study(
    planned: Plan, out: Path | None, *, sensitivity: bool, workers: int, ray: bool, as_json: bool
) -> None:
    """Run a plan, write its results if a folder is given, and tell them.

    Raises InputError(BAD_FILE) if the folder cannot be written, NodeError(CHECK_FAILED) if real nodes find
    anything else than set logic does.
    """
    _make_folder(out)
    loaded = planned.loaded
    runs = [Run(loaded.scenario, cell, seed) for seed in planned.seeds for cell in planned.cells]
    asked = questions(loaded, planned.seeds[:1]) if sensitivity else []
    started = time.monotonic()
    with (
        _pool(1 if planned.nodes else workers, ray=ray) as pool,
        _progress(len(runs) + len(asked)) as advance,
    ):
        if planned.nodes:
            measured = run_all(runs, _measure_with_nodes, SerialPool(), advance)
        else:
            measured = run_all(runs, measure_run, pool, advance)
        base, found = measure_sensitivity(asked, pool, advance)
    cells = [
        results.CellResult(cell, [one for run, one in zip(runs, measured, strict=True) if run.cell == cell])
        for cell in planned.cells
    ]
    fidelity = "nodes" if planned.nodes else "fast"
    done = results.Study(loaded, fidelity, planned.seeds, cells, time.monotonic() - started, found, base)
    paths = []
    if out is not None:
        with _writing(out):
            paths = results.write(done, out)
            page = out / "report.html"
            page.write_text(render_study(results.as_tree(done)), encoding="utf-8")
            paths.append(page)
    if as_json:
        write_json(results.as_tree(done))
    else:
        summary.tell(console(), done, paths)


def sweep(
    file: Path, wanted: str | None, out: Path | None, *, workers: int, ray: bool, as_json: bool
) -> None:
    """Run a sweep, going on where an earlier run of the same sweep stopped.

    Raises InputError: BAD_INPUT without a folder, BAD_FILE or BAD_CONFIG for a file that is no sweep.
    """
    if out is None:
        raise InputError(Code.BAD_INPUT, "a sweep needs --out DIR, where it can go on if it is interrupted")
    planned = load_sweep(file, wanted)
    _make_folder(out)
    with _writing(out):
        with _pool(workers, ray=ray) as pool, _progress(len(planned.runs)) as advance:
            rows = run_sweep(planned, out, pool, advance)
        (out / "sweep.html").write_text(render_sweep(sweep_tree(planned, rows)), encoding="utf-8")
    if as_json:
        write_json(sweep_tree(planned, rows))
    else:
        summary.tell_sweep(console(), planned, rows, out)


def require_none(*options: object) -> None:
    """Refuse options that a sweep file says itself.

    Raises InputError(BAD_INPUT).
    """
    if any(options):
        raise InputError(
            Code.BAD_INPUT,
            "a sweep's file says its sharing and seeds, and it is fast: leave those options out",
        )


def list_presets(as_json: bool) -> None:
    """List the presets."""
    presets = [load(name) for name in preset_names()]
    if as_json:
        write_json([{"name": one.name, "title": one.scenario.title} for one in presets])
    else:
        summary.tell_presets(console(), presets)


def _measure_with_nodes(run: Run) -> Measures:
    """Run a cell with real nodes and by set logic, and hold one against the other."""
    if run.cell.sharing.scheme is Scheme.NONE:
        return measure_run(run)
    found = simulate_with_nodes(run.scenario, run.cell, run.seed)
    if _essence(found) != _essence(simulate(run.scenario, run.cell, run.seed)):
        raise NodeError(Code.CHECK_FAILED, "real nodes found other matches than set logic does")
    return measure(run.scenario, found)


def _essence(record: Record) -> tuple[object, ...]:
    return record.accounts, record.flags, record.matches, record.blocks, record.benign_blocked.tolist()


def _for_nodes(cell: Cell) -> bool:
    return cell.sharing.scheme in {Scheme.NONE, Scheme.BATCH, Scheme.WATCH}


def _sharing(text: str) -> Sharing:
    try:
        return TypeAdapter(Sharing).validate_python(parse_sharing(text))
    except (ValueError, ValidationError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InputError(Code.BAD_INPUT, f"--sharing {text}: {said}") from None


def _make_folder(out: Path | None) -> None:
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{out}: {error.strerror}") from None


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Turn what keeps a file from being written into an error of the catalogue."""
    try:
        yield
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{error.filename or out}: {error.strerror}") from None


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show how many runs are done, if somebody watches."""
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
