"""The machine room in which search methods are compared: virtual time, paid GPUs, nothing given away."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import optuna
import pytest

from benchmarks.search_simulation.configurations import all_methods, presets
from benchmarks.search_simulation.methods import ADMISSION_S, START_S, Method, Run
from benchmarks.search_simulation.problems import (
    MAX_EPOCHS,
    Problem,
    full_trainings_s,
    make_problem,
)
from benchmarks.search_simulation.rivals import PlainOptuna, compete
from benchmarks.search_simulation.space import SimulatedCandidate
from benchmarks.search_simulation.stock_ray import StockRay
from benchmarks.search_simulation.virtual_time import (
    WORKERS,
    OutOfBudget,
    Process,
    Simulation,
    UseBoard,
    UseGpu,
    WaitForChange,
)
from sweep.space import RandomSuggest

METHODS = ("tpe", "stock", "optuna", "random")
"""One of each kind that runs in about a second."""

SHORT_S = full_trainings_s(8)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_run_and_another_seed_another(name: str) -> None:
    method = all_methods()[name]
    first, again, other = (method(make_problem("rugged", "medium", seed), SHORT_S) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@dataclass(frozen=True)
class Watched(Problem):
    """Notes every epoch that is asked for, and says what ``worth`` says is true of a candidate.

    Nothing but the report may ask for what is true: any other question is an error.
    """

    worth: Callable[[SimulatedCandidate], float] = lambda _: 1.0
    epochs: tuple[list[tuple[str, int]], list[float]] = ((), ())

    def observe_si_rmse(self, candidate: SimulatedCandidate, epoch: int) -> float:
        self.epochs[0].append((candidate.hash, epoch))
        self.epochs[1].append(self.epoch_s(candidate))
        return 0.3 + int(candidate.hash[:4], 16) / 2**18 + 0.2 / epoch

    def observe_latency_ms(self, candidate: SimulatedCandidate, measurement: str) -> float:
        assert measurement in {"admission", "final"}
        return 10.0 + int(candidate.architecture_hash[:4], 16) / 2**12

    def true_si_rmse(self, candidate: SimulatedCandidate, epoch: int) -> float:
        raise AssertionError(f"somebody asked for the true si-RMSE of {candidate} after {epoch} epochs")

    def true_latency_ms(self, candidate: SimulatedCandidate) -> float:
        raise AssertionError(f"somebody asked for the true latency of {candidate}")

    def true_score(self, candidate: SimulatedCandidate) -> float:
        return self.worth(candidate)


def watched(method: Method, worth: Callable[[SimulatedCandidate], float]) -> tuple[Run, Watched]:
    problem = make_problem("interacting", "medium", 3)
    values = {field.name: getattr(problem, field.name) for field in fields(Problem)}
    spy = Watched(**values, worth=worth, epochs=([], []))
    return method(spy, SHORT_S), spy


@pytest.mark.parametrize("name", METHODS)
def test_no_method_looks_at_what_is_true(name: str) -> None:
    flat, flat_spy = watched(all_methods()[name], lambda _: 1.0)
    wild, wild_spy = watched(all_methods()[name], lambda candidate: int(candidate.hash, 16) + 1.0)
    assert flat_spy.epochs == wild_spy.epochs
    assert [point.spent_s for point in flat.curve] == [point.spent_s for point in wild.curve]
    assert flat.curve != wild.curve


@pytest.mark.parametrize("name", METHODS)
def test_gpu_seconds_are_those_of_the_epochs_and_of_the_starts_and_within_the_budget(name: str) -> None:
    run, spy = watched(all_methods()[name], lambda _: 1.0)
    epochs, seconds = spy.epochs
    starts = (run.granted_s - math.fsum(seconds)) / START_S
    assert starts == pytest.approx(round(starts), abs=1e-6)
    assert round(starts) >= run.trained == len({candidate for candidate, _ in epochs})
    assert len(set(epochs)) == len(epochs), "an epoch was trained twice"
    assert run.full == sum(1 for _, epoch in epochs if epoch == MAX_EPOCHS)
    assert 0.8 * SHORT_S < run.granted_s <= SHORT_S
    if name != "tpe":  # those never resume a training
        assert round(starts) == run.trained


def test_stock_ray_tells_optuna_that_a_trial_stopped_by_asha_is_complete_at_the_epoch_where_it_stopped() -> (
    None
):
    rival = StockRay(0)
    compete(rival, make_problem("additive", "medium", 0), SHORT_S)
    trials = rival._search._ot_study.trials
    stopped = [t for t in trials if t.state.name == "COMPLETE" and max(t.intermediate_values, default=0) < 26]
    assert {trial.state.name for trial in trials} <= {"COMPLETE", "FAIL", "RUNNING"}
    assert {max(trial.intermediate_values) + 1 for trial in stopped} == {3, 9}
    assert all(trial.value < max(t.value for t in trials if t.value) for trial in stopped)


def test_plain_optuna_is_told_of_pruned_trials_and_chooses_among_complete_ones() -> None:
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=3, reduction_factor=3)
    rival = PlainOptuna(optuna.samplers.TPESampler(seed=0), pruner)
    run = compete(rival, make_problem("additive", "medium", 0), SHORT_S)
    states = [trial.state.name for trial in rival._study.trials]
    assert states.count("COMPLETE") == run.full
    assert states.count("PRUNED") > 0
    assert rival.best() == rival._study.best_trial.number


def test_presets_did_well_elsewhere_and_are_tried_first() -> None:
    problem = make_problem("additive", "low", 0)
    chosen = presets(problem)
    draw = RandomSuggest(99)
    usual = np.median([problem.true_score(problem.space.random(draw)) for _ in range(200)])
    assert len(chosen) == 3
    assert np.mean([problem.true_score(problem.space.candidate(s.assignment)) for s in chosen]) > usual


def test_boards_serve_first_come_first_served_and_cost_nothing() -> None:
    simulation = Simulation(budget_s=40.0, devices=3)
    done: list[tuple[int, float]] = []

    def measure(number: int) -> Process:
        yield UseBoard(ADMISSION_S)
        done.append((number, simulation.now))

    for number in range(5):
        simulation.start(measure(number))
    simulation.run()
    assert done == [(0, 12.0), (1, 12.0), (2, 12.0), (3, 24.0), (4, 24.0)]
    assert simulation.granted_s == simulation.spent_s == 0.0


def test_boards_that_are_busy_for_ever_while_nothing_trains_end_a_simulation() -> None:
    simulation = Simulation(budget_s=40.0)

    def measure() -> Process:
        while True:
            yield UseBoard(1.0)

    simulation.start(measure())
    simulation.run()
    assert simulation.now == 3 * 40.0 / WORKERS


def test_what_the_budget_cannot_pay_is_refused_and_spent_time_grows_while_gpus_compute() -> None:
    simulation = Simulation(budget_s=25.0)
    told: list[object] = []

    def train(seconds: float) -> Process:
        try:
            while True:
                yield UseGpu(seconds)
                told.append((simulation.now, simulation.spent_s))
        except OutOfBudget:
            told.append("refused")
            raise

    def watch() -> Process:
        yield WaitForChange()
        told.append("changed")

    simulation.start(watch())
    simulation.start(train(4.0))
    simulation.start(train(6.0))
    simulation.run()
    # At 4 s: 4 + 4 of the 6. Another 4, 6 and 4 are granted: 24 in all; 6 and 4 more are refused.
    assert told == [
        (4.0, 8.0),
        "changed",
        (6.0, 12.0),
        (8.0, 16.0),
        (12.0, 24.0),
        "refused",
        (12.0, 24.0),
        "refused",
    ]
    assert (simulation.granted_s, simulation.left_s) == (24.0, 1.0)
