"""The driver under whatever may happen, in any order, on a real journal; held against the journal read naively."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from simulated_sweep import SEED, SPACE

from sweep.engine import control
from sweep.engine.attempt_spec import AttemptResources, AttemptSpec
from sweep.engine.driver import Driver, Idle
from sweep.engine.files import SweepFiles
from sweep.engine.ledger import Ledger
from sweep.engine.losses import MAX_CRASHES, MAX_LOSSES
from sweep.engine.settings import Workplace
from sweep.lifecycle import Event, Journal, Trial, TrialState, read_journal, read_state
from sweep.lifecycle.events import (
    AttemptStarted,
    EpochTrained,
    SweepResumed,
    SweepStarted,
    TrialAdmitted,
    TrialCompleted,
    TrialFailed,
    TrialInfeasible,
    TrialProposed,
    TrialPruned,
    TrialsAdded,
)
from sweep.search import AdmissionPolicy, Limits, Planner, RungPolicy
from sweep.search.planning import MAX_SCREENED
from sweep.search.proposer import make_proposer
from sweep.space.constraint import parse_constraint
from sweep.space.samplers import RandomSampler

MAX_EPOCHS = 4
MEMORY_DISK = "/dev/shm" if Path("/dev/shm").is_dir() else None  # thousands of fsyncs
LATENCIES_MS = (2.0, 4.0, 9.0)
ADMISSION = AdmissionPolicy((parse_constraint("latency_ms <= 5"),))

which = st.integers(0, 9)
si_rmse = st.sampled_from((0.2, 0.25, 0.3, 0.4))


class IdleStages:
    """Remembers what was asked for; somebody else does it."""

    def __init__(self) -> None:
        self.admitting: dict[int, Trial] = {}
        self.finishing: dict[int, Trial] = {}
        self.muted = False

    def admit(self, trial: Trial) -> None:
        if not self.muted:
            self.admitting.setdefault(trial.number, trial)

    def finish(self, trial: Trial) -> None:
        if not self.muted:
            self.finishing.setdefault(trial.number, trial)

    def mute(self) -> None:
        self.muted = True


class DriverMachine(RuleBasedStateMachine):
    @initialize(
        trials=st.integers(1, 5),
        slots=st.integers(1, 3),
        lookahead=st.integers(1, 3),
        rungs=st.sampled_from(((4,), (1, 4), (1, 2, 4))),
        hyperband=st.booleans(),
        time_s=st.sampled_from((None, None, 40.0)),
    )
    def start(
        self,
        trials: int,
        slots: int,
        lookahead: int,
        rungs: tuple[int, ...],
        hyperband: bool,
        time_s: float | None,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="depth-sweep-test-", dir=MEMORY_DISK))
        self.trials, self.slots, self.lookahead, self.time_s = trials, slots, lookahead, time_s
        self.rungs = RungPolicy(rungs, 2, min_full=2, hyperband=hyperband)
        self.clock = 0.0
        self.stale: list[AttemptSpec] = []
        self.open()
        self.ledger.record(SweepStarted("s", "id", {"max_epochs": MAX_EPOCHS}, {}, {}, {}))

    def open(self) -> None:
        """What a process does first."""
        self.journal = Journal(self.directory, now=lambda: self.clock)
        self.ledger = Ledger(self.journal, ())
        self.trials += self.ledger.state.trials_added
        self.live: dict[int, AttemptSpec] = {}
        self.over = False
        self.driver = Driver(
            self.ledger,
            Planner(self.rungs, Limits(self.trials, self.slots, self.lookahead), ADMISSION),
            make_proposer(SPACE, RandomSampler(kind="random"), SEED, max_epochs=MAX_EPOCHS),
            Workplace(SweepFiles(self.directory), self.directory, None, MAX_EPOCHS, SEED),
            AttemptResources(threads=1, use_gpu=False),
            deadline=None if self.time_s is None else self.clock + self.time_s,
            now=lambda: self.clock,
        )
        self.stages = IdleStages()
        self.driver.attach(self.stages)

    def resume(self) -> None:
        self.journal.close()
        self.stale += self.live.values()
        self.open()
        self.ledger.record(SweepResumed({}, {}))

    # What may happen

    @rule(moves=st.lists(st.tuples(which, si_rmse), min_size=1, max_size=40))
    def everybody_works_for_a_while(self, moves: list[tuple[int, float]]) -> None:
        """What happens most of the time, so that states deep in a sweep are reached."""
        for which, si_rmse in moves:
            if self.stages.admitting and which in (0, 1, 2):
                self.an_admission_ends(which, LATENCIES_MS[which])
            elif self.stages.finishing and which in (3, 4):
                self.a_trial_is_finished(which, 100.0 * which)
            elif self.live and which < 9:
                self.report(nth(self.live.values(), which), si_rmse)
            elif not self.over:
                self.clock += 1.0
                self.ask_for_an_attempt()
            self.the_limits_hold()

    @precondition(lambda self: not self.over)
    @rule()
    def ask_for_an_attempt(self) -> None:
        answer = self.driver.next_attempt()
        if isinstance(answer, AttemptSpec):
            assert answer.trial not in self.live
            self.live[answer.trial] = answer
        self.over = answer is Idle.FOREVER

    @precondition(lambda self: self.live)
    @rule(which=which, si_rmse=si_rmse)
    def an_epoch_is_trained(self, which: int, si_rmse: float) -> None:
        self.report(nth(self.live.values(), which), si_rmse)

    @precondition(lambda self: self.live)
    @rule(which=which, kind=st.sampled_from(("crashed", "lost", "diverged", "NaN")))
    def an_attempt_fails(self, which: int, kind: str) -> None:
        spec = nth(self.live.values(), which)
        if kind == "NaN":
            self.report(spec, float("nan"))
        elif kind == "lost":
            self.driver.on_lost(spec, "its node died")
        else:
            self.driver.on_result(spec, {"failure": kind, "reason": kind})
        assert not self.driver.goes_on(spec)
        self.live.pop(spec.trial, None)

    @precondition(lambda self: self.stale)
    @rule(which=which, si_rmse=si_rmse)
    def a_trainer_of_a_dead_process_reports(self, which: int, si_rmse: float) -> None:
        spec = nth(self.stale, which)
        before = self.ledger.state
        if not self.over:
            self.report(spec, si_rmse)
            assert before.trials[spec.trial] == self.ledger.state.trials[spec.trial]

    @precondition(lambda self: self.stages.admitting)
    @rule(which=which, latency_ms=st.sampled_from((*LATENCIES_MS, "infeasible", "failed")))
    def an_admission_ends(self, which: int, latency_ms: float | str) -> None:
        number = self.stages.admitting.pop(nth(self.stages.admitting, which)).number
        if latency_ms == "infeasible":
            self.ledger.record(TrialInfeasible(number, "an operator is refused"))
        elif latency_ms == "failed":
            self.ledger.record(TrialFailed(number, "a worker was lost"))
        else:
            self.ledger.record(TrialAdmitted(number, float(latency_ms), {}, {}))
        self.driver.pump()

    @precondition(lambda self: self.stages.finishing)
    @rule(which=which, score=st.sampled_from((100.0, 200.0, None)))
    def a_trial_is_finished(self, which: int, score: float | None) -> None:
        number = self.stages.finishing.pop(nth(self.stages.finishing, which)).number
        if score is None:
            self.ledger.record(TrialFailed(number, "NaN in a prediction"))
        else:
            self.ledger.record(completed(number, score))
        self.driver.pump()

    @rule(torn=st.booleans())
    def the_process_is_killed_and_the_sweep_resumed(self, torn: bool) -> None:
        if torn:
            with (self.directory / "journal.jsonl").open("a") as file:
                file.write('{"sequence": ')
        self.resume()

    @rule(disk_is_full=st.booleans())
    def the_sweep_is_stopped_and_resumed(self, disk_is_full: bool) -> None:
        if disk_is_full and self.live:
            spec = nth(self.live.values(), 0)
            self.driver.on_result(spec, {"failure": "disk_full", "reason": "node a"})
            del self.live[spec.trial]
        else:
            self.driver.stop("stopped", "SIGINT")
        assert self.stages.muted
        assert self.driver.next_attempt() is Idle.FOREVER
        assert not any(map(self.driver.goes_on, self.live.values()))
        ended = self.driver.conclude()
        assert ended.reason in ("stopped", "error")
        self.driver.end(ended)
        self.resume()

    @rule(trials=st.integers(1, 2))
    def somebody_wants_more_trials(self, trials: int) -> None:
        control.ask(self.directory, control.AddTrials(control.new_id(), trials))

    @rule(seconds=st.sampled_from((0.5, 1.0, 5.0, 30.0)))
    def time_passes(self, seconds: float) -> None:
        self.clock += seconds

    # What must be true

    @invariant()
    def the_journal_holds_the_state(self) -> None:
        assert read_state(self.directory) == self.ledger.state

    @invariant()
    def what_follows_from_the_trials_is_what_the_journal_says(self) -> None:
        events, state = self.events(), self.ledger.state
        assert sorted(state.unfinished) == unfinished(events)
        assert all(state.unfinished[number] is state.trials[number] for number in state.unfinished)
        assert state.tried == len(tried(events))
        assert {epoch: list(scores) for epoch, scores in state.scores.items() if scores} == scores_of(events)

    @invariant()
    def nothing_happens_twice(self) -> None:
        events, state = self.events(), self.ledger.state
        assert [e.trial for e in events if isinstance(e, TrialProposed)] == list(range(len(state.trials)))
        assert len({trial.candidate_hash for trial in state.trials.values()}) == len(state.trials)
        epochs = Counter((e.trial, e.epoch) for e in events if isinstance(e, EpochTrained))
        assert set(epochs.values()) <= {1}
        requests = Counter(e.request for e in events if isinstance(e, TrialsAdded))
        assert set(requests.values()) <= {1}

    @invariant()
    def the_limits_hold(self) -> None:
        state = self.ledger.state
        allowed = self.trials + state.trials_added
        assert len(state.in_state(TrialState.TRAINING)) <= self.slots
        assert len(state.in_state(TrialState.PROPOSED, TrialState.ADMITTED)) <= self.lookahead
        assert state.tried <= allowed
        assert len(state.trials) <= allowed * MAX_SCREENED
        assert all(t.crashes <= MAX_CRASHES and t.losses <= MAX_LOSSES for t in state.unfinished.values())

    @invariant()
    def broken_constraints_cost_no_training(self) -> None:
        slow = [t for t in self.ledger.state.trials.values() if (t.admission_latency_ms or 0) > 5]
        assert not any(trial.attempts for trial in slow)

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            self.go_on_to_the_end()
            self.journal.close()
            shutil.rmtree(self.directory)

    def go_on_to_the_end(self) -> None:
        """Whatever happened, the sweep can be finished by those who do as they are told."""
        for _ in range(1000):
            if self.over:
                break
            self.ask_for_an_attempt()
            for number in tuple(self.stages.admitting):
                self.an_admission_ends(tuple(self.stages.admitting).index(number), 4.0)
            for spec in tuple(self.live.values()):
                self.report(spec, 0.3)
            for number in tuple(self.stages.finishing):
                self.a_trial_is_finished(tuple(self.stages.finishing).index(number), 100.0)
            self.clock += 1.0
        assert self.over
        assert not self.live
        ended = self.driver.conclude()
        self.driver.end(ended)
        state = read_state(self.directory)
        assert not state.unfinished
        assert ended.reason == ("finished" if self.time_s is None else ended.reason)
        if ended.reason == "finished":
            allowed = self.trials + state.trials_added
            assert state.tried == allowed or len(state.trials) == allowed * MAX_SCREENED
        self.the_journal_holds_the_state()

    def report(self, spec: AttemptSpec, si_rmse: float) -> None:
        """The next epoch of ``spec``, by its trainer's own count."""
        epoch = self.ledger.state.trials[spec.trial].epoch + 1
        figures = {"train_loss": 0.5, "si_rmse": si_rmse, "learning_rate": 0.1, "seconds": 1.0}
        self.driver.on_result(spec, {"epoch": epoch, **figures})
        if not self.driver.goes_on(spec) and self.live.get(spec.trial) is spec:
            del self.live[spec.trial]

    def events(self) -> list[Event]:
        return [record.event for record in read_journal(self.directory)]


