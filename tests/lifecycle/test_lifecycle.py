"""The lifecycle under random events and crashes, through a real journal, against an independent model."""

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from lifecycle_model import FINAL, Model

from sweep.lifecycle import (
    Event,
    IllegalEvent,
    Journal,
    SweepState,
    TrialState,
    fold,
    read_journal,
    replay,
)
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    FilesRemoved,
    FinalistMeasured,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TrialAdmitted,
    TrialCompleted,
    TrialFailed,
    TrialInfeasible,
    TrialProposed,
    TrialPruned,
    TrialsAdded,
    to_json,
)
from sweep.lifecycle.exports import ExportRecord
from sweep.lifecycle.journal import JOURNAL_NAME

MAX_EPOCHS = 3
MAX_TRIALS = 3
MEMORY_DISK = "/dev/shm" if Path("/dev/shm").is_dir() else None  # thousands of fsyncs
small = st.integers(-1, MAX_EPOCHS + 2)


def started() -> SweepStarted:
    return SweepStarted("demo", "id", {"max_epochs": MAX_EPOCHS}, {}, {}, {})


def proposed(trial: int) -> TrialProposed:
    return TrialProposed(trial, {"width": 0.5}, {"recipe": {}}, "c" * 16, "a" * 16, "sampler")


def completed(trial: int, final_score: float = 1.0, exports: Sequence[dict] = ()) -> TrialCompleted:
    figures = {"si_rmse": 0.3}
    return TrialCompleted(trial, figures, 12.0, final_score, {}, {}, {}, {"tflite": "m"}, exports=exports)


INT8_WON = (
    ExportRecord("fp32", "nearest", 1, "xnnpack", final_score=9.0, latency_ms=14.0).to_json(),
    ExportRecord("int8", "nearest", 4, "none", True, interval_ms=(11.0, 13.0)).to_json(),
)


def trained(trial: int, attempt: int, epoch: int, score: float = 1.0) -> EpochTrained:
    return EpochTrained(trial, attempt, epoch, 0.5, 0.4, score, 0.001, 9.0, f"epoch-{epoch}")


MAKERS: Sequence[Callable[[int, int, int, int], Event]] = (
    lambda trial, *_: proposed(trial),
    lambda trial, *_: TrialAdmitted(trial, 12.5, {"samples_ms": [1.0, 2.0]}, {}, None, INT8_WON),
    lambda trial, attempt, epoch, to_epoch: AttemptStarted(trial, attempt, epoch, to_epoch, None),
    lambda trial, attempt, epoch, _: trained(trial, attempt, epoch, 100.0 * epoch),
    lambda trial, attempt, *_: AttemptEnded(trial, attempt, "reached"),
    lambda trial, attempt, *_: AttemptEnded(trial, attempt, "interrupted", "preempted"),
    lambda trial, attempt, *_: AttemptEnded(trial, attempt, "crashed", "out of memory"),
    lambda trial, attempt, *_: AttemptEnded(trial, attempt, "lost", "the node is gone"),
    lambda trial, *_: completed(trial, 10.0 + trial),
    lambda trial, *_: completed(trial, 10.0 + trial, INT8_WON),
    lambda trial, _, epoch, __: TrialPruned(trial, epoch, None, "lost"),
    lambda trial, _, epoch, __: TrialPruned(trial, epoch, None, "too slow", "admission"),
    lambda trial, number, *_: FinalistMeasured(trial, number, 10.0 + number, {}),
    lambda trial, *_: TrialInfeasible(trial, "op 152"),
    lambda trial, *_: TrialFailed(trial, "NaN"),
    lambda trial, *_: FilesRemoved(trial),
)
"""Every trial event, made from a trial, an attempt and two epochs."""

random_events = st.builds(
    lambda make, numbers: make(*numbers), st.sampled_from(MAKERS), st.tuples(small, small, small, small)
)


