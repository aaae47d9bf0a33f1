"""The driver over simulated work: a whole sweep, what goes wrong with attempts, requests, limits and deadlines."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from simulated_sweep import MAX_EPOCHS, SEED, SPACE, Configuration, World
from sweep_stories import check_journal

from sweep.engine import control
from sweep.engine.attempt_spec import AttemptResources, AttemptSpec
from sweep.engine.driver import Driver, Idle
from sweep.engine.files import SweepFiles
from sweep.engine.ledger import Ledger
from sweep.engine.losses import MAX_CRASHES, MAX_LOSSES
from sweep.engine.settings import Workplace
from sweep.lifecycle import Journal, SweepState, Trial, TrialState, read_journal
from sweep.lifecycle.events import (
    AttemptEnded,
    SweepEnded,
    SweepStarted,
    TrialAdmitted,
    TrialCompleted,
    TrialPruned,
    TrialsAdded,
)
from sweep.search import Limits, Planner, RungPolicy
from sweep.search.proposer import make_proposer
from sweep.space.samplers import RandomSampler

RUNG = 2


class PromptStages:
    """Admits and finishes at once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.muted = False

    def admit(self, trial: Trial) -> None:
        self._ledger.record(TrialAdmitted(trial.number, 5.0, {}, {}))

    def finish(self, trial: Trial) -> None:
        self._ledger.record(TrialCompleted(trial.number, {"si_rmse": 0.3}, 5.0, 100.0, {}, {}, {}, {}))

    def mute(self) -> None:
        self.muted = True


class Bench:
    """A driver, and everything around it within reach."""

    def __init__(self, directory: Path, trials: int, slots: Callable[[], int] | None, time_s: float | None):
        self.clock = 0.0
        self.directory = directory
        self.journal = Journal(directory, now=lambda: self.clock)
        self.ledger = Ledger(self.journal, ())
        self.driver = Driver(
            self.ledger,
            Planner(RungPolicy((RUNG, MAX_EPOCHS), 2, min_full=1), Limits(trials, 1, lookahead=1)),
            make_proposer(SPACE, RandomSampler(kind="random"), SEED, max_epochs=MAX_EPOCHS),
            Workplace(SweepFiles(directory), directory, None, MAX_EPOCHS, SEED),
            AttemptResources(threads=1, use_gpu=False),
            deadline=time_s,
            now=lambda: self.clock,
            slots=slots,
        )
        self.stages = PromptStages(self.ledger)
        self.driver.attach(self.stages)
        if not self.journal.records:
            self.ledger.record(SweepStarted("s", "id", {"max_epochs": MAX_EPOCHS}, {}, {}, {}))

    @property
    def state(self) -> SweepState:
        return self.ledger.state

    @property
    def stop_flag(self) -> Path:
        return SweepFiles(self.directory).stop_flag

    def attempt(self) -> AttemptSpec:
        self.clock += 1.0
        answer = self.driver.next_attempt()
        assert isinstance(answer, AttemptSpec)
        return answer

    def report(self, spec: AttemptSpec, **changed: Any) -> Trial:
        """The next epoch of ``spec``; the trial after it."""
        figures = {"train_loss": 0.5, "si_rmse": 0.3, "learning_rate": 0.1, "seconds": 1.0}
        epoch = self.state.trials[spec.trial].epoch + 1
        self.driver.on_result(spec, {"epoch": epoch, **figures, **changed})
        return self.state.trials[spec.trial]

    def train(self, spec: AttemptSpec) -> Trial:
        while self.report(spec).epoch < spec.to_epoch:
            pass
        return self.state.trials[spec.trial]


Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    benches: list[Bench] = []

    def one(trials: int = 3, slots: Callable[[], int] | None = None, time_s: float | None = None) -> Bench:
        benches.append(Bench(tmp_path, trials, slots, time_s))
        return benches[-1]

    yield one
    for bench in benches:
        with closing(bench.journal):
            pass


@pytest.fixture
def bench(make: Make) -> Bench:
    return make()


