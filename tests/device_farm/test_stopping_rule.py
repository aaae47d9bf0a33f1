import math
from dataclasses import astuple
from itertools import pairwise

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from device_farm.measuring.stopping import StoppingRule, WarmUpRule, assess, next_block, settled, stop_reason

LATENCY_MS = 10.0
traces = st.lists(st.floats(0.001, 1e5), min_size=6, max_size=80)
rules = st.builds(
    lambda least, more, seconds: StoppingRule(0.01, least, least + more, seconds),
    st.integers(6, 60),
    st.integers(0, 3000),
    st.floats(0, 20),
)


def correlated(rng, n, phi):
    """A stationary AR(1) series with unit variance."""
    shocks = rng.normal(size=n + 300) * math.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], shocks)[300:]


def noisy(spread, phi=0.0):
    """Lognormal latencies relative to their median."""
    return lambda rng, n: np.exp(spread * correlated(rng, n, phi))


def two_modes(phi):
    """15 % slow invocations with a heavy tail, in runs if phi > 0; relative to the median of both modes."""
    normal = scipy.stats.norm

    def trace(rng, n):
        fast = noisy(0.02)(rng, n)
        slow = 1.3 * fast + 0.1 * np.abs(rng.standard_t(2.5, size=n))
        mixed = np.where(correlated(rng, n, phi) > normal.ppf(0.85), slow, fast)
        return mixed / math.exp(0.02 * normal.ppf(0.5 / 0.85))

    return trace


def moving(spread, phi, level):
    """Noise around a level that is a function of the share of the trace behind it, and of chance."""
    return lambda rng, n: noisy(spread, phi)(rng, n) * (1 + level(np.arange(n) / n, rng))


def sample(latencies_ms, rule):
    """What a worker does: blocks until the rule says stop. Returns the samples, the reason and the decisions."""
    seconds = np.concatenate([[0.0], np.cumsum(latencies_ms)]) / 1000
    counts = [0]
    while (reason := stop_reason(latencies_ms[: counts[-1]], seconds[counts[-1]], rule)) is None:
        counts.append(counts[-1] + next_block(latencies_ms[: counts[-1]], seconds[counts[-1]], rule))
    return latencies_ms[: counts[-1]], reason, counts


def assessments(trace, repetitions, max_invocations):
    rule = StoppingRule(0.01, min_invocations=30, max_invocations=max_invocations, sampling_seconds=20.0)
    rng = np.random.default_rng(11)
    for _ in range(repetitions):
        latencies_ms = (LATENCY_MS * trace(rng, max_invocations)).tolist()
        yield assess(sample(latencies_ms, rule)[0], rule.interval_width)


# The true coverage of these lies between 94 % and 98 %: 300 traces show less than 92 % in one run of 14 at worst,
# and a rule with 89 % would be found out in 16 of 17.
@pytest.mark.parametrize(
    "trace",
    [
        pytest.param(noisy(0.01), id="independent, 1 %"),
        pytest.param(noisy(0.03), id="independent, 3 %"),
        pytest.param(noisy(0.03, 0.5), id="AR(0.5), 3 %"),
        pytest.param(noisy(0.003, 0.9), id="AR(0.9), 0.3 %"),
        pytest.param(noisy(0.01, 0.9), id="AR(0.9), 1 %"),
        pytest.param(noisy(0.04, 0.9), id="AR(0.9), 4 %: the budget is spent"),
        pytest.param(two_modes(0.0), id="two modes"),
        pytest.param(two_modes(0.9), id="two modes in runs"),
    ],
)
def test_the_interval_at_the_moment_of_stopping_covers_the_true_median_of_a_stationary_trace(trace):
    results = list(assessments(trace, 300, max_invocations=2000))
    hits = [each.stable and each.interval_ms[0] <= LATENCY_MS <= each.interval_ms[1] for each in results]
    assert np.mean(hits) >= 0.92


@pytest.mark.parametrize(
    ("spread", "phi", "size", "invocations"),
    [(0.005, 0.0, 0.03, 60), (0.01, 0.0, 0.03, 70), (0.05, 0.0, 0.10, 800), (0.01, 0.7, 0.05, 250)],
)
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(lambda share, _: share, id="linear"),
        pytest.param(lambda share, rng: share > rng.uniform(0.3, 0.5), id="step"),
        pytest.param(lambda share, _: np.exp(-4 * share), id="settling"),
        pytest.param(lambda share, _: 1 - np.exp(-2 * share), id="thermal ramp"),
        pytest.param(
            lambda share, rng: 4 * np.cumsum(rng.normal(size=len(share))) / len(share) ** 0.5,
            id="random walk",
        ),
    ],
)
def test_a_drifting_trace_is_unstable_and_has_no_interval(shape, spread, phi, size, invocations):
    trace = moving(spread, phi, lambda share, rng: np.expm1(size * shape(share, rng)))
    results = list(assessments(trace, 150, invocations))
    assert np.mean([not each.stable for each in results]) >= 0.95
    assert all((each.interval_ms is None) == (not each.stable) for each in results)


