"""The two steps of a trial beside training: admission before it, finishing after it.

Each returns the one event that it ends in and may be repeated from its start: files are replaced whole.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from device_farm.types import InfeasibleModel, Measurement, MeasurementSettings, measurement_to_json
from sweep.engine.exports import (
    ExportedFile,
    Tried,
    best_of,
    combinations,
    contenders,
    export_records,
    fastest_of,
)
from sweep.engine.measurer import ADMISSION, COARSE, FINAL
from sweep.engine.settings import Workplace
from sweep.engine.tasks import write_json
from sweep.export.errors import RunnerError
from sweep.judging.judge import Judgement, combine
from sweep.judging.metrics import NonFinitePrediction
from sweep.judging.score import Score
from sweep.lifecycle import SweepState, Trial
from sweep.lifecycle.events import Json, TrialAdmitted, TrialCompleted
from sweep.lifecycle.exports import records_of
from sweep.lifecycle.trial import advance
from sweep.search import AdmissionPolicy
from sweep.space import InferenceSetting

LATENCY_MOVED = "latency_moved"
"""Flag: the intervals of the final and the admission measurement disagree; the final one counts."""


class Tasks(Protocol):
    """What the steps need of Ray; each call blocks until the task is done."""

    def export(
        self, candidate: Mapping[str, Any], directory: Path, checkpoint: Path | None
    ) -> Sequence[ExportedFile]:
        """Export to ``directory`` and return every file that the sweep asks for, or why there is none."""

    def judge(self, tflite: Path, split: Literal["validation", "test"]) -> list[Any]:
        """Judge the file on all frames of the split; return the chunks for `sweep.judging.combine`."""

    def check_reference(self, tflite: Path) -> Mapping[str, float]:
        """How far the file is from TensorFlow's reference kernels, as facts of the export."""

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
        at: InferenceSetting | None = None,
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
        """Export the trained network, judge and measure every file; the best one speaks for the trial."""
        files = self._workplace.files
        directory = files.trial(trial.number).final
        exported = self._tasks.export(trial.candidate, directory, files.root / str(trial.checkpoint))
        tried = self._measure(self._judge(self._combinations(exported)), FINAL)
        winner = best_of(tried, self._policy.constraints)
        tflite = _tflite(tried[winner])
        test = self._judge_held_out(tflite)
        reference = self._tasks.check_reference(tflite)
        self._tasks.draw_picture(tflite, directory / "picture.png")
        return self._completed(trial, tried, winner, test, reference)

    def _combinations(self, exported: Sequence[ExportedFile]) -> tuple[Tried, ...]:
        return combinations(exported, self._workplace.exports.settings, self._policy.score)

    def _measure_untrained(self, trial: Trial) -> TrialAdmitted:
        """The fastest is measured well. Where that is not sure from the start, all are measured coarsely first."""
        directory = self._workplace.files.trial(trial.number).admission
        tried = self._combinations(self._tasks.export(trial.candidate, directory, None))
        may_reject = self._may_reject()
        places: Sequence[int] = range(len(tried))
        if may_reject or len(tried) > 1:
            tried = self._measure(tried, COARSE)
            fastest = fastest_of(tried, self._policy.constraints)
            if may_reject and self._rejects(trial, tried):
                return self._admitted(trial, tried, fastest)
            places = contenders(tried)
        tried = self._measure(tried, ADMISSION, places)
        return self._admitted(trial, tried, fastest_of(tried, self._policy.constraints))

    def _may_reject(self) -> bool:
        """A coarse measurement only pays where it could end the matter."""
        scores = self._policy.risk is not None and self._state().best is not None
        return scores or bool(self._policy.constraints)

    def _rejects(self, trial: Trial, tried: Sequence[Tried]) -> bool:
        """True if the trial may stop whichever of its files, at whichever setting, will count."""
        state = self._state()
        measured = [place for place, entry in enumerate(tried) if entry.latency_ms is not None]
        admissions = (self._admitted(trial, tried, place) for place in measured)
        return all(
            self._policy.at_admission(state, advance(trial, admitted, time.time())) is not None
            for admitted in admissions
        )

    def _judge(self, tried: Sequence[Tried]) -> tuple[Tried, ...]:
        """Each file judged once, whatever the number of its settings; one that cannot be is out."""
        verdicts: dict[str, Judgement | Exception] = {}
        for entry in tried:
            if entry.failure is None and entry.file.name not in verdicts:
                verdicts[entry.file.name] = self._verdict(_tflite(entry))
        return tuple(_with_verdict(entry, verdicts.get(entry.file.name)) for entry in tried)

    def _verdict(self, tflite: Path) -> Judgement | Exception:
        try:
            return combine(self._tasks.judge(tflite, "validation"))
        except (NonFinitePrediction, RunnerError) as error:
            return error

    def _measure(
        self, tried: Sequence[Tried], effort: MeasurementSettings, places: Sequence[int] | None = None
    ) -> tuple[Tried, ...]:
        """Those at ``places`` (None: all) measured anew; one that the device refuses is out."""
        return tuple(
            self._measured_at(entry, effort) if places is None or place in places else entry
            for place, entry in enumerate(tried)
        )

    def _measured_at(self, entry: Tried, effort: MeasurementSettings) -> Tried:
        if entry.failure is not None:
            return entry
        try:
            measurement = self._measurer.measure(_tflite(entry), effort, at=entry.setting)
        except InfeasibleModel as error:
            return replace(entry, measurement=None, failure=error)
        return replace(entry, measurement=measurement)

    def _admitted(self, trial: Trial, tried: Sequence[Tried], place: int) -> TrialAdmitted:
        measurement = _measurement(tried[place])
        return TrialAdmitted(
            trial=trial.number,
            latency_ms=measurement.latency_ms,
            measurement=measurement_to_json(measurement),
            export=self._portable(tried[place].file.facts),
            exports=self._records(tried, place),
        )

    def _judge_held_out(self, tflite: Path) -> Judgement | None:
        """Only a finalising sweep has a held-out split; a search never sees one."""
        return None if self._workplace.test_path is None else combine(self._tasks.judge(tflite, "test"))

    def _completed(
        self,
        trial: Trial,
        tried: Sequence[Tried],
        winner: int,
        test: Judgement | None,
        reference: Mapping[str, float],
    ) -> TrialCompleted:
        best = tried[winner]
        measured, judgement = _measurement(best), _judgement(best)
        metrics = asdict(judgement.metrics)
        return TrialCompleted(
            trial=trial.number,
            metrics=metrics,
            latency_ms=measured.latency_ms,
            final_score=self._policy.score(metrics["si_rmse"], measured.latency_ms),
            measurement=measurement_to_json(measured),
            export={**self._portable(best.file.facts), **reference},
            judgement={
                "frames": judgement.frames,
                "interpreter_version": judgement.interpreter_version,
            },
            files=self._write(trial, tried, winner, test),
            flags=(LATENCY_MOVED,) if latency_moved(trial, best) else (),
            test=_held_out(test, measured, self._policy.score),
            exports=self._records(tried, winner),
        )

    def _write(
        self, trial: Trial, tried: Sequence[Tried], winner: int, test: Judgement | None
    ) -> dict[str, str]:
        """Write what was found beside the files; the paths of all of them, by kind."""
        directory = self._workplace.files.trial(trial.number).final
        written: dict[str, Any] = {
            "measurement": measurement_to_json(_measurement(tried[winner])),
            "judgement": asdict(_judgement(tried[winner])),
        }
        if test is not None:
            written["test_judgement"] = asdict(test)
        if not self._workplace.exports.is_plain:
            written["exports"] = self._with_measurements(tried, winner)
        for name, content in written.items():
            write_json(directory / f"{name}.json", content)
        paths = {name: directory / f"{name}.json" for name in written}
        paths |= _model_paths(tried, winner) | {"picture": directory / "picture.png"}
        return {name: self._workplace.files.relative(path) for name, path in paths.items()}

    def _records(self, tried: Sequence[Tried], winner: int) -> Sequence[Mapping[str, Json]]:
        """All combinations for the journal, where there is more to tell than the event itself does."""
        if self._workplace.exports.is_plain:
            return ()
        relative = self._workplace.files.relative
        return export_records(tried, winner, self._policy.constraints, lambda path: relative(Path(path)))

    def _with_measurements(self, tried: Sequence[Tried], winner: int) -> dict[str, Any]:
        records = self._records(tried, winner)
        return {
            "exports": [
                {**record, "measurement": entry.measurement and measurement_to_json(entry.measurement)}
                for record, entry in zip(records, tried, strict=True)
            ]
        }

    def _portable(self, export: Mapping[str, Any]) -> dict[str, Any]:
        """The export's facts with paths relative to the sweep's directory."""
        files = self._workplace.files
        return {**export, **{key: files.relative(Path(export[key])) for key in ("tflite", "onnx")}}


