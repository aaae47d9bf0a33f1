"""A trial's files at their settings, as text: which of them counts, and what became of all."""

from collections.abc import Iterator, Sequence
from typing import Final

from sweep.lifecycle import Trial
from sweep.lifecycle.events import TrialCompleted
from sweep.lifecycle.exports import ExportRecord, labels, records_of
from sweep.report.score_label import CHALLENGE, ScoreLabel
from sweep.report.text import latency, number, one_line

_LONGEST_REASON: Final = 60


def export_label(completion: TrialCompleted | None) -> str:
    """The combination that counts, as short as tells it from the others; empty: there is but one to ask for."""
    records = records_of(completion.exports if completion else ())
    named = zip(labels(records), records, strict=True)
    return next((label for label, record in named if record.won), "")


def export_lines(trial: Trial, label: ScoreLabel = CHALLENGE) -> Iterator[str]:
    """A line for each combination of a complete trial, that which counts marked; none where there is but one."""
    records = records_of(trial.completion.exports if trial.completion else ())
    if len(records) < 2:
        return
    yield f"Trial {trial.number} as its files at their settings (*: counts):"
    names = labels(records)
    width = max(map(len, names))
    for name, record in zip(names, records, strict=True):
        yield f"{'*' if record.won else ' '} {name:<{width}}  {_figures(record, label)}"


def variants_of(records: Sequence[ExportRecord]) -> tuple[str, ...]:
    """The variants of which there is a file that works, in the order asked."""
    return tuple(dict.fromkeys(record.variant for record in records if record.final_score is not None))


def best_of_variant(records: Sequence[ExportRecord], variant: str) -> ExportRecord | None:
    """The variant's combination with the best score; None: there is no file of it that works."""
    working = [record for record in records if record.variant == variant and record.final_score is not None]
    return max(working, key=lambda record: record.final_score or 0.0, default=None)


def _figures(record: ExportRecord, label: ScoreLabel) -> str:
    reason = one_line(record.reason)
    if len(reason) > _LONGEST_REASON:
        reason = reason[: _LONGEST_REASON - 3] + "..."
    if record.final_score is None:
        return f"out: {reason}"
    size = None if record.size_bytes is None else record.size_bytes / 1e6
    figures = (
        f"{label.short} {label.text(record.final_score):>6}  si-RMSE {number(record.si_rmse, 4)}  "
        f"{latency(record.latency_ms):>6} ms  {number(size, 1)} MB"
    )
    return f"{figures}  {reason}" if reason else figures
