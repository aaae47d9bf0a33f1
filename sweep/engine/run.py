"""The composition root of a run: builds every part from typed settings and runs the sweep to its end."""

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from device_farm.client import FarmClient
from device_farm.types import Target
from sweep.data import Dataset, TestSplit, default_cache
from sweep.engine import control, ray_runtime
from sweep.engine.attempt_spec import AttemptResources
from sweep.engine.driver import Driver
from sweep.engine.exports import one_line
from sweep.engine.farm import is_here, open_farm
from sweep.engine.files import Runs, SweepFiles
from sweep.engine.finals import measure_finalists
from sweep.engine.identity import announce
from sweep.engine.ledger import Ledger, Observer
from sweep.engine.measurer import Measurer
from sweep.engine.publishing import Housekeeping, Projection, Publisher
from sweep.engine.searcher import AttemptSearcher
from sweep.engine.settings import ResolvedTarget, RunSettings, Workplace
from sweep.engine.stages import Stages
from sweep.engine.steps import Steps
from sweep.engine.target import matching_devices, resolve_target
from sweep.engine.teaching import JudgesTeachers, adopt_teacher
from sweep.judging.baselines import Baselines
from sweep.judging.own_score import load_score
from sweep.judging.score import FINAL_SCORE, Score
from sweep.lifecycle import Journal, SweepState
from sweep.lifecycle.events import SweepEnded
from sweep.search import AdmissionPolicy, Limits, Planner, Proposes, RungPolicy
from sweep.search.fixed import FixedProposer
from sweep.search.proposer import make_proposer
from sweep.search.samplers import objectives_of
from sweep.search.told import Teller
from sweep.space import Space
from sweep.space.chosen_teacher import ChosenTeacher, teacher_of
from sweep.tracking.addresses import artifact_root
from sweep.tracking.optuna_projection import OptunaProjection
from sweep.tracking.projection import MlflowProjection

MIN_FULL = 3
"""Trials that a sweep takes to full fidelity before it ends, if it has that many."""

PUBLISH_TIMEOUT_S = 120.0

CLOSING_S = 12.0
"""Kept back of the time limit, at most an eighth of it: for the last MLflow calls and the farm's and Ray's end."""

RAY_IS_GONE = 1
"""Exit status when Ray itself died."""


class RunError(Exception):
    """The run cannot start; the message says what to change."""


@dataclass(frozen=True)
class Timings:
    """Where a run's time went beside the trials, in seconds; of Ray, its loop's processor time.

    ``projections`` holds the time inside each store's library, by the projection's name.
    """

    ray: float
    optuna: float
    projections: Mapping[str, float]
    deciding: float


@dataclass(frozen=True)
class Outcome:
    """A run that ended: how, and the state it leaves.

    ``incomplete`` names the projections that lack something, which a resume adds. ``baselines`` is what predictors
    that never look at the image reach on the same data; None if unknown.
    """

    ended: SweepEnded
    state: SweepState
    incomplete: tuple[str, ...]
    timings: Timings
    baselines: Baselines | None


@dataclass(frozen=True)
class RunInputs:
    """What a run starts from.

    Attributes:
        settings: this call's settings.
        space: the search space; on a resume the one that the journal holds.
        dataset: prepared data.
        test: the held-out split; None for a search, which never reads it.
        plan: what `ray_runtime.start_ray` found; Ray is running.
        observers: views that are told of every record.
        started_at: when the clock of ``settings.time_s`` started, by `time.monotonic`.
        resume: go on with the sweep's journal instead of starting one.
    """

    settings: RunSettings
    space: Space
    dataset: Dataset
    test: TestSplit | None
    plan: ray_runtime.ClusterPlan
    observers: Sequence[Observer]
    started_at: float
    resume: bool


