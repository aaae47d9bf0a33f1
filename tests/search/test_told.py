"""Optuna is told of each trial as what it is."""

from typing import Any

import pytest
from optuna.trial import TrialState as OptunaState
from tests_search_spaces import CONDITIONAL, FLAT, complete

from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    TrialAdmitted,
    TrialCompleted,
    TrialFailed,
    TrialInfeasible,
    TrialPruned,
)
from sweep.search.told import PARETO_FRONT, constraint_values, frozen_trial
from sweep.space import RandomSuggest
from sweep.space.constraint import Constraint

FAST = Constraint("latency_ms", 50.0)
SMALL = Constraint("size_mb", 3.0)


def admitted(sweep: Any, latency_ms: float = 20.0, size_bytes: int = 2_000_000) -> int:
    number = sweep.propose(FLAT.sample(RandomSuggest(len(sweep.state.trials))))
    sweep.record(TrialAdmitted(number, latency_ms, {}, {"size_bytes": size_bytes}))
    return number


def told(sweep: Any, number: int, *constraints: Constraint) -> Any:
    return frozen_trial(FLAT, sweep.state.trials[number], constraints=constraints)


def outcome(trial: Any) -> tuple[OptunaState, str]:
    return trial.state, trial.user_attrs["outcome"]


def test_a_trial_under_way_is_running_with_its_values_so_far(sweep: Any) -> None:
    proposed = sweep.propose(FLAT.sample(RandomSuggest(7)))
    waiting, training = admitted(sweep), admitted(sweep)
    sweep.train(training, 6, [9.0], end=False)
    assert outcome(told(sweep, proposed)) == (OptunaState.RUNNING, "proposed")
    assert outcome(told(sweep, waiting)) == (OptunaState.RUNNING, "admitted")
    assert outcome(told(sweep, training)) == (OptunaState.RUNNING, "training")
    assert told(sweep, training).intermediate_values == {1: 9.0}


def test_an_attempt_that_was_cut_short_leaves_its_trial_running(sweep: Any) -> None:
    at_once, later = admitted(sweep), admitted(sweep)
    sweep.train(at_once, 2, [])
    sweep.train(later, 6, [4.0, 5.0])
    assert outcome(told(sweep, at_once)) == (OptunaState.RUNNING, "paused")
    assert outcome(told(sweep, later)) == (OptunaState.RUNNING, "paused")


def test_a_crashed_attempt_leaves_its_trial_running(sweep: Any) -> None:
    number = admitted(sweep)
    sweep.record(AttemptStarted(number, 1, 0, 2, None), AttemptEnded(number, 1, "crashed", "out of memory"))
    assert outcome(told(sweep, number)) == (OptunaState.RUNNING, "paused")


def test_a_trial_at_its_rung_is_pruned_until_it_goes_on(sweep: Any) -> None:
    number = admitted(sweep)
    sweep.train(number, 2, [3.0, 3.5])
    assert outcome(told(sweep, number)) == (OptunaState.PRUNED, "paused")
    assert told(sweep, number).intermediate_values == {1: 3.0, 2: 3.5}
    sweep.train(number, 6, [4.0], end=False)
    assert outcome(told(sweep, number)) == (OptunaState.RUNNING, "training")


