"""The two steps of a trial beside training: admission before it, finishing after it.

Each returns the one event that it ends in and may be repeated from its start: files are replaced whole.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Protocol

from device_farm.types import Measurement, MeasurementSettings, measurement_to_json
from sweep.engine.measurer import ADMISSION, COARSE, FINAL
from sweep.engine.settings import Workplace
from sweep.engine.tasks import write_json
from sweep.judging.judge import Judgement, combine
from sweep.judging.score import final_score
from sweep.lifecycle import SweepState, Trial
from sweep.lifecycle.events import TrialAdmitted, TrialCompleted
from sweep.lifecycle.trial import advance
from sweep.search import AdmissionPolicy

LATENCY_MOVED = "latency_moved"
"""Flag: the intervals of the final and the admission measurement disagree; the final one counts."""


class Tasks(Protocol):
    """What the steps need of Ray; each call blocks until the task is done."""

    def export(
        self, candidate: Mapping[str, Any], directory: Path, checkpoint: Path | None
    ) -> dict[str, Any]:
        """Export to ``directory`` and return the export's facts."""

    def judge(self, tflite: Path, split: Literal["validation", "test"]) -> list[Any]:
        """Judge the file on all frames of the split; return the chunks for `sweep.judging.combine`."""

    def check_reference(self, tflite: Path) -> float:
        """Largest relative difference to TensorFlow's reference kernels."""

    def draw_picture(self, tflite: Path, path: Path) -> None:
        """Write the trial's picture."""


class Measures(Protocol):
    """See `sweep.engine.measurer.Measurer`."""

    def measure(
        self,
        tflite: Path,
        settings: MeasurementSettings,
        *,
        fresh: bool = False,
        device_id: str | None = None,
    ) -> Measurement:
        """The latency of ``tflite``."""


class Steps:
    """Admission and finishing of one sweep's trials; any number of threads may take steps at once."""

    def __init__(
        self,
        workplace: Workplace,
        tasks: Tasks,
        measurer: Measures,
        policy: AdmissionPolicy,
        state: Callable[[], SweepState],
    ) -> None:
        self._workplace = workplace
        self._tasks = tasks
        self._measurer = measurer
        self._policy = policy
        self._state = state
        self._measuring: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._measured: dict[
            str, Trial
        ] = {}  # by architecture, in this run: a twin may ask before it is recorded

    def admit(self, trial: Trial) -> TrialAdmitted:
        """Export the untrained network and measure it, unless a trial of the same architecture was measured."""
        architecture = trial.architecture_hash
        with self._measuring[architecture]:  # twins wait for the first of them
            twin = self._measured.get(architecture) or _measured_twin(self._state(), trial)
            if twin is not None:
                return _shared(trial, twin)
            admitted = self._measure_untrained(trial)
            self._measured[architecture] = advance(trial, admitted, time.time())
            return admitted

    def finish(self, trial: Trial) -> TrialCompleted:
        """Export the trained network, judge and measure the file."""
        files = self._workplace.files
        directory = files.trial(trial.number).final
        export = self._tasks.export(trial.candidate, directory, files.root / str(trial.checkpoint))
        tflite = Path(export["tflite"])
        judgement = combine(self._tasks.judge(tflite, "validation"))
        test = self._judge_held_out(tflite)
        export["reference_max_relative"] = self._tasks.check_reference(tflite)
        self._tasks.draw_picture(tflite, directory / "picture.png")
        measured = self._measurer.measure(tflite, FINAL)
        return self._completed(trial, export, judgement, measured, test)

    def _measure_untrained(self, trial: Trial) -> TrialAdmitted:
        directory = self._workplace.files.trial(trial.number).admission
        export = self._tasks.export(trial.candidate, directory, None)
        tflite = Path(export["tflite"])
        if self._may_reject():
            coarse = self._admitted(trial, export, self._measurer.measure(tflite, COARSE))
            if self._rejects(trial, coarse):
                return coarse
        return self._admitted(trial, export, self._measurer.measure(tflite, ADMISSION))

    def _may_reject(self) -> bool:
        """A coarse measurement only pays where it could end the matter."""
        scores = self._policy.risk is not None and self._state().best is not None
        return scores or bool(self._policy.constraints)

    def _rejects(self, trial: Trial, admitted: TrialAdmitted) -> bool:
        measured = advance(trial, admitted, time.time())
        return self._policy.at_admission(self._state(), measured) is not None

    def _admitted(self, trial: Trial, export: Mapping[str, Any], measurement: Measurement) -> TrialAdmitted:
        return TrialAdmitted(
            trial=trial.number,
            latency_ms=measurement.latency_ms,
            measurement=measurement_to_json(measurement),
            export=self._portable(export),
        )

    def _judge_held_out(self, tflite: Path) -> Judgement | None:
        """Only a finalising sweep has a held-out split; a search never sees one."""
        return None if self._workplace.test_path is None else combine(self._tasks.judge(tflite, "test"))

    def _completed(
        self,
        trial: Trial,
        export: Mapping[str, Any],
        judgement: Judgement,
        measured: Measurement,
        test: Judgement | None,
    ) -> TrialCompleted:
        directory = self._workplace.files.trial(trial.number).final
        measurement = measurement_to_json(measured)
        written = {"measurement": measurement, "judgement": asdict(judgement)}
        if test is not None:
            written["test_judgement"] = asdict(test)
        for name, content in written.items():
            write_json(directory / f"{name}.json", content)
        metrics = asdict(judgement.metrics)
        paths = {name: directory / f"{name}.json" for name in written}
        paths |= {"tflite": Path(export["tflite"]), "onnx": Path(export["onnx"])}
        paths["picture"] = directory / "picture.png"
        return TrialCompleted(
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
            files={name: self._workplace.files.relative(path) for name, path in paths.items()},
            flags=(LATENCY_MOVED,) if latency_moved(trial, measured) else (),
            test=_held_out(test, measured),
        )

    def _portable(self, export: Mapping[str, Any]) -> dict[str, Any]:
        """The export's facts with paths relative to the sweep's directory."""
        files = self._workplace.files
        return {**export, **{key: files.relative(Path(export[key])) for key in ("tflite", "onnx")}}


def latency_moved(trial: Trial, final: Measurement) -> bool:
    """True if the final file's latency interval lies apart from the untrained one's.

    Weights can move it: denormal numbers are slow, and constants that training made zero may be folded away.
    """
    admission = (trial.admission or {}).get("interval_ms")
    if not admission or final.interval_ms is None:
        return False
    return bool(final.interval_ms[0] > admission[1] or final.interval_ms[1] < admission[0])


def _measured_twin(state: SweepState, trial: Trial) -> Trial | None:
    """An earlier trial of the same architecture that was measured itself."""
    return next(
        (
            other
            for other in state.trials.values()
            if other.architecture_hash == trial.architecture_hash
            and other.admission_latency_ms is not None
            and other.admission_shared_with is None
        ),
        None,
    )


def _shared(trial: Trial, twin: Trial) -> TrialAdmitted:
    if twin.admission_latency_ms is None:
        raise AssertionError(f"trial {twin.number} was not measured")
    return TrialAdmitted(
        trial=trial.number,
        latency_ms=twin.admission_latency_ms,
        measurement=twin.admission or {},
        export=twin.admission_export or {},
        shared_with=twin.number,
    )


def _held_out(judgement: Judgement | None, measured: Measurement) -> dict[str, Any] | None:
    if judgement is None:
        return None
    metrics = asdict(judgement.metrics)
    score = final_score(metrics["si_rmse"], measured.latency_ms)
    return {"metrics": metrics, "final_score": score, "frames": judgement.frames}