def plausible_events(model: Model) -> Sequence[Event]:
    """Events with the right numbers, legal now or not, for the trials and for one more at most."""
    events: list[Event] = [proposed(len(model.trials))] if len(model.trials) < MAX_TRIALS else []
    for number, trial in enumerate(model.trials):
        epoch = len(trial.epochs)
        events += [
            AttemptStarted(number, trial.attempts + 1, epoch, to, None) for to in range(1, MAX_EPOCHS + 1)
        ]
        events += [trained(number, trial.attempts, epoch + 1, 100.0 * epoch)]
        events += [make(number, trial.attempts, epoch, epoch) for make in (MAKERS[1], *MAKERS[4:])]
        events += [FinalistMeasured(number, len(trial.finals) + 1, 11.0 + len(trial.finals), {})]
    return events


def legal_events(model: Model) -> Sequence[Event]:
    """The plausible events that may happen now."""
    return [event for event in plausible_events(model) if model.apply(event) is not None]


class Sweeps(RuleBasedStateMachine):
    """Legal events advance journal, state and model alike; illegal ones nothing; crashes lose nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(dir=MEMORY_DISK, prefix="depth-sweep-"))
        self.clock = 0.0
        self.journal = Journal(self.directory, self._now)
        self.state = SweepState()
        self.model = Model()
        self.final: dict[int, str] = {}

    def _now(self) -> float:
        self.clock += 0.25
        return self.clock

    def _happen(self, event: Event, after: Model) -> None:
        record = self.journal.append(event)
        self.state = fold(self.state, event, record.time)
        self.model = after

    def _try(self, event: Event) -> None:
        after = self.model.apply(event)
        if after is not None:
            self._happen(event, after)
            return
        before = self.state
        with pytest.raises(IllegalEvent):
            fold(self.state, event, self.clock)
        assert self.state == before

    @initialize(early=st.booleans())
    def start(self, early: bool) -> None:
        if early:
            self._try(proposed(0))
            self._try(SweepResumed({}, {}))
        self._try(started())

    @rule(data=st.data())
    def something_legal(self, data: st.DataObject) -> None:
        self._try(data.draw(st.sampled_from(legal_events(self.model) or [started()])))

    @rule(data=st.data())
    def something_plausible(self, data: st.DataObject) -> None:
        self._try(data.draw(st.sampled_from(plausible_events(self.model))))

    @rule(event=random_events)
    def anything(self, event: Event) -> None:
        if not isinstance(event, TrialProposed) or len(self.model.trials) < MAX_TRIALS:
            self._try(event)

    @rule(trials=st.integers(1, 5), request=st.sampled_from(["a", "b", "c"]))
    def add_trials(self, trials: int, request: str) -> None:
        self._try(TrialsAdded(trials, request))

    @rule()
    def start_again(self) -> None:
        self._try(started())

    @rule(reason=st.sampled_from(["finished", "time", "stopped", "error"]))
    def end(self, reason: str) -> None:
        self._try(SweepEnded(reason))  # type: ignore[arg-type]  # drawn from the allowed reasons

    @precondition(lambda self: self.model.trials)
    @rule(data=st.data())
    def crash_while_writing_and_resume(self, data: st.DataObject) -> None:
        """The next record reaches the disk up to some byte before its newline; then a new process takes over."""
        event = data.draw(st.sampled_from(plausible_events(self.model)))
        fields = {"sequence": len(read_journal(self.directory)), "time": self.clock, **to_json(event)}
        line = json.dumps(fields).encode()
        torn = data.draw(st.integers(0, len(line)))
        self.journal.close()
        with (self.directory / JOURNAL_NAME).open("ab") as file:
            file.write(line[:torn])
        self.journal = Journal(self.directory, self._now)
        assert replay((record.time, record.event) for record in self.journal.records) == self.state
        self._try(SweepResumed({}, {}))
        assert not self.state.in_state(TrialState.TRAINING)

    @invariant()
    def state_agrees_with_the_model(self) -> None:
        assert (self.state.started is not None) == (self.model.max_epochs is not None)
        assert self.state.resumes == self.model.resumes
        assert (self.state.trials_added, self.state.requests) == (self.model.added, {*self.model.requests})
        assert (self.state.ended and self.state.ended.reason) == self.model.ended
        assert list(self.state.trials) == list(range(len(self.model.trials)))
        for trial, expected in zip(self.state.trials.values(), self.model.trials, strict=True):
            assert (trial.state.value, trial.epoch) == (expected.phase, len(expected.epochs))
            attempts = (expected.attempts, expected.crashes, expected.losses)
            assert (trial.attempts, trial.crashes, trial.losses) == attempts
            assert [final.latency_ms for final in trial.finals] == expected.finals
            assert trial.pruned_by == expected.pruned_by
            assert [epoch.score for epoch in trial.epochs] == expected.epochs
            assert (trial.checkpoint, trial.final_score) == (expected.checkpoint, expected.score)
            assert (trial.reason, trial.has_files) == (expected.reason, expected.has_files)

    @invariant()
    def the_journal_replayed_is_the_state(self) -> None:
        assert replay((record.time, record.event) for record in read_journal(self.directory)) == self.state

    @invariant()
    def what_follows_from_the_trials_is_kept_up_to_date(self) -> None:
        trials = self.state.trials
        assert self.state.unfinished == {n: t for n, t in trials.items() if not t.state.is_final}
        complete = [(n, t) for n, t in trials.items() if t.state is TrialState.COMPLETE]
        assert list(self.state.complete.items()) == complete
        assert self.state.tried == sum(trial.was_tried for trial in trials.values())
        sound = [trial for trial in trials.values() if trial.state.value not in ("failed", "infeasible")]
        for epoch in range(1, MAX_EPOCHS + 1):
            scores = sorted((t.score_at(epoch), t.number) for t in sound if t.epoch >= epoch)
            assert list(self.state.scores.get(epoch, ())) == scores

    @invariant()
    def final_states_are_absorbing(self) -> None:
        for number, phase in self.final.items():
            assert self.state.trials[number].state.value == phase
        self.final = {n: t.state.value for n, t in self.state.trials.items() if t.state.value in FINAL}
        assert set(self.final) == {n for n, t in self.state.trials.items() if t.state.is_final}

    @invariant()
    def epochs_are_consecutive_and_within_the_target(self) -> None:
        for trial in self.state.trials.values():
            assert [epoch.epoch for epoch in trial.epochs] == list(range(1, trial.epoch + 1))
            assert trial.epoch <= trial.target_epoch <= MAX_EPOCHS
            times = [trial.proposed_at, *(epoch.time for epoch in trial.epochs), trial.changed_at]
            assert times == sorted(times)

    @invariant()
    def the_best_is_a_complete_trial_that_none_exceeds(self) -> None:
        complete = [trial.score for trial in self.model.trials if trial.phase == "complete"]
        assert (self.state.best.final_score if self.state.best else None) == max(complete, default=None)

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.directory)


TestSweeps = Sweeps.TestCase
TestSweeps.settings = settings(
    max_examples=200,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def state_after(*events: Event) -> SweepState:
    return replay((float(time), event) for time, event in enumerate(events))


def test_a_trial_from_proposal_to_completion_keeps_everything_it_was_told():
    state = state_after(
        started(),
        proposed(0),
        TrialAdmitted(0, 9.5, {"interval_ms": [9.0, 10.0]}, {"size_bytes": 5}),
        AttemptStarted(0, 1, 0, 2, None),
        trained(0, 1, 1, 10.0),
        trained(0, 1, 2, 20.0),
        AttemptEnded(0, 1, "reached"),
        AttemptStarted(0, 2, 2, 3, "epoch-2"),
        trained(0, 2, 3, 30.0),
        AttemptEnded(0, 2, "reached"),
        completed(0, 31.0),
    )
    trial = state.trials[0]
    assert state.best is trial
    assert (trial.state, trial.state.is_final) == (TrialState.COMPLETE, True)
    assert (trial.epoch, trial.attempts, trial.target_epoch, trial.checkpoint) == (3, 2, 3, "epoch-3")
    assert [trial.score_at(epoch) for epoch in range(5)] == [None, 10.0, 20.0, 30.0, None]
    assert (trial.partial_score, trial.final_score) == (30.0, 31.0)
    assert (trial.admission_latency_ms, trial.latency_ms) == (9.5, 12.0)
    assert (trial.admission, trial.admission_export) == ({"interval_ms": [9.0, 10.0]}, {"size_bytes": 5})
    assert (trial.proposed_at, trial.changed_at) == (1.0, 10.0)
    assert [epoch.time for epoch in trial.epochs] == [4.0, 5.0, 8.0]


@pytest.mark.parametrize("last", [SweepResumed({}, {}), SweepEnded("stopped")])
@pytest.mark.parametrize(
    ("target", "done", "state"),
    [
        (2, 0, TrialState.PAUSED),
        (2, 1, TrialState.PAUSED),
        (2, 2, TrialState.PAUSED),
        (3, 3, TrialState.TRAINED),
    ],
)
def test_a_trial_that_was_training_goes_back_to_its_last_epoch(last, target, done, state):
    epochs = [trained(0, 1, epoch) for epoch in range(1, done + 1)]
    admitted = TrialAdmitted(0, 9.5, {}, {})
    after = state_after(
        started(), proposed(0), admitted, AttemptStarted(0, 1, 0, target, None), *epochs, last
    )
    trial = after.trials[0]
    assert (trial.state, trial.epoch, trial.attempts, trial.crashes) == (state, done, 1, 0)


def test_errors_name_the_trial_and_what_was_expected():
    state = state_after(started(), proposed(0), TrialAdmitted(0, 9.5, {}, {}))
    for event, message in (
        (completed(0), "trial 0 is admitted: TrialCompleted is not legal"),
        (completed(7), "TrialCompleted of trial 7, which was never proposed"),
        (proposed(2), "trial 2 proposed; expected 1"),
        (started(), "the sweep has started already"),
        (
            AttemptStarted(0, 2, 1, 9, None),
            "trial 0: attempt 2 from epoch 1 to 9; expected attempt 1 from epoch 0 to at most 3",
        ),
    ):
        with pytest.raises(IllegalEvent, match=f"^{message}$"):
            fold(state, event, 1.0)
    with pytest.raises(IllegalEvent, match="TrialProposed before SweepStarted"):
        fold(SweepState(), proposed(0), 1.0)
    with pytest.raises(IllegalEvent, match="the sweep has not started"):
        _ = SweepState().max_epochs


@pytest.mark.parametrize(
    "event",
    [
        trained(0, 1, 3),  # beyond the attempt's target
        trained(0, 1, 2),  # once more
        trained(0, 2, 3),  # of an attempt that never started
        AttemptEnded(0, 2, "reached"),
        AttemptEnded(0, 1, "interrupted"),  # it is at its target
        AttemptEnded(0, 1, "crashed"),
        AttemptStarted(0, 2, 2, 3, "epoch-2"),  # the first one has not ended
        TrialPruned(0, 2, 1.0, "rung"),
        completed(0),
    ],
    ids=repr,
)
def test_an_attempt_at_its_target_can_only_have_reached_it(event):
    admitted = TrialAdmitted(0, 9.5, {}, {})
    epochs = [trained(0, 1, 1), trained(0, 1, 2)]
    state = state_after(started(), proposed(0), admitted, AttemptStarted(0, 1, 0, 2, None), *epochs)
    with pytest.raises(IllegalEvent, match="trial 0"):
        fold(state, event, 9.0)
    reached = fold(state, AttemptEnded(0, 1, "reached"), 9.0)
    assert reached.trials[0].state is TrialState.PAUSED
