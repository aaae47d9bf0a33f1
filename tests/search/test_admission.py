"""Admission and extrapolation: the bounds against SciPy, the stated risk by simulation, the verdicts in words."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests_search_builder import SweepBuilder

from sweep.judging.score import final_score
from sweep.lifecycle import Finished, Trial
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    TrialAdmitted,
    TrialCompleted,
)
from sweep.search.admission import AdmissionPolicy, Verdict, broken_constraint
from sweep.search.plausible import (
    MIN_FINISHED,
    lowest_final,
    lowest_latency_ms,
    lowest_plausible,
)
from sweep.space.constraint import parse_constraint

RISKS = (0.01, 0.05, 0.2)


def prediction_bound(x: Sequence[float], y: Sequence[float], at: float, risk: float) -> float:
    """Lower end of the one-sided prediction interval of a new y at ``at`` (any textbook on regression)."""
    line = stats.linregress(x, y)
    n = len(x)
    mean = math.fsum(x) / n
    square_sum = math.fsum((value - mean) ** 2 for value in x)
    residuals = [b - (line.intercept + line.slope * a) for a, b in zip(x, y, strict=True)]
    error = math.sqrt(math.fsum(r * r for r in residuals) / (n - 2))
    deviation = error * math.sqrt(1 + 1 / n + (at - mean) ** 2 / square_sum)
    return float(line.intercept + line.slope * at - stats.t.ppf(1 - risk, n - 2) * deviation)


def finished(latency_ms: float, *si_rmse: float) -> Finished:
    return Finished(latency_ms, si_rmse)


def some_finished(seed: int, trials: int = 12) -> list[Finished]:
    """Slower ones are more accurate; every epoch wears something off."""
    rng = np.random.default_rng(seed)
    latencies = rng.uniform(2, 40, trials)
    finals = 0.5 - 0.05 * np.log(latencies) + rng.normal(0, 0.02, trials)
    gains = 0.3 * np.exp(rng.normal(0, 0.1, trials))
    return [
        finished(float(latency), *(float(final + gain / epoch - gain / 4) for epoch in (1, 2, 3, 4)))
        for latency, final, gain in zip(latencies, finals, gains, strict=True)
    ]


@pytest.mark.parametrize("risk", RISKS)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("latency_ms", [0.5, 3.0, 20.0, 300.0])
def test_the_lowest_plausible_si_rmse_is_the_prediction_bound_or_what_was_reached(
    seed: int, risk: float, latency_ms: float
) -> None:
    known = some_finished(seed)
    x = [math.log(trial.latency_ms) for trial in known]
    y = [trial.si_rmse[-1] for trial in known]
    bound = prediction_bound(x, y, math.log(latency_ms), risk)
    expected = max(0.0, min(bound, *y))
    assert lowest_plausible(known, latency_ms, risk) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("risk", RISKS)
@pytest.mark.parametrize("epoch", [1, 2, 3])
@pytest.mark.parametrize("si_rmse", [0.2, 0.5, 0.9])
def test_the_lowest_final_si_rmse_is_the_prediction_bound_of_the_logarithm_of_the_gain(
    epoch: int, si_rmse: float, risk: float
) -> None:
    known = some_finished(7)
    x = [math.log(trial.si_rmse[epoch - 1]) for trial in known]
    y = [math.log(trial.si_rmse[-1] / trial.si_rmse[epoch - 1]) for trial in known]
    expected = si_rmse * math.exp(min(0.0, prediction_bound(x, y, math.log(si_rmse), risk)))
    assert lowest_final(known, epoch, si_rmse, risk) == pytest.approx(expected, rel=1e-12)


def test_without_spread_the_bound_is_that_of_a_mean() -> None:
    known = [finished(10.0, 0.5, 0.30 + 0.01 * index) for index in range(8)]
    y = [trial.si_rmse[-1] for trial in known]
    spread = stats.tstd(y) * math.sqrt(1 + 1 / 8)
    expected = np.mean(y) - stats.t.ppf(0.95, 7) * spread
    assert lowest_plausible(known, 99.0, 0.05) == pytest.approx(min(expected, 0.30), rel=1e-12)


def test_a_trial_that_stands_where_no_other_stood_may_stay_as_it_is() -> None:
    """Six trials side by side can make a line so steep that it leads beyond all numbers."""
    there = [0.5 * math.exp(1e-6 * index) for index in range(6)]
    known = [finished(5.0, a, a * math.exp(-0.5 + 0.1 * index)) for index, a in enumerate(there)]
    assert lowest_final(known, 1, 0.9, 0.01) == 0.9


def test_too_few_finished_trials_bound_nothing() -> None:
    known = some_finished(1, MIN_FINISHED - 1)
    assert lowest_plausible(known, 5.0, 0.2) is None
    assert lowest_final(known, 1, 0.5, 0.2) is None
    assert lowest_final(some_finished(1), 4, 0.5, 0.2) is None  # at full fidelity nothing is left to gain


@given(
    st.lists(st.tuples(st.floats(0.1, 1e3), st.floats(0, 5), st.floats(0, 5)), min_size=0, max_size=12),
    st.floats(0.1, 1e3),
    st.floats(0, 5),
    st.floats(1e-4, 0.5),
)
def test_bounds_are_never_negative_or_undefined(
    trials: list[tuple[float, float, float]], latency_ms: float, si_rmse: float, risk: float
) -> None:
    known = [finished(*trial) for trial in trials]
    for bound in (lowest_plausible(known, latency_ms, risk), lowest_final(known, 1, si_rmse, risk)):
        assert bound is None or (bound >= 0 and not math.isnan(bound))


def misses(draws: int, one: Callable[[np.random.Generator], bool]) -> int:
    rng = np.random.default_rng(20240229)
    return sum(one(rng) for _ in range(draws))


def within_binomial_error(found: int, draws: int, risk: float) -> bool:
    """Four standard deviations: a false alarm in 16,000 runs, and the seed is fixed."""
    return abs(found - draws * risk) <= 4 * math.sqrt(draws * risk * (1 - risk))


@pytest.mark.parametrize("risk", RISKS)
def test_a_trial_from_the_model_s_world_gains_more_than_expected_as_often_as_stated(risk: float) -> None:
    """Curves whose log gain is a line over their log si-RMSE with normal errors, which is what is assumed."""

    def draw(rng: np.random.Generator, count: int) -> list[Finished]:
        there = np.exp(rng.normal(-0.7, 0.2, count))
        gain = -0.2 + 0.3 * np.log(there) + rng.normal(0, 0.05, count)
        return [finished(5.0, a, a * math.exp(g)) for a, g in zip(there, gain, strict=True)]

    def is_missed(rng: np.random.Generator) -> bool:
        *known, new = draw(rng, 11)
        bound = lowest_final(known, 1, new.si_rmse[0], risk)
        return bound is not None and new.si_rmse[-1] < bound

    draws = 2000
    assert within_binomial_error(misses(draws, is_missed), draws, risk)


@pytest.mark.parametrize("risk", RISKS)
def test_a_network_from_the_model_s_world_is_better_than_plausible_at_most_as_often_as_stated(
    risk: float,
) -> None:
    """At most, because what was reached once stays plausible for everybody."""

    def is_missed(rng: np.random.Generator) -> bool:
        latencies = np.exp(rng.uniform(0, 4, 11))
        errors = 0.5 - 0.06 * np.log(latencies) + rng.normal(0, 0.02, 11)
        *known, new = (finished(*pair) for pair in zip(latencies, errors, strict=True))
        bound = lowest_plausible(known, new.latency_ms, risk)
        return bound is not None and new.si_rmse[-1] < bound

    draws = 2000
    found = misses(draws, is_missed)
    assert found <= draws * risk + 4 * math.sqrt(draws * risk * (1 - risk))
    assert found > 0


class Curves(SweepBuilder):
    """Trials with latencies and si-RMSE; scores follow."""

    def admitted(self, latency_ms: float, interval_ms: tuple[float, float] | None = None) -> int:
        number = self.propose()
        measurement = {} if interval_ms is None else {"interval_ms": list(interval_ms)}
        self.record(TrialAdmitted(number, latency_ms, measurement, {"size_bytes": 2_500_000}))
        return number

    def candidate(self, latency_ms: float, interval_ms: tuple[float, float] | None = None) -> Trial:
        number = self.admitted(latency_ms, interval_ms)
        return self.state.trials[number]

    def trained(self, number: int, si_rmse: Sequence[float], to_epoch: int) -> None:
        latency_ms = lowest_latency_ms(self.state.trials[number])
        self.record(AttemptStarted(number, 1, 0, to_epoch, None))
        for epoch, error in enumerate(si_rmse, start=1):
            score = final_score(error, latency_ms)
            self.record(EpochTrained(number, 1, epoch, 0.5, error, score, 0.1, 1.0, f"{epoch}.pt"))
        if len(si_rmse) == to_epoch:
            self.record(AttemptEnded(number, 1, "reached"))

    def completed(self, trial: Finished) -> int:
        number = self.admitted(trial.latency_ms)
        self.trained(number, trial.si_rmse, len(trial.si_rmse))
        score = final_score(trial.si_rmse[-1], trial.latency_ms)
        metrics = {"si_rmse": trial.si_rmse[-1]}
        self.record(TrialCompleted(number, metrics, trial.latency_ms, score, {}, {}, {}, {}))
        return number


@pytest.fixture
def curves() -> Curves:
    return Curves()


def with_six_epochs(trials: Sequence[Finished]) -> list[Finished]:
    """The builder's sweeps have six epochs."""
    return [finished(t.latency_ms, t.si_rmse[0] + 0.2, t.si_rmse[0] + 0.1, *t.si_rmse) for t in trials]


