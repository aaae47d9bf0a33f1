"""What a sweep does next: pure functions from its state, its limits and the clock to a decision.

The driver asks after every event; nothing here does I/O or reads a clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from statistics import median

from sweep.lifecycle import SweepState, Trial, TrialState
from sweep.search.admission import AdmissionPolicy, Verdict
from sweep.search.rungs import RungPolicy, interrupted, promotable

IN_STAGES = (TrialState.PROPOSED, TrialState.TRAINED)
"""States in which a trial is with the farm or the judge, not with a trainer."""


MAX_SCREENED = 8
"""Candidates proposed at most for each one that is tried: a bound where nothing can be good enough any more."""

OUT_OF_TIME = "out of time"
"""The reason for which `Planner.leftovers` names a trial that was still wanted."""

RECENT = 40
"""Costs are observed on so many trials at most, the newest: they follow what the machine does now."""


@dataclass(frozen=True)
class Limits:
    """What the person allows: ``trials`` tried, ``slots`` attempts at once, ``lookahead`` admitted ahead.

    Candidates that admission stops cost no training and do not count as tried; `MAX_SCREENED` bounds them.
    """

    trials: int
    slots: int
    lookahead: int


@dataclass(frozen=True)
class Costs:
    """Seconds that steps took so far (medians); None where nothing was seen yet."""

    epoch: float | None
    start: float | None
    finish: float | None


@dataclass(frozen=True)
class Attempt:
    """Train ``trial`` from ``from_epoch`` (epochs done) to ``to_epoch``."""

    trial: int
    number: int
    from_epoch: int
    to_epoch: int
    checkpoint: str | None


@dataclass(frozen=True)
class Planner:
    """The decisions of one sweep under one policy."""

    policy: RungPolicy
    limits: Limits
    admission: AdmissionPolicy = field(default_factory=AdmissionPolicy)

    def next_attempt(self, state: SweepState, remaining_s: float | None) -> Attempt | None:
        """The attempt to start now, or None if there is none, no slot is free or no time is left for it."""
        if len(state.in_state(TrialState.TRAINING)) >= self.limits.slots:
            return None
        costs = _costs(state, remaining_s)
        going_on = (*interrupted(state.in_state(TrialState.PAUSED)), *self._promotions(state, remaining_s))
        for trial in going_on:
            if self._fits(trial, costs, remaining_s):
                return self._attempt(trial)
        if not self._time_for_new(state, remaining_s):
            return self._last_resort(state, costs, remaining_s)
        return next((self._attempt(trial) for trial in state.in_state(TrialState.ADMITTED)), None)

    def _last_resort(self, state: SweepState, costs: Costs, remaining_s: float | None) -> Attempt | None:
        """When time runs out before the trials do, idle trainers take the best of those left behind."""
        left = sorted(state.in_state(TrialState.PAUSED), key=_promise)
        fitting = (trial for trial in left if self._fits(trial, costs, remaining_s))
        return next((self._attempt(trial) for trial in fitting), None)

    def wants_proposal(self, state: SweepState, remaining_s: float | None) -> bool:
        """True if another candidate should be proposed and sent to the farm now."""
        ahead = len(state.in_state(TrialState.PROPOSED, TrialState.ADMITTED))
        return (
            ahead < self.limits.lookahead
            and not self.proposed_all(state)
            and self._time_for_new(state, remaining_s)
        )

    def proposed_all(self, state: SweepState) -> bool:
        """True if no further candidate will be proposed, however much time is left."""
        trials = self.limits.trials + state.trials_added
        return state.tried >= trials or len(state.trials) >= trials * MAX_SCREENED

    def stopped(self, state: SweepState) -> tuple[tuple[Trial, Verdict], ...]:
        """The trials that should stop now, each with why: at admission, or by extrapolation while paused."""
        found: list[tuple[Trial, Verdict]] = []
        states = (TrialState.ADMITTED, *self.admission.states_in_training)
        for trial in state.in_state(*states):
            ask = self.admission.in_training if trial.epochs else self.admission.at_admission
            verdict = ask(state, trial)
            if verdict is not None:
                found.append((trial, verdict))
        return tuple(found)

    def is_over(self, state: SweepState, remaining_s: float | None) -> bool:
        """True if nothing is under way and nothing will start any more."""
        busy = state.in_state(TrialState.TRAINING, *IN_STAGES)
        return (
            not busy
            and not self.wants_proposal(state, remaining_s)
            and self.next_attempt(state, remaining_s) is None
        )

    def leftovers(self, state: SweepState, remaining_s: float | None) -> tuple[tuple[Trial, str], ...]:
        """The trials to prune once the sweep is over, each with the reason."""
        wanted = {trial.number for trial in self._promotions(state, None)}
        late = remaining_s is not None
        return tuple(
            (trial, OUT_OF_TIME if late and self._was_due(trial, wanted) else self._lost(trial))
            for trial in state.in_state(TrialState.PROPOSED, TrialState.ADMITTED, TrialState.PAUSED)
        )

    def _was_due(self, trial: Trial, wanted: set[int]) -> bool:
        return trial.number in wanted or trial.epoch < trial.target_epoch or not trial.epoch

    def _lost(self, trial: Trial) -> str:
        return f"not among the best at rung {trial.epoch}" if trial.epoch else "no longer needed"

    def _promotions(self, state: SweepState, remaining_s: float | None) -> tuple[Trial, ...]:
        closing = self._closing(state, remaining_s)
        return promotable(self.policy, state, closing=closing)

    def _closing(self, state: SweepState, remaining_s: float | None) -> bool:
        """No further trial will join the first rung: then the promotions are final."""
        joining = state.in_state(TrialState.PROPOSED, TrialState.ADMITTED)
        on_the_way = [trial for trial in state.in_state(TrialState.TRAINING) if not self._past_first(trial)]
        if on_the_way:
            return False
        if not self._time_for_new(state, remaining_s):
            return True
        return not joining and self.proposed_all(state)

    def _past_first(self, trial: Trial) -> bool:
        return trial.epoch >= self.policy.first_rung(trial.number)

    def _time_for_new(self, state: SweepState, remaining_s: float | None) -> bool:
        if remaining_s is None:
            return True
        costs = observe_costs(state)
        first = _attempt_s(costs, None, self.policy.epochs[0]) + self._reserve_s(state, costs)
        return max(first, self._to_the_end_s(costs, None)) <= remaining_s

    def _fits(self, trial: Trial, costs: Costs, remaining_s: float | None) -> bool:
        if remaining_s is None:
            return True
        return self._to_the_end_s(costs, trial) <= remaining_s

    def _to_the_end_s(self, costs: Costs, trial: Trial | None) -> float:
        """Until a trial, or a new one, is complete. What cannot become so any more is not worth starting."""
        epochs = self.policy.max_epochs - (trial.epoch if trial else 0)
        return _attempt_s(costs, trial, epochs) + (costs.finish or 0.0)

    def _reserve_s(self, state: SweepState, costs: Costs) -> float:
        """Time kept back so that ``min_full`` trials can still reach full fidelity."""
        full = [
            trial
            for trial in state.in_state(TrialState.COMPLETE, TrialState.TRAINED, TrialState.TRAINING)
            if trial.target_epoch == self.policy.max_epochs
        ]
        missing = max(0, self.policy.min_full - len(full))
        epochs = self.policy.max_epochs - self.policy.epochs[0]
        one = _attempt_s(costs, None, epochs) + (costs.finish or 0.0)
        return one * missing / self.limits.slots

    def _attempt(self, trial: Trial) -> Attempt:
        return Attempt(
            trial=trial.number,
            number=trial.attempts + 1,
            from_epoch=trial.epoch,
            to_epoch=self.policy.next_rung(trial.number, trial.epoch),
            checkpoint=trial.checkpoint,
        )


def _promise(trial: Trial) -> tuple[int, float, int]:
    """Sorts paused trials: partial scores compare within a rung only, and the highest is nearest to the end."""
    return (-trial.epoch, -(trial.partial_score or 0.0), trial.number)


def _costs(state: SweepState, remaining_s: float | None) -> Costs:
    """Costs matter only where time is limited."""
    return Costs(None, None, None) if remaining_s is None else observe_costs(state)


def observe_costs(state: SweepState) -> Costs:
    """Medians of what the steps of this sweep's newest trials took."""
    trained = (trial for trial in reversed(state.trials.values()) if trial.epochs)
    trials = tuple(islice(trained, RECENT))
    epochs = [record.seconds for trial in trials for record in trial.epochs]
    # From one epoch's end to the next within an attempt, a trial spends its epoch and the reporting of it.
    starts = [
        max(0.0, after.time - before.time - after.seconds)
        for trial in trials
        for before, after in pairwise(trial.epochs)
    ]
    finishes = [
        trial.changed_at - trial.epochs[-1].time
        for trial in trials
        if trial.state is TrialState.COMPLETE and trial.epochs
    ]
    return Costs(_median(epochs), _median(starts), _median(finishes))


def _attempt_s(costs: Costs, trial: Trial | None, epochs: int) -> float:
    own = _median([record.seconds for record in trial.epochs]) if trial else None
    return (own or costs.epoch or 0.0) * epochs + (costs.start or 0.0)


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None
