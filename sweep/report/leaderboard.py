"""The leaderboard: complete trials by Final Score, then all others, beside what the challenge published."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweep.judging.score import TABLE_1
from sweep.lifecycle import SweepState, Trial, TrialState
from sweep.lifecycle.events import Json
from sweep.report.facts import SweepFacts, facts_of
from sweep.report.text import interval, latency, number, one_line, score

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
_METRICS: Final = (("si-RMSE", 4), ("RMSE", 2), ("LOG10", 4), ("REL", 4))
_REASONS: Final = 5
_ROOMY: Final = 100


@dataclass(frozen=True)
class LeaderboardRow:
    """One trial. Figures of a trial that is not complete are None, ``runtime_ms`` and ``partial_score`` aside.

    Attributes:
        rank: from 1 on, for complete trials.
        runtime_ms: of the exported, trained file; before that, of the untrained one.
        runtime_interval_ms: 95 % confidence interval of ``runtime_ms``.
        size_mb: size of the TFLite file in units of 10^6 bytes.
        epochs: trained so far.
        partial_score: what the last trained epoch promised; comparable at equal ``epochs`` only.
        reason: why the trial was pruned, is infeasible or failed.
        files: by kind, relative to the sweep's directory; empty once they were removed to bound the disk.
    """

    rank: int | None
    trial: int
    state: str
    final_score: float | None
    si_rmse: float | None
    rmse: float | None
    log10: float | None
    rel: float | None
    runtime_ms: float | None
    runtime_interval_ms: tuple[float, float] | None
    size_mb: float | None
    epochs: int
    partial_score: float | None
    reason: str
    candidate_hash: str
    architecture_hash: str
    files: Mapping[str, str]


def leaderboard_rows(state: SweepState) -> tuple[LeaderboardRow, ...]:
    """All trials: complete ones by Final Score, then those under way, then those that ended early."""
    ordered = sorted(state.trials.values(), key=_sort_key)
    return tuple(
        _row(trial, place if trial.state is TrialState.COMPLETE else None)
        for place, trial in enumerate(ordered, start=1)
    )


def leaderboard_json(state: SweepState) -> dict[str, Json]:
    """The leaderboard as plain data: what the scores depend on, and the list ``trials``, best first."""
    if state.started is None:
        return {"trials": []}
    facts = facts_of(state.started)
    return {
        "sweep": facts.name,
        "sweep_id": facts.sweep_id,
        "space": facts.space,
        "data": facts.data,
        "device_class": facts.device_class,
        "latency": facts.latency,
        "measured_on_this_machine": facts.this_machine,
        "max_epochs": facts.max_epochs,
        "identity": dict(state.started.identity),
        "best": state.best.number if state.best else None,
        "trials": [_plain(row) for row in leaderboard_rows(state)],
    }


def leaderboard_table(state: SweepState, *, width: int, limit: int | None = None) -> RenderableType:
    """Our trials, at most ``limit`` of them, and apart from them Table 1 of the challenge's report.

    The two tables are never mixed: their scores are of other devices and other data. Laid out for ``width``
    columns, at least 80.
    """
    if state.started is None:
        return Text("The sweep has not started yet.")
    facts = facts_of(state.started)
    rows = leaderboard_rows(state)
    gap = 1 if width >= _ROOMY else 0
    parts: list[RenderableType] = [
        Text(f"Sweep {facts.name}: trials by Final Score", style="bold"),
        Text(f"{facts.space} on {facts.data}; {facts.target}"),
        Text(facts.latency_statement),
        _our_table(facts, rows[:limit], gap) if rows else Text("\nNo trials yet.\n"),
    ]
    if limit is not None and len(rows) > limit:
        parts.append(Text(f"and {len(rows) - limit} more: sweep leaderboard {facts.name}\n"))
    parts.extend(_reasons(rows))
    return Group(*parts, *_table_1(gap))


def _sort_key(trial: Trial) -> tuple[int, float, float, int]:
    partial = trial.partial_score or 0.0
    progress = trial.epoch if trial.final_score is None else trial.final_score
    return (_ORDER.index(trial.state), -progress, -partial, trial.number)


def _row(trial: Trial, rank: int | None) -> LeaderboardRow:
    completion = trial.completion
    metrics = completion.metrics if completion else {}
    measurement = completion.measurement if completion else trial.admission
    export = completion.export if completion else trial.admission_export
    return LeaderboardRow(
        rank=rank,
        trial=trial.number,
        state=trial.state.value,
        final_score=trial.final_score,
        si_rmse=metrics.get("si_rmse"),
        rmse=metrics.get("rmse"),
        log10=metrics.get("log10"),
        rel=metrics.get("rel"),
        runtime_ms=trial.latency_ms,
        runtime_interval_ms=_interval_of(measurement or {}),
        size_mb=_size_mb(export or {}),
        epochs=trial.epoch,
        partial_score=trial.partial_score,
        reason=trial.reason,
        candidate_hash=trial.candidate_hash,
        architecture_hash=trial.architecture_hash,
        files=completion.files if completion and trial.has_files else {},
    )


def _interval_of(measurement: Mapping[str, Json]) -> tuple[float, float] | None:
    bounds = measurement.get("interval_ms")
    return (float(bounds[0]), float(bounds[1])) if bounds else None


def _size_mb(export: Mapping[str, Json]) -> float | None:
    size = export.get("size_bytes")
    return None if size is None else size / 1e6


def _plain(row: LeaderboardRow) -> dict[str, Json]:
    bounds = row.runtime_interval_ms
    return {**asdict(row), "runtime_interval_ms": list(bounds) if bounds else None}


def _our_table(facts: SweepFacts, rows: Sequence[LeaderboardRow], gap: int) -> Table:
    table = _new_table(gap, "trial", "95 % CI", "MB", "state")
    for row in rows:
        complete = row.final_score is not None
        table.add_row(
            str(row.trial),
            score(row.final_score) if complete else score(row.partial_score, partial=True),
            *_metrics(row.si_rmse, row.rmse, row.log10, row.rel),
            latency(row.runtime_ms),
            "drifts" if _drifts(row) else interval(row.runtime_interval_ms),
            number(row.size_mb, 1),
            _state_text(row, facts),
            style="bold green" if row.rank == 1 else None if complete else "dim",
        )
    notes = []
    if any(row.final_score is None and row.partial_score is not None for row in rows):
        notes.append("~ partial score: what the last trained epoch promised, not a Final Score")
    if any(_drifts(row) for row in rows):
        notes.append("drifts: the latency moved while it was measured, so that it has no interval")
    if notes:
        table.caption, table.caption_justify = "\n".join(notes), "left"
    return table


def _drifts(row: LeaderboardRow) -> bool:
    return row.runtime_ms is not None and row.runtime_interval_ms is None


def _state_text(row: LeaderboardRow, facts: SweepFacts) -> str:
    if row.state in (TrialState.COMPLETE, TrialState.INFEASIBLE):
        return row.state
    return f"{row.state} {row.epochs}/{facts.max_epochs}"


def _reasons(rows: Sequence[LeaderboardRow]) -> list[RenderableType]:
    """Why trials broke, at most a handful; pruning is the ordinary course and needs no line."""
    broken = [row for row in rows if row.state in (TrialState.INFEASIBLE, TrialState.FAILED)]
    lines: list[RenderableType] = [
        Text(f"trial {row.trial} {row.state}: {one_line(row.reason)}") for row in broken[:_REASONS]
    ]
    if len(broken) > _REASONS:
        lines.append(Text(f"and {len(broken) - _REASONS} more that failed or are infeasible"))
    return lines


def _table_1(gap: int) -> tuple[RenderableType, ...]:
    table = _new_table(gap, "team", "MB")
    for row in TABLE_1:
        table.add_row(
            row.team,
            str(row.final_score),
            *_metrics(row.si_rmse, row.rmse, row.log10, row.rel),
            f"{row.runtime_ms:g}",
            number(row.size_mb, 1),
        )
    return (
        Text("\nFor orientation: Table 1 of the Mobile AI 2022 challenge", style="bold"),
        Text("A Raspberry Pi 4 and other data: NOT comparable with the scores above."),
        table,
    )


def _new_table(gap: int, first: str, *last: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, gap, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(first, no_wrap=True, justify="left" if first == "team" else "right")
    for name in ("score", *(metric for metric, _ in _METRICS), "ms"):
        table.add_column(name, no_wrap=True, justify="right")
    for name in last:
        table.add_column(name, no_wrap=True, justify="left" if name == "state" else "right")
    return table


def _metrics(*values: float | None) -> tuple[str, ...]:
    return tuple(number(value, decimals) for value, (_, decimals) in zip(values, _METRICS, strict=True))
