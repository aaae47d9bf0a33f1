"""The leaderboard's rows: each trial's rank and figures, as plain data."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from sweep.judging.own_score import recorded_score
from sweep.judging.score import Score
from sweep.lifecycle import SweepState, Trial, TrialState
from sweep.lifecycle.events import Json
from sweep.lifecycle.exports import ExportRecord, records_of
from sweep.report.exports import export_label
from sweep.search.finalists import ranks, standing
from sweep.space.space import CANDIDATE

_ORDER: Final = (
    TrialState.COMPLETE,
    TrialState.TRAINED,
    TrialState.TRAINING,
    TrialState.PAUSED,
    TrialState.ADMITTED,
    TrialState.PROPOSED,
    TrialState.PRUNED,
    TrialState.INFEASIBLE,
    TrialState.FAILED,
)


@dataclass(frozen=True)
class LeaderboardRow:
    """One trial. Figures of a trial that is not complete are None, ``runtime_ms`` and ``partial_score`` aside.

    Accuracy is always that on the validation split.

    Attributes:
        rank: from 1 on, for complete trials; tied trials share one, see `sweep.search.finalists.tied`.
        tied: whether another trial shares the rank: the order of the two is not significant.
        runtime_ms: of the exported, trained file, and of a finalist's the median over its rounds; before that,
            of the untrained one.
        runtime_interval_ms: 95 % confidence interval of ``runtime_ms``; of a finalist's, what the intervals of
            all its rounds span. None: there is none, as the latency drifted.
        finalist_rounds: how often the file was measured afresh, in turn with its rivals'.
        size_mb: size of the TFLite file in units of 10^6 bytes.
        epochs: trained so far.
        partial_score: what the last trained epoch promised; comparable at equal ``epochs`` only.
        flags: what a person should know of a complete trial, such as ``latency_moved``.
        reason: why the trial was pruned, is infeasible or failed.
        pruned_by: the rule that stopped it, ``rung``, ``extrapolation``, ``admission`` or ``time``; None: none.
        tried: False if the trial ended at admission, before any training.
        files: by kind, relative to the sweep's directory; empty once they were removed to bound the disk.
        export: which of several files and settings the figures are of; empty: there is but one to ask for.
        exports: all of them.
        name: of the candidate's file, in a sweep over a folder of candidates; else empty.
    """

    rank: int | None
    tied: bool
    trial: int
    state: str
    final_score: float | None
    si_rmse: float | None
    rmse: float | None
    log10: float | None
    rel: float | None
    runtime_ms: float | None
    runtime_interval_ms: tuple[float, float] | None
    finalist_rounds: int
    size_mb: float | None
    epochs: int
    partial_score: float | None
    flags: tuple[str, ...]
    reason: str
    pruned_by: str | None
    tried: bool
    candidate_hash: str
    architecture_hash: str
    files: Mapping[str, str]
    export: str = ""
    exports: tuple[ExportRecord, ...] = ()
    name: str = ""


def leaderboard_rows(state: SweepState) -> tuple[LeaderboardRow, ...]:
    """All trials: complete ones as they stand, then those under way, then those that ended early.

    Raises:
        ScoreError: the sweep's score is one of another package, which cannot be loaded here.
    """
    scoring = scoring_of(state)
    complete = standing(state, scoring)
    others = (trial for trial in state.trials.values() if trial.state is not TrialState.COMPLETE)
    places = ranks(complete, scoring)
    shared = Counter(places)
    return (
        *(_row(trial, rank, tied=shared[rank] > 1) for trial, rank in zip(complete, places, strict=True)),
        *(_row(trial, None, tied=False) for trial in sorted(others, key=_sort_key)),
    )


def scoring_of(state: SweepState) -> Score:
    """What the sweep maximises.

    Raises:
        ScoreError: it is the score of another package, which cannot be loaded here.
    """
    return recorded_score(state.started.identity if state.started else {})


def row_json(row: LeaderboardRow) -> dict[str, Json]:
    """The row's fields as plain data."""
    bounds = row.runtime_interval_ms
    return {
        **asdict(row),
        "runtime_interval_ms": list(bounds) if bounds else None,
        "flags": list(row.flags),
        "exports": [record.to_json() for record in row.exports],
    }


def latency_interval(trial: Trial) -> tuple[float, float] | None:
    """The interval that goes with the trial's best-known latency, in ms; None: none, or one that drifted."""
    return _interval_of((trial.completion.measurement if trial.completion else trial.admission) or {})


def _sort_key(trial: Trial) -> tuple[int, float, float, int]:
    return (_ORDER.index(trial.state), -float(trial.epoch), -(trial.partial_score or 0.0), trial.number)


def _row(trial: Trial, rank: int | None, *, tied: bool) -> LeaderboardRow:
    completion = trial.completion
    metrics = completion.metrics if completion else {}
    return LeaderboardRow(
        rank=rank,
        tied=tied,
        trial=trial.number,
        state=trial.state.value,
        final_score=trial.final_score,
        si_rmse=metrics.get("si_rmse"),
        rmse=metrics.get("rmse"),
        log10=metrics.get("log10"),
        rel=metrics.get("rel"),
        runtime_ms=trial.latency_ms,
        runtime_interval_ms=latency_interval(trial),
        finalist_rounds=len(trial.finals),
        size_mb=_size_mb(trial),
        epochs=trial.epoch,
        partial_score=trial.partial_score,
        flags=tuple(completion.flags) if completion else (),
        reason=trial.reason,
        pruned_by=trial.pruned_by,
        tried=trial.was_tried,
        candidate_hash=trial.candidate_hash,
        architecture_hash=trial.architecture_hash,
        files=completion.files if completion and trial.has_files else {},
        export=export_label(completion),
        exports=records_of(completion.exports if completion else ()),
        name=str(trial.assignment.get(CANDIDATE, "")),
    )


def _interval_of(measurement: Mapping[str, Json]) -> tuple[float, float] | None:
    bounds = measurement.get("interval_ms")
    return (float(bounds[0]), float(bounds[1])) if bounds else None


def _size_mb(trial: Trial) -> float | None:
    size = (trial.completion.export if trial.completion else trial.admission_export or {}).get("size_bytes")
    return None if size is None else size / 1e6