def latency_moved(trial: Trial, final: Tried) -> bool:
    """True if the final file's latency interval lies apart from the untrained one's at the same setting.

    Weights can move it: denormal numbers are slow, and constants that training made zero may be folded away.
    """
    admission = _admission_interval(trial, final)
    interval = _measurement(final).interval_ms
    if not admission or interval is None:
        return False
    return bool(interval[0] > admission[1] or interval[1] < admission[0])


def _admission_interval(trial: Trial, final: Tried) -> Sequence[float] | None:
    """The interval of the untrained file of the same variant, at the same setting."""
    if not trial.admission_exports:
        interval: Sequence[float] | None = (trial.admission or {}).get("interval_ms")
        return interval
    file, setting = final.file, final.setting
    wanted = (file.variant, file.output_upsampling, setting.threads, setting.delegate)
    for record in records_of(trial.admission_exports):
        if (*record.file, record.threads, record.delegate) == wanted:
            return record.interval_ms
    return None


def _with_verdict(entry: Tried, verdict: Judgement | Exception | None) -> Tried:
    if isinstance(verdict, Exception):
        return replace(entry, failure=verdict)
    return replace(entry, judgement=verdict)


def _tflite(entry: Tried) -> Path:
    return Path(entry.file.facts["tflite"])


def _measurement(entry: Tried) -> Measurement:
    if entry.measurement is None:
        raise AssertionError(f"{entry.file.name} was not measured")
    return entry.measurement


def _judgement(entry: Tried) -> Judgement:
    if entry.judgement is None:
        raise AssertionError(f"{entry.file.name} was not judged")
    return entry.judgement


def _model_paths(tried: Sequence[Tried], winner: int) -> dict[str, Path]:
    """The winner's files as ``tflite`` and ``onnx``, and all others under names of their own."""
    best = tried[winner].file
    paths = {kind: Path(best.facts[kind]) for kind in ("tflite", "onnx")}
    for file in (entry.file for entry in tried):
        if file.facts and file.name != best.name:
            paths[f"tflite_{file.name}"] = Path(file.facts["tflite"])
            if file.facts["onnx"] != best.facts["onnx"]:
                paths[f"onnx_{file.output_upsampling}"] = Path(file.facts["onnx"])
    return paths


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
        exports=twin.admission_exports,
    )


def _held_out(judgement: Judgement | None, measured: Measurement, scoring: Score) -> dict[str, Any] | None:
    if judgement is None:
        return None
    metrics = asdict(judgement.metrics)
    score = scoring(metrics["si_rmse"], measured.latency_ms)
    return {"metrics": metrics, "final_score": score, "frames": judgement.frames}
