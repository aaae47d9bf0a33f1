"""``sweep run``, ``sweep resume`` and ``sweep finalize``."""

import time
from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.arguments import (
    DATA_METAVAR,
    ArtifactsOption,
    DataOption,
    FarmOption,
    MlflowOption,
    NameArgument,
    RunsOption,
    check_data,
    check_farm_address,
    check_ray_address,
)
from sweep.cli.errors import explained_errors
from sweep.cli.run_execution import execute
from sweep.cli.run_settings import chosen_target, finalizing, resumed
from sweep.cli.space_commands import ImportOption, SpaceArgument, tell
from sweep.engine.checks import checked_stores, seconds
from sweep.engine.launch import Asked, planned

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
RuntimeOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="For a folder: the runtime to measure on."),
]
ThreadsOption = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="For a folder: interpreter threads.")
]
DelegateOption = Annotated[str | None, typer.Option(metavar="NAME", help="For a folder: xnnpack or none.")]
ShipOption = Annotated[
    bool, typer.Option("--ship-code", help="Send this code to the nodes of --ray-address.")
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
        typer.Option(
            "--max-epochs",
            "--epochs",
            metavar="N",
            min=1,
            help="Epochs of a full training; of a folder 6.",
        ),
    ] = None,
    time_limit: TimeOption = None,
    runtime: RuntimeOption = None,
    threads: ThreadsOption = None,
    delegate: DelegateOption = None,
    import_from: ImportOption = None,
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

    Proposes, trains, exports, measures and judges networks, and logs every trial in MLflow. Of a folder, each
    candidate is tried once. Ctrl-C ends the sweep cleanly; `sweep resume NAME` goes on with it.
    """
    started_at = time.monotonic()
    with explained_errors():
        asked = Asked(
            space=Path(space),
            runs=runs,
            target=chosen_target(runtime, threads, delegate),
            import_from=tuple(import_from or ()),
            name=name,
            data=data,
            farm=farm,
            trials=trials,
            epochs=max_epochs,
            time_limit=time_limit,
            seed=seed,
            ray_address=ray_address,
            cpus_per_trial=cpus_per_trial,
            gpus_per_trial=gpus_per_trial,
            lookahead=lookahead,
            ship_code=ship_code,
            mlflow_uri=mlflow_uri,
            mlflow_artifacts=mlflow_artifacts,
            optuna_storage=optuna_storage,
        )
        settings, chosen = planned(asked)
        tell(chosen.notes)
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
        str | None,
        typer.Option(metavar=DATA_METAVAR, help="Data with a test split.  [default: the sweep's]"),
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
        found = check_data(data)
        check_farm_address(farm)
        check_ray_address(ray_address)
        asked = {
            "data": found,
            "farm": farm,
            "time_s": seconds(time_limit),
            "compute": (ray_address, cpus_per_trial, gpus_per_trial),
            "stores": checked_stores(runs, mlflow_uri, mlflow_artifacts, optuna_storage),
        }
        settings, space = finalizing(name, runs, top, epochs, seeds, asked)
        execute(settings, space, started_at, resume=False)
