"""The metrics against a plain loop over Python floats and against cases worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sweep.judging.metrics import (
    DepthMetrics,
    NonFinitePrediction,
    NothingToScore,
    depth_metrics,
    mean_metrics,
)


def metrics_by_loop(prediction: np.ndarray, target: np.ndarray) -> DepthMetrics | None:
    """The challenge's formulas, pixel by pixel, in exactly summed Python floats."""
    pairs = [
        (max(float(p), 1.0), float(t)) for p, t in zip(prediction.flat, target.flat, strict=True) if t > 1
    ]
    if not pairs:
        return None
    n = len(pairs)
    logs = [math.log(p) - math.log(t) for p, t in pairs]
    variance = math.fsum(d * d for d in logs) / n - (math.fsum(logs) / n) ** 2
    return DepthMetrics(
        si_rmse=math.sqrt(max(variance, 0.0)),
        rmse=math.sqrt(math.fsum(((t - p) / 1000) ** 2 for p, t in pairs) / n),
        log10=math.fsum(abs(math.log10(p) - math.log10(t)) for p, t in pairs) / n,
        rel=math.fsum(abs(p - t) / t for p, t in pairs) / n,
    )


def approximately(metrics: DepthMetrics) -> DepthMetrics:
    # The loop's variance cancels: its absolute error is about 1e-16 * d^2, that of its root up to 1e-7.
    return DepthMetrics(
        si_rmse=pytest.approx(metrics.si_rmse, rel=1e-9, abs=1e-6),
        rmse=pytest.approx(metrics.rmse, rel=1e-12, abs=1e-15),
        log10=pytest.approx(metrics.log10, rel=1e-9, abs=1e-14),
        rel=pytest.approx(metrics.rel, rel=1e-12, abs=1e-15),
    )


frame_shapes = st.shared(hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), key="shape")
targets = hnp.arrays(np.uint16, frame_shapes, elements=st.one_of(st.integers(0, 3), st.integers(0, 65_535)))
predictions = st.one_of(
    hnp.arrays(np.float32, frame_shapes, elements=st.floats(-1e4, 1e6, width=32)),
    hnp.arrays(np.float64, frame_shapes, elements=st.floats(-1e9, 1e12)),
    hnp.arrays(np.uint16, frame_shapes),
)


@settings(deadline=None)  # the plain loop is slow on a busy machine
@given(predictions, targets)
def test_the_metrics_equal_a_plain_loop_over_floats(prediction: np.ndarray, target: np.ndarray) -> None:
    expected = metrics_by_loop(prediction, target)
    found = depth_metrics(prediction, target)
    assert found == (expected if expected is None else approximately(expected))


def test_a_full_frame_equals_the_plain_loop() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 50_000, (480, 640), dtype=np.uint16)
    prediction = (target * rng.lognormal(0.1, 0.4, target.shape)).astype(np.float32)
    expected = metrics_by_loop(prediction, target)
    assert expected is not None
    assert depth_metrics(prediction, target) == approximately(expected)


def test_two_pixels_worked_out_by_hand() -> None:
    # d = (ln 2, 0): variance (ln 2)^2 / 4. Errors 1 m and 0 m.
    assert depth_metrics(np.array([2000.0, 2000.0]), np.array([1000, 2000])) == DepthMetrics(
        si_rmse=pytest.approx(math.log(2) / 2),
        rmse=pytest.approx(math.sqrt(0.5)),
        log10=pytest.approx(math.log10(2) / 2),
        rel=pytest.approx(0.5),
    )


def test_a_perfect_prediction_has_no_error() -> None:
    target = np.arange(400, 50_000, 100, dtype=np.uint16)
    assert depth_metrics(target, target) == DepthMetrics(0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("factor", [1e-2, 0.5, 3.0, 1e5])
def test_a_pure_scale_error_costs_no_si_rmse(factor: float) -> None:
    target = np.arange(400, 50_000, 100, dtype=np.uint16)
    found = depth_metrics(target * factor, target)
    assert found is not None
    assert found.si_rmse == pytest.approx(0, abs=1e-14)
    assert found.rel == pytest.approx(abs(factor - 1))
    assert found.log10 == pytest.approx(abs(math.log10(factor)))


def test_pixels_of_unknown_depth_change_nothing() -> None:
    known = depth_metrics(np.array([1500.0, 900.0]), np.array([1000, 1000]))
    holes = np.array([1000, 0, 1000, 1])
    assert depth_metrics(np.array([1500.0, 1e9, 900.0, -5.0]), holes) == known


def test_a_frame_without_known_depth_has_no_score() -> None:
    assert depth_metrics(np.full((2, 2), 1000.0), np.array([[0, 1], [1, 0]])) is None


def test_predictions_below_one_millimetre_count_as_one() -> None:
    target = np.array([65_535, 65_535])
    assert depth_metrics(np.array([-3.0, 0.0]), target) == depth_metrics(np.array([1.0, 1.0]), target)


def test_unsigned_integers_do_not_wrap() -> None:
    # In uint16 arithmetic 400 - 65535 is 401.
    found = depth_metrics(np.array([400], dtype=np.uint16), np.array([65_535], dtype=np.uint16))
    assert found is not None
    assert found.rmse == pytest.approx(65.135)
    assert found.rel == pytest.approx(65_135 / 65_535)


def test_the_arguments_stay_as_they_were() -> None:
    prediction, target = np.array([0.0, -1.0, 2.0]), np.array([0, 1, 2], dtype=np.uint16)
    before = prediction.copy(), target.copy()
    depth_metrics(prediction, target)
    np.testing.assert_array_equal(prediction, before[0])
    np.testing.assert_array_equal(target, before[1])


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_prediction_that_is_not_finite_is_an_error_that_names_the_frame(broken: float) -> None:
    with pytest.raises(NonFinitePrediction, match="kitchen_7: 1 of 2 predicted depths"):
        depth_metrics(np.array([broken, 1000.0]), np.array([0, 1000]), frame="kitchen_7")


def test_shapes_that_differ_are_an_error_that_names_both() -> None:
    with pytest.raises(ValueError, match=r"hall: .*\(2,\).*\(3,\)"):
        depth_metrics(np.ones(2), np.ones(3), frame="hall")


def test_the_mean_weighs_frames_alike_and_leaves_out_frames_without_a_score() -> None:
    frames = [DepthMetrics(0.2, 1.0, 0.1, 0.3), None, DepthMetrics(0.4, 2.0, 0.3, 0.5)]
    assert mean_metrics(frames) == DepthMetrics(
        pytest.approx(0.3), pytest.approx(1.5), pytest.approx(0.2), pytest.approx(0.4)
    )


@pytest.mark.parametrize("frames", [[], [None, None]])
def test_no_frame_with_a_score_is_an_error(frames: list[None]) -> None:
    with pytest.raises(NothingToScore):
        mean_metrics(frames)