def test_a_sweep_proposes_trains_compares_and_ends(tmp_path: Path) -> None:
    world = World(tmp_path, Configuration())
    assert world.run() == SweepEnded("finished")
    state = world.state
    assert len(state.trials) == 8
    complete = state.in_state(TrialState.COMPLETE)
    pruned = state.in_state(TrialState.PRUNED)
    assert len(complete) >= 3
    assert len(complete) + len(pruned) == 8
    assert all(trial.epoch == MAX_EPOCHS for trial in complete)
    assert all((trial.epoch, trial.pruned_by) == (2, "rung") for trial in pruned)
    worst = min(trial.score_at(2) or 0.0 for trial in complete)
    assert all((trial.partial_score or 0.0) <= worst for trial in pruned)
    check_journal(world)


@pytest.mark.parametrize(("slots", "lookahead"), [(2, 1), (3, 4)])
def test_several_attempts_at_once_are_a_whole_sweep_too(tmp_path: Path, slots: int, lookahead: int) -> None:
    world = World(tmp_path, Configuration(slots=slots, lookahead=lookahead))
    world.run_to_the_end()
    assert len(world.state.trials) == 8
    check_journal(world)


def test_a_loss_that_is_no_number_fails_the_trial(bench: Bench) -> None:
    trial = bench.report(bench.attempt(), train_loss=float("inf"))
    assert (trial.state, trial.reason) == (TrialState.FAILED, "epoch 1: si-RMSE 0.3, loss inf")


def test_a_divergence_fails_the_trial_with_its_words(bench: Bench) -> None:
    spec = bench.attempt()
    bench.driver.on_result(spec, {"failure": "diverged", "reason": "loss is NaN at step 7"})
    trial = bench.state.trials[spec.trial]
    assert (trial.state, trial.reason) == (TrialState.FAILED, "loss is NaN at step 7")


def test_a_crash_is_tried_again_from_the_last_epoch_and_not_for_ever(bench: Bench) -> None:
    for crashes in range(1, MAX_CRASHES + 2):
        spec = bench.attempt()
        assert (spec.trial, spec.attempt) == (0, crashes)
        if crashes == 1:
            bench.report(spec)
        else:
            assert spec.checkpoint == str(bench.directory / "trials/0000/checkpoints/epoch-0001.pt")
        bench.driver.on_result(spec, {"failure": "crashed", "reason": f"crash {crashes}"})
    trial = bench.state.trials[0]
    assert (trial.state, trial.reason) == (TrialState.FAILED, f"crash {MAX_CRASHES + 1}")


def test_a_death_before_the_verdict_on_the_last_crash_buys_no_further_attempt(make: Make) -> None:
    bench = make()
    for _ in range(MAX_CRASHES):
        bench.driver.on_result(bench.attempt(), {"failure": "crashed", "reason": "crash"})
    spec = bench.attempt()
    bench.ledger.record(AttemptEnded(0, spec.attempt, "crashed", "the last one"))  # and here it died
    bench.journal.close()
    resumed = make()
    assert resumed.attempt().trial == 1
    assert resumed.state.trials[0].state is TrialState.FAILED
    assert resumed.state.trials[0].reason == "the last one"


def test_a_preempted_attempt_is_no_failure_of_its_trial(bench: Bench) -> None:
    for _ in range(MAX_LOSSES):
        bench.driver.on_lost(bench.attempt(), "the node died")
    trial = bench.train(bench.attempt())
    assert (trial.crashes, trial.losses, trial.epoch) == (0, 0, RUNG)


def test_a_trial_that_takes_its_node_with_it_every_time_fails_in_the_end(bench: Bench) -> None:
    for _ in range(MAX_LOSSES + 1):
        bench.driver.on_lost(bench.attempt(), "out of memory")
    trial = bench.state.trials[0]
    assert trial.state is TrialState.FAILED
    assert trial.reason == f"lost {MAX_LOSSES + 1} times in a row: out of memory"


def test_a_trainer_s_full_disk_stops_the_sweep_and_costs_the_trial_nothing(bench: Bench) -> None:
    spec = bench.attempt()
    bench.report(spec)
    bench.driver.on_result(spec, {"failure": "disk_full", "reason": "node a: no space left"})
    trial = bench.state.trials[0]
    assert (trial.state, trial.crashes, trial.epoch) == (TrialState.PAUSED, 0, 1)
    assert bench.driver.next_attempt() is Idle.FOREVER
    assert bench.driver.conclude() == SweepEnded("error", "node a: no space left")
    assert bench.stages.muted


