"""``sweep run``, ``sweep resume`` and ``sweep finalize``."""

import time
from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.arguments import (
    ArtifactsOption,
    DataOption,
    FarmOption,
    MlflowOption,
    NameArgument,
    RunsOption,
    check_data_folder,
    check_farm_address,
    check_ray_address,
    free_name,
)
from sweep.cli.errors import explained_errors
from sweep.cli.run_execution import execute
from sweep.cli.run_settings import checked_stores, finalizing, resumed, seconds
from sweep.cli.space_commands import SpaceArgument

TimeOption = Annotated[
    str | None, typer.Option("--time", metavar="TIME", help="Wall-clock limit, such as 10m or 1h30m.")
]
OptunaOption = Annotated[
    str | None,
    typer.Option(
        "--optuna-storage",
        metavar="URL",
        envvar="DEPTH_SWEEP_OPTUNA_STORAGE",
        show_envvar=True,
        help="Database for a copy of the Optuna study.  [default: none]",
    ),
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
LookaheadOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Candidates measured ahead of training.  [default: as many as trainings or devices, the larger]",
    ),
]
ShipOption = Annotated[
    bool, typer.Option("--ship-code", help="Send this program's code to the nodes of --ray-address.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(run)
    app.command()(resume)
    app.command()(finalize)


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
    lookahead: LookaheadOption = None,
    ship_code: ShipOption = False,
    mlflow_uri: MlflowOption = None,
    mlflow_artifacts: ArtifactsOption = None,
    optuna_storage: OptunaOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Search for the best network.

    Proposes, trains, exports, measures and judges networks, and logs every trial in MLflow. Ctrl-C ends the
    sweep cleanly; `sweep resume NAME` goes on with it.
    """
    started_at = time.monotonic()
    with explained_errors():
        from sweep.engine.settings import Compute, RunSettings
        from sweep.engine.starts import first_trials
        from sweep.search.samplers import check_sampler
        from sweep.space import load_space

        check_data_folder(data)
        check_farm_address(farm)
        check_ray_address(ray_address)
        limits = {"trials": trials, "max_epochs": max_epochs, "time_s": seconds(time_limit)}
        chosen = load_space(space).with_budget(**limits)
        check_sampler(chosen, chosen.document.sampler)
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
            compute=Compute(ray_address, cpus_per_trial, gpus_per_trial, lookahead, ship_code),
            starts=first_trials(chosen, runs),
            stores=checked_stores(runs, mlflow_uri, mlflow_artifacts, optuna_storage),
        )
        execute(settings, chosen, started_at, resume=False)


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
    lookahead: LookaheadOption = None,
    mlflow_uri: MlflowOption = None,
    mlflow_artifacts: ArtifactsOption = None,
    optuna_storage: OptunaOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Go on with a sweep after Ctrl-C, a crash or a reboot.

    Finished trials stay as they are; interrupted ones go on from their last epoch.
    """
    started_at = time.monotonic()
    with explained_errors():
        check_farm_address(farm)
        asked = {
            "trials": trials,
            "time_s": seconds(time_limit),
            "farm": farm,
            "ray_address": ray_address,
            "cpus_per_trial": cpus_per_trial,
            "gpus_per_trial": gpus_per_trial,
            "lookahead": lookahead,
            "stores": checked_stores(runs, mlflow_uri, mlflow_artifacts, optuna_storage),
        }
        settings, space = resumed(name, runs, asked)
        check_ray_address(settings.compute.ray_address)
        execute(settings, space, started_at, resume=True)


def finalize(
    name: NameArgument,
    top: Annotated[int, typer.Option(metavar="K", min=1, help="Best candidates to train again.")] = 3,
    epochs: Annotated[
        int | None, typer.Option(metavar="E", min=1, help="Epochs of each training.  [default: the sweep's]")
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="S", min=1, help="Trainings of each, with other seeds.")] = 1,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Data with a test/ split.  [default: the sweep's]")
    ] = None,
    farm: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Device farm that measures latency.  [default: the sweep's]"),
    ] = None,
    time_limit: TimeOption = None,
    ray_address: RayOption = None,
    cpus_per_trial: CpusOption = None,
    gpus_per_trial: GpusOption = None,
    mlflow_uri: MlflowOption = None,
    mlflow_artifacts: ArtifactsOption = None,
    optuna_storage: OptunaOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Train the winners again and judge them once on the held-out test split.

    Makes a sweep of its own, NAME-final-1, with K times S full trainings. The search never reads test/; its
    figures and those on the validation split are reported apart. `sweep resume` goes on with it.
    """
    started_at = time.monotonic()
    with explained_errors():
        check_data_folder(data)
        check_farm_address(farm)
        check_ray_address(ray_address)
        asked = {
            "data": data.resolve() if data else None,
            "farm": farm,
            "time_s": seconds(time_limit),
            "compute": (ray_address, cpus_per_trial, gpus_per_trial),
            "stores": checked_stores(runs, mlflow_uri, mlflow_artifacts, optuna_storage),
        }
        settings, space = finalizing(name, runs, top, epochs, seeds, asked)
        execute(settings, space, started_at, resume=False)
