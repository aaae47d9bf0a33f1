"""Rivals of the project's search, and the room that they all work in.

Every rival has the same GPUs and the same boards as the project's search, sees the same noisy figures, and is
given the Final Score, latency measured, as its objective. Where these wirings leave a choice, it is made in
their favour: a GPU that waits for a trial's first measurement is not charged for it, a network that cannot
exist or a training that diverges ends the trial at once, and a choice that was trained in part is credited
with the score that it would reach.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import TrialState as OptunaState

from sweep.judging.score import final_score
from sweep.space import Assignment, ImpossibleCandidate, Options, Parameter, RealRange

from .methods import ADMISSION_S, START_S, Run, Scribe
from .problems import MAX_EPOCHS, Problem
from .space import PARAMETERS, SimulatedCandidate
from .virtual_time import WORKERS, Process, Simulation, UseBoard, UseGpu

FIRST_EPOCH = 1


class Rival(Protocol):
    """Proposes assignments and hears what came of them; trials are numbered from 0 as they are asked for."""

    def ask(self, trial: int) -> Assignment:
        """What to try as trial number ``trial``."""

    def report(self, trial: int, epoch: int, score: float) -> bool:
        """Hear of an epoch; False: stop the trial here. The last epoch ends it whatever the answer."""

    def end(self, trial: int) -> None:
        """The trial went through, or was stopped by `report`."""

    def fail(self, trial: int) -> None:
        """The trial could not exist, or diverged."""

    def best(self) -> int | None:
        """The trial at the top of the rival's own leaderboard."""


@dataclass
class Room:
    """A rival at work: each GPU takes one trial after the other."""

    rival: Rival
    problem: Problem
    simulation: Simulation
    scribe: Scribe
    candidates: list[SimulatedCandidate | None]
    trained: int = 0
    full: int = 0

    def gpu(self) -> Process:
        """Trials, one after the other, until the budget is spent."""
        while True:
            trial = len(self.candidates)
            assignment = self.rival.ask(trial)
            try:
                candidate = self.problem.space.candidate(assignment)
            except ImpossibleCandidate:
                self.candidates.append(None)
                self.rival.fail(trial)
                continue
            self.candidates.append(candidate)
            yield from self._try(trial, candidate)
            best = self.rival.best()
            self.scribe.note(None if best is None else self.candidates[best])

    def _try(self, trial: int, candidate: SimulatedCandidate) -> Process:
        yield UseBoard(ADMISSION_S)
        latency_ms = self.problem.observe_latency_ms(candidate, "admission")
        seconds = self.problem.epoch_s(candidate)
        for epoch in range(FIRST_EPOCH, MAX_EPOCHS + 1):
            yield UseGpu(seconds + START_S * (epoch == FIRST_EPOCH))
            self.trained += epoch == FIRST_EPOCH
            si_rmse = self.problem.observe_si_rmse(candidate, epoch)
            if math.isnan(si_rmse):
                self.rival.fail(trial)
                return
            goes_on = self.rival.report(trial, epoch, final_score(si_rmse, latency_ms))
            if not goes_on and epoch < MAX_EPOCHS:
                break
        else:
            self.full += 1
        self.rival.end(trial)

    def run(self) -> Run:
        """The whole search."""
        for _ in range(WORKERS):
            self.simulation.start(self.gpu())
        self.simulation.run()
        return Run(
            curve=tuple(self.scribe.points),
            granted_s=self.simulation.granted_s,
            proposed=len(self.candidates),
            trained=self.trained,
            full=self.full,
            elapsed_s=self.simulation.now,
        )


def compete(rival: Rival, problem: Problem, budget_s: float) -> Run:
    """Let ``rival`` search the problem with so many GPU-seconds."""
    simulation = Simulation(budget_s)
    return Room(rival, problem, simulation, Scribe(problem, simulation), []).run()


class PlainOptuna:
    """Optuna's ask and tell with a sampler and a pruner; its leaderboard holds complete trials only.

    ``static``: for samplers that need every parameter in every trial, and a value of every trial. A parameter
    that another one opens is then always asked for, and a trial that failed is told with the worst score so far.
    """

    def __init__(self, sampler: BaseSampler, pruner: BasePruner, *, static: bool = False) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._static = static
        self._worst: float | None = None
        self._study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        self._asked: list[optuna.Trial] = []
        self._last: dict[int, float] = {}
        self._stopped: set[int] = set()
        self._best: tuple[float, int] | None = None

    def ask(self, trial: int) -> Assignment:
        self._asked.append(self._study.ask())
        return define_by_run(self._asked[trial], static=self._static)

    def report(self, trial: int, epoch: int, score: float) -> bool:
        self._last[trial] = score
        asked = self._asked[trial]
        asked.report(score, epoch)
        if epoch == MAX_EPOCHS or not asked.should_prune():
            return True
        self._stopped.add(trial)
        return False

    def end(self, trial: int) -> None:
        if trial in self._stopped:
            self._study.tell(self._asked[trial], state=OptunaState.PRUNED)
            return
        score = self._last[trial]
        self._worst = score if self._worst is None else min(self._worst, score)
        self._study.tell(self._asked[trial], score)
        if self._best is None or score > self._best[0]:
            self._best = score, trial

    def fail(self, trial: int) -> None:
        if self._static and self._worst is not None:
            self._study.tell(self._asked[trial], self._worst)
        else:
            self._study.tell(self._asked[trial], state=OptunaState.FAIL)

    def best(self) -> int | None:
        return None if self._best is None else self._best[1]


def define_by_run(trial: optuna.Trial, *, static: bool = False) -> Assignment:
    """The space as Optuna's define-by-run code; ``static``: conditional parameters are always asked for."""
    assignment: Assignment = {}
    for parameter in PARAMETERS:
        condition = parameter.condition
        exists = condition is None or assignment[condition.path] == condition.option
        if exists:
            assignment[parameter.path] = _suggest(trial, parameter)
        elif static:
            _suggest(trial, parameter)
    return assignment


def _suggest(trial: optuna.Trial, parameter: Parameter) -> str | float:
    match parameter.domain:
        case Options(values=values):
            return str(trial.suggest_categorical(parameter.path, values))
        case RealRange(low=low, high=high, log=log):
            return trial.suggest_float(parameter.path, low, high, log=log)
        case domain:
            raise ValueError(f"{parameter.path}: the simulated space has no {domain.kind} parameters")