def run_sweep(inputs: RunInputs) -> Outcome:
    """Run or resume a sweep until it is finished, out of time, or stopped by Ctrl-C or SIGTERM.

    Raises:
        RunError: name in use, or the sweep's identity (space, target, data) is another one than at its start.
        SweepLocked: another process runs this sweep.
        TargetError, FarmError: no device, no farm.
    """
    inputs = _with_teacher(inputs)
    settings, space, dataset = inputs.settings, inputs.space, inputs.dataset
    runs = Runs(settings.runs)
    files = runs.sweep(settings.name)
    asked_at = time.time()
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(files.root))
        control.forget_stops(files.root, asked_at)
        _check_start(journal, files, resume=inputs.resume)
        farm, target, devices = _open_farm(stack, settings, space, files)
        publisher = Publisher(projections(settings, space, files), journal.records)
        ledger = Ledger(journal, (*inputs.observers, publisher))
        workplace = _workplace(inputs, files, target)
        limits = _limits(settings, inputs.plan, devices)
        score = score_of(space)
        policy = _admission_policy(inputs, score)
        address = settings.compute.ray_address
        slots = ray_runtime.ClusterSlots(inputs.plan)
        home = stack.enter_context(ray_runtime.station_for(address, workplace.files, dataset))
        driver = Driver(
            ledger,
            Planner(_rung_policy(space), limits, policy),
            _proposer(inputs, score),
            workplace,
            AttemptResources(threads=inputs.plan.cpus, use_gpu=inputs.plan.gpus > 0),
            deadline=_deadline(settings, inputs.started_at),
            slots=slots.current,
            teacher=settings.teacher,
        )
        test_frames = inputs.test.frames if inputs.test else 0
        tasks = ray_runtime.RayTasks(workplace, len(dataset.validation.names), test_frames)
        measurer = Measurer(farm, target, workplace.quiet_directory)
        stages = Stages(
            ledger,
            Steps(workplace, tasks, measurer, policy, lambda: ledger.state),
            workers=limits.lookahead + limits.slots + 1,
            on_change=driver.pump,
            on_fatal=lambda reason: driver.stop("error", reason),
        )
        driver.attach(stages)
        stack.callback(stages.close)
        cluster = {"slots": limits.slots, "lookahead": limits.lookahead}
        problem = announce(ledger, settings, space, dataset, inputs.test, target, cluster)
        if problem:
            raise RunError(problem)
        baselines = tasks.start_baselines()
        kept = max(settings.keep, space.document.finalists.top)
        publisher.start(Housekeeping(ledger, workplace.files, kept))
        stack.callback(shutil.rmtree, files.ray, ignore_errors=True)
        watch = ray_runtime.watch_ray(address, lambda reason: _end_without_ray(driver, reason)).start()
        stack.callback(watch.close)
        driver.pump()  # what was under way when an earlier run died goes on at once
        with _stop_on_signals(driver):
            _adopt_teacher(settings.teacher, ledger, workplace, tasks, driver)
            searcher = AttemptSearcher(driver, home, slots.refresh)
            in_ray_s = ray_runtime.run_attempts(searcher, inputs.plan, files.ray)
            stages.close()
            _measure_finalists(ledger, files, measurer, space, driver, score)
        ended = driver.conclude()
        publisher.catch_up(PUBLISH_TIMEOUT_S)  # which also removes the last superfluous files
        driver.end(ended)
        incomplete = publisher.close(PUBLISH_TIMEOUT_S)
        found = None if driver.stopping else baselines()
        timings = Timings(in_ray_s, driver.optuna_seconds, publisher.seconds, driver.deciding_seconds)
        return Outcome(ended, ledger.state, incomplete, timings, found)


def _with_teacher(inputs: RunInputs) -> RunInputs:
    """A new sweep reads its teacher's files once; one that goes on has them in its journal."""
    if inputs.resume or inputs.settings.teacher is not None:
        return inputs
    return replace(inputs, settings=replace(inputs.settings, teacher=teacher_of(inputs.space)))


def _adopt_teacher(
    chosen: ChosenTeacher | None, ledger: Ledger, workplace: Workplace, tasks: JudgesTeachers, driver: Driver
) -> None:
    """A teacher that was trained before; one that cannot be used ends the sweep."""
    try:
        adopt_teacher(chosen, ledger, workplace, tasks)
    except Exception as error:  # a task raises what it likes
        driver.stop("error", f"the teacher cannot be used: {one_line(error)}")


def projections(
    settings: RunSettings, space: Space, files: SweepFiles
) -> dict[str, Callable[[], Projection]]:
    """What makes each of the sweep's projections, by name."""
    runs, stores = Runs(settings.runs), settings.stores
    uri = stores.mlflow_uri or runs.mlflow_uri
    artifacts = artifact_root(uri, stores.mlflow_artifacts, runs.mlflow_artifacts)
    makers: dict[str, Callable[[], Projection]] = {
        "MLflow": lambda: MlflowProjection(uri, artifacts, files.root.resolve())
    }
    url = stores.optuna_storage
    if url is not None:
        objectives = objectives_of(space.document.sampler, score_of(space))
        teller = Teller.of(space, objectives, space.document.constraints)
        makers["Optuna"] = lambda: OptunaProjection(url, teller)
    return makers


