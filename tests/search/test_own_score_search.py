"""A score of one's own in the search's decisions: who is promising, who is hopeless, which order is sure."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from tests_composite_sweep import MAX_EPOCHS, SPACE, Runs, latency_ms, true_si_rmse
from tests_search_builder import SweepBuilder

from sweep.judging.score import FINAL_SCORE, final_score
from sweep.lifecycle import CompleteTrials
from sweep.lifecycle.events import FinalistMeasured, TrialCompleted
from sweep.search import AdmissionPolicy
from sweep.search.composite import CompositeProposer, CompositeSettings
from sweep.search.composite.encoding import Encoding
from sweep.search.composite.utility import LN_FINAL_SCORE, OwnUtility, utility_of
from sweep.search.finalists import ranks, standing, tied
from sweep.search.plausible import lowest_plausible
from sweep.space import RandomSuggest

SETTINGS = CompositeSettings(startup_trials=5, pool=150)
SLOW_MS = 1500.0


class Twin:
    """The Final Score by another name: all that follows from it is known."""

    name = "twin"

    def __call__(self, si_rmse: float, latency_ms: float) -> float:
        return final_score(si_rmse, latency_ms)


class Linear:
    """Below 0, and milliseconds cost little: the optimum is another one than the challenge's."""

    name = "linear"

    def __call__(self, si_rmse: float, latency_ms: float) -> float:
        return -10.0 * si_rmse - 0.001 * latency_ms


def composite(score: object, seed: int = 0) -> CompositeProposer:
    return CompositeProposer(SPACE, SETTINGS, seed, max_epochs=MAX_EPOCHS, score=score)


