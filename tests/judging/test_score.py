"""The Final Score against the challenge's published table."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.judging.score import TABLE_1, PublishedResult, final_score

runtimes_ms = st.floats(0.1, 1e4)
si_rmses = st.floats(0, 3)


@pytest.mark.parametrize("row", TABLE_1, ids=lambda row: row.team)
def test_every_published_score_is_reproduced(row: PublishedResult) -> None:
    assert round(final_score(row.si_rmse, row.runtime_ms)) == row.final_score


def test_the_table_has_the_eight_published_rows() -> None:
    assert [(row.team, row.final_score) for row in TABLE_1] == [
        ("TCL", 298),
        ("AIIA HIT", 232),
        ("MiAIgo", 188),
        ("Tencent GY-Lab (2022)", 141),
        ("Tencent GY-Lab (2021 winner)", 122),
        ("SmartLab", 102),
        ("JMU-CVLab", 36),
        ("ICL", 42),
    ]


def test_one_percent_of_runtime_is_worth_0_00072_of_si_rmse() -> None:
    assert final_score(0.3 - 0.00072, 101.0) == pytest.approx(final_score(0.3, 100.0), rel=1e-4)


def test_a_perfect_prediction_in_one_millisecond_scores_the_inverse_of_c() -> None:
    assert final_score(0.0, 1.0) == 640_000


@given(si_rmses, runtimes_ms)
def test_both_arguments_can_be_had_back_from_the_score(si_rmse: float, runtime_ms: float) -> None:
    score = final_score(si_rmse, runtime_ms)
    assert math.log2(640_000 / (score * runtime_ms)) / 20 == pytest.approx(si_rmse, abs=1e-12)
    assert 640_000 / (score * 2 ** (20 * si_rmse)) == pytest.approx(runtime_ms, rel=1e-12)


@pytest.mark.parametrize("runtime_ms", [0.0, -1.0, math.nan, math.inf])
def test_a_runtime_that_is_no_positive_number_is_an_error(runtime_ms: float) -> None:
    with pytest.raises(ValueError, match="runtime_ms is"):
        final_score(0.3, runtime_ms)


@pytest.mark.parametrize("si_rmse", [-0.01, math.nan, math.inf])
def test_an_si_rmse_that_is_negative_or_not_finite_is_an_error(si_rmse: float) -> None:
    with pytest.raises(ValueError, match="si_rmse is"):
        final_score(si_rmse, 10)
