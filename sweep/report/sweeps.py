"""The table of all sweeps in a folder: one row each, whatever their journals are like."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, tzinfo

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweep.lifecycle import TrialState
from sweep.lifecycle.events import Json
from sweep.report.facts import SweepFacts, facts_of
from sweep.report.history import SweepHistory, condition
from sweep.report.score_label import ScoreLabel
from sweep.report.text import one_line, score

_STYLES = {"running": "cyan", "starting": "cyan", "died": "red", "error": "red", "damaged": "red"}


@dataclass(frozen=True)
class SweepRow:
    """One sweep; figures are None where nothing is known.

    Attributes:
        condition: see `sweep.report.history.condition`; or ``damaged``, with the reason in ``error``.
        under_way: trials that are not at their end, of a sweep that does not run, too.
        best: the highest score; ``score`` is its name, where that is not the Final Score.
        device: the target's class; emulated devices and estimated latencies say so.
        started_at: in seconds since the epoch, as ``changed_at``, the time of the last record.
    """

    name: str
    condition: str
    complete: int | None = None
    pruned: int | None = None
    infeasible: int | None = None
    failed: int | None = None
    under_way: int | None = None
    best: float | None = None
    device: str = ""
    started_at: float | None = None
    changed_at: float | None = None
    error: str = ""
    score: str = ""


def sweep_row(name: str, history: SweepHistory, running: bool) -> SweepRow:
    """The row of a sweep; ``running``: somebody holds its lock."""
    state = history.state
    if state.started is None:
        return SweepRow(name, condition(history, running))
    facts = facts_of(state.started)
    return SweepRow(
        name=name,
        condition=condition(history, running),
        complete=len(state.in_state(TrialState.COMPLETE)),
        pruned=len(state.in_state(TrialState.PRUNED)),
        infeasible=len(state.in_state(TrialState.INFEASIBLE)),
        failed=len(state.in_state(TrialState.FAILED)),
        under_way=len(state.unfinished),
        best=state.best.final_score if state.best else None,
        device=_device(facts),
        started_at=history.first_at,
        changed_at=history.last_at,
        score=facts.score.name if facts.score.is_own else "",
    )


def damaged_row(name: str, error: Exception) -> SweepRow:
    """The row of a sweep whose journal cannot be read."""
    return SweepRow(name, "damaged", error=one_line(f"{error}") or type(error).__name__)


def sweeps_json(rows: Sequence[SweepRow]) -> dict[str, Json]:
    """A list ``sweeps`` of objects keyed as the fields of `SweepRow`; ``score`` only where it has a name."""
    return {"sweeps": [_plain(row) for row in rows]}


def sweeps_table(rows: Sequence[SweepRow], timezone: tzinfo | None = None) -> RenderableType:
    """The sweeps in the given order, for at least 80 columns; ``timezone`` None: local time."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("sweep", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("trials", no_wrap=True, justify="right")
    table.add_column("best", no_wrap=True, justify="right")
    table.add_column("device", overflow="fold")
    table.add_column("last record", no_wrap=True)
    for row in rows:
        table.add_row(
            row.name,
            Text(row.condition, style=_STYLES.get(row.condition, "")),
            _trials(row),
            Text(_best(row)),
            Text(row.device),
            _moment(row.changed_at, timezone),
        )
    legend = Text("trials: complete/pruned/infeasible/failed, + those under way", style="dim")
    errors = [Text(f"{row.name}: {row.error}", style="red") for row in rows if row.error]
    return Group(table, legend, *errors)


def _plain(row: SweepRow) -> dict[str, Json]:
    return {key: value for key, value in asdict(row).items() if key != "score" or value}


def _best(row: SweepRow) -> str:
    if row.best is None or not row.score:
        return score(row.best)
    return f"{ScoreLabel(row.score, '', is_own=True).text(row.best)} ({row.score})"


def _device(facts: SweepFacts) -> str:
    notes = [
        *(["emulated"] if facts.emulated else []),
        *([facts.latency] if facts.latency != "measured" else []),
    ]
    return facts.device_class + (f" ({', '.join(notes)})" if notes else "")


def _trials(row: SweepRow) -> str:
    if row.complete is None:
        return "-"
    under_way = f" +{row.under_way}" if row.under_way else ""
    return f"{row.complete}/{row.pruned}/{row.infeasible}/{row.failed}{under_way}"


def _moment(at: float | None, timezone: tzinfo | None) -> str:
    return "-" if at is None else datetime.fromtimestamp(at, timezone).strftime("%Y-%m-%d %H:%M")
