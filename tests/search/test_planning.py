"""The planner: what starts, what waits for the clock, and when a sweep is over."""

from typing import Any

from sweep.lifecycle import TrialState
from sweep.lifecycle.events import AttemptStarted, TrialPruned
from sweep.search import Attempt, Costs, Limits, Planner, RungPolicy, observe_costs

POLICY = RungPolicy((2, 6), 2, min_full=1)


def planner(trials: int = 4, slots: int = 1, lookahead: int = 1) -> Planner:
    return Planner(POLICY, Limits(trials=trials, slots=slots, lookahead=lookahead))


def test_an_admitted_trial_is_trained_to_the_first_rung(sweep: Any) -> None:
    number = sweep.admit()
    assert planner().next_attempt(sweep.state, None) == Attempt(number, 1, 0, 2, None)


def test_a_promotion_comes_before_a_new_trial(sweep: Any) -> None:
    sweep.at_rung(10.0)
    best = sweep.at_rung(20.0)
    sweep.admit()
    assert planner().next_attempt(sweep.state, None) == Attempt(best, 2, 2, 6, "2.pt")


def test_an_interrupted_attempt_goes_on_from_its_checkpoint_first(sweep: Any) -> None:
    sweep.at_rung(10.0)
    sweep.at_rung(20.0)
    cut = sweep.admit()
    sweep.train(cut, 2, [1.0])
    assert planner().next_attempt(sweep.state, None) == Attempt(cut, 2, 1, 2, "1.pt")


def test_no_attempt_starts_without_a_free_slot(sweep: Any) -> None:
    sweep.train(sweep.admit(), 2, [1.0], end=False)
    sweep.admit()
    assert planner(slots=1).next_attempt(sweep.state, None) is None
    assert planner(slots=2).next_attempt(sweep.state, None) is not None


def test_candidates_are_proposed_up_to_the_lookahead(sweep: Any) -> None:
    assert planner(lookahead=2).wants_proposal(sweep.state, None)
    sweep.propose()
    assert planner(lookahead=2).wants_proposal(sweep.state, None)
    sweep.admit()
    assert not planner(lookahead=2).wants_proposal(sweep.state, None)


def test_candidates_are_proposed_up_to_the_number_of_trials(sweep: Any) -> None:
    sweep.at_rung(1.0)
    assert planner(trials=2).wants_proposal(sweep.state, None)
    sweep.at_rung(2.0)
    assert not planner(trials=2).wants_proposal(sweep.state, None)


def test_a_sweep_without_time_left_starts_nothing(sweep: Any) -> None:
    sweep.at_rung(1.0)
    sweep.admit()
    assert planner().next_attempt(sweep.state, 5.0) is None
    assert not planner().wants_proposal(sweep.state, 5.0)
    assert planner().is_over(sweep.state, 5.0)


def test_a_new_trial_must_leave_time_to_finish_one(sweep: Any) -> None:
    # An epoch takes 10 s: 2 epochs for the new trial, 4 more to bring one trial to full fidelity.
    paused = sweep.at_rung(1.0)
    new = sweep.admit()
    assert planner().next_attempt(sweep.state, 60.0) == Attempt(new, 1, 0, 2, None)
    assert planner().next_attempt(sweep.state, 59.0) == Attempt(paused, 2, 2, 6, "2.pt")
    assert planner().next_attempt(sweep.state, 39.0) is None


def test_finishing_counts_against_the_clock(sweep: Any) -> None:
    first = sweep.at_rung(9.0)
    sweep.train(first, 6, [9.0] * 4)
    sweep.complete(first, 9.0, seconds=8.0)
    for score in (1.0, 2.0):
        sweep.at_rung(score)
    assert observe_costs(sweep.state) == Costs(epoch=10.0, start=0.0, finish=8.0)
    closing = Planner(RungPolicy((2, 6), 2, min_full=2), Limits(trials=3, slots=1, lookahead=1))
    assert closing.next_attempt(sweep.state, 48.0) == Attempt(2, 2, 2, 6, "2.pt")
    assert closing.next_attempt(sweep.state, 47.0) is None