def test_what_finished_trials_teach_is_read_off_the_complete_ones(curves: Curves) -> None:
    known = with_six_epochs(some_finished(3, 4))
    for trial in known:
        curves.completed(trial)
    curves.trained(curves.admitted(4.0), [0.9, 0.8], 6)
    assert curves.state.complete.finished == tuple(known)


def test_a_slow_candidate_is_hopeless_and_the_verdict_says_why(curves: Curves) -> None:
    known = with_six_epochs(some_finished(3))
    for trial in known:
        curves.completed(trial)
    slow = curves.candidate(210.0, (200.0, 220.0))
    best = max(range(len(known)), key=lambda n: final_score(known[n].si_rmse[-1], known[n].latency_ms))
    best_score = final_score(known[best].si_rmse[-1], known[best].latency_ms)
    bound = lowest_plausible(known, 200.0, 0.01)
    assert bound is not None
    assert AdmissionPolicy(risk=0.01).at_admission(curves.state, slow) == Verdict(
        "hopeless",
        f"at 200 ms a score of at most {final_score(bound, 200.0):.4g} is plausible (si-RMSE {bound:.3f}); "
        f"trial {best} has {best_score:.4g}",
    )


def test_a_fast_candidate_may_be_trained(curves: Curves) -> None:
    for trial in with_six_epochs(some_finished(3)):
        curves.completed(trial)
    fast = curves.candidate(2.0)
    assert AdmissionPolicy(risk=0.01).at_admission(curves.state, fast) is None


