"""Runs one job in a child process and turns whatever happens to it into an outcome.

The reference model runs in the same child, just before and just after the samples: together with what the
machine's ``Surroundings`` tell between the blocks of invocations, that shows what the latency is worth. The child
only invokes; every decision falls here, between blocks.
"""

import asyncio
import enum
import math
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from device_farm.jobs import Failed, Infeasible, Job, RunOutcome, RunReport
from device_farm.measuring.stopping import StoppingRule, WarmUpRule, next_block, settled, stop_reason
from device_farm.types import EvidenceValue, StopReason, Target
from device_farm.worker.children import (
    Block,
    Loaded,
    NoAnswer,
    RunnerDied,
    RunnerProblem,
    RunnerProcess,
    Started,
    StepFailed,
    start_runner,
)
from device_farm.worker.facts import SYSTEM_ROOT
from device_farm.worker.operator_timing import time_operators
from device_farm.worker.runtimes import REFERENCE_SLOT, InstalledRuntime, reference_times
from device_farm.worker.surroundings import Snapshot, Surroundings, summarise

MODEL_SLOT = "model"
REFERENCE_INVOCATIONS = 10
GRACE_SECONDS = 5.0  # the worker ends the child in time; the child's own limit is for the worker's absence
# Signals that the model does not cause by itself: somebody, or a kernel short of memory, ended the child.
_OUTSIDE_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL}

FetchModel = Callable[[], Awaitable[Path]]


class Step(enum.Enum):
    """What the child does; tells who is to blame if that is its last."""

    START = "the runtime did not start"
    REFERENCE = "the reference model did not run"
    LOAD = "the model could not be loaded"
    MEASURE = "the model could not be measured"

    @property
    def is_the_models(self) -> bool:
        return self in (Step.LOAD, Step.MEASURE)


async def run_job(
    job: Job,
    fetch_model: FetchModel,
    installed: InstalledRuntime,
    reference: Path,
    surroundings: Surroundings,
) -> RunOutcome:
    """Runs the job's model as it asks. Cancelling this kills the child's whole process group first.

    Args:
        fetch_model: brings the model's file; the child starts meanwhile. Its errors pass through.
        reference: the reference model's file.

    Raises:
        OSError: the runtime's Python is gone.
    """
    if job.target.delegate not in installed.runtime.delegates:
        name = installed.runtime.name
        return Failed(f"{name} does not offer delegate {job.target.delegate}", retryable=False)
    kills_before = out_of_memory_kills()
    async with start_runner(installed.python, installed.family) as runner:
        model = await fetch_model()
        deadline = asyncio.get_running_loop().time() + job.settings.timeout_seconds
        run = _Run(job, model, installed, reference, surroundings, runner)
        try:
            async with asyncio.timeout_at(deadline):
                outcome = await run.measure()
        except TimeoutError:
            return _timed_out(job, run.step)
        except RunnerProblem as problem:
            log = await runner.end()
            starved = kills_before is not None and out_of_memory_kills() != kills_before
            return explain(problem, job, run.step, log, starved)
        if job.profile_operators and isinstance(outcome, RunReport):
            return await _with_operators(outcome, runner, model, job.target, deadline)
        return outcome


async def _with_operators(
    report: RunReport, runner: RunnerProcess, model: Path, target: Target, deadline: float
) -> RunReport:
    """The report with the time per operator; where that cannot be had, with the reason."""
    try:
        operators = await time_operators(runner, MODEL_SLOT, model, target, deadline)
        return replace(report, operators=operators)
    except (ValueError, OSError, RunnerProblem) as problem:
        return replace(report, evidence={**report.evidence, "operators_unknown": str(problem)})


