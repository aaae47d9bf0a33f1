"""Our own time per trial: journal, lifecycle, planning and deciding, with the libraries beside it.

    python benchmarks/own_time.py [--trials 1000] [--sampler tpe|composite|random] [--slots 2] [--no-mlflow]

Runs a sweep of the real parts in which exporting, training, judging and measuring take no time, and prints the
wall time per trial of our own code, of the sampler and of MLflow, for the first and the last hundred trials, and
the memory of the process. MLflow is called in between here; in a sweep it works in a thread of its own.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from sweep.engine.attempt_spec import AttemptSpec
from sweep.engine.driver import AttemptResources, Driver
from sweep.engine.files import SweepFiles
from sweep.engine.ledger import Ledger, Observer
from sweep.engine.settings import Workplace
from sweep.judging.score import final_score
from sweep.lifecycle import Journal, Record, SweepState, Trial
from sweep.lifecycle.events import SweepStarted, TrialAdmitted, TrialCompleted
from sweep.search import AdmissionPolicy, Limits, Planner, Proposes, RungPolicy
from sweep.search.proposer import make_proposer
from sweep.space import load_space
from sweep.space.samplers import CompositeSampler, RandomSampler, Sampler, TPESampler
from sweep.tracking.projection import MlflowProjection

SPACE = "mobilenetv3"
MAX_EPOCHS = 6
SEED = 0
SPAN = 100
"""Trials at the beginning and at the end that are compared."""

SAMPLERS: dict[str, Sampler] = {
    "tpe": TPESampler(kind="tpe"),
    "composite": CompositeSampler(kind="composite"),
    "random": RandomSampler(kind="random"),
}
IDENTITY = {
    "space": SPACE,
    "data": "none",
    "target": {"device_class": "none", "labels": {}, "runtime": "none", "threads": 1, "delegate": "none"},
    "max_epochs": MAX_EPOCHS,
}


@dataclass(frozen=True)
class Mark:
    """How far the sweep was, and what it had taken by then, in seconds and in MB of resident memory."""

    trials: int
    own_s: float
    sampler_s: float
    mlflow_s: float
    memory_mb: float


class InstantStages:
    """Admission and finishing that take no time; figures follow from the trial's number."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def admit(self, trial: Trial) -> None:
        """Measured at once."""
        latency_ms = latency_of(trial.number)
        measurement = {"interval_ms": [0.98 * latency_ms, 1.02 * latency_ms]}
        self._ledger.record(TrialAdmitted(trial.number, latency_ms, measurement, {"size_bytes": 2_000_000}))

    def finish(self, trial: Trial) -> None:
        """Judged at once."""
        si_rmse, latency_ms = trial.epochs[-1].si_rmse, latency_of(trial.number)
        score = final_score(si_rmse, latency_ms)
        metrics = {"si_rmse": si_rmse}
        self._ledger.record(TrialCompleted(trial.number, metrics, latency_ms, score, {}, {}, {}, {}))

    def mute(self) -> None:
        """Nothing is under way."""


class MlflowBeside:
    """An observer that shows every record in MLflow at once, and knows how long that took."""

    def __init__(self, root: Path) -> None:
        self._projection = MlflowProjection(f"sqlite:///{root / 'mlflow.db'}", root / "artifacts", root)
        self.seconds = 0.0

    def __call__(self, state: SweepState, record: Record) -> None:
        started = time.perf_counter()
        self._projection.apply(state, record)
        self.seconds += time.perf_counter() - started


class Nowhere:
    """An observer that shows nothing."""

    seconds = 0.0

    def __call__(self, state: SweepState, record: Record) -> None:
        """Nothing to do."""


