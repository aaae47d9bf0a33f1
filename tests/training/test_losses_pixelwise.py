"""Losses of each pixel's error, and of its differences, against float64 loops over the known pixels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import Case, Image, Mask, cases, compare, mean_over_images, random_case

from sweep.training.losses import (
    gradient_matching,
    l1,
    l2,
    log_l1,
    plain_gradient,
    robust,
    si_rmse,
    silog,
)


def known_errors(prediction: Image, target: Image, valid: Mask) -> list[float]:
    return [float(prediction[place] - target[place]) for place in np.ndindex(*valid.shape) if valid[place]]


def silog_of(errors: list[float], variance_focus: float) -> float:
    mean = math.fsum(errors) / len(errors)
    return math.sqrt(max(0.0, math.fsum(e * e for e in errors) / len(errors) - variance_focus * mean**2))


def differences(residual: Image, known: Mask) -> float:
    total = 0.0
    for y, x in np.ndindex(*residual.shape):
        for other in ((y + 1, x), (y, x + 1)):
            inside = other[0] < residual.shape[0] and other[1] < residual.shape[1]
            if inside and known[y, x] and known[other]:
                total += abs(residual[other] - residual[y, x])
    return total / max(int(known.sum()), 1)


def barron(x: float, alpha: float, c: float) -> float:
    """The general form and its three limits, as the paper prints them."""
    square = (x / c) ** 2
    if alpha == 2:
        return square / 2
    if alpha == 0:
        return math.log(square / 2 + 1)
    if alpha == -math.inf:
        return 1 - math.exp(-square / 2)
    return abs(alpha - 2) / alpha * ((square / abs(alpha - 2) + 1) ** (alpha / 2) - 1)


@settings(max_examples=30, deadline=None)  # loops over pixels in Python
@given(cases(), st.sampled_from([0.0, 0.5, 0.85, 1.0]))
def test_silog_equals_the_formula(case: Case, variance_focus: float) -> None:
    expected = mean_over_images(case, lambda *image: silog_of(known_errors(*image), variance_focus))
    # A single pixel has no variance, where the square root's epsilon shows: 1e-4.
    assert float(silog(compare(case), variance_focus)) == pytest.approx(expected, rel=1e-6, abs=1.01e-4)


def test_silog_equals_the_formula_to_rounding_where_its_epsilon_does_not_show() -> None:
    case = random_case(3)
    expected = mean_over_images(case, lambda *image: silog_of(known_errors(*image), 0.85))
    assert float(silog(compare(case), 0.85)) == pytest.approx(expected, rel=1e-8)


@settings(max_examples=30, deadline=None)  # loops over pixels in Python
@given(cases())
def test_si_rmse_is_the_standard_deviation_of_the_log_error(case: Case) -> None:
    expected = mean_over_images(case, lambda *image: float(np.std(known_errors(*image))))
    assert float(si_rmse(compare(case))) == pytest.approx(expected, rel=1e-6, abs=1.01e-4)


@settings(max_examples=30, deadline=None)  # loops over pixels in Python
@given(cases())
def test_l1_and_l2_equal_the_formulas(case: Case) -> None:
    absolute = mean_over_images(case, lambda *image: float(np.mean(np.abs(known_errors(*image)))))
    squared = mean_over_images(case, lambda *image: float(np.mean(np.square(known_errors(*image)))))
    assert float(l1(compare(case))) == pytest.approx(absolute, rel=1e-12)
    assert float(log_l1(*case)) == pytest.approx(absolute, rel=1e-12)
    assert float(l2(compare(case))) == pytest.approx(squared, rel=1e-12)


@settings(max_examples=30, deadline=None)  # loops over pixels in Python
@given(
    cases(),
    st.one_of(
        st.sampled_from([2.0, 1.0, 0.0, -2.0, -math.inf]),
        st.floats(-10, 1.99).filter(lambda alpha: abs(alpha) > 1e-3),
    ),
    st.floats(0.05, 20),
)
def test_robust_equals_barrons_formula(case: Case, alpha: float, c: float) -> None:
    expected = mean_over_images(
        case, lambda *image: float(np.mean([barron(e, alpha, c) for e in known_errors(*image)]))
    )
    assert float(robust(compare(case), alpha, c)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("near", "limit"), [(2 - 1e-12, 2.0), (1e-12, 0.0), (-1e-12, 0.0), (1e-5, 0.0), (-1e12, -math.inf)]
)
def test_robust_goes_over_into_its_limits_even_in_single_precision(near: float, limit: float) -> None:
    prediction, target, valid = random_case(23)
    compared = compare((prediction.float(), target.float(), valid))
    assert float(robust(compared, near, 2.0)) == pytest.approx(float(robust(compared, limit, 2.0)), rel=3e-5)


def test_robust_with_alpha_1_and_c_2_is_the_charbonnier_loss() -> None:
    case = random_case(29)
    expected = mean_over_images(
        case, lambda *image: float(np.mean([math.sqrt((e / 2) ** 2 + 1) - 1 for e in known_errors(*image)]))
    )
    assert float(robust(compare(case), 1.0, 2.0)) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=30, deadline=None)  # loops over pixels in Python
@given(cases())
def test_the_plain_gradient_equals_the_formula(case: Case) -> None:
    expected = mean_over_images(case, lambda p, t, known: differences(p - t, known))
    assert float(plain_gradient(compare(case))) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=30, deadline=None)  # loops over pixels in Python
@given(cases())
def test_gradient_matching_sums_four_scales_of_the_gradient(case: Case) -> None:
    expected = mean_over_images(
        case,
        lambda p, t, known: sum(
            differences((p - t)[::step, ::step], known[::step, ::step]) for step in (1, 2, 4, 8)
        ),
    )
    assert float(gradient_matching(compare(case))) == pytest.approx(expected, rel=1e-12)


def test_full_scale_invariance_forgives_each_image_its_own_scale() -> None:
    prediction, target, valid = random_case(13)
    scales = torch.tensor([3.0, -2.0, 0.5]).view(3, 1, 1, 1)
    scaled = compare((prediction + scales, target, valid))
    only_scaled = compare((target + scales, target, valid))
    unscaled = compare((prediction, target, valid))
    for loss in (si_rmse, plain_gradient, gradient_matching, lambda compared: silog(compared, 1.0)):
        assert float(loss(scaled)) == pytest.approx(float(loss(unscaled)))
        assert float(loss(only_scaled)) == pytest.approx(0, abs=1.01e-4)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_l1_and_silog_grow_with_the_error_and_l2_with_its_square(factor: float) -> None:
    prediction, target, valid = random_case(31)
    compared = compare((prediction, target, valid))
    grown = compare((target + factor * (prediction - target), target, valid))
    assert float(l1(grown)) == pytest.approx(factor * float(l1(compared)))
    assert float(silog(grown, 0.85)) == pytest.approx(factor * float(silog(compared, 0.85)), rel=1e-6)
    assert float(l2(grown)) == pytest.approx(factor**2 * float(l2(compared)))
