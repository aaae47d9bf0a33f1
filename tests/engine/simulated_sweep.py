"""A whole sweep on the real journal, ledger, planner, proposer and driver; only the work itself is simulated.

Training, exporting and measuring are formulas of the candidate's hash, so any two runs of the same sweep must
tell the same story, however often they are killed in between.
"""

from functools import cache
from pathlib import Path

from sweep.engine.attempt_spec import AttemptSpec
from sweep.engine.driver import AttemptResources, Driver, Idle
from sweep.engine.files import SweepFiles
from sweep.engine.ledger import Ledger
from sweep.engine.settings import Workplace
from sweep.judging.score import final_score
from sweep.lifecycle import Event, Journal, Record, Trial
from sweep.lifecycle.events import (
    SweepResumed,
    SweepStarted,
    TrialAdmitted,
    TrialCompleted,
    TrialInfeasible,
)
from sweep.search import Limits, Planner, Proposer, RungPolicy
from sweep.space import load_space

MAX_EPOCHS = 6
TRIALS = 8
SEED = 11


_space = cache(lambda: load_space("mobilenetv3"))


class Killed(BaseException):
    """The simulated SIGKILL: nothing catches it."""


class MortalJournal(Journal):
    """Dies right before or right after its n-th append."""

    def __init__(self, directory: Path, *, lives: int | None, durable: bool) -> None:
        super().__init__(directory)
        self._lives = lives
        self._durable = durable

    def append(self, event: Event) -> Record:
        if self._lives is None:
            return super().append(event)
        self._lives -= 1
        if self._lives < 0:
            if self._durable:
                super().append(event)
            raise Killed
        return super().append(event)


def latency_of(trial: Trial) -> float:
    return 1.0 + int(trial.architecture_hash, 16) % 100 / 10


def si_rmse_of(candidate_hash: str, epoch: int) -> float:
    return 0.2 + int(candidate_hash, 16) % 100 / 500 + 0.3 / epoch


class SimulatedStages:
    """Admission and finishing at once, in the caller's thread; every seventh architecture is infeasible."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def admit(self, trial: Trial) -> None:
        if int(trial.architecture_hash, 16) % 7 == 0:
            self._ledger.record(TrialInfeasible(trial.number, "the runtime refuses an operator"))
        else:
            self._ledger.record(TrialAdmitted(trial.number, latency_of(trial), {}, {}))

    def finish(self, trial: Trial) -> None:
        si_rmse = si_rmse_of(trial.candidate_hash, MAX_EPOCHS)
        score = final_score(si_rmse, latency_of(trial))
        metrics = {"si_rmse": si_rmse}
        self._ledger.record(TrialCompleted(trial.number, metrics, latency_of(trial), score, {}, {}, {}, {}))

    def mute(self) -> None:
        pass


def run(directory: Path, *, lives: int | None = None, durable: bool = True) -> None:
    """Run or resume the sweep in ``directory`` until it ends, or until the journal's lives are used up.

    Raises:
        Killed: at the append after the last life.
    """
    with MortalJournal(directory, lives=lives, durable=durable) as journal:
        ledger = Ledger(journal, ())
        files = SweepFiles(directory)
        driver = Driver(
            ledger,
            Planner(RungPolicy((2, MAX_EPOCHS), 2, min_full=3), Limits(TRIALS, slots=1, lookahead=1)),
            Proposer(_space(), SEED),
            Workplace(files, directory, None, MAX_EPOCHS, SEED),
            AttemptResources(threads=1, use_gpu=False),
            deadline=None,
        )
        driver.attach(SimulatedStages(ledger))
        if ledger.state.started is None:
            ledger.record(SweepStarted("s", "id", {"max_epochs": MAX_EPOCHS}, {}, {}, {}))
        elif ledger.state.ended is None:
            ledger.record(SweepResumed({}, {}))
        else:
            return
        while isinstance(answer := driver.next_attempt(), AttemptSpec):
            train(driver, answer, ledger.state.trials[answer.trial].epoch)
        assert answer is Idle.FOREVER
        driver.end(driver.conclude())


def train(driver: Driver, spec: AttemptSpec, from_epoch: int) -> None:
    candidate_hash = _hash_of(spec)
    for epoch in range(from_epoch + 1, spec.to_epoch + 1):
        driver.on_result(
            spec,
            {
                "epoch": epoch,
                "train_loss": 1.0 / epoch,
                "si_rmse": si_rmse_of(candidate_hash, epoch),
                "learning_rate": 0.01,
                "seconds": 1.0,
            },
        )


def _hash_of(spec: AttemptSpec) -> str:
    from sweep.space.candidate import Candidate

    return Candidate.model_validate(spec.candidate).hash
