"""The live view for log files: each event as one plain line."""

from collections.abc import Iterator, Mapping
from typing import Final

from sweep.lifecycle import Event, SweepState, Trial, TrialState
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    FilesRemoved,
    FinalistMeasured,
    PretrainedLoaded,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TeacherAttemptEnded,
    TeacherAttemptStarted,
    TeacherEpochTrained,
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
from sweep.report.endings import trials_over, trials_wanted
from sweep.report.exports import export_label
from sweep.report.facts import SweepFacts
from sweep.report.flags import flag_words
from sweep.report.score_label import ScoreLabel, label_in
from sweep.report.teacher_words import teacher_line
from sweep.report.text import count, duration, latency, number, one_line, spoken_duration

_RULES: Final[Mapping[str, str]] = {"rung": " by the rung policy", "extrapolation": " by extrapolation"}


def opening_lines(facts: SweepFacts) -> Iterator[str]:
    """What a log starts with: which sweep this is, its target and its limits."""
    yield f"sweep {facts.name}: {facts.subject}, full fidelity {count(facts.max_epochs, 'epoch')}"
    yield f"target: {facts.target}. {facts.latency_statement}"
    if facts.export_statement:
        yield facts.export_statement
    if facts.teacher is not None:
        yield f"teacher: {facts.teacher}"
    limits = [] if facts.trials is None else [f"at most {count(facts.trials, 'trial')}"]
    if facts.time_limit_s is not None:
        limits.append(f"at most {spoken_duration(facts.time_limit_s)}")
    yield f"limits: {', '.join(limits) or 'none; Ctrl-C ends the sweep and keeps what is done'}"


def progress_line(facts: SweepFacts, state: SweepState, elapsed_s: float) -> str:
    """How far the sweep is, for the minutes in which nothing happens."""
    limit = f" of {duration(facts.time_limit_s)}" if facts.time_limit_s is not None else ""
    return f"still at work, {duration(elapsed_s)}{limit}; {trials_done(facts, state)}; {best_so_far(state)}"


def trials_done(facts: SweepFacts, state: SweepState) -> str:
    """``5 of 8 trials done``, and how many more were stopped before training, if any."""
    wanted = trials_wanted(facts, state)
    of = f" of {wanted}" if wanted is not None else ""
    untrained = len(state.trials) - state.tried
    more = f", {untrained} not trained" if untrained else ""
    return f"{trials_over(state)}{of} trials done{more}"


def best_so_far(state: SweepState) -> str:
    """``best score 187.3 (trial 4)``."""
    best, label = state.best, label_in(state)
    if best is None:
        return f"no {label.short} yet"
    return f"best {label.short} {label.text(best.final_score)} (trial {best.number})"


def event_line(before: SweepState, after: SweepState, event: Event) -> str | None:
    """The line that tells of ``event``, or None if it is not worth one."""
    match event:
        case SweepStarted():
            return None
        case SweepResumed():
            complete = len(after.in_state(TrialState.COMPLETE))
            return f"resumed with {count(len(after.trials), 'trial')}, {complete} of them complete"
        case SweepEnded():
            detail = f": {one_line(event.detail)}" if event.detail else ""
            return f"ended ({event.reason}){detail}; {best_so_far(after)}"
        case TeacherAttemptStarted() | TeacherEpochTrained() | TeacherAttemptEnded() | TeacherReady():
            return f"teacher   {teacher_line(before, event)}"
        case TrialsAdded():
            return f"{count(event.trials, 'trial')} added"
        case _:
            text = _trial_line(before, after, event)
            return text and f"trial {event.trial:<4}{text}"


def _trial_line(earlier: SweepState, state: SweepState, event: TrialEvent) -> str | None:
    before, trial = earlier.trials.get(event.trial), state.trials[event.trial]
    label = label_in(state)
    match event:
        case TrialProposed():
            return f"proposed    candidate {event.candidate_hash}"
        case TrialAdmitted():
            return f"admitted    {latency(event.latency_ms)} ms with untrained weights{_shared(event)}"
        case AttemptStarted():
            return _attempt_line(before, event)
        case PretrainedLoaded():
            return f"pretrained  {one_line(event.summary)}"
        case EpochTrained():
            return (
                f"epoch {f'{event.epoch}/{trial.max_epochs}':<6}si-RMSE {number(event.si_rmse, 4)} and "
                f"{label.short} {label.text(event.partial_score)} (both partial), {event.seconds:.1f} s"
            )
        case AttemptEnded():
            return _attempt_end_line(trial, event)
        case TrialCompleted():
            return _completion_line(event, label, is_best=state.best is trial)
        case FinalistMeasured():
            return f"finalist    round {event.round}: {latency(event.latency_ms)} ms"
        case TrialPruned():
            return _pruning_line(event)
        case TrialInfeasible():
            return f"infeasible  {one_line(event.reason)}"
        case TrialFailed():
            return f"failed      {one_line(event.reason)}"
        case FilesRemoved():
            return None


def _attempt_line(before: Trial | None, event: AttemptStarted) -> str:
    if before is None or before.epoch == 0:
        return f"training    to epoch {event.to_epoch}"
    if before.epoch == before.target_epoch:
        return f"promoted    from epoch {event.from_epoch}, now training to epoch {event.to_epoch}"
    return f"goes on     from epoch {event.from_epoch}, training to epoch {event.to_epoch}"


def _attempt_end_line(trial: Trial, event: AttemptEnded) -> str | None:
    if event.outcome == "reached":
        return "trained     exporting, judging and measuring" if trial.state is TrialState.TRAINED else None
    reason = one_line(event.reason)
    if event.outcome == "lost":
        reason = f"its process or node went away{f' ({reason})' if reason else ''}"
    return f"{event.outcome:<12}after epoch {trial.epoch}" + (f": {reason}" if reason else "")


def _shared(event: TrialAdmitted) -> str:
    shared = event.shared_with
    return "" if shared is None else f", shares the measurement of trial {shared}"


def _completion_line(event: TrialCompleted, label: ScoreLabel, *, is_best: bool) -> str:
    flags, export = flag_words(event.flags), export_label(event)
    return (
        f"complete    {label.name} {label.text(event.final_score)}, si-RMSE "
        f"{number(event.metrics['si_rmse'], 4)}, {latency(event.latency_ms)} ms"
        + (f" as {export}" if export else "")
        + (", the best so far" if is_best else "")
        + (f" ({flags})" if flags else "")
    )


def _pruning_line(event: TrialPruned) -> str:
    reason = one_line(event.reason)
    if event.rule == "admission":
        return f"stopped     before training: {reason}"
    where = f"at epoch {event.epoch}" if event.epoch else "before training"
    return f"pruned      {where}{_RULES.get(event.rule, '')}: {reason}"
