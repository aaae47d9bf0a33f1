"""Hyperband's brackets: who passes which rungs untested, and that a rung compares whoever reached it."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests_search_builder import MAX_EPOCHS, SweepBuilder

from sweep.search import Limits, Planner, RungPolicy, promotable

RUNGS = (1, 3, MAX_EPOCHS)
HYPERBAND = RungPolicy(RUNGS, 2, min_full=0, hyperband=True)

rungs = st.lists(st.integers(1, 60), min_size=1, max_size=5, unique=True).map(
    lambda found: tuple(sorted(found))
)


def test_without_hyperband_everybody_starts_at_the_first_rung() -> None:
    policy = RungPolicy(RUNGS, 2, min_full=0)
    assert {policy.first_rung(trial) for trial in range(50)} == {1}


@given(rungs)
def test_every_bracket_gets_trials(epochs: tuple[int, ...]) -> None:
    policy = RungPolicy(epochs, 2, min_full=0, hyperband=True)
    assert {policy.first_rung(trial) for trial in range(3 * max(epochs))} == set(epochs)


def test_brackets_of_a_geometric_ladder_have_hyperband_s_sizes() -> None:
    """With eta = 3 and R = 9, bracket s of Hyperband gets ceil(3 / (s + 1) * 3^s) trials: 9, 5 and 3.

    That is 9 : 4.5 : 3 before Hyperband rounds up, and 3 : 2 : 1 as the nearest turns here.
    """
    policy = RungPolicy((1, 3, 9), 3, min_full=0, hyperband=True)
    counted = Counter(policy.first_rung(trial) for trial in range(600))
    assert counted == {1: 300, 3: 200, 9: 100}


@given(rungs, st.integers(0, 200), st.integers(0, 60))
def test_the_next_rung_is_the_first_above_that_the_bracket_does_not_skip(
    epochs: tuple[int, ...], trial: int, epoch: int
) -> None:
    policy = RungPolicy(epochs, 2, min_full=0, hyperband=True)
    first = policy.first_rung(trial)
    allowed = [rung for rung in epochs if rung > epoch and rung >= first]
    if allowed:
        assert policy.next_rung(trial, epoch) == min(allowed)


def test_who_skips_a_rung_still_counts_there(sweep: SweepBuilder) -> None:
    """A trial that passed rung 1 on its way takes a place in the quota of those that stop there."""
    stops = [trial for trial in range(12) if HYPERBAND.first_rung(trial) == 1]
    passes = next(trial for trial in range(12) if HYPERBAND.first_rung(trial) > 1)
    for trial in range(max(*stops[:2], passes) + 1):
        number = sweep.admit()
        score = 50.0 if trial == passes else 10.0 + trial
        target = HYPERBAND.next_rung(trial, 0)
        sweep.train(number, target, [score] * target)
    at_first = [trial for trial in sweep.state.trials.values() if trial.epoch == 1]
    reached = len(sweep.state.scores[1])
    assert reached == len(sweep.state.trials) > len(at_first)
    better_half = sorted(sweep.state.scores[1], reverse=True)[: reached // 2]
    expected = {number for _, number in better_half} & {trial.number for trial in at_first}
    promoted = promotable(HYPERBAND, sweep.state, closing=False)
    assert {trial.number for trial in promoted if trial.epoch == 1} == expected


def test_the_planner_sends_each_trial_to_its_own_first_rung(sweep: SweepBuilder) -> None:
    planner = Planner(HYPERBAND, Limits(trials=12, slots=12, lookahead=12))
    for _ in range(12):
        sweep.admit()
    sent = []
    while (attempt := planner.next_attempt(sweep.state, None)) is not None:
        sent.append((attempt.trial, attempt.from_epoch, attempt.to_epoch))
        sweep.train(attempt.trial, attempt.to_epoch, [], end=False)
    assert sent == [(trial, 0, HYPERBAND.first_rung(trial)) for trial in range(12)]
    assert {to_epoch for _, _, to_epoch in sent} == set(RUNGS)


@pytest.mark.parametrize("hyperband", [True, False])
def test_full_fidelity_is_the_last_rung_for_everybody(hyperband: bool) -> None:
    policy = RungPolicy(RUNGS, 2, min_full=0, hyperband=hyperband)
    assert {policy.next_rung(trial, 3) for trial in range(12)} == {MAX_EPOCHS}