def test_a_complete_trial_has_its_final_score_and_all_that_led_there(sweep: Any) -> None:
    number = admitted(sweep)
    sweep.train(number, 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert outcome(told(sweep, number)) == (OptunaState.PRUNED, "trained")
    sweep.complete(number, 6.5)
    trial = told(sweep, number)
    assert outcome(trial) == (OptunaState.COMPLETE, "complete")
    assert trial.values == [6.5]
    assert trial.intermediate_values == {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0, 5: 5.0, 6: 6.0}
    assert trial.params == sweep.state.trials[number].assignment
    assert trial.number == number
    seconds = trial.datetime_complete.timestamp() - trial.datetime_start.timestamp()
    assert seconds == 6 * 10.0 + 8.0


def test_the_three_objectives_are_error_latency_and_size(sweep: Any) -> None:
    number = admitted(sweep, 21.0, 2_500_000)
    complete(sweep, number, score=6.5, si_rmse=0.25)
    trial = frozen_trial(FLAT, sweep.state.trials[number], PARETO_FRONT)
    assert trial.values == [0.25, 21.0, 2.5]


def test_a_complete_trial_without_an_objective_is_a_clear_error(sweep: Any) -> None:
    number = sweep.propose(FLAT.sample(RandomSuggest(1)))
    sweep.record(TrialAdmitted(number, 5.0, {}, {}))
    complete(sweep, number, 1.0)
    with pytest.raises(ValueError, match="trial 0 is complete, but its size_mb is not known"):
        frozen_trial(FLAT, sweep.state.trials[number], PARETO_FRONT)


def test_a_pruned_trial_keeps_its_values_at_their_epochs(sweep: Any) -> None:
    number = admitted(sweep)
    sweep.train(number, 2, [1.0, 1.5])
    sweep.record(TrialPruned(number, 2, 1.5, "not among the best at rung 2"))
    trial = told(sweep, number)
    assert outcome(trial) == (OptunaState.PRUNED, "pruned")
    assert trial.intermediate_values == {1: 1.0, 2: 1.5}
    assert trial.user_attrs["reason"] == "not among the best at rung 2"


def test_failed_and_infeasible_are_failures_of_different_kinds(sweep: Any) -> None:
    failed, infeasible = admitted(sweep), admitted(sweep)
    sweep.train(failed, 2, [1.0], end=False)
    sweep.record(TrialFailed(failed, "the loss became NaN"), TrialInfeasible(infeasible, "no such operator"))
    assert outcome(told(sweep, failed, FAST)) == (OptunaState.FAIL, "failed")
    assert outcome(told(sweep, infeasible, FAST)) == (OptunaState.FAIL, "infeasible")
    assert told(sweep, failed).user_attrs["reason"] == "the loss became NaN"
    assert told(sweep, infeasible).user_attrs["reason"] == "no such operator"


def test_a_broken_constraint_is_told_with_how_far_it_was_broken(sweep: Any) -> None:
    number = admitted(sweep, 65.0, 2_000_000)
    sweep.record(TrialInfeasible(number, "latency_ms 65 > 50"))
    trial = told(sweep, number, FAST, SMALL)
    assert outcome(trial) == (OptunaState.PRUNED, "infeasible")
    assert trial.constraints == {"latency_ms <= 50": 15.0, "size_mb <= 3": -1.0}
    assert outcome(told(sweep, number)) == (OptunaState.FAIL, "infeasible")


def test_a_complete_trial_that_breaks_a_constraint_says_so(sweep: Any) -> None:
    number = admitted(sweep, 49.0)
    sweep.train(number, 6, [1.0] * 6)
    sweep.record(TrialCompleted(number, {"si_rmse": 0.3}, 51.5, 2.0, {}, {}, {}, {}))
    trial = told(sweep, number, FAST)
    assert trial.state is OptunaState.COMPLETE
    assert trial.constraints == {"latency_ms <= 50": 1.5}


def test_constraints_are_unknown_until_everything_is_measured(sweep: Any) -> None:
    number = sweep.propose({})
    assert constraint_values(sweep.state.trials[number], (FAST, SMALL)) == {}
    sweep.record(TrialAdmitted(number, 51.0, {}, {}))
    assert constraint_values(sweep.state.trials[number], (FAST, SMALL)) == {}
    assert constraint_values(sweep.state.trials[number], (FAST,)) == {"latency_ms <= 50": 1.0}


def test_closed_parameters_are_not_told(sweep: Any) -> None:
    assignment = {"optimizer": "sgd", "optimizer.sgd.momentum": 0.5, "width": 16}
    number = sweep.propose(assignment)
    trial = frozen_trial(CONDITIONAL, sweep.state.trials[number])
    assert trial.params == assignment
    assert list(trial.distributions) == list(assignment)
