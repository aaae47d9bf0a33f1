"""A sweep's state: the fold of its journal."""

from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Literal

from sweep.lifecycle.complete import CompleteTrials
from sweep.lifecycle.events import (
    AttemptEnded,
    Event,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TeacherEvent,
    TrialCompleted,
    TrialProposed,
    TrialsAdded,
)
from sweep.lifecycle.journal import read_journal
from sweep.lifecycle.teacher import Teacher, advance_teacher, interrupted
from sweep.lifecycle.trial import UNFINISHED_STATES, IllegalEvent, Trial, TrialState, advance, propose

_BROKEN = (TrialState.FAILED, TrialState.INFEASIBLE)


@dataclass(frozen=True)
class SweepState:
    """All trials by number, in order of proposal, and what the sweep itself is doing.

    ``waiting``, ``complete``, ``tried`` and ``scores`` follow from ``trials`` and spare a walk over them all.
    """

    started: SweepStarted | None = None
    trials: dict[int, Trial] = field(default_factory=dict)
    resumes: int = 0
    ended: SweepEnded | None = None
    requests: frozenset[str] = frozenset()
    trials_added: int = 0
    """Candidates added to the number in the latest settings."""
    waiting: Mapping[TrialState, Mapping[int, Trial]] = field(default_factory=dict)
    """The trials that are not final, by state and number."""
    complete: CompleteTrials = field(default_factory=CompleteTrials)
    tried: int = 0
    """Trials that count against the number of trials: see `Trial.was_tried`."""
    teacher: Teacher | None = None
    """None until something happens to it, and in sweeps without one."""
    scores: Mapping[int, tuple[tuple[float, int], ...]] = field(default_factory=dict)
    """Per epoch, the partial score and number of each trial that got there and did not break; ascending."""

    @property
    def max_epochs(self) -> int:
        """Full fidelity of this sweep, in epochs."""
        if self.started is None:
            raise IllegalEvent("the sweep has not started")
        return int(self.started.identity["max_epochs"])

    def in_state(self, *states: TrialState) -> tuple[Trial, ...]:
        """The trials in any of ``states``, in order of proposal."""
        if states == (TrialState.COMPLETE,):
            return tuple(self.complete.values())
        if any(state.is_final for state in states):
            return tuple(trial for trial in self.trials.values() if trial.state in states)
        found = (trial for state in states for trial in self.waiting.get(state, {}).values())
        return tuple(sorted(found, key=attrgetter("number")))

    @property
    def unfinished(self) -> dict[int, Trial]:
        """The trials that are not final, by number, in order of proposal."""
        return {trial.number: trial for trial in self.in_state(*UNFINISHED_STATES)}

    @property
    def best(self) -> Trial | None:
        """The complete trial with the highest Final Score; of equals the earlier one."""
        return self.complete.best


def fold(state: SweepState, event: Event, time: float) -> SweepState:
    """The state after ``event``.

    Raises:
        IllegalEvent: the event cannot happen now.
    """
    if isinstance(event, SweepStarted):
        if state.started is not None:
            raise IllegalEvent("the sweep has started already")
        return replace(state, started=event)
    if state.started is None:
        raise IllegalEvent(f"{type(event).__name__} before SweepStarted")
    if isinstance(event, SweepResumed):
        state = _interrupt_attempts(state, time)
        teacher = interrupted(state.teacher, new_run=True)
        return replace(state, resumes=state.resumes + 1, ended=None, trials_added=0, teacher=teacher)
    if isinstance(event, TrialsAdded):
        return _add_trials(state, event)
    if isinstance(event, SweepEnded):
        teacher = interrupted(state.teacher, new_run=False)
        return replace(_interrupt_attempts(state, time), ended=event, teacher=teacher)
    if isinstance(event, TeacherEvent):
        return replace(state, teacher=advance_teacher(state.teacher or Teacher(), event))
    if isinstance(event, TrialProposed):
        if event.trial != len(state.trials):
            raise IllegalEvent(f"trial {event.trial} proposed; expected {len(state.trials)}")
        return _with(state, propose(event, time, state.max_epochs))
    if event.trial not in state.trials:
        raise IllegalEvent(f"{type(event).__name__} of trial {event.trial}, which was never proposed")
    state = _with(state, advance(state.trials[event.trial], event, time))
    return _forget_finals(state) if isinstance(event, TrialCompleted) else state


def _forget_finals(state: SweepState) -> SweepState:
    """A newcomer may change who the finalists are, and rounds only compare those that took turns in them."""
    for trial in state.in_state(TrialState.COMPLETE):
        if trial.finals:
            state = _with(state, replace(trial, finals=()))
    return state


def _with(state: SweepState, trial: Trial) -> SweepState:
    """The state with ``trial`` in its new form, and everything that follows from it."""
    before = state.trials.get(trial.number)
    complete = state.complete
    if trial.state is TrialState.COMPLETE:
        complete = complete.with_trial(trial)
    return replace(
        state,
        trials={**state.trials, trial.number: trial},
        waiting=_waiting(state.waiting, before, trial),
        complete=complete,
        tried=state.tried + trial.was_tried - (before.was_tried if before else 0),
        scores=_scores(state.scores, before, trial),
    )


def _waiting(
    waiting: Mapping[TrialState, Mapping[int, Trial]], before: Trial | None, trial: Trial
) -> Mapping[TrialState, Mapping[int, Trial]]:
    moved = dict(waiting)
    if before is not None and before.state in moved:
        moved[before.state] = {n: t for n, t in moved[before.state].items() if n != trial.number}
    if not trial.state.is_final:
        moved[trial.state] = {**moved.get(trial.state, {}), trial.number: trial}
    return moved


def _scores(
    scores: Mapping[int, tuple[tuple[float, int], ...]], before: Trial | None, trial: Trial
) -> Mapping[int, tuple[tuple[float, int], ...]]:
    if before and trial.state in _BROKEN and before.state not in _BROKEN:
        return {
            epoch: tuple(entry for entry in at if entry[1] != trial.number) for epoch, at in scores.items()
        }
    if before and len(trial.epochs) > len(before.epochs):
        record = trial.epochs[-1]
        at = list(scores.get(record.epoch, ()))
        insort(at, (record.score, trial.number))
        return {**scores, record.epoch: tuple(at)}
    return scores


def _add_trials(state: SweepState, event: TrialsAdded) -> SweepState:
    if event.request in state.requests:
        raise IllegalEvent(f"request {event.request} was recorded already")
    requests = state.requests | {event.request}
    return replace(state, trials_added=state.trials_added + event.trials, requests=requests)


def replay(records: Iterable[tuple[float, Event]]) -> SweepState:
    """The state after all of a journal's records, each a time and an event."""
    state = SweepState()
    for time, event in records:
        state = fold(state, event, time)
    return state


def read_state(directory: Path) -> SweepState:
    """The state of the sweep in ``directory``, running or not.

    Raises:
        JournalError: there is no sweep, or its journal is damaged.
    """
    return replay((record.time, record.event) for record in read_journal(directory))


def _interrupt_attempts(state: SweepState, time: float) -> SweepState:
    """Whatever was training when the driver went away goes back to its last checkpoint."""
    for trial in state.in_state(TrialState.TRAINING):
        outcome: Literal["reached", "interrupted"] = (
            "reached" if trial.epoch == trial.target_epoch else "interrupted"
        )
        event = AttemptEnded(trial.number, trial.attempts, outcome)
        state = _with(state, advance(trial, event, time))
    return state
