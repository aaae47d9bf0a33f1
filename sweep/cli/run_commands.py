"""``sweep run`` and ``sweep resume``."""

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from sweep.cli.arguments import (
    DataOption,
    FarmOption,
    NameArgument,
    RunsOption,
    check_data_folder,
    check_farm_address,
    check_ray_address,
    existing_sweep,
    free_name,
    prepare_runs_folder,
)
from sweep.cli.errors import FAILURE, UsageError, explained_errors, fail
from sweep.cli.progress import data_progress
from sweep.cli.space_commands import SpaceArgument

TimeOption = Annotated[
    str | None, typer.Option("--time", metavar="TIME", help="Wall-clock limit, such as 10m or 1h30m.")
]
RayOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Ray cluster to run on.  [default: one on this machine]"),
]
CpusOption = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="CPUs and threads for each training.")
]
GpusOption = Annotated[
    float | None,
    typer.Option(metavar="X", min=0, help="GPUs for each training; 0.25 lets four share a GPU."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(run)
    app.command()(resume)


def run(
    space: SpaceArgument,
    data: DataOption = None,
    farm: FarmOption = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Candidates to try.  [default: the space's]")
    ] = None,
    max_epochs: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Epochs of a full training.  [default: the space's]"),
    ] = None,
    time_limit: TimeOption = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The sweep's name.  [default: the space's and a number]"),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of proposals, weights and augmentation.")] = 0,
    ray_address: RayOption = None,
    cpus_per_trial: CpusOption = None,
    gpus_per_trial: GpusOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Search for the best network.

    Proposes, trains, exports, measures and judges networks, and logs every trial in MLflow. Ctrl-C ends the
    sweep cleanly; `sweep resume NAME` goes on with it.
    """
    started_at = time.monotonic()
    with explained_errors():
        from sweep.engine.settings import Compute, RunSettings
        from sweep.space import load_space

        check_data_folder(data)
        check_farm_address(farm)
        check_ray_address(ray_address)
        limits = {"trials": trials, "max_epochs": max_epochs, "time_s": _seconds(time_limit)}
        chosen = load_space(space).with_budget(**limits)
        settings = RunSettings(
            name=free_name(runs, name, chosen.name),
            runs=runs,
            space=Path(space),
            data=data.resolve() if data else None,  # so that a resume from another folder finds it
            farm=farm,
            trials=chosen.document.budget.trials,
            time_s=chosen.document.budget.time_s,
            seed=seed,
            keep=chosen.document.keep,
            compute=Compute(ray_address, cpus_per_trial, gpus_per_trial),
        )
        _execute(settings, chosen, started_at, resume=False)


def resume(
    name: NameArgument,
    trials: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Candidates to try, earlier ones counted.")
    ] = None,
    time_limit: TimeOption = None,
    farm: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Device farm that measures latency.  [default: as before]"),
    ] = None,
    ray_address: RayOption = None,
    cpus_per_trial: CpusOption = None,
    gpus_per_trial: GpusOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Go on with a sweep after Ctrl-C, a crash or a reboot.

    Finished trials stay as they are; interrupted ones go on from their last epoch.
    """
    started_at = time.monotonic()
    with explained_errors():
        from sweep.engine.settings import Compute, RunSettings
        from sweep.lifecycle import Journal, read_journal, replay

        check_farm_address(farm)
        directory = existing_sweep(runs, name)
        Journal(directory).close()  # says at once, rather than after Ray's start, that the sweep is running
        records = read_journal(directory)
        state = replay((record.time, record.event) for record in records)
        if state.started is None:
            raise UsageError(f"sweep {name} never started; run it again")
        before = _last_settings(records)
        space = _space_of(state.started.space, state.max_epochs)
        compute = Compute(
            ray_address or before["compute"]["ray_address"],
            cpus_per_trial or before["compute"]["cpus_per_trial"],
            gpus_per_trial if gpus_per_trial is not None else before["compute"]["gpus_per_trial"],
        )
        check_ray_address(compute.ray_address)
        settings = RunSettings(
            name=name,
            runs=runs,
            space=Path(before["space"]),
            data=Path(before["data"]) if before["data"] else None,
            farm=farm or before["farm"],
            trials=trials or before["trials"],
            time_s=_seconds(time_limit) or before["time_s"],
            seed=before["seed"],
            keep=before["keep"],
            compute=compute,
        )
        _execute(settings, space, started_at, resume=True)


def _last_settings(records: Any) -> Mapping[str, Any]:
    from sweep.lifecycle.events import SweepResumed, SweepStarted

    return next(
        record.event.settings
        for record in reversed(records)
        if isinstance(record.event, SweepStarted | SweepResumed)
    )


def _space_of(stored: Mapping[str, Any], max_epochs: int) -> Any:
    from sweep.space import parse_space

    return parse_space(stored["text"], stored["file"]).with_budget(max_epochs=max_epochs)


def _seconds(text: str | None) -> int | None:
    from sweep.space import parse_duration

    if text is None:
        return None
    try:
        return int(parse_duration(text))
    except ValueError as error:
        raise UsageError(f"--time: {error}") from None


def _execute(settings: Any, space: Any, started_at: float, *, resume: bool) -> None:
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
    console: Console, settings: Any, space: Any, plan: Any, started_at: float, *, resume: bool
) -> None:
    from sweep.cli.view import RunView
    from sweep.data import default_cache, prepare_dataset
    from sweep.engine.files import Runs
    from sweep.engine.run import run_sweep
    from sweep.lifecycle import TrialState
    from sweep.tracking.store import prepare_store

    store = threading.Thread(target=prepare_store, args=(Runs(settings.runs).mlflow_uri,), daemon=True)
    store.start()  # MLflow takes seconds to make its database; the data are prepared meanwhile
    with data_progress(console) as progress:
        dataset = prepare_dataset(settings.data, default_cache(), progress)
    store.join()
    with RunView(console) as view:
        outcome = run_sweep(settings, space, dataset, plan, (view,), started_at=started_at, resume=resume)
    view.print_results(outcome, Runs(settings.runs).sweep(settings.name).root, time.monotonic() - started_at)
    if outcome.ended.reason == "error":
        raise typer.Exit(FAILURE)
    failed = outcome.state.in_state(TrialState.FAILED)
    if failed and len(failed) == len(outcome.state.trials):
        fail(f"every trial failed, the first because: {failed[0].reason}", FAILURE)