def main() -> None:
    """Run the sweep and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--sampler", choices=SAMPLERS, default="tpe")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--no-mlflow", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="depth-sweep-benchmark-") as folder:
        beside = Nowhere() if asked.no_mlflow else MlflowBeside(Path(folder))
        marks = run(Path(folder), SAMPLERS[asked.sampler], asked.trials, asked.slots, beside)
    print_rows(marks)


def run(root: Path, sampler: Sampler, trials: int, slots: int, beside: MlflowBeside | Nowhere) -> list[Mark]:
    """The sweep, marked whenever an attempt has been trained."""
    space = load_space(SPACE)
    marks = [Mark(0, 0.0, 0.0, 0.0, memory_mb())]
    with Journal(root) as journal:
        proposer = make_proposer(space, sampler, SEED, max_epochs=MAX_EPOCHS)
        driver, ledger = build(root, journal, proposer, trials, slots, beside)
        ledger.record(SweepStarted("own-time", "id", IDENTITY, {}, {}, {}))
        while isinstance(spec := driver.next_attempt(), AttemptSpec):
            train(driver, spec, ledger.state.trials[spec.trial].epoch)
            own_s = driver.deciding_seconds - beside.seconds
            count = len(ledger.state.trials)
            marks.append(Mark(count, own_s, proposer.optuna_seconds, beside.seconds, memory_mb()))
    return marks


def build(
    root: Path, journal: Journal, proposer: Proposes, trials: int, slots: int, observer: Observer
) -> tuple[Driver, Ledger]:
    """A driver and a ledger with everything real but the work."""
    ledger = Ledger(journal, (observer,))
    driver = Driver(
        ledger,
        Planner(
            RungPolicy((2, MAX_EPOCHS), 2, min_full=3),
            Limits(trials, slots, lookahead=slots),
            AdmissionPolicy(risk=0.01),
        ),
        proposer,
        Workplace(SweepFiles(root), root, None, MAX_EPOCHS, SEED),
        AttemptResources(threads=1, use_gpu=False),
        deadline=None,
    )
    driver.attach(InstantStages(ledger))
    return driver, ledger


def latency_of(trial: int) -> float:
    """5 to 5.1 ms, in no order: nothing is stopped at admission, and all trials are tried."""
    return 5.0 + trial * 7919 % 100 / 1000


def train(driver: Driver, spec: AttemptSpec, from_epoch: int) -> None:
    """Report the attempt's epochs."""
    for epoch in range(from_epoch + 1, spec.to_epoch + 1):
        si_rmse = 0.3 + spec.trial * 6971 % 100 / 1000 + 0.3 / epoch
        figures = {"train_loss": 1.0, "si_rmse": si_rmse, "learning_rate": 0.01, "seconds": 1.0}
        driver.on_result(spec, {"epoch": epoch, **figures})


def memory_mb() -> float:
    """Resident memory of this process."""
    return psutil.Process().memory_info().rss / 1e6


def at(marks: list[Mark], trials: int) -> Mark:
    """The first mark with so many trials."""
    return next(mark for mark in marks if mark.trials >= trials)


def print_rows(marks: list[Mark]) -> None:
    """Milliseconds per trial, over all and at both ends; the memory at the end of each."""
    trials = marks[-1].trials
    span = min(SPAN, trials // 2)
    spans = {
        "all trials": (marks[0], marks[-1]),
        f"first {span}": (marks[0], at(marks, span)),
        f"last {span}": (at(marks, trials - span), marks[-1]),
    }
    print(f"{'ms per trial':<14} {'own':>8} {'sampler':>8} {'MLflow':>8} {'memory, MB':>12}")
    for name, (start, stop) in spans.items():
        count = stop.trials - start.trials or 1
        taken = (
            stop.own_s - start.own_s,
            stop.sampler_s - start.sampler_s,
            stop.mlflow_s - start.mlflow_s,
        )
        own, sampler, mlflow = (1000 * seconds / count for seconds in taken)
        print(f"{name:<14} {own:>8.1f} {sampler:>8.1f} {mlflow:>8.1f} {stop.memory_mb:>12.0f}")


if __name__ == "__main__":
    main()
