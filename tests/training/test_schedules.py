"""The schedules' shapes, worked out from their definitions."""

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.space.candidate import Cosine, OneCycle, Polynomial, Recipe
from sweep.training.schedules import Schedule, learning_rate_factor

schedules = st.one_of(
    st.builds(Cosine, kind=st.just("cosine"), warmup=st.floats(0, 0.5)),
    st.builds(Polynomial, kind=st.just("polynomial"), warmup=st.floats(0, 0.5), power=st.floats(0.1, 4)),
    st.builds(OneCycle, kind=st.just("one_cycle"), peak=st.floats(0.05, 0.9)),
)


def factors(schedule: Schedule, steps: int) -> list[float]:
    return [learning_rate_factor(schedule, step, steps) for step in range(steps)]


@given(schedules, st.integers(1, 300))
def test_no_step_is_spent_on_a_learning_rate_of_zero_or_above_the_base(
    schedule: Schedule, steps: int
) -> None:
    assert all(0 < factor <= 1 for factor in factors(schedule, steps))


@given(schedules)
def test_every_schedule_rises_to_its_peak_and_then_falls_to_nearly_zero(schedule: Schedule) -> None:
    found = factors(schedule, 400)
    peak = found.index(max(found))
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True)
    assert found[peak] > 0.95
    assert found[-1] < 1e-3 or isinstance(schedule, Polynomial)


def test_the_cosine_is_evaluated_in_the_middle_of_each_step() -> None:
    expected = [0.5 * (1 + math.cos(math.pi * (step + 0.5) / 10)) for step in range(10)]
    assert factors(Cosine(kind="cosine", warmup=0), 10) == pytest.approx(expected)


def test_the_warm_up_is_linear_and_the_rest_starts_at_its_end() -> None:
    found = factors(Cosine(kind="cosine", warmup=0.2), 10)
    assert found[:2] == pytest.approx([0.25, 0.75])
    assert found[2:] == pytest.approx(factors(Cosine(kind="cosine", warmup=0), 8))


def test_the_polynomial_of_power_one_is_a_straight_line() -> None:
    found = factors(Polynomial(kind="polynomial", warmup=0, power=1), 5)
    assert found == pytest.approx([0.9, 0.7, 0.5, 0.3, 0.1])


def test_the_polynomials_power_bends_the_line() -> None:
    line = factors(Polynomial(kind="polynomial", warmup=0.1, power=1), 20)
    bent = factors(Polynomial(kind="polynomial", warmup=0.1, power=0.9), 20)
    assert bent[2:] == pytest.approx([factor**0.9 for factor in line[2:]])


def test_one_cycle_starts_at_a_twenty_fifth_and_peaks_where_it_says() -> None:
    found = factors(OneCycle(kind="one_cycle", peak=0.25), 1000)
    assert found[0] == pytest.approx(0.04, abs=1e-4)
    assert max(range(1000), key=found.__getitem__) in (249, 250)
    assert found[125] == pytest.approx((1 + 0.04) / 2, abs=0.01)


@pytest.mark.parametrize("step", [-1, 10])
def test_a_step_outside_of_full_fidelity_is_an_error(step: int) -> None:
    with pytest.raises(ValueError, match="outside of full fidelity"):
        learning_rate_factor(Cosine(kind="cosine", warmup=0), step, 10)


def test_every_schedule_of_the_recipe_is_known() -> None:
    assert set(get_args(Recipe.model_fields["schedule"].annotation)) == set(get_args(Schedule))
