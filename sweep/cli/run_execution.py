"""Runs a sweep with its settings, on a console."""

import logging
import time
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from sweep.cli.errors import FAILURE, fail
from sweep.cli.progress import data_progress
from sweep.engine.launch import Views, ray_for, run_on

if TYPE_CHECKING:
    from sweep.engine.run import Outcome
    from sweep.engine.settings import RunSettings
    from sweep.space import Space


def execute(settings: "RunSettings", space: "Space", started_at: float, *, resume: bool) -> None:
    """Start or join Ray, run the sweep to its end, print its results."""
    console = Console()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")

    def warn(problem: str) -> None:
        console.print(f"warning: {problem}", markup=False, highlight=False)

    with ray_for(settings) as plan:
        from sweep.cli.view import RunView
        from sweep.engine.files import Runs

        view = RunView(console)
        views = Views(preparing=data_progress(console), running=view, warn=warn)
        outcome = run_on(plan, settings, space, views, started_at, resume=resume)
        directory = Runs(settings.runs).sweep(settings.name).root
        view.print_results(outcome, directory, time.monotonic() - started_at)
        _exit_as(outcome)


def _exit_as(outcome: "Outcome") -> None:
    """Nonzero if the run ended by an error, or if every trial failed."""
    from sweep.lifecycle import TrialState

    if outcome.ended.reason == "error":
        raise typer.Exit(FAILURE)
    failed = outcome.state.in_state(TrialState.FAILED)
    if failed and len(failed) == len(outcome.state.trials):
        fail(f"every trial failed, the first because: {failed[0].reason}", FAILURE)
