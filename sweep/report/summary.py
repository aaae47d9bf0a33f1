"""What a run says when it ends: the best trial, what it is worth, where things are and what to type next."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sweep.lifecycle import SweepState, Trial
from sweep.lifecycle.events import SweepEnded
from sweep.report.endings import TRIED, count_endings, spoken_endings, untrained_lines
from sweep.report.exports import export_label, export_lines
from sweep.report.facts import facts_of
from sweep.report.finalising import winner_lines
from sweep.report.rows import leaderboard_rows, scoring_of
from sweep.report.score_label import label_in
from sweep.report.text import count, duration, latency, number, one_line
from sweep.search.finalists import standing


@dataclass(frozen=True)
class BaselineFigures:
    """Validation si-RMSE of predictors that never look at the image, both fitted on the training split."""

    constant_si_rmse: float
    mean_map_si_rmse: float


@dataclass(frozen=True)
class TimeAccount:
    """Where a run's time went, in seconds.

    Attributes:
        wall_s: of the whole run.
        steps: by name, such as ``training``; summed over steps that may have run at the same time.
        libraries: time inside calls of Ray, Optuna and MLflow, by name.
        own_s: the sweep's own time, without steps and libraries.
    """

    wall_s: float
    steps: Mapping[str, float] = field(default_factory=dict)
    libraries: Mapping[str, float] = field(default_factory=dict)
    own_s: float | None = None


def summary(
    state: SweepState,
    *,
    directory: str,
    baselines: BaselineFigures | None = None,
    time: TimeAccount | None = None,
) -> str:
    """The text for the end of a run; plain ASCII apart from names.

    Args:
        state: of the sweep, after its end.
        directory: the sweep's directory, as the person should read it.
        baselines: what the best network is held against.
        time: where the run's time went.
    """
    if state.started is None:
        return "The sweep has not started."
    name = state.started.name
    lines = [*_ending_lines(state), *_best_lines(state, baselines)]
    if time is not None:
        lines += _time_lines(time, len(state.trials))
    return "\n".join([*lines, "", *_where_lines(state, name, directory)])


def _ending_lines(state: SweepState) -> Iterator[str]:
    name = state.started.name if state.started else ""
    ended = f" {_ended_how(state.ended)}" if state.ended else ""
    found = count_endings(state.trials.values())
    tried = spoken_endings(found, TRIED)
    yield f"Sweep {name}{ended}: {count(state.tried, 'trial')}" + (f" ({tried})." if tried else ".")
    yield from (f"Besides, {line}." for line in untrained_lines(found))


def _ended_how(ended: SweepEnded) -> str:
    match ended.reason:
        case "finished":
            return "is finished"
        case "time":
            return "ended at its time limit"
        case "stopped":
            return "was stopped"
        case "error":
            return f"ended with an error ({one_line(ended.detail)})"


def _best_lines(state: SweepState, baselines: BaselineFigures | None) -> Iterator[str]:
    best = next(iter(standing(state, scoring_of(state))), None)
    if best is None or best.completion is None or state.started is None:
        yield f"No trial is complete, so there is no {label_in(state).name} yet."
        return
    facts = facts_of(state.started)
    if facts.finalizes is None:
        yield (
            f"Best: trial {best.number}, {facts.score.name} {facts.score.text(best.final_score)}: si-RMSE "
            f"{number(best.completion.metrics['si_rmse'], 4)} at {latency(best.latency_ms)} ms"
            f"{_as(export_label(best.completion))}."
        )
        yield from _tie_lines(state, best)
        yield from export_lines(best, facts.score)
    else:
        yield from winner_lines(facts, state)
    yield facts.latency_statement
    yield f"Data: {facts.data_statement}."
    if baselines is not None:
        yield from _margin_lines(best, baselines)


def _as(export: str) -> str:
    return f", as {export}" if export else ""


def _tie_lines(state: SweepState, best: Trial) -> Iterator[str]:
    first = [row.trial for row in leaderboard_rows(state) if row.rank == 1]
    rivals = [str(trial) for trial in first if trial != best.number]
    if rivals:
        noun = "trial" if len(rivals) == 1 else "trials"
        yield f"Tied with {noun} {', '.join(rivals)}: their order is not significant."


def _margin_lines(best: Trial, baselines: BaselineFigures) -> Iterator[str]:
    assert best.completion is not None
    ours = best.completion.metrics["si_rmse"]
    yield "Without looking at the image (validation si-RMSE, lower is better):"
    for label, theirs in (
        ("best constant depth", baselines.constant_si_rmse),
        ("mean depth per pixel", baselines.mean_map_si_rmse),
    ):
        verdict = f"trial {best.number} is {1 - ours / theirs:.0%} lower"
        if ours >= theirs:
            verdict = f"trial {best.number} does NOT beat it"
        yield f"  {label:<21} {number(theirs, 4)}   {verdict}"


def _time_lines(time: TimeAccount, trials: int) -> Iterator[str]:
    steps = ", ".join(f"{name} {duration(seconds)}" for name, seconds in time.steps.items())
    yield f"Time: {duration(time.wall_s)}" + (f"; {steps} (steps may overlap)." if steps else ".")
    libraries = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in time.libraries.items())
    if time.own_s is not None:
        per_trial = f"{1000 * time.own_s / max(1, trials):.0f} ms a trial"
        yield f"Our own time: {per_trial}" + (f"; inside libraries: {libraries}." if libraries else ".")


def _where_lines(state: SweepState, name: str, directory: str) -> Iterator[str]:
    commands = []
    runs = str(Path(directory).parent)
    elsewhere = "" if runs == "runs" else f" --runs {runs}"
    if state.best is not None:
        commands.append((f"sweep best {name} -o model.tflite{elsewhere}", "copy the best network's file"))
    commands.append((f"sweep leaderboard {name}{elsewhere}", "all trials, beside the challenge's Table 1"))
    commands.append((f"sweep ui{elsewhere}", "curves, pictures and files (MLflow)"))
    if state.unfinished or _was_cut_short(state):
        commands.insert(0, (f"sweep resume {name}{elsewhere}", "go on where it ended; finished trials stay"))
    width = max(len(command) for command, _ in commands)
    yield f"Everything is in {directory}. Next:"
    for command, purpose in commands:
        yield f"  {command:<{width}}   {purpose}"


def _was_cut_short(state: SweepState) -> bool:
    return state.ended is not None and state.ended.reason in ("stopped", "error")
