"""Expected improvement in logarithms, against sampling, integration and its own asymptotics."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from sweep.search.composite.acquisition import ln_chance_below, ln_expected_improvement


def improvement(mean: float, deviation: float, best: float) -> float:
    return float(ln_expected_improvement(np.array([mean]), np.array([deviation]), best)[0])


def test_expected_improvement_is_the_mean_of_sampled_improvements() -> None:
    mean, deviation, best = -4.0, 0.7, -3.5
    draws = np.random.default_rng(0).normal(mean, deviation, 1_000_000)
    assert math.exp(improvement(mean, deviation, best)) == pytest.approx(
        np.maximum(draws - best, 0).mean(), rel=5e-3
    )


@given(
    mean=st.floats(-5, 5), deviation=st.floats(0.01, 3), above=st.floats(-4, 25).map(lambda z: round(z, 3))
)
def test_expected_improvement_is_the_integral_of_improvements(
    mean: float, deviation: float, above: float
) -> None:
    """``above``: by how many deviations the best lies above the mean."""
    # The density's factor exp(-above^2 / 2) is taken out, so that the integral does not underflow.
    integral, _ = quad(lambda t: t * math.exp(-0.5 * t * t - t * above), 0, 40, epsabs=0, epsrel=1e-10)
    expected = math.log(deviation * integral / math.sqrt(2 * math.pi)) - 0.5 * above**2
    assert improvement(mean, deviation, mean + above * deviation) == pytest.approx(expected, abs=1e-6)


def test_expected_improvement_keeps_its_order_where_it_would_underflow() -> None:
    z = -np.logspace(0, 8, 2_000)
    values = ln_expected_improvement(z, np.ones_like(z), 0.0)
    assert np.isfinite(values).all()
    assert (np.diff(values) < 0).all()


@pytest.mark.parametrize("seam", [-1.0, -1e3])
def test_expected_improvement_has_no_step_where_its_formula_changes(seam: float) -> None:
    below, above = improvement(seam * (1 + 1e-9), 1.0, 0.0), improvement(seam * (1 - 1e-9), 1.0, 0.0)
    assert above - below == pytest.approx(abs(seam) ** 2 * 2e-9, abs=1e-5)


def test_a_certain_improvement_is_its_difference() -> None:
    assert improvement(2.5, 0.0, 1.0) == pytest.approx(math.log(1.5))


def test_a_certain_value_either_keeps_a_limit_or_does_not() -> None:
    chances = np.exp(ln_chance_below(1.0, np.array([0.9, 1.1]), np.zeros(2)))
    assert chances.tolist() == [1.0, 0.0]


def test_the_chance_to_keep_a_limit_is_the_normal_distribution() -> None:
    assert float(np.exp(ln_chance_below(1.0, np.array([0.4]), np.array([0.5])))[0]) == pytest.approx(
        norm.cdf(1.2)
    )
