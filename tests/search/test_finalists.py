"""Finalists: who they are, whose turn it is, and which ranks are ties (against SciPy's paired t test)."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests_search_builder import MAX_EPOCHS, SweepBuilder

from sweep.judging.score import final_score
from sweep.lifecycle import Trial
from sweep.lifecycle.events import FinalistMeasured, TrialCompleted
from sweep.search.finalists import MIN_ROUNDS, finalists, next_finalist, ranks, standing, tied

TOP = 3


class Finals(SweepBuilder):
    """Sweeps whose trials are complete at once."""

    def finished(
        self, si_rmse: float, latency_ms: float, half_width: float | None = None, score: float | None = None
    ) -> int:
        number = self.admit(latency_ms)
        self.train(number, MAX_EPOCHS, [100.0] * MAX_EPOCHS)
        interval = [latency_ms * (1 - (half_width or 0)), latency_ms * (1 + (half_width or 0))]
        measurement = {} if half_width is None else {"interval_ms": interval}
        known = final_score(si_rmse, latency_ms) if score is None else score
        self.record(TrialCompleted(number, {"si_rmse": si_rmse}, latency_ms, known, measurement, {}, {}, {}))
        return number

    def measured(self, number: int, latency_ms: float) -> None:
        round_ = len(self.state.trials[number].finals) + 1
        self.record(FinalistMeasured(number, round_, latency_ms, {}))

    def rounds(self, latencies_ms: Sequence[Sequence[float]]) -> None:
        """A round is the latency of each trial, by number."""
        for found in latencies_ms:
            for number, latency_ms in enumerate(found):
                self.measured(number, latency_ms)

    def by_score(self) -> list[Trial]:
        return list(finalists(self.state, 100))


@pytest.fixture
def finals() -> Finals:
    return Finals()


def test_finalists_are_the_best_complete_trials_and_of_equals_the_earlier(finals: Finals) -> None:
    scores = [300.0, 500.0, 300.0, 400.0]
    for score in scores:
        finals.finished(0.3, 10.0, score=score)
    finals.at_rung(9999.0)
    assert [trial.number for trial in finalists(finals.state, 10)] == [1, 3, 0, 2]
    assert [trial.number for trial in finalists(finals.state, 3)] == [1, 3, 0]


def test_finalists_take_turns_by_number_in_every_round(finals: Finals) -> None:
    for latency_ms in (10.0, 9.0, 11.0, 30.0):
        finals.finished(0.3, latency_ms)
    order = []
    while (trial := next_finalist(finals.state, TOP, 3)) is not None:
        order.append(trial.number)
        finals.measured(trial.number, 10.0)  # all the same: nothing is decided before the budget ends
    assert order == [0, 1, 2] * 3


def test_a_round_that_was_begun_is_finished_even_if_its_first_result_changes_the_order(
    finals: Finals,
) -> None:
    for latency_ms in (10.0, 9.0, 11.0):
        finals.finished(0.3, latency_ms)
    finals.measured(0, 5.0)
    assert next_finalist(finals.state, TOP, 4) == finals.state.trials[1]
    finals.measured(1, 50.0)
    assert next_finalist(finals.state, TOP, 4) == finals.state.trials[2]


def test_it_ends_as_soon_as_the_order_is_sure(finals: Finals) -> None:
    for latency_ms in (10.0, 11.0):
        finals.finished(0.3, latency_ms)
    turns = 0
    noise = np.random.default_rng(1).normal(0, 0.001, 100)
    while (trial := next_finalist(finals.state, TOP, 50)) is not None:
        finals.measured(trial.number, (10.0, 11.0)[trial.number] * (1 + noise[turns]))
        turns += 1
    assert turns == 2 * MIN_ROUNDS


def test_the_budget_bounds_the_rounds(finals: Finals) -> None:
    for _ in range(2):
        finals.finished(0.3, 10.0)
    assert next_finalist(finals.state, TOP, 0) is None
    finals.rounds([(10.0, 10.0)] * 2)
    assert next_finalist(finals.state, TOP, 2) is None
    assert next_finalist(finals.state, TOP, 3) is not None


@pytest.mark.parametrize("complete", [0, 1])
def test_without_a_rival_nobody_is_measured(finals: Finals, complete: int) -> None:
    for _ in range(complete):
        finals.finished(0.3, 10.0)
    assert next_finalist(finals.state, TOP, 4) is None
    finals.finished(0.3, 10.0)
    assert next_finalist(finals.state, 1, 4) is None


latencies = st.lists(
    st.tuples(st.floats(9, 11), st.floats(9, 11)), min_size=MIN_ROUNDS, max_size=8, unique=True
)


@given(rounds=latencies, si_rmse=st.tuples(st.floats(0.29, 0.31), st.floats(0.29, 0.31)))
def test_a_tie_is_what_a_paired_t_test_of_the_log_scores_calls_not_significant(
    rounds: list[tuple[float, float]], si_rmse: tuple[float, float]
) -> None:
    finals = Finals()
    for error in si_rmse:
        finals.finished(error, 10.0)
    finals.rounds(rounds)
    better, worse = finals.by_score()
    log_scores = [
        [math.log(final_score(si_rmse[trial.number], found[trial.number])) for found in rounds]
        for trial in (better, worse)
    ]
    test = stats.ttest_rel(*log_scores)
    if abs(test.pvalue - 0.05) < 1e-6 or math.isnan(test.pvalue):
        return  # on the edge rounding decides
    assert tied(better, worse) == (test.pvalue > 0.05 or test.statistic < 0)


def test_only_rounds_that_both_took_part_in_decide(finals: Finals) -> None:
    for _ in range(2):
        finals.finished(0.3, 10.0)
    finals.rounds([(10.0, 11.0), (10.01, 11.02), (9.99, 10.98)])
    finals.measured(0, 10.0)  # of the next round
    better, worse = finals.by_score()
    assert (better.number, tied(better, worse)) == (0, False)


@pytest.mark.parametrize(
    ("other_ms", "half_width", "is_tie"),
    [(10.5, 0.03, True), (10.5, 0.02, False), (10.05, 0.01, True), (20.0, None, True)],
)
def test_without_rounds_overlapping_intervals_are_ties(
    finals: Finals, other_ms: float, half_width: float | None, is_tie: bool
) -> None:
    finals.finished(0.3, 10.0, half_width)
    finals.finished(0.3, other_ms, half_width)
    assert tied(*finals.by_score()) == is_tie


def test_more_accurate_and_slower_is_a_tie_if_the_scores_are(finals: Finals) -> None:
    finals.finished(0.30, 10.0, 0.01)
    finals.finished(0.30 - math.log2(2) / 20, 20.0, 0.01)  # half the speed for twice the accuracy's worth
    assert tied(*finals.by_score())


def test_tied_trials_share_a_rank_and_the_next_rank_counts_them(finals: Finals) -> None:
    for latency_ms in (10.0, 10.05, 12.0, 12.05, 12.1, 15.0):
        finals.finished(0.3, latency_ms, 0.005)
    assert ranks(finals.by_score()) == (1, 1, 3, 3, 3, 6)


def test_nobody_and_one_trial_have_ranks(finals: Finals) -> None:
    assert ranks([]) == ()
    finals.finished(0.3, 10.0, 0.01)
    assert ranks(finals.by_score()) == (1,)


def test_rounds_decide_the_order_of_finalists_and_change_no_score(finals: Finals) -> None:
    finals.finished(0.3, 10.0)
    finals.finished(0.3, 10.1)
    finals.finished(0.3, 11.0)
    assert [trial.number for trial in standing(finals.state)] == [0, 1, 2]
    finals.rounds([(12.0, 9.0), (8.0, 9.0), (11.0, 9.0)])
    assert [trial.number for trial in standing(finals.state)] == [1, 0, 2]
    trial = finals.state.trials[0]
    assert (trial.latency_ms, trial.final_score) == (10.0, final_score(0.3, 10.0))


def test_trials_that_took_no_turns_never_move_ahead_of_those_that_did(finals: Finals) -> None:
    for latency_ms in (10.0, 10.1, 10.2):
        finals.finished(0.3, latency_ms)
    finals.rounds([(30.0, 31.0)] * MIN_ROUNDS)
    assert [trial.number for trial in standing(finals.state)] == [0, 1, 2]


def test_a_newcomer_makes_all_rounds_begin_again(finals: Finals) -> None:
    for _ in range(2):
        finals.finished(0.3, 10.0)
    finals.rounds([(10.0, 10.1)] * MIN_ROUNDS)
    finals.finished(0.3, 20.0)
    assert [trial.finals for trial in finals.state.trials.values()] == [()] * 3