def _check_start(journal: Journal, files: SweepFiles, *, resume: bool) -> None:
    if journal.records and not resume:
        raise RunError(f"{files.root} holds a sweep already: choose another --name or resume that one")
    if resume and not journal.records:
        raise RunError(f"{files.root} holds no sweep to resume")


def _open_farm(
    stack: ExitStack, settings: RunSettings, space: Space, files: SweepFiles
) -> tuple[FarmClient, ResolvedTarget, int]:
    """The farm, what the sweep measures on, and how many devices that is."""
    client = open_farm(stack, settings.farm, files.farm)
    asked, tried = space.document.target, space.document.exports
    first = tried.settings[0]
    target = Target(dict(asked.labels), asked.runtime, first.threads, first.delegate)
    devices = client.devices()
    resolved = resolve_target(target, devices, tried.delegates)
    return client, resolved, len(matching_devices(target, devices, tried.delegates))


def _workplace(inputs: RunInputs, files: SweepFiles, target: ResolvedTarget) -> Workplace:
    return Workplace(
        files=SweepFiles(files.root.resolve()),
        dataset_path=inputs.dataset.path,
        quiet_directory=_quiet_directory(inputs.settings),
        max_epochs=inputs.space.document.budget.max_epochs,
        seed=inputs.settings.seed,
        test_path=inputs.test.path if inputs.test else None,
        exports=inputs.space.document.exports,
        runtime=target.runtime,
    )


def _quiet_directory(settings: RunSettings) -> Path | None:
    """Training steps aside for measurements whenever a device may be this machine; shared by all its sweeps."""
    return default_cache() / "quiet" if is_here(settings.farm) else None


def _limits(settings: RunSettings, plan: ray_runtime.ClusterPlan, devices: int) -> Limits:
    """Enough candidates ahead that no trainer waits for a device, and no device for a trainer."""
    ahead = settings.compute.lookahead or max(plan.slots, devices)
    return Limits(trials=settings.trials, slots=plan.slots, lookahead=ahead)


def score_of(space: Space) -> Score:
    """What a sweep of ``space`` maximises.

    Raises:
        ScoreError: it names a score of another package, which cannot be used.
    """
    own = space.document.score
    return FINAL_SCORE if own is None else load_score(own)


def _admission_policy(inputs: RunInputs, score: Score) -> AdmissionPolicy:
    """Who is finalised was chosen by a person, so nothing is stopped for its score."""
    document = inputs.space.document
    if inputs.settings.finalizing is not None:
        return AdmissionPolicy(score=score)
    return AdmissionPolicy(
        constraints=document.constraints,
        risk=document.admission.risk if document.admission.rule == "score" else None,
        extrapolation_risk=document.rungs.extrapolation_risk if document.rungs else None,
        score=score,
    )


def _proposer(inputs: RunInputs, score: Score) -> Proposes:
    settings, document = inputs.settings, inputs.space.document
    if settings.finalizing is not None:
        return FixedProposer(inputs.space, settings.starts)
    return make_proposer(
        inputs.space,
        document.sampler,
        settings.seed,
        max_epochs=document.budget.max_epochs,
        starts=settings.starts,
        constraints=document.constraints,
        score=score,
    )


def _deadline(settings: RunSettings, started_at: float) -> float | None:
    if settings.time_s is None:
        return None
    return started_at + settings.time_s - min(CLOSING_S, settings.time_s / 8)


def _rung_policy(space: Space) -> RungPolicy:
    document = space.document
    if document.rungs is None:
        return RungPolicy((document.budget.max_epochs,), 2, MIN_FULL)
    rungs = document.rungs
    return RungPolicy(rungs.epochs, rungs.reduction_factor, MIN_FULL, rungs.policy == "hyperband")


def _measure_finalists(
    ledger: Ledger, files: SweepFiles, measurer: Measurer, space: Space, driver: Driver, score: Score
) -> None:
    wanted = space.document.finalists
    measure_finalists(
        ledger,
        files,
        measurer,
        top=wanted.top,
        rounds=wanted.rounds,
        may_go_on=lambda: not driver.stopping and driver.has_time,
        score=score,
    )


def _end_without_ray(driver: Driver, reason: str) -> None:
    """Record how the sweep ended while there is time: within a minute Ray ends this process without a word."""
    driver.stop("error", reason)
    driver.end(driver.conclude())
    sys.stderr.write(f"error: {reason}; `sweep resume` goes on where it ended\n")
    sys.stderr.flush()
    os._exit(RAY_IS_GONE)


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
