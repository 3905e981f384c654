"""`mandorla simulate`."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from mandorla_node.cli.help import manual
from mandorla_node.cli.options import JsonOption

from .scenario.presets import preset_names
from .study_options import Attack, Fidelity

if find_spec("jinja2") is None:
    # The command line names the extra that a plugin lacks, if the plugin cannot be imported.
    raise ModuleNotFoundError("no module named jinja2", name="jinja2")

_SCENARIO_HELP = "A preset, or a scenario file (TOML). Without one, the command lists the presets."


@manual(
    ("List the presets:", "mandorla simulate"),
    ("Run one, and write its report:", "mandorla simulate small --out report"),
    (
        "Compare two ways of sharing over the same attackers:",
        "mandorla simulate rotation-2026-02 --sharing none --sharing mandorla-watch",
    ),
    see="docs/simulation.md",
)
def simulate(
    scenario: Annotated[
        str | None,
        typer.Argument(
            metavar="SCENARIO", help=_SCENARIO_HELP, show_default=False, autocompletion=preset_names
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Folder for results.json, the CSV files and report.html.",
            show_default=False,
        ),
    ] = None,
    sharing: Annotated[
        list[str] | None,
        typer.Option(
            "--sharing",
            metavar="SHARING",
            help="none, plaintext, mandorla-watch or mandorla-batch/PERIOD; repeatable.",
            show_default="as in the scenario",
        ),
    ] = None,
    attack: Annotated[
        list[Attack] | None,
        typer.Option(
            "--attack",
            metavar="ATTACK",
            help="Attackers: configured, stay or adaptive; repeatable.",
            show_default="as in the scenario",
        ),
    ] = None,
    fidelity: Annotated[
        Fidelity,
        typer.Option(
            "--fidelity",
            metavar="FIDELITY",
            help="fast: set logic finds matches. nodes: real nodes do, for small scenarios.",
        ),
    ] = Fidelity.FAST,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds",
            metavar="N",
            min=1,
            max=1000,
            help="Number of seeds.",
            show_default="as in the scenario",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", min=0, help="First seed.", show_default="as in the scenario"),
    ] = None,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Also set each assumption to both ends of its range.")
    ] = False,
    sweep: Annotated[
        Path | None,
        typer.Option(
            "--sweep",
            metavar="FILE",
            help="Run the grid of a sweep file instead of a study.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option("--workers", metavar="N", min=0, max=1024, help="Processes; 0: one for each core."),
    ] = 0,
    ray: Annotated[bool, typer.Option("--ray", help="Run on Ray instead of local processes.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Simulate attackers that move from lab to lab, without and with sharing."""
    # Every help page imports this module, and needs none of these.
    from . import simulate_command
    from .study_plan import Overrides, plan_study

    if sweep is not None:
        simulate_command.require_none(sharing, attack, seeds, seed, fidelity is Fidelity.NODES, sensitivity)
        simulate_command.sweep(sweep, scenario, out, workers=workers, ray=ray, as_json=as_json)
    elif scenario is None:
        simulate_command.list_presets(as_json)
    else:
        plan = plan_study(scenario, Overrides(sharing or (), attack or (), seeds, seed), fidelity)
        simulate_command.study(plan, out, sensitivity=sensitivity, workers=workers, ray=ray, as_json=as_json)
    sys.stdout.flush()
