"""`SweepStatus` for people: a screenful for terminals, a line for logs."""

from collections.abc import Mapping
from typing import Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweep.report.score_label import ScoreLabel
from sweep.report.status import InTraining, Pace, SweepStatus
from sweep.report.text import count, duration, latency, number, spoken_duration

_SHOWN: Final = 6
_SILENCE_S: Final = 120.0
_CONDITION_STYLES: Final = {
    "running": "bold cyan",
    "starting": "bold cyan",
    "finished": "bold green",
    "died": "bold red",
    "error": "bold red",
}
_STATE_STYLES: Final = {
    "training": "cyan",
    "trained": "cyan",
    "complete": "green",
    "infeasible": "yellow",
    "failed": "red",
}


def status_screen(status: SweepStatus) -> RenderableType:
    """Everything, for a terminal of at least 60 columns."""
    parts: list[RenderableType] = [_title(status)]
    if not status.about:
        return parts[0]
    parts += [Text(f"{status.about}; {status.target}", style="dim"), Text(_progress(status))]
    share = _share(status)
    if share is not None and status.runs:
        parts += [ProgressBar(total=1.0, completed=share), Text("")]  # the bar ends no line by itself
    parts += [Text(""), _pipeline(status), Text(""), _account(status)]
    parts += [
        Text(
            f"trial {item.trial} {item.state}: {item.reason}", style="dim", overflow="ellipsis", no_wrap=True
        )
        for item in status.breakages
    ]
    return Group(*parts)


def status_line(status: SweepStatus) -> str:
    """The pipeline in one line of plain text."""
    counts = ", ".join(f"{amount} {state}" for state, amount in status.counts.items() if amount)
    best = (
        f"best {_named(status.score)}{status.score.text(status.best.final_score)} (trial {status.best.trial})"
        if status.best
        else f"no {status.score.short} yet"
    )
    limit = f" of {status.wanted}" if status.wanted is not None else ""
    parts = (
        f"{status.condition}: {status.done}{limit} trials done",
        counts,
        f"teacher {status.teacher}" if status.teacher else "",
        count(status.epochs, "epoch"),
        best,
    )
    return "; ".join(part for part in parts if part)


def _named(label: ScoreLabel) -> str:
    """The name before a figure that is known to be the challenge's score where nothing is said."""
    return f"{label.name} " if label.is_own else ""


def _title(status: SweepStatus) -> Text:
    title = Text.assemble(
        ("Sweep ", "dim"),
        (status.name, "bold"),
        "   ",
        (status.condition, _CONDITION_STYLES.get(status.condition, "bold yellow")),
    )
    if status.detail:
        title.append(f": {status.detail}")
    if status.silent_s is not None and (not status.runs or status.silent_s >= _SILENCE_S):
        title.append(f"   last record {_ago(status.silent_s)} ago", style="dim")
    return title


def _ago(seconds: float) -> str:
    return f"{seconds / 86400:.0f} days" if seconds >= 2 * 86400 else spoken_duration(seconds)


def _progress(status: SweepStatus) -> str:
    pace = status.pace
    limit = f" of {duration(pace.limit_s)}" if pace.limit_s is not None else ""
    clock = f"{duration(pace.elapsed_s)}{limit}   " if pace.elapsed_s is not None else ""
    trials = f"{status.done} of {status.wanted}" if status.wanted is not None else str(status.done)
    return f"{clock}{trials} trials done"


def _share(status: SweepStatus) -> float | None:
    """How much of the limit that is nearest is used up, from 0 to 1; None without limits."""
    shares = []
    if status.wanted:
        shares.append(status.done / status.wanted)
    if status.pace.limit_s and status.pace.elapsed_s is not None:
        shares.append(status.pace.elapsed_s / status.pace.limit_s)
    return min(1.0, max(shares)) if shares else None


def _pipeline(status: SweepStatus) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    for state, amount in status.counts.items():
        style = _STATE_STYLES.get(state, "") if amount else "dim"
        table.add_row(Text(state, style=style), Text(str(amount), style=style), Text(_note(status, state)))
    return table