def test_a_drift_that_goes_on_does_not_slip_through_while_it_is_small():
    trace = moving(0.01, 0.0, lambda share, _: share * 2000 / 70 * 0.03)
    assert np.mean([not each.stable for each in assessments(trace, 150, 2000)]) >= 0.95


def test_a_movement_smaller_than_the_wanted_width_is_no_drift():
    rng = np.random.default_rng(4)
    samples = 1 + 0.006 * np.arange(1000) / 1000 + 0.0005 * rng.normal(size=1000)
    assert assess(samples, interval_width=0.01).stable
    assert not assess(samples, interval_width=0.002).stable


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_effective_samples_agree_with_the_autocorrelation_time_of_the_process(phi):
    # The ranks of a Gaussian AR(1) series have autocorrelations 6 / pi asin(phi^k / 2) (Pearson, 1907).
    ranks = 6 / math.pi * np.arcsin(phi ** np.arange(1, 200) / 2)
    rng = np.random.default_rng(2)
    n = 2000
    found = [n / assess(noisy(0.1, phi)(rng, n)).effective_samples for _ in range(50)]
    assert np.median(found) == pytest.approx(1 + 2 * ranks.sum(), rel=0.1)


@given(traces)
def test_the_interval_is_never_narrower_than_the_binomial_one_of_independent_samples(samples):
    rank = int(scipy.stats.binom.ppf(0.025, len(samples), 0.5))  # the largest with at most 2.5 % below it
    ordered = sorted(samples)
    result = assess(samples)
    assert result.median_ms == pytest.approx(float(np.median(samples)))
    assert 1 / len(samples) <= result.effective_samples <= len(samples)
    assert result.stable == (result.interval_ms is not None)
    if result.interval_ms is not None:
        low, high = result.interval_ms
        assert low in ordered
        assert high in ordered
        assert low <= ordered[rank - 1] <= result.median_ms <= ordered[-rank] <= high


@given(traces, st.sampled_from([2.0**-20, 0.5, 1024.0]))
def test_the_unit_of_time_does_not_matter(samples, factor):
    result = assess(samples)
    interval_ms = result.interval_ms and tuple(factor * bound for bound in result.interval_ms)
    scaled = assess([factor * each for each in samples])
    assert astuple(scaled) == (
        factor * result.median_ms,
        interval_ms,
        result.effective_samples,
        result.stable,
    )


@given(traces)
def test_a_trace_says_the_same_read_backwards(samples):
    forwards, backwards = assess(samples), assess(samples[::-1])
    assert backwards.median_ms == forwards.median_ms
    assert backwards.effective_samples == pytest.approx(forwards.effective_samples)


@pytest.mark.parametrize("count", [6, 7, 30, 1000])
def test_equal_samples_have_an_interval_without_width(count):
    assert astuple(assess([3.5] * count)) == (3.5, (3.5, 3.5), count, True)


def test_a_coarse_clock_hides_no_drift_and_invents_none():
    rng = np.random.default_rng(3)
    still = [assess(np.round(20 + rng.normal(size=200))).stable for _ in range(100)]
    drifts = [assess(np.round(20 + rng.normal(size=200) + np.arange(200) / 66)).stable for _ in range(100)]
    assert sum(still) >= 97
    assert sum(drifts) <= 3


def test_six_samples_of_a_slow_model_span_their_interval():
    assert assess([5010.0, 5003.0, 5021.0, 5008.0, 5005.0, 5013.0]).interval_ms == (5003.0, 5021.0)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([1.0] * 5, "samples_ms: 5 samples are too few, at least 6 are needed"),
        ([], "samples_ms: 0 samples are too few, at least 6 are needed"),
        ([1.0] * 6 + [0.0], r"samples_ms\[6\] is 0.0, allowed are positive finite numbers"),
        ([1.0, math.nan] + [1.0] * 6, r"samples_ms\[1\] is nan, allowed are positive finite numbers"),
        ([1.0] * 6 + [math.inf], r"samples_ms\[6\] is inf, allowed are positive finite numbers"),
    ],
)
def test_samples_that_no_clock_gives_are_refused(samples, message):
    with pytest.raises(ValueError, match=message):
        assess(samples)


PRECISE = [10.0, 10.01, 9.99, 10.02, 9.98] * 20
COARSE = np.random.default_rng(6).normal(10, 1, size=200).tolist()


@pytest.mark.parametrize(
    ("samples", "spent_seconds", "reason"),
    [
        (PRECISE, 1.0, "interval"),
        (PRECISE, 99.0, "interval"),
        (PRECISE[:39], 0.4, None),
        (PRECISE[:19], 99.0, None),
        (PRECISE[:20], 5.0, "sampling_seconds"),
        (COARSE[:100], 1.0, None),
        (COARSE[:100], 5.0, "sampling_seconds"),
        (COARSE, 2.0, "max_invocations"),
        (COARSE, 99.0, "max_invocations"),
        ([each + 0.005 * index for index, each in enumerate(PRECISE)], 1.0, None),
        ([], 99.0, None),
    ],
)
def test_sampling_stops_for_the_first_reason_that_holds(samples, spent_seconds, reason):
    rule = StoppingRule(0.01, min_invocations=20, max_invocations=200, sampling_seconds=5.0)
    assert stop_reason(samples, spent_seconds, rule) == reason


