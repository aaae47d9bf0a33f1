"""The leaderboard: complete trials by score, then all others, beside what the challenge published."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweep.lifecycle import SweepState, TrialState
from sweep.lifecycle.events import Json
from sweep.report.endings import count_endings, untrained_lines
from sweep.report.exports import export_lines
from sweep.report.facts import SweepFacts, facts_of
from sweep.report.finalising import candidates_json, candidates_table
from sweep.report.flags import flag_legend, flag_marks
from sweep.report.rows import LeaderboardRow, leaderboard_rows, row_json, scoring_of
from sweep.report.score_label import label_in
from sweep.report.table1 import table_1
from sweep.report.text import interval, latency, number, one_line
from sweep.search.finalists import standing

_METRICS: Final[tuple[tuple[str, int], ...]] = (("si-RMSE", 4), ("RMSE", 2), ("LOG10", 4), ("REL", 4))
_SHORT_METRICS: Final[tuple[tuple[str, int], ...]] = (("si-RMSE", 4), ("RMSE", 2), ("LOG10", 3), ("REL", 3))
_REASONS: Final = 5
_EXPORT_WIDTH: Final = 16
_ROOMY: Final = 100


def leaderboard_json(state: SweepState) -> dict[str, Json]:
    """The leaderboard as plain data: what the scores depend on, and the list ``trials``, best first.

    ``score`` is the name of the score under ``final_score``, where that is not the challenge's.

    Of a finalising sweep also ``finalizes``, the search, and the list ``candidates``: only there are test figures.
    """
    if state.started is None:
        return {"trials": []}
    facts = facts_of(state.started)
    final: dict[str, Json] = {}
    if facts.finalizes is not None:
        final = {
            "finalizes": facts.finalizes,
            "test_data": facts.test_data,
            "candidates": candidates_json(state),
        }
    return {
        "sweep": facts.name,
        "sweep_id": facts.sweep_id,
        "space": facts.space,
        "data": facts.data,
        "device_class": facts.device_class,
        "latency": facts.latency,
        "measured_on_this_machine": facts.this_machine,
        "max_epochs": facts.max_epochs,
        **({"score": facts.score.name} if facts.score.is_own else {}),
        "identity": dict(state.started.identity),
        "best": next((trial.number for trial in standing(state, scoring_of(state))), None),
        **final,
        "trials": [row_json(row) for row in leaderboard_rows(state)],
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
    parts: list[RenderableType] = [*_heading(facts, state, gap)]
    if rows:
        parts += [_our_table(facts, rows[:limit], gap), *map(Text, _legend(rows[:limit], facts))]
        parts += map(Text, _exports_of_best(state))
    else:
        parts.append(Text("\nNo trials yet.\n"))
    if limit is not None and len(rows) > limit:
        parts.append(Text(f"and {len(rows) - limit} more: sweep leaderboard {facts.name}\n"))
    parts += [*map(Text, untrained_lines(count_endings(state.trials.values()))), *_reasons(rows)]
    return Group(*parts, *table_1(state.started, rows, gap))


def _heading(facts: SweepFacts, state: SweepState, gap: int) -> Iterator[RenderableType]:
    final = facts.finalizes is not None
    topic = f"the winners of {facts.finalizes}, retrained" if final else f"trials by {facts.score.name}"
    yield Text(f"Sweep {facts.name}: {topic}", style="bold")
    if facts.score.is_own:
        yield Text(f"The score is {facts.score.name}; it is not the challenge's.")
    yield Text(f"{facts.space} on {facts.data}; {facts.target}")
    yield Text(facts.latency_statement)
    if facts.export_statement:
        yield Text(facts.export_statement)
    if final:
        yield from candidates_table(facts, state, gap)
    elif facts.demo_data:
        yield Text(f"Data: {facts.data_statement}.")


def _our_table(facts: SweepFacts, rows: Sequence[LeaderboardRow], gap: int) -> Table:
    """Where it matters which file counts, it has a column; where there is little room, LOG10 and REL make it.

    Candidates of a folder are named. Trials' numbers, intervals and two digits make room for that.
    """
    several = facts.exports.combinations > 1
    named = any(row.name for row in rows)
    roomy = gap > 0
    everything = roomy or not named
    metrics = _SHORT_METRICS if named and not roomy else _METRICS
    metrics = metrics[:2] if several and not roomy else metrics
    table = _new_table(
        gap,
        "#",
        *(["trial"] if everything else []),
        *(["candidate"] if named else []),
        "score",
        *(name for name, _ in metrics),
        "ms",
        *(["95 % CI"] if everything else []),
        "MB",
        "state",
    )
    if several:
        table.add_column("export", max_width=_EXPORT_WIDTH, overflow="fold")
    for row in rows:
        complete = row.final_score is not None
        table.add_row(
            _rank(row),
            *([str(row.trial)] if everything else []),
            *([row.name] if named else []),
            _score(row, facts),
            *_metrics(metrics, row.si_rmse, row.rmse, row.log10, row.rel),
            latency(row.runtime_ms),
            *(["drifts" if _drifts(row) else interval(row.runtime_interval_ms)] if everything else []),
            number(row.size_mb, 1),
            _state_text(row, facts),
            *([row.export] if several else []),
            style="bold green" if row.rank == 1 else None if complete else "dim",
        )
    return table


def _score(row: LeaderboardRow, facts: SweepFacts) -> str:
    if row.final_score is not None:
        return facts.score.text(row.final_score)
    return facts.score.text(row.partial_score, partial=True)


def _exports_of_best(state: SweepState) -> Iterator[str]:
    """What became of the best trial's other files."""
    best = next(iter(standing(state, scoring_of(state))), None)
    return iter(()) if best is None else export_lines(best, label_in(state))


