"""Our own time per trial: journal, lifecycle, planning and proposing, with MLflow's projection beside it.

    python benchmarks/own_time.py [TRIALS]

Runs a sweep of the real parts in which exporting, training, judging and measuring take no time, and prints the
wall time per trial of our own code, of Optuna and of MLflow, for the first and the last quarter of the trials.
"""

import sys
import tempfile
import time
from pathlib import Path

from sweep.engine.attempt_spec import AttemptSpec
from sweep.engine.driver import AttemptResources, Driver
from sweep.engine.files import SweepFiles
from sweep.engine.ledger import Ledger
from sweep.engine.settings import Workplace
from sweep.judging.score import final_score
from sweep.lifecycle import Journal, Record, SweepState, Trial
from sweep.lifecycle.events import SweepStarted, TrialAdmitted, TrialCompleted
from sweep.search import Limits, Planner, Proposer, RungPolicy
from sweep.space import load_space
from sweep.tracking.projection import MlflowProjection

MAX_EPOCHS = 6
SEED = 0
IDENTITY = {
    "space": "mobilenetv3",
    "data": "none",
    "target": {"device_class": "none", "labels": {}, "runtime": "none", "threads": 1, "delegate": "none"},
    "max_epochs": MAX_EPOCHS,
}


class InstantStages:
    """Admission and finishing that take no time; figures follow from the candidate's hash."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def admit(self, trial: Trial) -> None:
        self._ledger.record(TrialAdmitted(trial.number, 1.0, {}, {}))

    def finish(self, trial: Trial) -> None:
        score = final_score(0.3, 1.0)
        event = TrialCompleted(trial.number, {"si_rmse": 0.3}, 1.0, score, {}, {}, {}, {})
        self._ledger.record(event)

    def mute(self) -> None:
        pass


def main() -> None:
    """Run the sweep and print the table."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory(prefix="depth-sweep-benchmark-") as folder:
        root = Path(folder)
        projection = MlflowProjection(f"sqlite:///{root / 'mlflow.db'}", root / "artifacts", root)
        mlflow_s, marks = 0.0, []

        def publish(state: SweepState, record: Record) -> None:
            nonlocal mlflow_s
            started = time.perf_counter()
            projection.apply(state, record)
            mlflow_s += time.perf_counter() - started

        with Journal(root) as journal:
            ledger = Ledger(journal, (publish,))
            driver = build_driver(ledger, root, trials)
            ledger.record(SweepStarted("own-time", "id", IDENTITY, {}, {}, {}))
            while isinstance(spec := driver.next_attempt(), AttemptSpec):
                train(driver, spec, ledger.state.trials[spec.trial].epoch)
                marks.append((len(ledger.state.trials), driver.deciding_seconds - mlflow_s, mlflow_s))
        print_rows(marks, driver.optuna_seconds, trials)


def build_driver(ledger: Ledger, root: Path, trials: int) -> Driver:
    """A driver over everything real but the work."""
    driver = Driver(
        ledger,
        Planner(RungPolicy((2, MAX_EPOCHS), 2, min_full=3), Limits(trials, slots=1, lookahead=1)),
        Proposer(load_space("mobilenetv3"), SEED),
        Workplace(SweepFiles(root), root, None, MAX_EPOCHS, SEED),
        AttemptResources(threads=1, use_gpu=False),
        deadline=None,
    )
    driver.attach(InstantStages(ledger))
    return driver


def train(driver: Driver, spec: AttemptSpec, from_epoch: int) -> None:
    """Report the attempt's epochs."""
    for epoch in range(from_epoch + 1, spec.to_epoch + 1):
        si_rmse = 0.3 + (spec.trial * 7919 % 100) / 500 + 0.3 / epoch
        result = {
            "epoch": epoch,
            "train_loss": 1.0,
            "si_rmse": si_rmse,
            "learning_rate": 0.01,
            "seconds": 1.0,
        }
        driver.on_result(spec, result)


def print_rows(marks: list[tuple[int, float, float]], optuna_s: float, trials: int) -> None:
    """Milliseconds per trial, over all and in the first and last quarter."""
    quarters = [next(mark for mark in marks if mark[0] >= trials * part // 4) for part in (1, 3)]
    spans = {
        "all trials": ((0, 0.0, 0.0), marks[-1]),
        "first quarter": ((0, 0.0, 0.0), quarters[0]),
        "last quarter": (quarters[1], marks[-1]),
    }
    print(f"{'milliseconds per trial':<24} {'own':>8} {'MLflow':>8}")
    for name, (start, stop) in spans.items():
        count = stop[0] - start[0] or 1
        own, mlflow = (1000 * (stop[i] - start[i]) / count for i in (1, 2))
        print(f"{name:<24} {own:>8.1f} {mlflow:>8.1f}")
    print(f"Optuna, all trials: {1000 * optuna_s / trials:.1f} ms per trial")


if __name__ == "__main__":
    main()
