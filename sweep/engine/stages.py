"""Runs the steps before and after training, each in a thread of its own that waits for Ray tasks and for the farm.

A step ends in exactly one event. A resumed sweep repeats the steps whose event is not in the journal.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from device_farm.types import FarmUnavailable, InfeasibleModel, NoSuchDevice
from sweep.engine.exports import cause, one_line
from sweep.engine.files import DISK_FULL
from sweep.engine.ledger import Ledger
from sweep.engine.steps import Steps
from sweep.judging.metrics import NonFinitePrediction
from sweep.lifecycle import Trial
from sweep.lifecycle.events import TrialAdmitted, TrialCompleted, TrialFailed, TrialInfeasible


class Stages:
    """Runs admission and finishing for any number of trials at once."""

    def __init__(
        self,
        ledger: Ledger,
        steps: Steps,
        *,
        workers: int,
        on_change: Callable[[], None],
        on_fatal: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._steps = steps
        self._on_change = on_change
        self._on_fatal = on_fatal
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="stage")
        self._in_flight: set[int] = set()
        self._lock = threading.Lock()
        self._muted = False

    def admit(self, trial: Trial) -> None:
        """Export the untrained network and measure it, unless that is under way."""
        self._submit(trial, self._admit)

    def finish(self, trial: Trial) -> None:
        """Export, judge and measure the trained network, unless that is under way."""
        self._submit(trial, self._finish)

    def mute(self) -> None:
        """Start nothing more and record nothing more; a resumed sweep repeats it. Signal-safe."""
        self._muted = True

    def close(self) -> None:
        """Let go of the threads; what is under way there ends unheard."""
        self._muted = True
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _submit(self, trial: Trial, step: Callable[[Trial], None]) -> None:
        with self._lock:
            if self._muted or trial.number in self._in_flight:
                return
            self._in_flight.add(trial.number)
        self._executor.submit(self._run, trial, step)

    def _run(self, trial: Trial, step: Callable[[Trial], None]) -> None:
        try:
            self._guard(trial, step)
        finally:
            with self._lock:
                self._in_flight.discard(trial.number)
            if not self._muted:
                self._on_change()

    def _guard(self, trial: Trial, step: Callable[[Trial], None]) -> None:
        from sweep.export import ExportError

        try:
            step(trial)
        except (FarmUnavailable, NoSuchDevice) as error:
            if not self._muted:
                self._on_fatal(str(error))
        except (InfeasibleModel, ExportError) as error:
            self._record(TrialInfeasible(trial.number, one_line(error)))
        except NonFinitePrediction as error:
            self._record(TrialFailed(trial.number, one_line(error)))
        except Exception as error:
            if getattr(cause(error), "errno", None) in DISK_FULL:
                self._on_fatal(one_line(error))
                return
            self._record(TrialFailed(trial.number, f"{type(error).__name__}: {one_line(error)}"))

    def _record(self, event: TrialAdmitted | TrialCompleted | TrialInfeasible | TrialFailed) -> None:
        if self._muted:
            return
        try:
            self._ledger.record(event)
        except OSError as error:
            self._on_fatal(f"the journal cannot be written: {error}")

    def _admit(self, trial: Trial) -> None:
        self._record(self._steps.admit(trial))

    def _finish(self, trial: Trial) -> None:
        self._record(self._steps.finish(trial))
