"""The rung policy, against successive halving done by hand."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests_search_builder import SweepBuilder

from sweep.lifecycle.events import TrialFailed
from sweep.search import RungPolicy, interrupted, promotable

POLICY = RungPolicy((2, 6), 2, min_full=0)
Build = Callable[[Sequence[float]], Any]


def numbers(trials: Sequence[Any]) -> list[int]:
    return [trial.number for trial in trials]


def test_nobody_is_promoted_alone(many_at_rung: Build) -> None:
    assert promotable(POLICY, many_at_rung([50.0]).state, closing=False) == ()


def test_the_better_half_goes_on_best_first(many_at_rung: Build) -> None:
    state = many_at_rung([10.0, 40.0, 30.0, 20.0, 5.0]).state
    assert numbers(promotable(POLICY, state, closing=False)) == [1, 2]


def test_equal_scores_favour_the_earlier_trial(many_at_rung: Build) -> None:
    assert numbers(promotable(POLICY, many_at_rung([7.0, 7.0]).state, closing=False)) == [0]


def test_a_promoted_trial_keeps_its_place_in_the_quota(many_at_rung: Build) -> None:
    sweep = many_at_rung([40.0, 30.0])
    sweep.train(0, 6, [50.0], end=False)
    assert promotable(POLICY, sweep.state, closing=False) == ()


def test_a_weaker_newcomer_promotes_who_was_not_good_enough(many_at_rung: Build) -> None:
    sweep = many_at_rung([40.0, 30.0, 20.0])
    sweep.train(0, 6, [50.0] * 4)
    assert promotable(POLICY, sweep.state, closing=False) == ()
    sweep.at_rung(1.0)
    assert numbers(promotable(POLICY, sweep.state, closing=False)) == [1]


def test_a_failed_trial_does_not_count(many_at_rung: Build) -> None:
    sweep = many_at_rung([40.0, 30.0])
    sweep.record(TrialFailed(0, "diverged"))
    assert promotable(POLICY, sweep.state, closing=False) == ()


def test_closing_takes_the_wanted_number_to_full_fidelity(many_at_rung: Build) -> None:
    state = many_at_rung([10.0, 40.0, 30.0, 20.0]).state
    policy = RungPolicy((2, 6), 2, min_full=3)
    assert numbers(promotable(policy, state, closing=True)) == [1, 2, 3]


def test_higher_rungs_come_first(sweep: Any) -> None:
    policy = RungPolicy((1, 2, 6), 2, min_full=0)
    for score in (10.0, 20.0):
        sweep.at_rung(score)
    for score in (90.0, 95.0):
        sweep.at_rung(score, rung=1)
    # Rung 1 holds all four (10, 20, 90, 95): its best two are the newcomers. Rung 2 holds trials 0 and 1.
    assert numbers(promotable(policy, sweep.state, closing=False)) == [1, 3, 2]


def test_a_promotion_that_was_cut_short_at_once_still_goes_on(many_at_rung: Build) -> None:
    sweep = many_at_rung([10.0, 20.0])
    sweep.train(1, 6, [])
    assert numbers(interrupted(sweep.state.trials.values())) == [1]


def test_an_interrupted_trial_is_found_and_a_paused_one_is_not(sweep: Any) -> None:
    number = sweep.admit()
    sweep.train(number, 2, [10.0])
    sweep.at_rung(20.0)
    assert numbers(interrupted(sweep.state.trials.values())) == [number]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40), st.integers(2, 5))
def test_the_promoted_are_the_best_share(scores: list[float], factor: int) -> None:
    sweep = SweepBuilder()
    for score in scores:
        sweep.at_rung(score)
    chosen = promotable(RungPolicy((2, 6), factor, 0), sweep.state, closing=False)
    assert len(chosen) == len(scores) // factor
    if chosen:
        worst = min(scores[trial.number] for trial in chosen)
        left = [score for number, score in enumerate(scores) if number not in numbers(chosen)]
        assert all(score <= worst for score in left)


@pytest.mark.parametrize(
    ("epochs", "factor", "message"),
    [
        ((), 2, "must increase"),
        ((2, 2), 2, "must increase"),
        ((0, 3), 2, "from at least 1"),
        ((2, 6), 1, "above 1"),
    ],
)
def test_a_senseless_policy_is_refused(epochs: tuple[int, ...], factor: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RungPolicy(epochs, factor, 0)


def test_each_rung_may_have_a_factor_of_its_own_and_the_last_serves_the_rest() -> None:
    policy = RungPolicy((1, 3, 9, 27), (2, 4), min_full=0)
    assert [policy.reduction_at(rung) for rung in policy.epochs[:-1]] == [2, 4, 4]


@pytest.mark.parametrize("later", [2, 3, 9])
def test_the_factor_of_a_rung_decides_there_alone(many_at_rung: Build, later: int) -> None:
    state = many_at_rung([10.0, 40.0, 30.0, 20.0, 5.0, 6.0]).state
    policy = RungPolicy((2, 4, 6), (3, later), min_full=0)
    assert numbers(promotable(policy, state, closing=False)) == [1, 2]


@pytest.mark.parametrize("factor", [1, 0.5, (), (2, 1)])
def test_a_factor_that_keeps_everybody_is_refused(factor: Any) -> None:
    with pytest.raises(ValueError, match="must be above 1"):
        RungPolicy((2, 6), factor, min_full=0)
