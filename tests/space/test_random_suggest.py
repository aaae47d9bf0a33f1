import math

import numpy as np
import pytest
from scipy import stats

from sweep.space import RandomSuggest

DRAWS = 4000


def test_logarithmic_reals_are_uniform_in_the_logarithm() -> None:
    suggest = RandomSuggest(0)
    logs = np.log([suggest.real("x", 1e-5, 1e-1, log=True) for _ in range(DRAWS)])
    low, high = math.log(1e-5), math.log(1e-1)
    assert stats.kstest(logs, stats.uniform(low, high - low).cdf).pvalue > 0.01


def test_plain_reals_are_uniform() -> None:
    suggest = RandomSuggest(0)
    drawn = [suggest.real("x", -1.0, 3.0, log=False) for _ in range(DRAWS)]
    assert stats.kstest(drawn, stats.uniform(-1.0, 4.0).cdf).pvalue > 0.01


def test_stepped_integers_are_uniform_on_their_grid() -> None:
    suggest = RandomSuggest(0)
    drawn = [suggest.integer("x", 16, 64, 8, log=False) for _ in range(DRAWS)]
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [16, 24, 32, 40, 48, 56, 64]
    assert stats.chisquare(counts).pvalue > 0.01


def test_logarithmic_integers_weigh_each_value_by_its_share_of_the_logarithm() -> None:
    suggest = RandomSuggest(0)
    drawn = [suggest.integer("x", 1, 16, 1, log=True) for _ in range(DRAWS)]
    counts = np.bincount(drawn, minlength=17)[1:]
    edges = np.log(np.arange(0.5, 17.0))
    expected = np.diff(edges) / (edges[-1] - edges[0]) * DRAWS
    assert stats.chisquare(counts, expected).pvalue > 0.01


def test_options_are_uniform_and_keep_their_type() -> None:
    suggest = RandomSuggest(0)
    drawn = [suggest.categorical("x", (False, True)) for _ in range(DRAWS)]
    assert all(isinstance(value, bool) for value in drawn)
    assert stats.binomtest(sum(map(bool, drawn)), DRAWS).pvalue > 0.01


@pytest.mark.parametrize("log", [False, True])
def test_ranges_of_one_number_give_that_number(log: bool) -> None:
    suggest = RandomSuggest(0)
    assert suggest.real("x", 0.1, 0.1, log) == 0.1
    assert suggest.integer("x", 3, 3, 1, log) == 3


def test_equal_seeds_give_equal_draws() -> None:
    one, same, other = (RandomSuggest(seed).real("x", 0, 1, log=False) for seed in (7, 7, 8))
    assert one == same != other
