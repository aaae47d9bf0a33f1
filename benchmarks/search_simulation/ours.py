"""The project's own search: driver, ledger, planner and proposer as they are, on simulated GPUs and boards.

Only what does the work is simulated: stages, trainers, the journal's disk and the clock. The clock that the
driver sees counts GPU-seconds per GPU, so that its deadline is the budget.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sweep.engine.attempt_spec import AttemptSpec
from sweep.engine.driver import AttemptResources, Driver, Idle
from sweep.engine.files import SweepFiles
from sweep.engine.ledger import Ledger
from sweep.engine.settings import Workplace
from sweep.judging.score import final_score
from sweep.lifecycle import Event, Record, SweepState, Trial, TrialState
from sweep.lifecycle.events import SweepStarted, TrialAdmitted, TrialCompleted
from sweep.search import AdmissionPolicy, Limits, Planner, Proposes, RungPolicy, Start
from sweep.search.proposer import make_proposer
from sweep.space.samplers import Sampler

from .methods import ADMISSION_S, FINAL_S, START_S, Rejections, Run, Scribe
from .parts import Switch, everything
from .problems import ADMISSION_SPREAD, MAX_EPOCHS, REDUCTION_FACTOR, RUNGS, Problem
from .space import SimulatedCandidate, read_candidate
from .virtual_time import WORKERS, OutOfBudget, Process, Simulation, UseBoard, UseGpu, WaitForChange

UNLIMITED = 100_000
"""Trials; the budget ends the sweep."""


@dataclass(frozen=True)
class Configuration:
    """One way to set up the project's search.

    Attributes:
        sampler: as in a space file.
        rungs: epochs at which trials are compared; the last is full fidelity.
        hyperband: brackets that start at later rungs.
        lookahead: candidates measured ahead, per GPU.
        min_full: trials taken to full fidelity at least.
        admission: which trials stop before or during training.
        starts: presets that are tried first; whether they are any good is the problem's secret.
        parts: while this is entered, parts of the composite sampler are off.
    """

    sampler: Sampler
    rungs: tuple[int, ...] = RUNGS
    reduction_factor: float | tuple[float, ...] = REDUCTION_FACTOR
    hyperband: bool = False
    lookahead: int = 1
    min_full: int = 3
    admission: AdmissionPolicy = field(default_factory=AdmissionPolicy)
    starts: Callable[[Problem], tuple[Start, ...]] = lambda _: ()
    parts: Switch = everything


def search(configuration: Configuration, problem: Problem, budget_s: float) -> Run:
    """Run one sweep until its budget is spent."""
    with tempfile.TemporaryDirectory(prefix="search-simulation-") as folder, configuration.parts():
        room = _Room(configuration, problem, Simulation(budget_s), Path(folder))
        return room.run()


class MemoryJournal:
    """A journal without a disk; serves `sweep.engine.ledger.JournalPort`."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.records: tuple[Record, ...] = ()
        self._now = now
        self._sequence = 0

    def append(self, event: Event) -> Record:
        """The record that a journal on disk would return."""
        record = Record(self._sequence, self._now(), event)
        self._sequence += 1
        return record

    def close(self) -> None:
        """Nothing is open."""


class _Room:
    """One sweep and the machines that it has."""

    def __init__(
        self, configuration: Configuration, problem: Problem, simulation: Simulation, folder: Path
    ) -> None:
        self.problem = problem
        self.simulation = simulation
        self.ledger = Ledger(MemoryJournal(self.clock), (self._observe,))
        self.scribe = Scribe(problem, simulation)
        self.planner = _planner(configuration)
        self.driver = Driver(
            self.ledger,
            self.planner,
            _proposer(configuration, problem),
            Workplace(SweepFiles(folder), folder, None, MAX_EPOCHS, problem.seed),
            AttemptResources(threads=1, use_gpu=False),
            deadline=simulation.budget_s / WORKERS,
            now=self.clock,
        )
        self.driver.attach(SimulatedStages(self))

    def clock(self) -> float:
        """GPU-seconds spent so far, per GPU."""
        return self.simulation.spent_s / WORKERS

    def run(self) -> Run:
        """The whole sweep."""
        self.ledger.record(SweepStarted("simulation", "id", {"max_epochs": MAX_EPOCHS}, {}, {}, {}))
        for _ in range(WORKERS):
            self.simulation.start(self._gpu())
        self.simulation.run()
        self.driver.end(self.driver.conclude())
        return self._told()

    def _gpu(self) -> Process:
        while (spec := self.driver.next_attempt()) is not Idle.FOREVER:
            if isinstance(spec, Idle):
                yield WaitForChange()
                continue
            try:
                yield from self._train(spec)
            except OutOfBudget:
                self.driver.on_result(spec, {"failure": "stopped", "reason": "the budget is spent"})
                return

    def _train(self, spec: AttemptSpec) -> Process:
        candidate = read_candidate(spec.candidate)
        seconds = self.problem.epoch_s(candidate)
        start_s = START_S
        for epoch in range(self.ledger.state.trials[spec.trial].epoch + 1, spec.to_epoch + 1):
            yield UseGpu(start_s + seconds)
            start_s = 0.0
            self.driver.on_result(spec, _epoch_result(self.problem, candidate, epoch, seconds))
            if not self.driver.goes_on(spec):
                return

    def _observe(self, state: SweepState, record: Record) -> None:
        if isinstance(record.event, TrialCompleted) and state.best is not None:
            self.scribe.note(read_candidate(state.best.candidate))

    def _told(self) -> Run:
        trials = tuple(self.ledger.state.trials.values())
        return Run(
            curve=tuple(self.scribe.points),
            granted_s=self.simulation.granted_s,
            proposed=len(trials),
            trained=sum(1 for trial in trials if trial.epochs),
            full=sum(1 for trial in trials if trial.state is TrialState.COMPLETE),
            elapsed_s=self.simulation.now,
            rejections=_rejections(self.problem, trials, RUNGS[0], self.simulation.budget_s),
        )