class _Run:
    """One job in one child, step by step."""

    def __init__(
        self,
        job: Job,
        model: Path,
        installed: InstalledRuntime,
        reference: Path,
        surroundings: Surroundings,
        runner: RunnerProcess,
    ) -> None:
        self._job, self._model, self._installed = job, model, installed
        self._reference, self._surroundings, self._runner = reference, surroundings, runner
        self.step = Step.START

    async def measure(self) -> RunOutcome:
        runner, target, settings = self._runner, self._job.target, self._job.settings
        started = await runner.started()
        self.step = Step.REFERENCE
        # Loaded and run before the limit is set, so that it needs none of the memory that the model may have.
        await runner.load(REFERENCE_SLOT, self._reference, 1, target.delegate)
        await runner.invoke(REFERENCE_SLOT, 1)
        seconds = settings.timeout_seconds + GRACE_SECONDS
        await runner.limit(settings.memory_limit_mb, target.threads, seconds)
        self.step = Step.LOAD
        loaded = await runner.load(MODEL_SLOT, self._model, target.threads, target.delegate)
        if target.delegate == "none" and loaded.delegate_partitions:
            return Failed("delegate none was asked for, but the interpreter applied one", retryable=False)
        self.step = Step.MEASURE
        measured_at = time.time()
        warmup_ms, output_sha256 = await self._warm_up()
        reference_before_ms = await self._run_reference()
        samples, stopped_by, snapshots = await self._sample()
        peak_memory_mb = await runner.peak_memory_mb()
        reference_after_ms = await self._run_reference()
        return RunReport(
            model_sha256=self._job.model_sha256,
            runtime=self._installed.runtime.name,
            runtime_version=started.version,
            threads=target.threads,
            delegate=target.delegate,
            samples_ms=samples.wall_ms,
            warmup_ms=warmup_ms,
            cpu_ms=samples.cpu_ms,
            reference_before_ms=reference_before_ms,
            reference_after_ms=reference_after_ms,
            stopped_by=stopped_by,
            measured_at=measured_at,
            evidence={
                **summarise(snapshots),
                **self._conditions(started, loaded),
                "output_sha256": output_sha256,
                "peak_memory_mb": peak_memory_mb,
            },
        )

    async def _run_reference(self) -> tuple[float, ...]:
        """Between the warm-up and the samples and after them: the processor has its full clock both times."""
        step, self.step = self.step, Step.REFERENCE
        times_ms = await reference_times(self._runner, REFERENCE_INVOCATIONS)
        self.step = step
        return times_ms

    def _conditions(self, started: Started, loaded: Loaded) -> dict[str, EvidenceValue]:
        return {
            "delegate": self._job.target.delegate,
            "delegate_partitions": loaded.delegate_partitions,
            "load_ms": loaded.load_ms,
            "runner_python": started.python,
            "runner_start_ms": started.start_ms,
            "runtime_package": started.package,
            "runtime_version": started.version,
            "threads": self._job.target.threads,
        }

    async def _warm_up(self) -> tuple[tuple[float, ...], str | None]:
        """Invokes until the times settle; returns them all, and what the first invocation put out."""
        seconds = self._job.settings.warmup_seconds
        rule = WarmUpRule(seconds)
        began = time.monotonic()
        times_ms = (await self._runner.invoke(MODEL_SLOT, 1)).wall_ms
        output_sha256 = await self._digest()
        while not settled(times_ms, spent := time.monotonic() - began, rule):
            affordable = math.ceil((seconds - spent) * 1000 / fmean(times_ms))
            count = min(len(times_ms), affordable)
            times_ms += (await self._runner.invoke(MODEL_SLOT, count)).wall_ms
        return times_ms, output_sha256

    async def _digest(self) -> str | None:
        """The outputs in one number; None where they cannot be read, such as texts."""
        try:
            return await self._runner.digest(MODEL_SLOT)
        except StepFailed:
            return None

    async def _sample(self) -> tuple[Block, StopReason, list[Snapshot]]:
        settings = self._job.settings
        rule = StoppingRule(
            interval_width=settings.interval_width,
            min_invocations=settings.min_invocations,
            max_invocations=settings.max_invocations,
            sampling_seconds=settings.sampling_seconds,
        )
        snapshots = [await self._look_closely()]
        began = time.monotonic()
        samples = Block((), ())
        while (reason := stop_reason(samples.wall_ms, time.monotonic() - began, rule)) is None:
            count = next_block(samples.wall_ms, time.monotonic() - began, rule)
            block = await self._runner.invoke(MODEL_SLOT, count)
            snapshots.append(self._surroundings.snapshot(self._runner.pid, quick=True))
            samples = Block(samples.wall_ms + block.wall_ms, samples.cpu_ms + block.cpu_ms)
        return samples, reason, [*snapshots, await self._look_closely()]

    async def _look_closely(self) -> Snapshot:
        """A full snapshot; it may start a program and wait for it."""
        return await asyncio.to_thread(self._surroundings.snapshot, self._runner.pid)


def _timed_out(job: Job, step: Step) -> RunOutcome:
    within = f"{step.value} within {job.settings.timeout_seconds:g} s"
    return Infeasible(f"timed out: {within}") if step.is_the_models else Failed(within)


def explain(problem: RunnerProblem, job: Job, step: Step, log: str, starved: bool) -> Infeasible | Failed:
    """What a step that was not done means for the job.

    Args:
        log: the end of the interpreter's log.
        starved: whether the kernel killed some process for want of memory since the child's start.
    """
    limit = f"memory limit of {job.settings.memory_limit_mb} MB"
    match problem:
        case StepFailed(out_of_memory=True) if step.is_the_models:
            return Infeasible(f"out of memory: needs more than the {limit}")
        case StepFailed() if step.is_the_models:
            return Infeasible(str(problem))
        case RunnerDied(returncode=ending) if step.is_the_models:
            if -ending == signal.SIGKILL and starved:
                return Infeasible(f"out of memory: needs more than the device has, under a {limit}")
            if -ending not in _OUTSIDE_SIGNALS:
                return Infeasible(f"bad file, or one beyond the {limit}: {problem}{_quoted(log)}")
            return Failed(f"{problem}{_quoted(log)}")
        case NoAnswer():
            return Failed(f"the runner gave no answer that makes sense: {problem}{_quoted(log)}")
        case _:
            return Failed(f"{step.value}: {problem}{_quoted(log)}")


def _quoted(log: str) -> str:
    return f"; its log:\n{log}" if log else ""


def out_of_memory_kills(root: Path = SYSTEM_ROOT) -> int | None:
    """How many processes the kernel has killed so far for want of memory; None where it does not tell."""
    try:
        lines = (root / "proc/vmstat").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    counts = [line.split()[1] for line in lines if line.startswith("oom_kill ")]
    return int(counts[0]) if counts else None
