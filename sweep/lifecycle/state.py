"""A sweep's state: the fold of its journal."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from sweep.lifecycle.events import (
    AttemptEnded,
    Event,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TrialProposed,
)
from sweep.lifecycle.journal import read_journal
from sweep.lifecycle.trial import IllegalEvent, Trial, TrialState, advance, propose


@dataclass(frozen=True)
class SweepState:
    """All trials by number, in order of proposal, and what the sweep itself is doing."""

    started: SweepStarted | None = None
    trials: Mapping[int, Trial] = field(default_factory=dict)
    resumes: int = 0
    ended: SweepEnded | None = None

    @property
    def max_epochs(self) -> int:
        """Full fidelity of this sweep, in epochs."""
        if self.started is None:
            raise IllegalEvent("the sweep has not started")
        return int(self.started.identity["max_epochs"])

    def in_state(self, *states: TrialState) -> tuple[Trial, ...]:
        """The trials in any of ``states``, in order of proposal."""
        return tuple(trial for trial in self.trials.values() if trial.state in states)

    @property
    def best(self) -> Trial | None:
        """The complete trial with the highest Final Score."""
        complete = self.in_state(TrialState.COMPLETE)
        return max(complete, key=lambda trial: trial.final_score or 0.0, default=None)


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
        return replace(_interrupt_attempts(state, time), resumes=state.resumes + 1, ended=None)
    if isinstance(event, SweepEnded):
        return replace(_interrupt_attempts(state, time), ended=event)
    if isinstance(event, TrialProposed):
        if event.trial != len(state.trials):
            raise IllegalEvent(f"trial {event.trial} proposed; expected {len(state.trials)}")
        trial = propose(event, time, state.max_epochs)
    else:
        if event.trial not in state.trials:
            raise IllegalEvent(f"{type(event).__name__} of trial {event.trial}, which was never proposed")
        trial = advance(state.trials[event.trial], event, time)
    return replace(state, trials={**state.trials, trial.number: trial})


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
    trials = dict(state.trials)
    for trial in state.in_state(TrialState.TRAINING):
        outcome: Literal["reached", "interrupted"] = (
            "reached" if trial.epoch == trial.target_epoch else "interrupted"
        )
        event = AttemptEnded(trial.number, trial.attempts, outcome)
        trials[trial.number] = advance(trial, event, time)
    return replace(state, trials=trials)