class SimulatedStages:
    """Admission and finishing on the simulated farm; serves `sweep.engine.driver.StagesPort`."""

    def __init__(self, room: _Room) -> None:
        self._room = room
        self._under_way: set[tuple[int, TrialState]] = set()

    def admit(self, trial: Trial) -> None:
        """Measure the untrained network, unless that is under way."""
        self._start(trial, self._admit(trial.number, read_candidate(trial.candidate)))

    def finish(self, trial: Trial) -> None:
        """Judge and measure the trained network, unless that is under way."""
        self._start(trial, self._finish(trial, read_candidate(trial.candidate)))

    def mute(self) -> None:
        """Nothing is started any more when a simulation ends."""

    def _start(self, trial: Trial, process: Process) -> None:
        if (trial.number, trial.state) not in self._under_way:
            self._under_way.add((trial.number, trial.state))
            self._room.simulation.start(process)

    def _admit(self, number: int, candidate: SimulatedCandidate) -> Process:
        yield UseBoard(ADMISSION_S)
        latency_ms = self._room.problem.observe_latency_ms(candidate, "admission")
        interval_ms = [latency_ms * (1 - 1.96 * ADMISSION_SPREAD), latency_ms * (1 + 1.96 * ADMISSION_SPREAD)]
        self._room.ledger.record(TrialAdmitted(number, latency_ms, {"interval_ms": interval_ms}, {}))
        self._room.driver.pump()

    def _finish(self, trial: Trial, candidate: SimulatedCandidate) -> Process:
        yield UseBoard(FINAL_S)
        si_rmse = trial.epochs[-1].si_rmse  # the last epoch was judged on the same images
        latency_ms = self._room.problem.observe_latency_ms(candidate, "final")
        score = final_score(si_rmse, latency_ms)
        metrics = {"si_rmse": si_rmse}
        self._room.ledger.record(TrialCompleted(trial.number, metrics, latency_ms, score, {}, {}, {}, {}))
        self._room.driver.pump()


def _planner(configuration: Configuration) -> Planner:
    return Planner(
        RungPolicy(
            configuration.rungs,
            configuration.reduction_factor,
            min_full=configuration.min_full,
            hyperband=configuration.hyperband,
        ),
        Limits(UNLIMITED, slots=WORKERS, lookahead=WORKERS * configuration.lookahead),
        configuration.admission,
    )


def _proposer(configuration: Configuration, problem: Problem) -> Proposes:
    return make_proposer(
        problem.space,
        configuration.sampler,
        problem.seed,
        max_epochs=MAX_EPOCHS,
        starts=configuration.starts(problem),
    )


def _rejections(problem: Problem, trials: Sequence[Trial], first_rung: int, budget_s: float) -> Rejections:
    rejected = [read_candidate(trial.candidate) for trial in trials if trial.pruned_by == "admission"]
    others = [read_candidate(trial.candidate) for trial in trials if trial.pruned_by != "admission"]
    best = max(map(problem.true_score, others), default=0.0)
    saved_s = sum(START_S + first_rung * problem.epoch_s(candidate) for candidate in rejected)
    return Rejections(
        count=len(rejected),
        saved=saved_s / budget_s,
        lost_best=any(problem.true_score(candidate) > best for candidate in rejected),
    )


def _epoch_result(
    problem: Problem, candidate: SimulatedCandidate, epoch: int, seconds: float
) -> dict[str, float]:
    """What a trainer reports; a loss that is not a number goes with an si-RMSE that is not."""
    si_rmse = problem.observe_si_rmse(candidate, epoch)
    return {
        "epoch": epoch,
        "train_loss": si_rmse,
        "si_rmse": si_rmse,
        "learning_rate": 10**candidate.recipe.log_learning_rate,
        "seconds": seconds,
    }
