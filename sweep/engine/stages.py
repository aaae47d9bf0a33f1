"""The steps before and after training: admission, and finishing (export, judging, measurement).

Each trial's step runs in a thread of its own that waits for Ray tasks and for the farm, and ends in exactly one
event. Steps are idempotent: a resumed sweep repeats the ones whose event is not in the journal.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from device_farm.client import FarmClient
from device_farm.types import (
    FarmUnavailable,
    InfeasibleModel,
    Measurement,
    MeasurementFailed,
    MeasurementSettings,
    NoSuchDevice,
    measurement_to_json,
)
from sweep.engine.files import DISK_FULL
from sweep.engine.ledger import Ledger
from sweep.engine.quiet import QuietHost
from sweep.engine.settings import ResolvedTarget, Workplace
from sweep.engine.tasks import write_json
from sweep.judging.judge import combine
from sweep.judging.metrics import NonFinitePrediction
from sweep.judging.score import final_score
from sweep.lifecycle import Trial
from sweep.lifecycle.events import TrialAdmitted, TrialCompleted, TrialFailed, TrialInfeasible

ADMISSION = MeasurementSettings(interval_width=0.03, min_invocations=20, sampling_seconds=1.0)
FINAL = MeasurementSettings(interval_width=0.01, min_invocations=30, sampling_seconds=3.0)


class Tasks(Protocol):
    """What the steps need of Ray; each call blocks until the task is done."""

    def export(
        self, candidate: Mapping[str, Any], directory: Path, checkpoint: Path | None
    ) -> dict[str, Any]:
        """Export to ``directory`` and return the export's facts."""

    def judge(self, tflite: Path) -> list[Any]:
        """Judge the file on all validation frames; return the chunks for `sweep.judging.combine`."""

    def check_reference(self, tflite: Path) -> float:
        """Largest relative difference to TensorFlow's reference kernels."""

    def draw_picture(self, tflite: Path, path: Path) -> None:
        """Write the trial's picture."""


class Measurer:
    """Measures files on the farm, alone on this machine if the device is this machine."""

    def __init__(self, farm: FarmClient, target: ResolvedTarget, quiet_directory: Path | None) -> None:
        self._farm = farm
        self._target = target
        self._quiet = QuietHost(quiet_directory) if quiet_directory else None

    def measure(self, tflite: Path, settings: MeasurementSettings) -> Measurement:
        """The latency of ``tflite`` on the sweep's target.

        Raises:
            FarmError: as `FarmClient.measure`; also if a device of another class answered.
        """
        if self._quiet is None:
            measurement = self._farm.measure(tflite, self._target.exact, settings)
        else:
            with self._quiet.quiet():
                measurement = self._farm.measure(tflite, self._target.exact, settings)
        if measurement.device_class != self._target.device_class:
            raise MeasurementFailed(
                f"measured on device class {measurement.device_class!r}; "
                f"this sweep's is {self._target.device_class!r}"
            )
        return measurement


class Stages:
    """Runs admission and finishing for any number of trials at once."""

    def __init__(
        self,
        ledger: Ledger,
        workplace: Workplace,
        tasks: Tasks,
        measurer: Measurer,
        *,
        workers: int,
        on_change: Callable[[], None],
        on_fatal: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._workplace = workplace
        self._tasks = tasks
        self._measurer = measurer
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
            self._record(TrialInfeasible(trial.number, _one_line(error)))
        except NonFinitePrediction as error:
            self._record(TrialFailed(trial.number, _one_line(error)))
        except Exception as error:
            if getattr(_cause(error), "errno", None) in DISK_FULL:
                self._on_fatal(_one_line(error))
                return
            self._record(TrialFailed(trial.number, f"{type(error).__name__}: {_one_line(error)}"))

    def _record(self, event: TrialAdmitted | TrialCompleted | TrialInfeasible | TrialFailed) -> None:
        if self._muted:
            return
        try:
            self._ledger.record(event)
        except OSError as error:
            self._on_fatal(f"the journal cannot be written: {error}")

    def _admit(self, trial: Trial) -> None:
        directory = self._workplace.files.trial(trial.number).admission
        export = self._tasks.export(trial.candidate, directory, None)
        measurement = self._measurer.measure(Path(export["tflite"]), ADMISSION)
        self._record(
            TrialAdmitted(
                trial=trial.number,
                latency_ms=measurement.latency_ms,
                measurement=measurement_to_json(measurement),
                export=self._portable(export),
            )
        )

    def _finish(self, trial: Trial) -> None:
        files = self._workplace.files
        directory = files.trial(trial.number).final
        checkpoint = files.root / str(trial.checkpoint)
        export = self._tasks.export(trial.candidate, directory, checkpoint)
        tflite = Path(export["tflite"])
        judgement = combine(self._tasks.judge(tflite))
        export["reference_max_relative"] = self._tasks.check_reference(tflite)
        self._tasks.draw_picture(tflite, directory / "picture.png")
        measurement = measurement_to_json(measured := self._measurer.measure(tflite, FINAL))
        write_json(directory / "measurement.json", measurement)
        write_json(directory / "judgement.json", asdict(judgement))
        metrics = asdict(judgement.metrics)
        self._record(
            TrialCompleted(
                trial=trial.number,
                metrics=metrics,
                latency_ms=measured.latency_ms,
                final_score=final_score(metrics["si_rmse"], measured.latency_ms),
                measurement=measurement,
                export=self._portable(export),
                judgement={
                    "frames": judgement.frames,
                    "interpreter_version": judgement.interpreter_version,
                },
                files={
                    "tflite": files.relative(tflite),
                    "onnx": files.relative(Path(export["onnx"])),
                    "picture": files.relative(directory / "picture.png"),
                    "measurement": files.relative(directory / "measurement.json"),
                    "judgement": files.relative(directory / "judgement.json"),
                },
            )
        )

    def _portable(self, export: Mapping[str, Any]) -> dict[str, Any]:
        """The export's facts with paths relative to the sweep's directory."""
        files = self._workplace.files
        paths = {key: files.relative(Path(export[key])) for key in ("tflite", "onnx")}
        return {**export, **paths}


def _one_line(error: Exception) -> str:
    """The error's own words on one line, without the Ray traceback around them."""
    return " ".join(str(_cause(error)).split())[:2000]


def _cause(error: Exception) -> Exception:
    """What a Ray task raised, out of the error that Ray wraps around it."""
    cause: Exception = getattr(error, "cause", None) or error
    return cause
