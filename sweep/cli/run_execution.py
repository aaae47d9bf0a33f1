"""Runs a sweep with its settings, on a console."""

import logging
import threading
import time
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from sweep.cli.arguments import prepare_runs_folder
from sweep.cli.errors import FAILURE, fail
from sweep.cli.progress import data_progress

if TYPE_CHECKING:
    from sweep.engine.ray_runtime import ClusterPlan
    from sweep.engine.run import Outcome
    from sweep.engine.settings import RunSettings
    from sweep.space import Space


def execute(settings: "RunSettings", space: "Space", started_at: float, *, resume: bool) -> None:
    """Start or join Ray, run the sweep to its end, print its results."""
    from sweep.engine.ray_runtime import start_ray, stop_ray

    console = Console()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    prepare_runs_folder(settings.runs)
    try:
        plan = start_ray(settings.compute)
        _run_on_ray(console, settings, space, plan, started_at, resume=resume)
    finally:
        stop_ray()


def _run_on_ray(
    console: Console,
    settings: "RunSettings",
    space: "Space",
    plan: "ClusterPlan",
    started_at: float,
    *,
    resume: bool,
) -> None:
    from sweep.cli.view import RunView
    from sweep.data import default_cache, prepare_dataset, prepare_test_split
    from sweep.engine.files import Runs
    from sweep.engine.run import RunInputs, run_sweep

    uri = settings.stores.mlflow_uri or Runs(settings.runs).mlflow_uri
    problems: list[str] = []
    store = threading.Thread(target=_prepare, args=(uri, problems), daemon=True)
    store.start()  # MLflow takes seconds to make its database; the data are prepared meanwhile
    with data_progress(console) as progress:
        dataset = prepare_dataset(settings.data, default_cache(), progress)
        held_out = (
            prepare_test_split(settings.data, default_cache(), progress) if settings.finalizing else None
        )
    store.join()
    _report_store(console, problems, resume=resume)
    with RunView(console) as view:
        inputs = RunInputs(settings, space, dataset, held_out, plan, (view,), started_at, resume)
        outcome = run_sweep(inputs)
    view.print_results(outcome, Runs(settings.runs).sweep(settings.name).root, time.monotonic() - started_at)
    _exit_as(outcome)


def _prepare(uri: str, problems: list[str]) -> None:
    """Make MLflow's database if need be; note why that is not possible."""
    from sweep.tracking.store import prepare_store

    try:
        prepare_store(uri)
    except (ValueError, ConnectionError) as error:
        problems.append(str(error))


def _report_store(console: Console, problems: list[str], *, resume: bool) -> None:
    """A new sweep does not start without its store; one that goes on brings it up to date later."""
    for problem in problems:
        if not resume:
            raise ConnectionError(problem)
        console.print(f"warning: {problem}; the sweep goes on without it", markup=False, highlight=False)


def _exit_as(outcome: "Outcome") -> None:
    """Nonzero if the run ended by an error, or if every trial failed."""
    from sweep.lifecycle import TrialState

    if outcome.ended.reason == "error":
        raise typer.Exit(FAILURE)
    failed = outcome.state.in_state(TrialState.FAILED)
    if failed and len(failed) == len(outcome.state.trials):
        fail(f"every trial failed, the first because: {failed[0].reason}", FAILURE)
