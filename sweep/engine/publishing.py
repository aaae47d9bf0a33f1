"""What happens behind a running sweep's back: MLflow is told, and files outside the best K are removed.

Both follow the journal in one thread of their own, so that neither a slow store nor a slow disk holds up the
search; a file is only removed after MLflow has seen the event that made it superfluous.
"""

import logging
import queue
import threading
from collections.abc import Callable

from sweep.engine.files import SweepFiles
from sweep.engine.ledger import Ledger, LedgerClosed
from sweep.lifecycle import Record, SweepState, Trial, TrialState
from sweep.lifecycle.events import FilesRemoved
from sweep.tracking.projection import MlflowProjection

_log = logging.getLogger(__name__)


class Publisher:
    """A ledger's observer; the work is done in its thread."""

    def __init__(self, make_projection: Callable[[], MlflowProjection], earlier: tuple[Record, ...]) -> None:
        """``make_projection`` is called in the thread; ``earlier`` are the records from before this run."""
        self._make_projection = make_projection
        self._earlier = earlier
        self._queue: queue.Queue[tuple[SweepState, Record] | threading.Event | None] = queue.Queue()
        self._housekeeping: Callable[[SweepState], None] = lambda _: None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self.seconds_in_mlflow = 0.0
        self.failed = False

    def start(self, housekeeping: Callable[[SweepState], None]) -> None:
        """Begin to work; ``housekeeping`` runs after each record."""
        self._housekeeping = housekeeping
        self._thread.start()

    def __call__(self, state: SweepState, record: Record) -> None:
        """Take note of a record."""
        self._queue.put((state, record))

    def catch_up(self, timeout_s: float) -> None:
        """Wait, at most ``timeout_s``, until all records so far are worked off."""
        worked_off = threading.Event()
        self._queue.put(worked_off)
        worked_off.wait(timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Work off what waits, at most ``timeout_s``; False if something was left (`sweep resume` adds it)."""
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive() and not self.failed

    def _run(self) -> None:
        projection = self._open()
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            self._publish(projection, *item)
        if projection is not None:
            projection.close()
            self.failed = self.failed or projection.problem is not None
            self.seconds_in_mlflow = projection.seconds_in_mlflow

    def _open(self) -> MlflowProjection | None:
        try:
            projection = self._make_projection()
            projection.catch_up(self._earlier)
        except Exception:
            _log.exception("MLflow cannot be written; the sweep goes on, and a resume of it catches up")
            self.failed = True
            return None
        return projection

    def _publish(self, projection: MlflowProjection | None, state: SweepState, record: Record) -> None:
        try:
            if projection is not None:
                projection.apply(state, record)
            self._housekeeping(state)
        except LedgerClosed:  # the run ended first: a resume removes what is left
            pass
        except Exception:
            _log.exception("MLflow could not take journal record %d", record.sequence)
            self.failed = True


class Housekeeping:
    """Removes the files of trials that ended outside the best ``keep``."""

    def __init__(self, ledger: Ledger, files: SweepFiles, keep: int) -> None:
        self._ledger = ledger
        self._files = files
        self._keep = keep

    def __call__(self, state: SweepState) -> None:
        """Record and remove what ``state`` no longer needs."""
        for trial in superfluous(state, self._keep):
            with self._ledger.changed:
                if not self._ledger.state.trials[trial.number].has_files:
                    continue
                self._ledger.record(FilesRemoved(trial.number))
            self._files.trial(trial.number).remove()


def superfluous(state: SweepState, keep: int) -> tuple[Trial, ...]:
    """The final trials that still have files and are not among the best ``keep`` complete ones."""
    complete = sorted(state.in_state(TrialState.COMPLETE), key=lambda trial: -(trial.final_score or 0.0))
    kept = {trial.number for trial in complete[:keep]}
    return tuple(
        trial
        for trial in state.trials.values()
        if trial.state.is_final and trial.has_files and trial.number not in kept
    )