def _note(status: SweepStatus, state: str) -> str:
    """What there is to say of the trials in ``state`` beside their number."""
    if state == "training":
        return _training_note(status)
    if state == "admitted":
        return _ahead_note(status)
    if not status.counts[state]:
        return ""
    match state:
        case "proposed":
            return "being exported and measured on the farm" if status.runs else "to be measured"
        case "paused":
            return "at a rung, or cut short"
        case "trained":
            return _trials("being judged: " if status.runs else "to be judged: ", status.judged)
        case "pruned":
            return _by_rule(status.pruned_by)
        case "infeasible" if status.breaking_constraint:
            return f"{status.breaking_constraint} breaking a constraint"
    return ""


def _ahead_note(status: SweepStatus) -> str:
    if status.lookahead is None or not status.runs:
        return "ready to train" if status.counts["admitted"] else ""
    ahead = status.counts["proposed"] + status.counts["admitted"]
    return f"ready to train; with those proposed {ahead} of {status.lookahead} ahead"


def _training_note(status: SweepStatus) -> str:
    slots = f"of {count(status.slots, 'slot')}" if status.slots is not None and status.runs else ""
    shown = [_attempt(item) for item in status.training[:_SHOWN]]
    if len(status.training) > _SHOWN:
        shown.append(f"and {len(status.training) - _SHOWN} more")
    where = ", ".join(shown)
    if not status.runs and shown:
        return f"cut short: {where}"
    return "; ".join(part for part in (slots, where) if part)


def _attempt(item: InTraining) -> str:
    goal = f" to {item.to_epoch}" if item.to_epoch != item.max_epochs else ""
    return f"trial {item.trial} at {item.epoch}{goal} of {item.max_epochs}"


def _trials(what: str, trials: tuple[int, ...]) -> str:
    if not trials:
        return ""
    shown = ", ".join(map(str, trials[:_SHOWN]))
    more = f" and {len(trials) - _SHOWN} more" if len(trials) > _SHOWN else ""
    return f"{what}{'trial' if len(trials) == 1 else 'trials'} {shown}{more}"


def _by_rule(pruned: Mapping[str, int]) -> str:
    return ", ".join(f"{amount} by {rule}" for rule, amount in sorted(pruned.items()))


def _account(status: SweepStatus) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    best = status.best
    if best is not None:
        figures = f"si-RMSE {number(best.si_rmse, 4)} at {latency(best.latency_ms)} ms"
        text = f"trial {best.trial}, {status.score.name} {status.score.text(best.final_score)}: {figures}"
        table.add_row("best", Text(text, style="bold"))
    if status.teacher is not None:
        table.add_row("teacher", status.teacher)
    table.add_row("spent", f"{count(status.epochs, 'epoch')}, {status.training_s:,.0f} s of training")
    shared = f", {status.admissions_shared} shared with an equal network" if status.admissions_shared else ""
    table.add_row("admissions", f"{status.admissions_measured} measured{shared}")
    broken = f", {status.lost} lost, {status.crashed} crashed" if status.lost or status.crashed else ""
    table.add_row("attempts", f"{status.attempts} started{broken}")
    if status.finalists:
        table.add_row(
            "finalists", f"{status.finalists} measured again, {count(status.rounds, 'round')} in all"
        )
    pace = _pace_text(status.pace, status.wanted)
    if pace:
        table.add_row("pace", pace)
    return table


def _pace_text(pace: Pace, trials: int | None) -> str:
    if pace.needed_s is None or trials is None:
        return ""
    if pace.spare_s is None:
        return f"all {trials} trials are done in about {spoken_duration(pace.needed_s)}"
    if pace.reached is not None:
        late = spoken_duration(-pace.spare_s)
        return f"slower than the deadline by {late}: time for about {pace.reached} of {trials} trials"
    return f"faster than the deadline: all {trials} trials are done {spoken_duration(pace.spare_s)} before it"
