"""The composition root of a run: builds every part from typed settings and runs the sweep to its end."""

import shutil
import signal
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import Any

from device_farm.client import FarmClient
from device_farm.types import Target
from sweep.data import Dataset, default_cache
from sweep.engine import ray_runtime
from sweep.engine.driver import AttemptResources, Driver
from sweep.engine.farm import is_here, open_farm
from sweep.engine.files import Runs, SweepFiles
from sweep.engine.ledger import Ledger, Observer
from sweep.engine.publishing import Housekeeping, Publisher
from sweep.engine.searcher import AttemptSearcher
from sweep.engine.settings import ResolvedTarget, RunSettings, Workplace, difference
from sweep.engine.stages import Measurer, Stages
from sweep.engine.target import resolve_target
from sweep.judging.baselines import Baselines
from sweep.lifecycle import Journal, SweepState
from sweep.lifecycle.events import SweepEnded, SweepResumed, SweepStarted
from sweep.search import Limits, Planner, Proposer, RungPolicy
from sweep.space import Space
from sweep.tracking.projection import MlflowProjection

LOOKAHEAD = 1
"""Candidates measured ahead of each free trainer."""

MIN_FULL = 3
"""Trials that a sweep takes to full fidelity before it ends, if it has that many."""

PUBLISH_TIMEOUT_S = 120.0

CLOSING_S = 12.0
"""Kept back of the time limit, at most an eighth of it: for the last MLflow calls and the farm's and Ray's end."""

PACKAGES = (
    "depth-sweep",
    "ray",
    "optuna",
    "torch",
    "onnx",
    "tensorflow-cpu",
    "tflite-runtime",
    "mlflow",
    "grpcio",
)


class RunError(Exception):
    """The run cannot start; the message says what to change."""


@dataclass(frozen=True)
class Timings:
    """Where a run's time went beside the trials, in seconds; of Ray, its loop's processor time."""

    ray: float
    optuna: float
    mlflow: float
    deciding: float


@dataclass(frozen=True)
class Outcome:
    """A run that ended: how, the state it leaves, and whether MLflow has all of it.

    ``baselines`` is what predictors that never look at the image reach on the same data; None if unknown.
    """

    ended: SweepEnded
    state: SweepState
    published: bool
    timings: Timings
    baselines: Baselines | None


def run_sweep(
    settings: RunSettings,
    space: Space,
    dataset: Dataset,
    plan: ray_runtime.ClusterPlan,
    observers: Sequence[Observer],
    *,
    started_at: float,
    resume: bool,
) -> Outcome:
    """Run or resume a sweep until it is finished, out of time, or stopped by Ctrl-C or SIGTERM.

    Args:
        settings: this call's settings.
        space: the search space; on a resume the one that the journal holds.
        dataset: prepared data.
        plan: what `ray_runtime.start_ray` found; Ray is running.
        observers: views that are told of every record.
        started_at: when the clock of ``settings.time_s`` started, by `time.monotonic`.
        resume: go on with the sweep's journal instead of starting one.

    Raises:
        RunError: name in use, or the sweep's identity (space, target, data) is another one than at its start.
        SweepLocked: another process runs this sweep.
        TargetError, FarmError: no device, no farm.
    """
    runs = Runs(settings.runs)
    files = runs.sweep(settings.name)
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(files.root))
        if journal.records and not resume:
            raise RunError(f"{files.root} holds a sweep already: choose another --name or resume that one")
        if resume and not journal.records:
            raise RunError(f"{files.root} holds no sweep to resume")
        farm, target = _open_farm(stack, settings, space, files)
        publisher = Publisher(
            lambda: MlflowProjection(runs.mlflow_uri, runs.mlflow_artifacts, files.root.resolve()),
            journal.records,
        )
        ledger = Ledger(journal, (*observers, publisher))
        workplace = Workplace(
            files=SweepFiles(files.root.resolve()),
            dataset_path=dataset.path,
            quiet_directory=_quiet_directory(settings),
            max_epochs=space.document.budget.max_epochs,
            seed=settings.seed,
        )
        driver = _build_driver(settings, space, ledger, workplace, plan, started_at)
        tasks = ray_runtime.RayTasks(workplace, len(dataset.validation.names))
        stages = Stages(
            ledger,
            workplace,
            tasks,
            Measurer(farm, target, workplace.quiet_directory),
            workers=plan.slots + LOOKAHEAD + 1,
            on_change=driver.pump,
            on_fatal=lambda reason: driver.stop("error", reason),
        )
        driver.attach(stages)
        stack.callback(stages.close)
        _announce(ledger, settings, space, dataset, target)
        baselines = tasks.start_baselines()
        publisher.start(Housekeeping(ledger, workplace.files, settings.keep))
        stack.callback(shutil.rmtree, files.ray, ignore_errors=True)
        with _stop_on_signals(driver):
            in_ray_s = ray_runtime.run_attempts(AttemptSearcher(driver), plan, files.ray)
        stages.close()
        ended = driver.conclude()
        publisher.catch_up(PUBLISH_TIMEOUT_S)  # which also removes the last superfluous files
        driver.end(ended)
        published = publisher.close(PUBLISH_TIMEOUT_S)
        found = None if driver.stopping else baselines()
        timings = Timings(
            in_ray_s, driver.optuna_seconds, publisher.seconds_in_mlflow, driver.deciding_seconds
        )
        return Outcome(ended, ledger.state, published, timings, found)