def nth(items: Any, which: int) -> Any:
    found = tuple(items)
    return found[which % len(found)]


def completed(trial: int, score: float) -> TrialCompleted:
    return TrialCompleted(trial, {"si_rmse": 0.3}, 4.0, score, {}, {}, {}, {"tflite": "m"})


def of(events: Sequence[Event], trial: int, *kinds: type) -> list[Any]:
    return [event for event in events if isinstance(event, kinds) and getattr(event, "trial", None) == trial]


def proposed(events: Sequence[Event]) -> list[int]:
    return [event.trial for event in events if isinstance(event, TrialProposed)]


def unfinished(events: Sequence[Event]) -> list[int]:
    final = (TrialCompleted, TrialPruned, TrialInfeasible, TrialFailed)
    return [trial for trial in proposed(events) if not of(events, trial, *final)]


def tried(events: Sequence[Event]) -> list[int]:
    """All but those that ended between their measurement and their first attempt, by what was measured."""

    def screened(trial: int) -> bool:
        if of(events, trial, AttemptStarted):
            return False
        by_rule = any(event.rule == "admission" for event in of(events, trial, TrialPruned))
        return by_rule or bool(of(events, trial, TrialAdmitted) and of(events, trial, TrialInfeasible))

    return [trial for trial in proposed(events) if not screened(trial)]


def scores_of(events: Sequence[Event]) -> dict[int, list[tuple[float, int]]]:
    """Per epoch, ascending, the scores of those that did not break."""
    found: dict[int, list[tuple[float, int]]] = {}
    for event in events:
        if isinstance(event, EpochTrained) and not of(events, event.trial, TrialFailed, TrialInfeasible):
            found.setdefault(event.epoch, []).append((event.partial_score, event.trial))
    return {epoch: sorted(scores) for epoch, scores in found.items()}


def how_often(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=60,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


class TestDriver(DriverMachine.TestCase):
    settings = how_often(12)


@pytest.mark.long
@pytest.mark.timeout(1200)
class TestDriverAtLength(DriverMachine.TestCase):
    settings = how_often(300)