def test_results_of_an_attempt_that_is_over_change_nothing(bench: Bench) -> None:
    old = bench.attempt()
    bench.driver.on_lost(old, "cannot be reached")
    new = bench.attempt()
    before = bench.state
    bench.report(old)
    bench.driver.on_lost(old, "and again")
    assert bench.state is before
    assert not bench.driver.goes_on(old)
    assert bench.driver.goes_on(new)


def test_a_stop_reaches_trainers_by_the_flag_and_at_their_next_epoch(bench: Bench) -> None:
    spec = bench.attempt()
    bench.driver.stop("stopped", "SIGTERM")
    assert bench.stop_flag.exists()
    assert not bench.driver.goes_on(spec)
    assert bench.report(spec).epoch == 1  # what is done is kept
    ended = bench.driver.conclude()
    assert ended == SweepEnded("stopped", "SIGTERM")
    bench.driver.end(ended)
    assert not bench.stop_flag.exists()
    assert bench.state.trials[0].state is TrialState.PAUSED


def test_attempts_follow_the_cluster_as_it_grows_and_shrinks(make: Make) -> None:
    free = 2
    bench = make(trials=6, slots=lambda: free)
    specs = [bench.attempt(), bench.attempt()]
    bench.clock += 1.0
    assert bench.driver.next_attempt() is Idle.NOW
    free = 3
    bench.clock += 1.0
    specs.append(bench.attempt())
    free = 1
    for spec in specs[:2]:
        bench.train(spec)
        bench.clock += 1.0
        assert bench.driver.next_attempt() is Idle.NOW
    bench.train(specs[2])
    bench.attempt()


def test_a_wish_for_more_trials_counts_once_and_is_taken_away(bench: Bench) -> None:
    request = control.AddTrials(control.new_id(), 2)
    control.ask(bench.directory, request)
    spec = bench.attempt()
    assert bench.state.trials_added == 2
    assert not control.waits(bench.directory, request)
    control.ask(bench.directory, request)  # as after a death between the record and the removal
    bench.train(spec)
    bench.attempt()
    events = [record.event for record in read_journal(bench.directory)]
    assert events.count(TrialsAdded(2, request.id)) == 1
    assert not control.waits(bench.directory, request)


def test_a_wish_to_stop_ends_the_sweep(bench: Bench) -> None:
    bench.attempt()
    control.ask(bench.directory, control.StopRequest(control.new_id()))
    bench.clock += 1.0
    assert bench.driver.next_attempt() is Idle.FOREVER
    assert bench.driver.conclude() == SweepEnded("stopped", "sweep stop")
    assert control.pending(bench.directory) == ()


def test_wishes_are_looked_for_once_a_second(bench: Bench) -> None:
    bench.attempt()
    control.ask(bench.directory, control.StopRequest(control.new_id()))
    bench.clock += 0.9
    assert bench.driver.next_attempt() is Idle.NOW
    bench.clock += 0.2
    assert bench.driver.next_attempt() is Idle.FOREVER


def test_time_that_is_up_cuts_attempts_and_prunes_what_was_still_wanted(make: Make) -> None:
    bench = make(time_s=100.0)
    spec = bench.attempt()
    bench.report(spec)
    bench.clock = 101.0
    assert bench.driver.next_attempt() is Idle.NOW
    assert bench.stop_flag.exists()
    bench.driver.on_result(spec, {"failure": "stopped", "reason": ""})
    bench.clock = 103.0
    assert bench.driver.next_attempt() is Idle.FOREVER
    assert bench.driver.conclude() == SweepEnded("time")
    events = [record.event for record in read_journal(bench.directory)]
    assert AttemptEnded(0, 1, "interrupted") in events
    pruned = {event.trial: (event.rule, event.reason) for event in events if isinstance(event, TrialPruned)}
    assert pruned[0] == ("time", "out of time")
    assert not bench.state.unfinished