def test_the_utility_of_a_positive_score_is_its_logarithm_with_its_slopes() -> None:
    rng = np.random.default_rng(1)
    errors, latencies = np.log(rng.uniform(0.1, 0.9, 50)), np.log(rng.uniform(1, 300, 50))
    own = utility_of(Twin())
    assert own == OwnUtility(own.score, logarithmic=True)
    constant = math.log(640_000)
    np.testing.assert_allclose(
        own.value(errors, latencies), LN_FINAL_SCORE.value(errors, latencies) + constant
    )
    for ours, theirs in zip(
        own.slopes(errors, latencies), LN_FINAL_SCORE.slopes(errors, latencies), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert own.slope_at(errors[0], latencies[0]) == pytest.approx(
        LN_FINAL_SCORE.slope_at(errors[0], latencies[0]), rel=1e-6
    )


def test_the_utility_of_a_score_below_zero_is_the_score_itself() -> None:
    own = utility_of(Linear())
    errors, latencies = np.log([0.2, 0.4]), np.log([10.0, 50.0])
    np.testing.assert_allclose(own.value(errors, latencies), [-2.01, -4.05])
    by_error, by_latency = own.slopes(errors, latencies)
    np.testing.assert_allclose(by_error, [-2.0, -4.0], rtol=1e-6)
    np.testing.assert_allclose(by_latency, [-0.01, -0.05], rtol=1e-6)


def test_beliefs_about_the_final_score_do_not_depend_on_its_name() -> None:
    runs = Runs()
    runs.whole_trials(composite(FINAL_SCORE), 14)
    encoding = Encoding(SPACE.parameters())
    codes = encoding.encode([SPACE.sample(RandomSuggest(seed)) for seed in range(40)])
    pending = encoding.encode([SPACE.sample(RandomSuggest(99))])
    beliefs = []
    for score in (FINAL_SCORE, Twin()):
        model = composite(score).model(runs.sweep.state)
        assert model is not None
        beliefs.append(model.predict(codes, pending))
    np.testing.assert_allclose(beliefs[0].gain, beliefs[1].gain, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(beliefs[0].gain_deviation, beliefs[1].gain_deviation, rtol=1e-6)


def test_the_composite_sampler_finds_the_optimum_of_the_score_that_it_is_given() -> None:
    def value(assignment: dict, score: object) -> float:
        return score(true_si_rmse(assignment), latency_ms(assignment))

    corners = [
        {
            "architecture.block": block,
            "architecture.width": width,
            "recipe.optimizer": "adam",
            "recipe.rate": 3e-3,
        }
        for block, width in itertools.product(("dense", "separable", "shuffle"), range(8, 65, 8))
    ]
    optimum = max(corners, key=lambda corner: value(corner, Linear()))
    assert optimum != max(corners, key=lambda corner: value(corner, FINAL_SCORE))
    found = {}
    for score in (Linear(), FINAL_SCORE):
        runs = Runs()
        runs.whole_trials(composite(score, 4), 24)
        found[score.name] = max(value(assignment, Linear()) for assignment in runs.assignments)
    worst = min(value(corner, Linear()) for corner in corners)
    share = (found["linear"] - worst) / (value(optimum, Linear()) - worst)
    assert share > 0.97
    assert found["linear"] > found["Final Score"]


class Finals(SweepBuilder):
    """Sweeps of complete trials with a score of one's own."""

    def finished(self, si_rmse: float, latency_ms: float, half_width: float = 0.0) -> int:
        number = self.admit(latency_ms)
        self.train(number, MAX_EPOCHS, [0.0] * MAX_EPOCHS)
        interval = [latency_ms - half_width, latency_ms + half_width]
        score = Linear()(si_rmse, latency_ms)
        completed = TrialCompleted(
            number, {"si_rmse": si_rmse}, latency_ms, score, {"interval_ms": interval}, {}, {}, {}
        )
        self.record(completed)
        return number


@pytest.mark.parametrize(("half_width", "is_tie"), [(4.9, False), (5.1, True)])
def test_intervals_leave_an_order_open_where_their_ends_swap_the_scores(
    half_width: float, is_tie: bool
) -> None:
    """Ten milliseconds are worth as much as the difference in si-RMSE."""
    finals = Finals()
    finals.finished(0.300, 50.0, half_width)
    finals.finished(0.301, 50.0, half_width)
    better, worse = standing(finals.state, Linear())
    assert (better.number, tied(better, worse, Linear())) == (0, is_tie)
    assert ranks([better, worse], Linear()) == ((1, 1) if is_tie else (1, 2))


@pytest.mark.parametrize("seed", range(12))
def test_rounds_decide_by_a_paired_t_test_of_the_scores(seed: int) -> None:
    rng = np.random.default_rng(seed)
    finals = Finals()
    errors = (0.3, 0.3 + rng.uniform(0, 0.001))
    rounds = rng.uniform(40, 60, (5, 2))
    for error in errors:
        finals.finished(error, 50.0)
    for number, latencies in enumerate(rounds, start=1):
        for trial, latency in enumerate(latencies):
            finals.record(FinalistMeasured(trial, number, float(latency), {}))
    scores = np.array(
        [[Linear()(error, ms) for error, ms in zip(errors, row, strict=True)] for row in rounds]
    )
    medians = [Linear()(error, float(np.median(rounds[:, trial]))) for trial, error in enumerate(errors)]
    first, second = standing(finals.state, Linear())
    assert first.number == int(np.argmax(medians))
    test = stats.ttest_rel(scores[:, first.number], scores[:, second.number])
    assert tied(first, second, Linear()) == (test.pvalue > 0.05 or test.statistic < 0)


def test_admission_holds_candidates_against_the_best_by_the_sweeps_own_score() -> None:
    """With this score a slow candidate still has a chance that the challenge's leaves it not."""
    verdicts = {}
    for score in (FINAL_SCORE, Linear()):
        runs = Runs()
        runs.whole_trials(composite(FINAL_SCORE, 2), 24)
        number = runs.sweep.admit(SLOW_MS)
        state = runs.sweep.state
        complete = {
            number: score(trial.completion.metrics["si_rmse"], trial.completion.latency_ms)
            for number, trial in state.complete.items()
            if trial.completion
        }
        if score is not FINAL_SCORE:
            state = rescored(state, complete)
        bound = lowest_plausible(state.complete.finished, SLOW_MS, 0.01)
        assert bound is not None
        hopeless = score(bound, SLOW_MS) < max(complete.values())
        verdict = AdmissionPolicy(risk=0.01, score=score).at_admission(state, state.trials[number])
        assert (verdict is not None) == hopeless
        verdicts[score.name] = hopeless
    assert verdicts == {"Final Score": True, "linear": False}


def rescored(state: object, scores: dict[int, float]) -> object:
    """The same sweep, as if it had been judged by other scores all along."""
    trials = {
        number: replace(trial, completion=replace(trial.completion, final_score=scores[number]))
        if number in scores
        else trial
        for number, trial in state.trials.items()
    }
    return replace(state, trials=trials, complete=CompleteTrials({n: trials[n] for n in scores}))