def _open_farm(
    stack: ExitStack, settings: RunSettings, space: Space, files: SweepFiles
) -> tuple[FarmClient, ResolvedTarget]:
    client = open_farm(stack, settings.farm, files.farm)
    asked = space.document.target
    target = Target(dict(asked.labels), asked.runtime, asked.threads, asked.delegate)
    return client, resolve_target(target, client.devices())


def _quiet_directory(settings: RunSettings) -> Path | None:
    """Training steps aside for measurements whenever a device may be this machine; shared by all its sweeps."""
    return default_cache() / "quiet" if is_here(settings.farm) else None


def _build_driver(
    settings: RunSettings,
    space: Space,
    ledger: Ledger,
    workplace: Workplace,
    plan: ray_runtime.ClusterPlan,
    started_at: float,
) -> Driver:
    return Driver(
        ledger,
        Planner(
            _rung_policy(space),
            Limits(trials=settings.trials, slots=plan.slots, lookahead=plan.slots * LOOKAHEAD),
        ),
        Proposer(space, settings.seed),
        workplace,
        AttemptResources(threads=plan.cpus, use_gpu=plan.gpus > 0),
        deadline=_deadline(settings, started_at),
    )


def _deadline(settings: RunSettings, started_at: float) -> float | None:
    if settings.time_s is None:
        return None
    return started_at + settings.time_s - min(CLOSING_S, settings.time_s / 8)


def _rung_policy(space: Space) -> RungPolicy:
    document = space.document
    if document.rungs is None:
        return RungPolicy((document.budget.max_epochs,), 2, MIN_FULL)
    return RungPolicy(document.rungs.epochs, document.rungs.reduction_factor, MIN_FULL)


def identity_of(space: Space, dataset: Dataset, target: ResolvedTarget) -> dict[str, Any]:
    """What scores depend on; two sweeps of equal identity may share a study and a leaderboard."""
    return {
        "space": space.name,
        "space_hash": space.hash,
        "data": dataset.name,
        "data_fingerprint": dataset.fingerprint,
        "target": target.to_json(),
        "latency": "measured",
        "max_epochs": space.document.budget.max_epochs,
    }


def _announce(
    ledger: Ledger, settings: RunSettings, space: Space, dataset: Dataset, target: ResolvedTarget
) -> None:
    identity = identity_of(space, dataset, target)
    started = ledger.state.started
    if started is None:
        ledger.record(
            SweepStarted(
                name=settings.name,
                sweep_id=uuid.uuid4().hex,
                identity=identity,
                space={"file": space.file, "text": space.text},
                settings=settings.to_json(),
                versions=installed_versions(),
            )
        )
        return
    changed = difference(started.identity, identity)
    if changed:
        raise RunError(f"this is not the same sweep any more: {'; '.join(changed)}")
    ledger.record(SweepResumed(settings=settings.to_json(), versions=installed_versions()))


def installed_versions() -> dict[str, str]:
    """The versions that figures depend on."""
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def _stop_on_signals(driver: Driver) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the sweep cleanly; a second one ends the process at once."""

    def stop(number: int, _frame: FrameType | None) -> None:
        if driver.stopping:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        driver.stop("stopped", signal.Signals(number).name)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
