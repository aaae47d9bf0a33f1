from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_farm.statistics import median, median_interval, median_interval_ranks


def coverage(samples: int, low: int) -> Fraction:
    """P(x(low) <= median <= x(n + 1 - low)), exactly: the count below the median is Binomial(n, 1/2)."""
    inside = sum(comb(samples, count) for count in range(low, samples - low + 1))
    return Fraction(inside, 2**samples)


@given(st.integers(6, 500), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_ranks_are_the_narrowest_that_cover_the_median_as_often_as_asked(samples, confidence):
    if coverage(samples, 1) < Fraction(str(confidence)):
        with pytest.raises(ValueError, match=f"{samples} samples are too few"):
            median_interval_ranks(samples, confidence)
        return
    low, high = median_interval_ranks(samples, confidence)
    assert low + high == samples + 1
    assert coverage(samples, low) >= Fraction(str(confidence))
    assert low + 1 > samples - low or coverage(samples, low + 1) < Fraction(str(confidence))


@pytest.mark.parametrize(("samples", "ranks"), [(6, (1, 6)), (10, (2, 9)), (100, (40, 61)), (50, (18, 33))])
def test_ranks_agree_with_published_tables(samples, ranks):
    assert median_interval_ranks(samples) == ranks


def test_a_large_number_of_samples_does_not_overflow():
    low, high = median_interval_ranks(100_000)
    # The normal approximation: n / 2 -+ 1.96 sqrt(n) / 2.
    assert abs(low - (50_000 - 0.98 * 100_000**0.5)) <= 2
    assert low + high == 100_001


def test_five_samples_have_no_interval():
    with pytest.raises(ValueError, match="5 samples are too few for a 95% interval"):
        median_interval([1.0, 2.0, 3.0, 4.0, 5.0])


def test_the_interval_covers_the_true_median_of_a_skewed_distribution_as_often_as_promised():
    random = np.random.default_rng(7)
    samples = random.lognormal(size=(4000, 30))  # the median is 1
    hits = sum(low <= 1 <= high for low, high in map(median_interval, samples.tolist()))
    expected = float(coverage(30, median_interval_ranks(30)[0]))
    assert abs(hits / 4000 - expected) < 4 * (expected * (1 - expected) / 4000) ** 0.5


@given(st.lists(st.floats(0.001, 1e6), min_size=6, max_size=60))
def test_the_interval_holds_the_sample_median_whatever_the_order(values):
    low, high = median_interval(values)
    assert low <= median(values) <= high
    assert median(values) == pytest.approx(float(np.median(values)))
    assert median_interval(sorted(values, reverse=True)) == (low, high)
