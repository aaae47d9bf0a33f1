"""Which journal record changes which MLflow run, and how: pure, so that a replay plans the same again.

A plan is made of `RunUpdate`s. Two updates of one run merge into one, so a whole journal can be sent in a
batch per run, and what could not be sent can wait for the next record.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import yaml

from sweep.lifecycle import Record, SweepState, Trial, TrialState
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    FilesRemoved,
    FinalistMeasured,
    Json,
    PretrainedLoaded,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TeacherAttemptEnded,
    TeacherAttemptStarted,
    TeacherEpochTrained,
    TeacherEvent,
    TeacherReady,
    TrialAdmitted,
    TrialCompleted,
    TrialEvent,
    TrialFailed,
    TrialInfeasible,
    TrialProposed,
    TrialPruned,
    TrialsAdded,
)
from sweep.lifecycle.exports import labels, records_of, winner_of
from sweep.report.facts import SweepFacts, facts_of
from sweep.report.score_label import ScoreLabel
from sweep.tracking import notes
from sweep.tracking.teacher_entry import teacher_entry

Status = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]

SWEEP_ID_TAG: Final = "depth_sweep.sweep_id"
TRIAL_TAG: Final = "depth_sweep.trial"
SEQUENCE_TAG: Final = "depth_sweep.journal_sequence"
NOTE_TAG: Final = "mlflow.note.content"
MODEL_FILES: Final = ("tflite", "onnx")
"""Kinds of the files that go when a trial's files are removed; figures and picture stay.

A kind alone is the key of the file that counts; those of others go on with an underscore.
"""

_MAX_PARAM: Final = 6000
_MAX_TAG: Final = 8000
_MAX_KEY: Final = 250
_FINAL: Final[Mapping[TrialState, Status]] = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.INFEASIBLE: "FAILED",
    TrialState.FAILED: "FAILED",
}
_ENDED: Final[Mapping[str, tuple[str, Status]]] = {
    "finished": ("finished", "FINISHED"),
    "time": ("out of time", "FINISHED"),
    "stopped": ("stopped", "KILLED"),
    "error": ("failed", "FAILED"),
}


@dataclass(frozen=True)
class Point:
    """One point of a metric's series; its time is the journal's, so that a replay repeats it exactly."""

    key: str
    value: float
    time_ms: int
    step: int


@dataclass(frozen=True)
class RunUpdate:
    """What one or more journal records add to one run.

    Attributes:
        run: the trial's number, None for the sweep itself.
        sequence: the journal sequence of the last record in it.
        name, started_ms: given by the record that creates the run.
        ended_ms: given with a final ``status``.
        files: files to publish, by key; paths are relative to the sweep's directory.
        texts: documents to publish: name in the run's artifacts, content.
        removed: published files to take away, by key, with their paths as in ``files``.
    """

    run: int | None
    sequence: int
    name: str | None = None
    started_ms: int | None = None
    status: Status | None = None
    ended_ms: int | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[Point, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    removed: Mapping[str, str] = field(default_factory=dict)


def merge(first: RunUpdate, second: RunUpdate) -> RunUpdate:
    """Both updates of the same run in one; where they differ, ``second`` is right."""
    files = {**first.files, **second.files}
    return RunUpdate(
        run=second.run,
        sequence=second.sequence,
        name=second.name or first.name,
        started_ms=second.started_ms or first.started_ms,
        status=second.status or first.status,
        ended_ms=second.ended_ms if second.status else first.ended_ms,
        params={**first.params, **second.params},
        metrics=(*first.metrics, *second.metrics),
        tags={**first.tags, **second.tags},
        files={key: path for key, path in files.items() if key not in second.removed},
        texts={**first.texts, **second.texts},
        removed={**first.removed, **second.removed},
    )


def plan(state: SweepState, record: Record) -> Iterator[RunUpdate]:
    """The updates that ``record`` brings; ``state`` is the sweep's state after it."""
    assert state.started is not None
    facts = facts_of(state.started)
    match record.event:
        case SweepStarted() as event:
            yield _start_sweep(facts, event, record)
        case SweepResumed():
            tags = {"state": "running", NOTE_TAG: cut(notes.sweep_note(facts, state))}
            yield RunUpdate(None, record.sequence, status="RUNNING", tags=tags)
            yield from _unfinished(state, record, "RUNNING")
        case SweepEnded() as event:
            yield _end_sweep(facts, state, event, record)
            yield from _unfinished(state, record, "SCHEDULED")
        case TrialsAdded():
            yield RunUpdate(None, record.sequence, tags={"trials_added": str(state.trials_added)})
        case (
            TeacherAttemptStarted() | TeacherEpochTrained() | TeacherAttemptEnded() | TeacherReady() as event
        ):
            yield _teach(event, record)
        case event:
            trial = state.trials[event.trial]
            yield _of_trial(facts, trial, event, record)
            if trial.state.is_final and not isinstance(event, FilesRemoved):
                yield _sweep_progress(facts, state, record)