def test_a_sweep_is_not_over_while_a_trial_is_with_the_farm(sweep: Any) -> None:
    sweep.propose()
    assert not planner(trials=1).is_over(sweep.state, None)


def test_all_trials_proposed_and_none_promotable_is_the_end(sweep: Any) -> None:
    best = sweep.at_rung(2.0)
    loser = sweep.at_rung(1.0)
    plan = planner(trials=2)
    assert plan.next_attempt(sweep.state, None) == Attempt(best, 2, 2, 6, "2.pt")
    sweep.train(best, 6, [2.0] * 4)
    assert not plan.is_over(sweep.state, None)
    sweep.complete(best, 3.0)
    assert plan.is_over(sweep.state, None)
    assert [(trial.number, reason) for trial, reason in plan.leftovers(sweep.state, None)] == [
        (loser, "not among the best at rung 2")
    ]


def test_a_promotable_trial_that_no_time_is_left_for_is_out_of_time(sweep: Any) -> None:
    sweep.at_rung(2.0)
    sweep.at_rung(1.0)
    leftovers = planner(trials=2).leftovers(sweep.state, 5.0)
    assert [(trial.number, reason) for trial, reason in leftovers] == [
        (0, "out of time"),
        (1, "not among the best at rung 2"),
    ]


def test_every_sweep_ends_with_every_trial_final(sweep: Any) -> None:
    """Follows the planner to the end, all trials scored by their number; counts what it spent."""
    plan, epochs = planner(trials=8), 0
    while not plan.is_over(sweep.state, None):
        if plan.wants_proposal(sweep.state, None):
            sweep.admit()
        attempt = plan.next_attempt(sweep.state, None)
        if attempt is None:
            continue
        count = attempt.to_epoch - attempt.from_epoch
        sweep.train(attempt.trial, attempt.to_epoch, [float(attempt.trial)] * count)
        epochs += count
        if sweep.state.trials[attempt.trial].state is TrialState.TRAINED:
            sweep.complete(attempt.trial, float(attempt.trial))
    for trial, reason in plan.leftovers(sweep.state, None):
        sweep.record(TrialPruned(trial.number, trial.epoch, trial.partial_score, reason))
    assert all(trial.state.is_final for trial in sweep.state.trials.values())
    complete = [trial.number for trial in sweep.state.in_state(TrialState.COMPLETE)]
    assert set(complete) >= {4, 5, 6, 7}
    assert epochs == 8 * 2 + len(complete) * 4


def test_a_crashed_trial_is_tried_again(sweep: Any) -> None:
    from sweep.lifecycle.events import AttemptEnded

    number = sweep.admit()
    sweep.record(AttemptStarted(number, 1, 0, 2, None), AttemptEnded(number, 1, "crashed", "killed"))
    assert planner().next_attempt(sweep.state, None) == Attempt(number, 2, 0, 2, None)


def test_time_that_is_too_short_for_a_new_trial_goes_to_the_best_of_those_left_behind(sweep: Any) -> None:
    # Three at the rung: one is promoted and trained in full; 4 epochs of 10 s are left, a new trial takes 6.
    first = sweep.at_rung(9.0)
    for score in (1.0, 2.0):
        sweep.at_rung(score)
    sweep.train(first, 6, [9.0] * 4)
    sweep.complete(first, 9.0, seconds=0.0)
    alone = Planner(RungPolicy((2, 6), 3, min_full=0), Limits(trials=99, slots=1, lookahead=1))
    assert alone.next_attempt(sweep.state, 40.0) == Attempt(2, 2, 2, 6, "2.pt")
    assert alone.next_attempt(sweep.state, 39.0) is None
    assert alone.next_attempt(sweep.state, 60.0) is None  # there is time for a new one