def _legend(rows: Sequence[LeaderboardRow], facts: SweepFacts) -> Iterator[str]:
    """What the marks in these rows mean."""
    if any(row.tied for row in rows):
        yield "=: tied; latency intervals, or finalists' rounds, leave the order open"
    if any(row.finalist_rounds for row in rows):
        yield "rN: finalist, measured afresh in N rounds, in turn with its rivals; they"
        yield "    decide the order of finalists, and change no figure"
    yield from flag_legend(flag for row in rows for flag in row.flags)
    if any(row.final_score is None and row.partial_score is not None for row in rows):
        yield f"~ partial score: what the last trained epoch promised, not {_article(facts.score.name)}"
    if any(_drifts(row) for row in rows):
        yield "drifts: the latency moved while it was measured, so that it has no interval"


def _article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _rank(row: LeaderboardRow) -> str:
    if row.rank is None:
        return ""
    return f"{row.rank}=" if row.tied else f"{row.rank} "


def _drifts(row: LeaderboardRow) -> bool:
    return row.runtime_ms is not None and row.runtime_interval_ms is None


def _state_text(row: LeaderboardRow, facts: SweepFacts) -> str:
    if row.state == TrialState.COMPLETE:
        rounds = f"r{row.finalist_rounds}" if row.finalist_rounds else ""
        return " ".join(part for part in (row.state, rounds, flag_marks(row.flags)) if part)
    if row.state == TrialState.INFEASIBLE:
        return row.state
    if not row.tried:
        return "not trained"
    return f"{row.state} {row.epochs}/{facts.max_epochs}"


def _reasons(rows: Sequence[LeaderboardRow]) -> list[RenderableType]:
    """Why trials broke, at most a handful; pruning and constraints are the ordinary course and need no line."""
    broken = [row for row in rows if row.state in (TrialState.INFEASIBLE, TrialState.FAILED) and row.tried]
    lines: list[RenderableType] = [
        Text(f"trial {row.trial} {row.state}: {one_line(row.reason)}") for row in broken[:_REASONS]
    ]
    if len(broken) > _REASONS:
        lines.append(Text(f"and {len(broken) - _REASONS} more that failed or are infeasible"))
    return lines


def _new_table(gap: int, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, gap, 0, 0), pad_edge=False, show_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=True, justify="left" if name in ("candidate", "state") else "right")
    return table


def _metrics(metrics: Sequence[tuple[str, int]], *values: float | None) -> tuple[str, ...]:
    """The first of the values, as many as ``metrics``."""
    return tuple(number(value, decimals) for value, (_, decimals) in zip(values, metrics, strict=False))