@given(rules, st.floats(1e-4, 5000), st.integers(0, 2**32 - 1))
def test_no_latency_makes_sampling_exceed_its_budgets(rule, latency_ms, seed):
    rng = np.random.default_rng(seed)
    latencies_ms = (latency_ms * rng.lognormal(0, 0.3, size=rule.max_invocations)).tolist()
    samples, reason, counts = sample(latencies_ms, rule)
    assert reason in ("interval", "max_invocations", "sampling_seconds")
    assert rule.min_invocations <= len(samples) <= rule.max_invocations
    # Each block but the last kept within the time; the last was expected to, by the mean so far, or was one.
    for taken, after in pairwise(counts):
        spent_s = sum(samples[:taken]) / 1000
        assert taken < rule.min_invocations or spent_s < rule.sampling_seconds
        left = (rule.sampling_seconds - spent_s) / (spent_s / taken) if taken else 1
        assert after - taken <= max(left * (1 + 1e-9), 1)


@pytest.mark.parametrize("latency_ms", [0.001, 0.1, 1.0, 10.0, 40.0])
def test_the_number_of_decisions_is_logarithmic(latency_ms):
    rule = StoppingRule(0.0, min_invocations=30, max_invocations=100_000, sampling_seconds=5000.0)
    counts, count = [], 0
    while count < rule.max_invocations:
        count += next_block([latency_ms] * count, count * latency_ms / 1000, rule)
        counts.append(count)
    assert counts[0] == 1
    assert rule.min_invocations in counts
    assert len(counts) <= 30 + math.log(100_000 / 30, 1.3)
    for before, after in pairwise(counts):
        assert (after - before) * latency_ms <= max(75 + latency_ms, (0.3 * before + 1) * latency_ms) * (
            1 + 1e-9
        )


def test_a_block_counts_the_time_between_invocations_too():
    rule = StoppingRule(0.01, min_invocations=6, max_invocations=1000, sampling_seconds=1.0)
    assert next_block([1.0] * 10, 0.01, rule) == 75
    assert next_block([1.0] * 10, 0.1, rule) == 8
    assert next_block([1.0] * 10, 0.9, rule) == 1


def test_no_block_follows_the_last_invocation():
    rule = StoppingRule(0.01, min_invocations=6, max_invocations=10, sampling_seconds=1.0)
    assert next_block([1.0] * 9, 0.1, rule) == 1
    with pytest.raises(ValueError, match="10 samples of at most 10 are taken already"):
        next_block([1.0] * 10, 0.1, rule)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((-0.1, 6, 10, 1.0), "stopping rule: interval_width must be 0 to 1, got -0.1"),
        ((math.nan, 6, 10, 1.0), "stopping rule: interval_width must be 0 to 1, got nan"),
        ((0.01, 5, 10, 1.0), "stopping rule: min_invocations must be 6 to inf, got 5"),
        ((0.01, 20, 10, 1.0), "stopping rule: max_invocations must be 20 to inf, got 10"),
        ((0.01, 6, 10, -1.0), "stopping rule: sampling_seconds must be 0 to inf, got -1.0"),
    ],
)
def test_a_rule_out_of_range_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        StoppingRule(*values)


FALLING = [10 + 10 * 0.9**index for index in range(200)]


@pytest.mark.parametrize(
    ("warmup_ms", "spent_seconds", "over"),
    [
        ([], 0.0, False),
        ([], 2.0, True),  # the budget was spent on the interpreter's start
        ([900.0, 700.0], 1.9, False),
        ([2500.0], 2.5, True),
        ([700.0, 500.0, 500.0], 1.7, True),
        ([700.0, 500.0, 490.0], 1.69, False),
        ([10.0] * 29, 0.29, False),  # too few, and less than a quarter of the budget, to see a slow fall
        ([10.0] * 30, 0.3, True),
        ([1.0] * 90, 0.09, False),  # the processor may not have reached its clock
        ([1.0] * 100, 0.1, True),
        ([0.01] * 999, 0.01, False),
        ([0.01] * 1000, 0.01, True),
        (FALLING[:30], 0.4, False),
        (FALLING[:60], 0.8, False),
        (FALLING, 1.9, True),
        ([10.0, 10.2, 9.9] * 10, 0.3, True),
        ([10.0 + 0.1 * index for index in range(30)], 0.4, True),  # rising: for the test for drift to judge
    ],
)
def test_warming_up_ends_when_latencies_no_longer_fall_or_the_budget_is_spent(warmup_ms, spent_seconds, over):
    assert settled(warmup_ms, spent_seconds, WarmUpRule(warmup_seconds=2.0)) is over


def test_no_warm_up_is_settled_at_once_and_a_negative_budget_is_refused():
    assert settled([], 0.0, WarmUpRule(0.0))
    with pytest.raises(ValueError, match="warm-up rule: warmup_seconds must be at least 0, got -1"):
        WarmUpRule(-1)
