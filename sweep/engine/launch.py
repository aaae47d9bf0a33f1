"""From what a caller asks for to a finished run: the one way, for the command line and for Python."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.engine.checks import (
    check_data,
    check_farm_address,
    check_ray_address,
    checked_stores,
    free_name,
    prepare_runs_folder,
    seconds,
)
from sweep.usage import UsageError

if TYPE_CHECKING:
    from sweep.data.cache import Progress
    from sweep.engine.ledger import Observer
    from sweep.engine.ray_runtime import ClusterPlan
    from sweep.engine.run import Outcome
    from sweep.engine.settings import RunSettings
    from sweep.space import Space
    from sweep.space.document import Target as SpaceTarget


@dataclass(frozen=True)
class Asked:
    """A search, as it is asked for; None: what the space, or the machine, suggests.

    Attributes:
        space: file of a search space, folder of candidates, or a bundled space by name.
        runs: the folder of all sweeps.
        target: what latencies are measured on, for a folder of candidates; None: any device. A space has its own.
        import_from: folders with code of one's own, beside the space's and the current one.
        name: the sweep's; None: the space's and a number.
        data: where the data are, see `sweep.data.open_source`; None: generated demo data.
        farm: ``HOST:PORT`` of a device farm; None: one on this machine.
        trials: candidates to try.
        epochs: of a full training.
        time_limit: wall-clock limit, such as ``1h30m``.
        seed: of proposals, weights and augmentation, at least 0.
        ray_address: a Ray cluster; None: one on this machine.
        cpus_per_trial: CPUs and threads for each training.
        gpus_per_trial: GPUs for each training; 0.25 lets four share one.
        lookahead: candidates measured ahead of training.
        ship_code: send this program's code to the nodes of ``ray_address``.
        mlflow_uri: MLflow's store, a database or a server; None: a file in ``runs``.
        mlflow_artifacts: folder or URI for MLflow's files.
        optuna_storage: database for a copy of the Optuna study; None: no copy.
    """

    space: Path
    runs: Path = Path("runs")
    target: "SpaceTarget | None" = None
    import_from: tuple[Path, ...] = ()
    name: str | None = None
    data: str | None = None
    farm: str | None = None
    trials: int | None = None
    epochs: int | None = None
    time_limit: str | None = None
    seed: int = 0
    ray_address: str | None = None
    cpus_per_trial: int | None = None
    gpus_per_trial: float | None = None
    lookahead: int | None = None
    ship_code: bool = False
    mlflow_uri: str | None = None
    mlflow_artifacts: str | None = None
    optuna_storage: str | None = None


def planned(asked: Asked) -> "tuple[RunSettings, Space]":
    """Settings and space of a new sweep.

    Raises:
        UsageError: something that is asked for is malformed, is not there, or is in use.
        ConnectionError: no Ray cluster answers.
        SpaceError: the space, or one of its first trials, cannot be used.
        SamplerRefused: the sampler cannot serve the space.
    """
    from sweep.engine.own_code import folders_for, make_importable, own_packages
    from sweep.engine.settings import Compute, RunSettings
    from sweep.engine.starts import first_trials
    from sweep.search.samplers import check_sampler
    from sweep.space.chosen_teacher import teacher_of

    make_importable(folders_for(asked.space, asked.import_from))
    data = check_data(asked.data)
    check_farm_address(asked.farm)
    check_ray_address(asked.ray_address)
    limits = {"trials": asked.trials, "max_epochs": asked.epochs, "time_s": seconds(asked.time_limit)}
    space = _space(asked).with_budget(**limits)
    check_sampler(space, space.document.sampler)
    compute = Compute(
        asked.ray_address,
        asked.cpus_per_trial,
        asked.gpus_per_trial,
        asked.lookahead,
        asked.ship_code,
        own_packages(space),
    )
    settings = RunSettings(
        name=free_name(asked.runs, asked.name, space.name),
        runs=asked.runs,
        space=asked.space,
        data=data,
        farm=asked.farm,
        trials=space.document.budget.trials,
        time_s=space.document.budget.time_s,
        seed=asked.seed,
        keep=space.document.keep,
        compute=compute,
        starts=first_trials(space, asked.runs),
        teacher=teacher_of(space),
        stores=checked_stores(asked.runs, asked.mlflow_uri, asked.mlflow_artifacts, asked.optuna_storage),
    )
    return settings, space


def _space(asked: Asked) -> "Space":
    from sweep.space import load_candidates, load_space
    from sweep.space.load import is_folder

    if asked.target is None:
        return load_space(asked.space)
    if not is_folder(asked.space):
        raise UsageError(
            f"--runtime, --threads, --delegate: {asked.space} is a search space, which has a target of its own; "
            "allowed with a folder of candidates"
        )
    return load_candidates(asked.space, asked.target)


@dataclass(frozen=True)
class Views:
    """What shows a run while it lasts.

    Attributes:
        preparing: opened while the data are prepared; gives their progress.
        running: opened while the sweep runs; is told of every record.
        warn: is told what a person should know.
    """

    preparing: "AbstractContextManager[Progress]"
    running: "AbstractContextManager[Observer]"
    warn: Callable[[str], None]


@contextmanager
def ray_for(settings: "RunSettings") -> "Iterator[ClusterPlan]":
    """Ray, started or joined as ``settings`` ask, for as long as the context lasts.

    Nothing that starts threads or uses gRPC may come before; see `sweep.engine.ray_runtime.start_ray`.

    Raises:
        UsageError: the folder of all sweeps cannot be written.
        RayUnavailable, AttemptTooLarge: no cluster, or too small a one.
    """
    from sweep.engine.ray_runtime import start_ray, stop_ray

    prepare_runs_folder(settings.runs)
    try:
        yield start_ray(settings.compute)
    finally:
        stop_ray()


def run_on(
    plan: "ClusterPlan",
    settings: "RunSettings",
    space: "Space",
    views: Views,
    started_at: float,
    *,
    resume: bool,
) -> "Outcome":
    """Prepare the data, and run the sweep to its end.

    Args:
        plan: of the Ray that runs.
        settings: this call's.
        space: what is searched.
        views: what shows it.
        started_at: when the clock of ``settings.time_s`` started, by `time.monotonic`.
        resume: go on with a sweep instead of starting one.

    Raises:
        ConnectionError: the store of a new sweep does not answer.
        DatasetError: the data cannot be used.
        RunError, TargetError, FarmError, SweepLocked: see `sweep.engine.run.run_sweep`.
    """
    from sweep.data import default_cache, prepare_dataset, prepare_test_split
    from sweep.engine.files import Runs
    from sweep.engine.run import RunInputs, run_sweep

    uri = settings.stores.mlflow_uri or Runs(settings.runs).mlflow_uri
    problems: list[str] = []
    store = threading.Thread(target=_prepare, args=(uri, problems), daemon=True)
    store.start()  # MLflow takes seconds to make its database; the data are prepared meanwhile
    with views.preparing as progress:
        dataset = prepare_dataset(settings.data, default_cache(), progress)
        held_out = (
            prepare_test_split(settings.data, default_cache(), progress) if settings.finalizing else None
        )
    store.join()
    _report_store(views, problems, resume=resume)
    with views.running as observer:
        inputs = RunInputs(settings, space, dataset, held_out, plan, (observer,), started_at, resume)
        return run_sweep(inputs)


def _prepare(uri: str, problems: list[str]) -> None:
    """Make MLflow's database if need be; note why that is not possible."""
    from sweep.tracking.store import prepare_store

    try:
        prepare_store(uri)
    except (ValueError, ConnectionError) as error:
        problems.append(str(error))


def _report_store(views: Views, problems: list[str], *, resume: bool) -> None:
    """A new sweep does not start without its store; one that goes on brings it up to date later."""
    for problem in problems:
        if not resume:
            raise ConnectionError(problem)
        views.warn(f"{problem}; the sweep goes on without it")