def test_switched_off_nothing_is_stopped_for_its_score(curves: Curves) -> None:
    for trial in with_six_epochs(some_finished(3)):
        curves.completed(trial)
    slow = curves.admitted(1e6)
    curves.trained(slow, [5.0, 5.0], 6)
    off = AdmissionPolicy()
    assert off.at_admission(curves.state, curves.state.trials[slow]) is None
    assert off.in_training(curves.state, curves.state.trials[slow]) is None


def test_a_trial_stopped_in_training_would_have_become_the_best_at_most_as_often_as_stated() -> None:
    """The whole rule, in the world that it assumes, at the epoch where most is still open."""
    risk = 0.2

    def is_best_and_stopped(rng: np.random.Generator) -> bool:
        *known, new = with_six_epochs([one_of_many(rng) for _ in range(9)])
        curves = Curves()
        for trial in known:
            curves.completed(trial)
        number = curves.admitted(new.latency_ms)
        curves.trained(number, new.si_rmse[:1], 6)
        policy = AdmissionPolicy(extrapolation_risk=risk)
        stopped = policy.in_training(curves.state, curves.state.trials[number]) is not None
        best = curves.state.best
        assert best is not None
        assert best.final_score is not None
        return stopped and final_score(new.si_rmse[-1], new.latency_ms) > best.final_score

    draws = 300
    found = misses(draws, is_best_and_stopped)
    assert found <= draws * risk + 4 * math.sqrt(draws * risk * (1 - risk))


