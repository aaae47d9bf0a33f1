"""The live view for terminals: a header with the sweep's progress, and a table of trials."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweep.lifecycle import SweepState, Trial, TrialState
from sweep.lifecycle.events import TrialCompleted
from sweep.report.endings import (
    count_endings,
    spoken_endings,
    spoken_pipeline,
    trials_over,
    trials_wanted,
)
from sweep.report.facts import SweepFacts
from sweep.report.flags import flag_words
from sweep.report.lines import best_so_far, trials_done
from sweep.report.score_label import CHALLENGE, ScoreLabel
from sweep.report.text import count, duration, latency, number, one_line

_HEADER_LINES: Final = 6  # the target may take two
_COUNT_LINES: Final = 3  # the endings may take two
_TABLE_LINES: Final = 6  # head, caption and what is hidden, with a line to spare
_FEWEST_ROWS: Final = 3
_ACTIVE: Final = (TrialState.TRAINING, TrialState.TRAINED, TrialState.PROPOSED, TrialState.ADMITTED)
_STYLES: Final = {
    TrialState.TRAINING: "cyan",
    TrialState.TRAINED: "cyan",
    TrialState.COMPLETE: "green",
    TrialState.PRUNED: "dim",
    TrialState.INFEASIBLE: "yellow",
    TrialState.FAILED: "red",
}
_WAITING_FOR: Final = {
    TrialState.PROPOSED: "exporting, measuring latency",
    TrialState.ADMITTED: "waits for training",
    TrialState.PAUSED: "waits for promotion",
    TrialState.TRAINED: "exporting, judging, measuring",
}


def screen(facts: SweepFacts, state: SweepState, elapsed_s: float, height: int) -> RenderableType:
    """Everything, cut to a terminal of ``height`` lines."""
    rows = height - _HEADER_LINES - _TABLE_LINES - _COUNT_LINES
    roomy = rows >= _FEWEST_ROWS
    if not roomy:
        rows = max(_FEWEST_ROWS, rows + _COUNT_LINES)
    shown = choose_trials(state, rows)
    numbers = {trial.number for trial in shown}
    hidden = [trial for trial in state.trials.values() if trial.number not in numbers]
    parts: list[RenderableType] = [
        *header(facts, state, elapsed_s),
        *(counts(state) if roomy else ()),
        _bar(progress(facts, state, elapsed_s)),
        Text("\n"),
        trials_table(shown, state.best, facts.score),
    ]
    if hidden:
        parts.append(Text(f"and {len(hidden)} more: {_counts(hidden)}", style="dim"))
    return Group(*parts)


def header(facts: SweepFacts, state: SweepState, elapsed_s: float) -> list[RenderableType]:
    """The sweep in three lines: what it is, where it measures, how far it is."""
    limit = f" of {duration(facts.time_limit_s)}" if facts.time_limit_s is not None else ""
    return [
        Text.assemble(("Sweep ", "dim"), (facts.name, "bold"), f"   {facts.subject}"),
        Text(f"{facts.target}. {facts.latency_statement}", style="dim"),
        Text.assemble(
            f"{duration(elapsed_s)}{limit}   {trials_done(facts, state)}   ", (best_so_far(state), "bold")
        ),
    ]


def counts(state: SweepState) -> list[RenderableType]:
    """Where the candidates under way are, and how the others ended: a line each."""
    ended = spoken_endings(count_endings(state.trials.values()))
    return [
        Text.assemble(("under way  ", "dim"), spoken_pipeline(state)),
        Text.assemble(("ended      ", "dim"), ended or "none yet"),
    ]


def progress(facts: SweepFacts, state: SweepState, elapsed_s: float) -> float | None:
    """Share of the limit that is nearest, trials or time, from 0 to 1; None without limits."""
    shares = []
    if wanted := trials_wanted(facts, state):
        shares.append(trials_over(state) / wanted)
    if facts.time_limit_s:
        shares.append(elapsed_s / facts.time_limit_s)
    return min(1.0, max(shares)) if shares else None


def _bar(done: float | None) -> ProgressBar:
    return ProgressBar(total=1.0, completed=done or 0.0, pulse=done is None)


def choose_trials(state: SweepState, limit: int) -> tuple[Trial, ...]:
    """At most ``limit`` trials by number: the best, then those under way, then the latest changed."""
    best = state.best

    def urgency(trial: Trial) -> tuple[bool, bool, float, int]:
        return (trial is not best, trial.state not in _ACTIVE, -trial.changed_at, -trial.number)

    chosen = sorted(state.trials.values(), key=urgency)[:limit]
    return tuple(sorted(chosen, key=lambda trial: trial.number))


def trials_table(trials: Sequence[Trial], best: Trial | None, label: ScoreLabel = CHALLENGE) -> Table:
    """The trials with their figures; what is partial carries ``~``."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False, expand=True)
    for name in ("trial", "state", "epoch", "ms", "si-RMSE", label.short):
        table.add_column(name, no_wrap=True, justify="left" if name == "state" else "right")
    table.add_column("note", no_wrap=True, overflow="ellipsis", ratio=1)
    for trial in trials:
        table.add_row(*_cells(trial, label, is_best=trial is best), style=_STYLES.get(trial.state))
    table.caption = "~ partial: of the last epoch trained, with the latency of untrained weights"
    table.caption_justify = "left"
    return table


def _cells(trial: Trial, label: ScoreLabel, *, is_best: bool) -> tuple[str | Text, ...]:
    completion = trial.completion
    if completion is not None:
        figures = (number(completion.metrics["si_rmse"], 4), label.text(trial.final_score))
    elif trial.epochs:
        figures = (f"~{number(trial.epochs[-1].si_rmse, 4)}", label.text(trial.partial_score, partial=True))
    else:
        figures = ("-", "-")
    return (
        str(trial.number),
        trial.state.value,
        f"{trial.epoch}/{trial.max_epochs}",
        latency(trial.latency_ms),
        *figures,
        Text(_note(trial, is_best=is_best)),
    )


def _note(trial: Trial, *, is_best: bool) -> str:
    if trial.completion is not None:
        return _complete_note(trial.completion, rounds=len(trial.finals), is_best=is_best)
    if trial.state is TrialState.TRAINING:
        return f"to epoch {trial.target_epoch}"
    return one_line(trial.reason) or _WAITING_FOR.get(trial.state, "")


def _complete_note(completion: TrialCompleted, *, rounds: int, is_best: bool) -> str:
    parts = (
        "best" if is_best else "",
        f"finalist, {count(rounds, 'round')}" if rounds else "",
        flag_words(completion.flags),
    )
    return "; ".join(part for part in parts if part)


def _counts(trials: Sequence[Trial]) -> str:
    found = Counter(trial.state for trial in trials)
    return ", ".join(f"{found[state]} {state.value}" for state in TrialState if found[state])
