"""The Gaussian process against scikit-learn's, against dense formulas over every epoch, and its slopes."""

import math

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

from sweep.search.composite.gaussian_process import (
    LEVEL,
    Hyperparameters,
    Observed,
    Prior,
    Process,
    fit,
    negative_log_likelihood,
    prior_moments,
)
from sweep.search.composite.kernel import Kernel
from sweep.search.composite.learning_curves import bases, point_values, project

MAX_EPOCHS = 27
GROUPS = np.array([0, 0, 1, 2])


def some_features(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (count, len(GROUPS)))


def some_hyperparameters(seed: int, bases_count: int) -> Hyperparameters:
    draw = np.random.default_rng(seed).uniform(-1.0, 0.5, 3 + 2 * bases_count + 2)
    return Hyperparameters(draw, bases_count)


def some_curves(seed: int, lengths: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [(np.arange(1.0, n + 1), rng.normal(0, 1, n) + 3 / np.arange(1, n + 1)) for n in lengths]


def dense_process(
    features: np.ndarray, curves: list[tuple[np.ndarray, np.ndarray]], h: Hyperparameters
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariance of all epochs, their covariance with each trial's f at full fidelity, and all values."""
    owner = np.repeat(np.arange(len(curves)), [len(epochs) for epochs, _ in curves])
    basis = bases(np.concatenate([epochs for epochs, _ in curves]), MAX_EPOCHS)
    scale = np.exp(h.log[:3])[GROUPS]
    z = features / scale
    distance = math.sqrt(5) * np.linalg.norm(z[:, None] - z[None, :], axis=2)
    kernel = h.linear * z @ z.T + (1 + distance + distance**2 / 3) * np.exp(-distance)
    covariance = h.noise * np.eye(len(owner))
    for k in range(h.bases):
        of_trials = h.variances[k] * (kernel + h.own[k] * np.eye(len(z))) + LEVEL
        covariance += np.outer(basis[:, k], basis[:, k]) * of_trials[np.ix_(owner, owner)]
    with_final = (h.variances[0] * (kernel + h.own[0] * np.eye(len(z))) + LEVEL)[owner]
    return covariance, with_final, np.concatenate([values for _, values in curves])


def test_likelihood_and_posterior_are_those_of_scikit_learn() -> None:
    features, h = some_features(0, 25), some_hyperparameters(1, 1)
    values = np.random.default_rng(2).normal(0, 1, 25)
    scale = np.exp(h.log[:3])[GROUPS]
    variance, own, noise = float(h.variances[0]), float(h.own[0]), h.noise
    kernel = (
        ConstantKernel(variance * h.linear) * DotProduct(sigma_0=1e-9)
        + ConstantKernel(variance) * Matern(nu=2.5)
        + ConstantKernel(LEVEL)
        + WhiteKernel(variance * own + noise)
    )
    theirs = GaussianProcessRegressor(kernel, alpha=1e-8, optimizer=None).fit(features / scale, values)
    observed = Observed(features, GROUPS, point_values(values))
    ours, _ = negative_log_likelihood(observed, h)
    assert ours == pytest.approx(-theirs.log_marginal_likelihood_value_, rel=1e-8)

    further = some_features(3, 10)
    mean, deviation = theirs.predict(further / scale, return_std=True)
    our_mean, our_variance = Process(observed, h).predict(further)
    np.testing.assert_allclose(our_mean, mean, rtol=1e-6)
    np.testing.assert_allclose(our_variance + noise, deviation**2, rtol=1e-6)


def test_projected_curves_lose_nothing_of_all_their_epochs() -> None:
    lengths = [27, 3, 1, 9, 2, 14]
    features, curves = some_features(4, 6), some_curves(5, lengths)
    h = some_hyperparameters(6, 3)
    observed = Observed(features, GROUPS, project(curves, MAX_EPOCHS))
    covariance, with_final, values = dense_process(features, curves, h)

    ours, _ = negative_log_likelihood(observed, h)
    assert ours == pytest.approx(-multivariate_normal(cov=covariance).logpdf(values), rel=1e-6)

    mean, variance = Process(observed, h).predict_observed()
    solved = np.linalg.solve(covariance, with_final)
    np.testing.assert_allclose(mean, solved.T @ values, rtol=1e-5, atol=1e-5)
    z = features / np.exp(h.log[:3])[GROUPS]
    prior = h.variances[0] * (h.linear * (z**2).sum(1) + 1 + h.own[0]) + LEVEL
    np.testing.assert_allclose(variance, prior - (with_final * solved).sum(0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lengths", [[1] * 8, [27, 3, 3, 9, 27, 1, 5]])
def test_slopes_are_those_of_finite_differences(lengths: list[int]) -> None:
    features = some_features(7, len(lengths))
    observed = Observed(features, GROUPS, project(some_curves(8, lengths), MAX_EPOCHS))
    h = some_hyperparameters(9, 3)
    _, slope = negative_log_likelihood(observed, h)
    numeric = approx_fprime(
        h.log, lambda log: negative_log_likelihood(observed, Hyperparameters(log, 3))[0], 1e-6
    )
    np.testing.assert_allclose(slope, numeric, rtol=1e-3, atol=2e-3)


def test_kernel_slopes_are_those_of_finite_differences() -> None:
    rows, weights = some_features(10, 9), np.random.default_rng(11).normal(0, 1, (9, 9))
    weights = weights + weights.T
    logs = np.array([-0.5, 0.3, -1.0, 0.2, -0.7])

    def total(log: np.ndarray) -> float:
        return float((weights * Kernel(np.exp(log[:4]), math.exp(log[4]))(rows, rows)).sum())

    by_scale, by_linear = Kernel(np.exp(logs[:4]), math.exp(logs[4])).slopes(rows, weights)
    np.testing.assert_allclose([*by_scale, by_linear], approx_fprime(logs, total, 1e-7), rtol=1e-4, atol=1e-4)


def test_a_kernels_diagonal_is_that_of_its_matrix() -> None:
    rows = some_features(12, 5)
    kernel = Kernel(np.array([0.5, 1.0, 2.0, 0.3]), 0.7)
    np.testing.assert_allclose(kernel.diagonal(rows), np.diag(kernel(rows, rows)))


def test_what_is_pending_counts_as_observed_at_its_mean() -> None:
    features, pending, further = some_features(13, 12), some_features(14, 3), some_features(15, 6)
    values, h = np.random.default_rng(16).normal(0, 1, 12), some_hyperparameters(17, 1)
    process = Process(Observed(features, GROUPS, point_values(values)), h)
    believed = np.concatenate([values, process.predict(pending)[0]])
    later = Process(Observed(np.vstack([features, pending]), GROUPS, point_values(believed)), h)
    mean, variance = process.predict(further, pending)
    expected_mean, expected_variance = later.predict(further)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(variance, expected_variance, rtol=1e-3)


def test_the_variance_of_a_difference_is_that_of_the_dense_formula() -> None:
    lengths = [3, 9, 3, 27]
    features, curves, h = some_features(22, 5), some_curves(23, lengths), some_hyperparameters(24, 3)
    # The dense formula takes the new candidate, the fifth, as a trial without an epoch.
    nothing = (np.empty(0), np.empty(0))
    covariance, with_final, _ = dense_process(features, [*curves, nothing], h)
    z = features / np.exp(h.log[:3])[GROUPS]
    distance = math.sqrt(5) * np.linalg.norm(z[:, None] - z[None, :], axis=2)
    kernel = h.linear * z @ z.T + (1 + distance + distance**2 / 3) * np.exp(-distance)
    prior = h.variances[0] * (kernel + h.own[0] * np.eye(5)) + LEVEL
    posterior = prior - with_final.T @ np.linalg.solve(covariance, with_final)
    slopes = np.array([0.0, 1.5, 0.0, 0.0, -0.7])  # 1.5 of trial 1, 0.7 of the new one

    process = Process(Observed(features[:4], GROUPS, project(curves, MAX_EPOCHS)), h)
    joint = process.predict_beside(features[4:], 1)
    ours = joint.difference_variance(np.array([0.7]), 1.5)
    assert ours[0] == pytest.approx(slopes @ posterior @ slopes, rel=1e-4)
    assert joint.trial_mean == pytest.approx(process.predict_observed()[0][1], rel=1e-6)
    np.testing.assert_allclose(joint.mean, process.predict(features[4:])[0])
    np.testing.assert_allclose(joint.variance, process.predict(features[4:])[1])


def test_the_fit_has_no_slope_and_finds_the_parameter_that_matters() -> None:
    features = some_features(18, 60)
    values = np.sin(7 * features[:, 2]) + np.random.default_rng(19).normal(0, 0.05, 60)
    observed = Observed(features, GROUPS, point_values(values / values.std()))
    fitted = fit(observed, Prior())
    means, deviations = prior_moments(observed, Prior())

    def loss(log: np.ndarray) -> float:
        penalty = 0.5 * float((((log - means) / deviations) ** 2).sum())
        return negative_log_likelihood(observed, Hyperparameters(log, 1))[0] + penalty

    best = loss(fitted.log)
    draws = np.random.default_rng(20).normal(0, 0.1, (50, len(fitted.log)))
    assert all(best <= loss(fitted.log + step * deviations) for step in draws)
    assert fitted.log[1] < min(fitted.log[0], fitted.log[2]) - 1


def test_a_long_curve_takes_no_more_rows_than_bases() -> None:
    curves = project(some_curves(21, [27, 1, 2]), MAX_EPOCHS)
    assert np.bincount(curves.trials).tolist() == [3, 1, 2]
    assert curves.rest_count == 24


def test_at_a_single_epoch_of_full_fidelity_a_curve_is_a_point() -> None:
    curves = project([(np.array([1.0]), np.array([0.4])), (np.array([1.0]), np.array([-2.0]))], 1)
    np.testing.assert_allclose(curves.rows * curves.values[:, None], [[0.4], [-2.0]])