def one_of_many(rng: np.random.Generator) -> Finished:
    """A log gain with normal errors and nothing else; networks of all speeds are equally good."""
    there = math.exp(rng.normal(-0.7, 0.2))
    return finished(5.0, there, there, there, there * math.exp(-0.2 + rng.normal(0, 0.05)))


def test_before_anything_is_complete_nothing_is_hopeless(curves: Curves) -> None:
    slow = curves.candidate(1e6)
    assert AdmissionPolicy(risk=0.2, extrapolation_risk=0.2).at_admission(curves.state, slow) is None


@pytest.mark.parametrize(("si_rmse", "stops"), [(0.45, False), (2.0, True)])
def test_in_training_a_curve_that_cannot_catch_up_is_stopped(
    curves: Curves, si_rmse: float, stops: bool
) -> None:
    for trial in with_six_epochs(some_finished(3)):
        curves.completed(trial)
    number = curves.admitted(2.0)
    curves.trained(number, [si_rmse, si_rmse], 6)
    verdict = AdmissionPolicy(extrapolation_risk=0.01).in_training(curves.state, curves.state.trials[number])
    assert (verdict is not None) == stops
    assert verdict is None or verdict.kind == "hopeless"


@pytest.mark.parametrize(
    ("text", "interval_ms", "broken"),
    [
        ("latency_ms <= 50", (49.0, 53.0), None),
        ("latency_ms <= 50", (50.0, 53.0), None),
        ("latency_ms <= 50", (50.1, 53.0), "breaks latency_ms <= 50: latency_ms is 51"),
        ("latency_ms <= 50", None, "breaks latency_ms <= 50: latency_ms is 51"),
        ("size_mb <= 2.5", None, None),
        ("size_mb <= 2", (1.0, 2.0), "breaks size_mb <= 2: size_mb is 2.5"),
    ],
)
def test_a_constraint_is_broken_when_the_whole_interval_lies_above(
    curves: Curves, text: str, interval_ms: tuple[float, float] | None, broken: str | None
) -> None:
    trial = curves.candidate(51.0, interval_ms)
    constraint = parse_constraint(text)
    assert broken_constraint((constraint,), trial) == broken
    verdict = AdmissionPolicy((constraint,)).at_admission(curves.state, trial)
    assert verdict == (None if broken is None else Verdict("constraint", broken))


def test_the_first_broken_constraint_is_named(curves: Curves) -> None:
    trial = curves.candidate(51.0)
    both = (parse_constraint("size_mb <= 1"), parse_constraint("latency_ms <= 2"))
    assert broken_constraint(both, trial) == "breaks size_mb <= 1: size_mb is 2.5"