def sweep_status(state: SweepState) -> Status:
    """The status of the sweep's own run."""
    return "RUNNING" if state.ended is None else _ENDED[state.ended.reason][1]


def trial_status(state: SweepState, trial: Trial) -> Status:
    """The status of a trial's run: its end, else whether the sweep is at work."""
    return _FINAL.get(trial.state, "RUNNING" if state.ended is None else "SCHEDULED")


def flatten(tree: Mapping[str, Json], prefix: str = "") -> dict[str, str]:
    """Nested data as MLflow parameters: dotted keys, values as text; lists and other leaves as JSON."""
    flat: dict[str, str] = {}
    for key, value in tree.items():
        name = prefix + re.sub(r"[^\w\-. :/]", "_", key)
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, name + "."))
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            flat[name[:_MAX_KEY]] = cut(text, _MAX_PARAM)
    return flat


def cut(text: str, limit: int = _MAX_TAG) -> str:
    """``text``, shortened visibly to at most ``limit`` characters, without what PostgreSQL cannot hold."""
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    return text if len(text) <= limit else text[: limit - 4] + " ..."


def _start_sweep(facts: SweepFacts, event: SweepStarted, record: Record) -> RunUpdate:
    about = {
        "name": event.name,
        "sweep_id": event.sweep_id,
        "identity": event.identity,
        "settings": event.settings,
        "versions": event.versions,
    }
    return RunUpdate(
        None,
        record.sequence,
        name=facts.name,
        started_ms=_ms(record.time),
        status="RUNNING",
        params=flatten({**event.identity, "settings": event.settings}),
        tags={
            "kind": "sweep",
            "state": "running",
            **_identity_tags(facts),
            NOTE_TAG: cut(notes.sweep_note(facts, SweepState())),
        },
        texts={"sweep.yaml": _yaml(about), "space.yaml": event.space.get("text") or _yaml(event.space)},
    )


def _teach(event: TeacherEvent, record: Record) -> RunUpdate:
    entry = teacher_entry(event)
    tags = {key: cut(value) for key, value in entry.tags.items()}
    metrics = _points(entry.figures, record, step=entry.step)
    return RunUpdate(None, record.sequence, metrics=metrics, tags=tags)


def _end_sweep(facts: SweepFacts, state: SweepState, event: SweepEnded, record: Record) -> RunUpdate:
    tags = {"state": _ENDED[event.reason][0], NOTE_TAG: cut(notes.sweep_note(facts, state))}
    if event.reason == "error":
        tags["error"] = cut(event.detail)
    return RunUpdate(
        None, record.sequence, status=_ENDED[event.reason][1], ended_ms=_ms(record.time), tags=tags
    )


def _unfinished(state: SweepState, record: Record, status: Status) -> Iterator[RunUpdate]:
    for trial in state.trials.values():
        if not trial.state.is_final:
            yield RunUpdate(trial.number, record.sequence, status=status, tags={"state": trial.state.value})


def _sweep_progress(facts: SweepFacts, state: SweepState, record: Record) -> RunUpdate:
    done = [trial for trial in state.trials.values() if trial.state.is_final]
    figures = {"trials_done": float(len(done))}
    if state.best is not None and state.best.final_score is not None:
        figures[f"best_{facts.score.key}"] = state.best.final_score
    return RunUpdate(
        None,
        record.sequence,
        metrics=_points(figures, record, step=len(done)),
        tags={NOTE_TAG: cut(notes.sweep_note(facts, state))},
    )


def _of_trial(facts: SweepFacts, trial: Trial, event: TrialEvent, record: Record) -> RunUpdate:
    update = _changes(facts, trial, event, record)
    tags = {"state": trial.state.value, **update.tags}
    if trial.state.is_final and not isinstance(event, FilesRemoved | FinalistMeasured):
        update = replace(update, status=_FINAL[trial.state], ended_ms=_ms(record.time))
        tags[NOTE_TAG] = cut(notes.trial_note(facts, trial))
    return replace(update, tags=tags)


def _changes(facts: SweepFacts, trial: Trial, event: TrialEvent, record: Record) -> RunUpdate:
    """What ``event`` adds, apart from the state that all of them show."""
    update = RunUpdate(trial.number, record.sequence)
    match event:
        case TrialProposed():
            return _propose(facts, trial, record)
        case TrialAdmitted():
            return _admit(update, event, record)
        case PretrainedLoaded():
            return replace(update, tags={"pretrained": cut(event.summary)})
        case EpochTrained():
            return replace(
                update, metrics=_points(_epoch_figures(event, facts.score), record, step=event.epoch)
            )
        case TrialCompleted():
            return _complete(update, trial, event, record, facts.score)
        case FinalistMeasured():
            return _measure_finalist(update, trial, event, record, facts.score)
        case TrialPruned():
            return replace(update, tags={"reason": cut(event.reason), "rule": event.rule})
        case TrialInfeasible() | TrialFailed():
            return replace(update, tags={"error": cut(event.reason)})
        case FilesRemoved():
            files = trial.completion.files if trial.completion else {}
            removed = {key: path for key, path in files.items() if key.partition("_")[0] in MODEL_FILES}
            return replace(update, removed=removed, tags={"files": "removed"})
        case AttemptStarted() | AttemptEnded():
            return update


def _propose(facts: SweepFacts, trial: Trial, record: Record) -> RunUpdate:
    return RunUpdate(
        trial.number,
        record.sequence,
        name=f"trial {trial.number} of {facts.name}",
        started_ms=_ms(record.time),
        status="RUNNING",
        params=flatten(trial.candidate),
        tags={
            "kind": "trial",
            TRIAL_TAG: str(trial.number),
            **_identity_tags(facts),
            "candidate_hash": trial.candidate_hash,
            "architecture_hash": trial.architecture_hash,
            "origin": trial.origin,
            **({} if trial.seed is None else {"seed": str(trial.seed)}),
        },
        texts={"candidate.yaml": _yaml(trial.candidate)},
    )


def _admit(update: RunUpdate, event: TrialAdmitted, record: Record) -> RunUpdate:
    shared = {} if event.shared_with is None else {"admission_shared_with": str(event.shared_with)}
    figures = {"admission_latency_ms": event.latency_ms}
    return replace(update, metrics=_points(figures, record, step=0), tags=shared)


def _measure_finalist(
    update: RunUpdate, trial: Trial, event: FinalistMeasured, record: Record, score: ScoreLabel
) -> RunUpdate:
    """The round's latency at its number, and what the trial's best-known figures are now."""
    assert trial.final_score is not None
    assert trial.latency_ms is not None
    now = {score.key: trial.final_score, "runtime_ms": trial.latency_ms}
    rounds = _points({"finalist_latency_ms": event.latency_ms}, record, step=event.round)
    return replace(update, metrics=(*_points(now, record, step=trial.epoch), *rounds))


def _complete(
    update: RunUpdate, trial: Trial, event: TrialCompleted, record: Record, score: ScoreLabel
) -> RunUpdate:
    figures = {**event.metrics, "runtime_ms": event.latency_ms, score.key: event.final_score}
    interval = event.measurement.get("interval_ms")
    if interval:
        figures |= {"runtime_low_ms": interval[0], "runtime_high_ms": interval[1]}
    if "size_bytes" in event.export:
        figures["size_mb"] = event.export["size_bytes"] / 1e6
    held_out = {} if event.test is None else event.test
    figures |= {
        f"test_{score.key if key == 'final_score' else key}": value
        for key, value in held_out.items()
        if isinstance(value, int | float)
    }
    texts = {"measurement.json": event.measurement, "judgement.json": event.judgement}
    return replace(
        update,
        params=_export_params(event),
        metrics=_points({**figures, **_export_figures(event, score)}, record, step=trial.epoch),
        tags={"flags": ", ".join(event.flags)} if event.flags else {},
        files=event.files,
        texts={
            name: json.dumps(content, indent=2)
            for name, content in texts.items()
            if name.removesuffix(".json") not in event.files
        },
    )


def _export_params(event: TrialCompleted) -> dict[str, str]:
    """Which of several files and settings the run's own figures are of."""
    winner = winner_of(records_of(event.exports))
    if winner is None:
        return {}
    names = ("variant", "threads", "delegate", "output_upsampling")
    return {f"export.{name}": str(getattr(winner, name)) for name in names}


def _export_figures(event: TrialCompleted, score: ScoreLabel) -> dict[str, float]:
    """Of each file at each setting, by what tells it from the others, such as ``int8.4t.latency_ms``."""
    records = records_of(event.exports)
    figures: dict[str, float] = {}
    for label, found in zip(labels(records), records, strict=True):
        size_mb = None if found.size_bytes is None else found.size_bytes / 1e6
        known = {
            "si_rmse": found.si_rmse,
            "latency_ms": found.latency_ms,
            score.key: found.final_score,
            "size_mb": size_mb,
        }
        prefix = label.replace(" ", ".")
        figures |= {f"{prefix}.{name}": value for name, value in known.items() if value is not None}
    return figures


def _epoch_figures(event: EpochTrained, score: ScoreLabel) -> dict[str, float]:
    return {
        "train_loss": event.train_loss,
        "si_rmse_partial": event.si_rmse,
        score.partial_key: event.partial_score,
        "learning_rate": event.learning_rate,
        "epoch_seconds": event.seconds,
    }


def _identity_tags(facts: SweepFacts) -> dict[str, str]:
    return {
        SWEEP_ID_TAG: facts.sweep_id,
        "sweep": facts.name,
        "space": facts.space,
        "data": facts.data,
        "device_class": facts.device_class,
        "target": facts.target,
        "latency": facts.latency,
        "mlflow.source.name": "depth-sweep",
        "mlflow.source.type": "LOCAL",
    }


def _points(figures: Mapping[str, float], record: Record, step: int) -> tuple[Point, ...]:
    return tuple(Point(key, float(value), _ms(record.time), step) for key, value in figures.items())


def _yaml(content: Mapping[str, Json]) -> str:
    return yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False)


def _ms(time: float) -> int:
    return round(time * 1000)
