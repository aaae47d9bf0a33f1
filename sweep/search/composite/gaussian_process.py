"""A Gaussian process over candidates and fidelities, exact, with hyperparameters by maximum a posteriori.

Trial i has coefficients (f_i, d_i1, ...) of its learning curve (see `learning_curves`). Each of them is a
Gaussian process over candidates of its own, with one shared kernel R:

    cov(c_ia, c_ja) = variance_a (R(x_i, x_j) + own_a [i = j]) + level

``own`` is what a candidate has for itself alone: what the features cannot tell, and the luck of its training.
``level`` is a wide prior on the mean curve. Observed rows carry independent noise. Values are expected to be
standardised.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from sweep.search.composite.kernel import Kernel
from sweep.search.composite.learning_curves import Curves

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

LEVEL = 400.0
"""Prior variance of the mean curve's coefficients, in standardised units."""

_JITTER = 1e-8
_FIT_STEPS = 40
_BOUND = 4.0
"""Hyperparameters stay within this many prior standard deviations."""


@dataclass(frozen=True)
class Prior:
    """Log-normal priors of the hyperparameters: median and standard deviation of the logarithm.

    The length scales' median grows with the square root of the number of parameters, as distances do
    (Hvarfner et al. 2024); ``length_scale`` is the factor.
    """

    length_scale: tuple[float, float] = (0.3, 1.0)
    variance: tuple[float, float] = (2.0, 1.5)
    linear: tuple[float, float] = (1.0, 1.0)
    own: tuple[float, float] = (0.01, 1.0)
    noise: tuple[float, float] = (0.02, 1.0)


@dataclass(frozen=True)
class Hyperparameters:
    """``log`` holds the logarithms of: length scale per parameter, variance per basis, own share per basis,
    weight of the linear part, variance of the noise."""

    log: Floats
    bases: int

    @property
    def scales(self) -> int:
        """Number of length scales."""
        return len(self.log) - 2 * self.bases - 2

    @property
    def variances(self) -> Floats:
        return np.asarray(np.exp(self.log[self.scales : self.scales + self.bases]))

    @property
    def own(self) -> Floats:
        return np.asarray(np.exp(self.log[self.scales + self.bases : self.scales + 2 * self.bases]))

    @property
    def linear(self) -> float:
        return math.exp(self.log[-2])

    @property
    def noise(self) -> float:
        return math.exp(self.log[-1])

    def kernel(self, groups: Indices) -> Kernel:
        """``groups``: each feature's parameter."""
        return Kernel(np.exp(self.log[: self.scales])[groups], self.linear)


@dataclass(frozen=True)
class Observed:
    """What a process is fitted to and conditioned on.

    Attributes:
        features: of the n trials, (n, features).
        groups: each feature's parameter, (features,).
        curves: their projected curves.
    """

    features: Floats
    groups: Indices
    curves: Curves


def prior_moments(observed: Observed, prior: Prior) -> tuple[Floats, Floats]:
    """Means and standard deviations of `Hyperparameters.log`."""
    scales = int(observed.groups.max(initial=-1)) + 1
    bases = observed.curves.rows.shape[1]
    scale, spread = prior.length_scale
    pairs = [(scale * math.sqrt(max(scales, 1)), spread)] * scales
    pairs += [prior.variance] * bases + [prior.own] * bases + [prior.linear, prior.noise]
    medians, deviations = np.array(pairs).T
    return np.log(medians), deviations


def fit(observed: Observed, prior: Prior) -> Hyperparameters:
    """The hyperparameters of the highest posterior density of their logarithms, found by L-BFGS-B."""
    means, deviations = prior_moments(observed, prior)
    bases = observed.curves.rows.shape[1]

    def loss(steps: Floats) -> tuple[float, Floats]:
        value, slope = negative_log_likelihood(observed, Hyperparameters(means + deviations * steps, bases))
        return value + 0.5 * float(steps @ steps), slope * deviations + steps

    bounds = [(-_BOUND, _BOUND)] * len(means)
    start = np.zeros(len(means))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _FIT_STEPS})
    return Hyperparameters(means + deviations * found.x, bases)


def negative_log_likelihood(observed: Observed, hyperparameters: Hyperparameters) -> tuple[float, Floats]:
    """-ln p(values), up to a constant that depends on the data alone, and its slope by the logarithms."""
    curves, h = observed.curves, hyperparameters
    kernel = h.kernel(observed.groups)
    shape = kernel(observed.features, observed.features)
    factor = cholesky(covariance_of_rows(observed, h, shape), lower=True, check_finite=False)
    weights = cho_solve((factor, True), curves.values, check_finite=False)
    value = (
        0.5 * float(curves.values @ weights)
        + float(np.log(np.diag(factor)).sum())
        + 0.5 * len(curves.values) * math.log(2 * math.pi)
        + 0.5 * (curves.rest_energy / h.noise + curves.rest_count * math.log(2 * math.pi * h.noise))
    )
    inverse = cho_solve((factor, True), np.eye(len(factor)), check_finite=False)
    slack = 0.5 * (inverse - np.outer(weights, weights))
    slope = np.zeros_like(h.log)
    on_shape = np.zeros_like(shape)
    starts = np.flatnonzero(np.diff(curves.trials, prepend=-1))
    for basis in range(h.bases):
        column = curves.rows[:, basis]
        by_row = np.add.reduceat(column[:, None] * slack * column, starts, axis=0)
        by_trial = h.variances[basis] * np.add.reduceat(by_row, starts, axis=1)
        own = h.own[basis] * float(np.trace(by_trial))
        slope[h.scales + basis] = float((by_trial * shape).sum()) + own
        slope[h.scales + h.bases + basis] = own
        on_shape += by_trial
    by_feature, slope[-2] = kernel.slopes(observed.features, on_shape)
    slope[: h.scales] = np.bincount(observed.groups, by_feature, h.scales)
    rest = 0.5 * (curves.rest_count - curves.rest_energy / h.noise)
    slope[-1] = h.noise * float(np.trace(slack)) + rest
    return value, slope


def covariance_of_rows(observed: Observed, h: Hyperparameters, shape: Floats) -> Floats:
    """Covariance of the observed rows, noise included."""
    rows, trials = observed.curves.rows, observed.curves.trials
    within = trials[:, None] == trials[None, :]
    expanded = shape[np.ix_(trials, trials)]
    total = (h.noise + _JITTER) * np.eye(len(rows))
    for basis in range(h.bases):
        part = h.variances[basis] * (expanded + h.own[basis] * within) + LEVEL
        total += rows[:, basis][:, None] * part * rows[:, basis]
    return total


@dataclass(frozen=True)
class Joint:
    """Means and variances of some candidates' f, (m,), and of one trial's, and their covariances with it, (m,)."""

    mean: Floats
    variance: Floats
    covariance: Floats
    trial_mean: float
    trial_variance: float

    def in_units(self, centre: float, scale: float) -> "Joint":
        """The same of centre + scale * f."""
        return Joint(
            centre + scale * self.mean,
            scale**2 * self.variance,
            scale**2 * self.covariance,
            centre + scale * self.trial_mean,
            scale**2 * self.trial_variance,
        )

    def difference_variance(self, slope: Floats, trial_slope: float) -> Floats:
        """Variance of ``slope * f - trial_slope * f of the trial``; ``slope`` has one factor per candidate."""
        alone = slope**2 * self.variance + trial_slope**2 * self.trial_variance
        return np.asarray(np.maximum(alone - 2 * slope * trial_slope * self.covariance, 0.0))


@dataclass(frozen=True)
class Process:
    """The process, conditioned on what was observed."""

    observed: Observed
    hyperparameters: Hyperparameters

    def predict(self, features: Floats, pending: Floats | None = None) -> tuple[Floats, Floats]:
        """Mean and variance of f, at full fidelity and without noise, of candidates not among the observed.

        Args:
            features: of the candidates, (m, features).
            pending: features of candidates that are under way. Their f counts as if it had come out at its mean
                (kriging believer; Ginsbourger et al. 2010): means stay, variances shrink near them.
        """
        mean, explained = self._explain(features, pending)
        return mean, np.maximum(self._prior_variance(features) - (explained**2).sum(axis=0), 0.0)

    def predict_beside(self, features: Floats, trial: int, pending: Floats | None = None) -> "Joint":
        """As `predict`, with what the candidates share with one observed trial.

        What is unknown of all alike, such as how far curves still fall, is in every variance, but cancels in the
        difference to that trial.
        """
        h, there = self.hyperparameters, self.observed.features[[trial]]
        own = np.zeros((len(self.observed.features), 1))
        own[trial] = h.variances[0] * h.own[0]
        mean, explained = self._explain(features, pending)
        trial_mean, trial_explained = self._explain(there, pending, own)
        shared = self._covariance(features, there)[:, 0] - explained.T @ trial_explained[:, 0]
        variance = self._prior_variance(features) - (explained**2).sum(axis=0)
        trial_variance = self._prior_variance(there)[0] - (trial_explained**2).sum()
        return Joint(mean, variance, shared, float(trial_mean[0]), float(trial_variance))

    def predict_observed(self) -> tuple[Floats, Floats]:
        """Mean and variance of f of the observed trials, (n,) each."""
        h, features = self.hyperparameters, self.observed.features
        own = h.variances[0] * h.own[0] * np.eye(len(features))
        mean, explained = self._explain(features, None, own)
        return mean, np.maximum(self._prior_variance(features) - (explained**2).sum(axis=0), 0.0)

    def _prior_variance(self, features: Floats) -> Floats:
        h = self.hyperparameters
        return np.asarray(h.variances[0] * (self._kernel.diagonal(features) + h.own[0]) + LEVEL)

    def _explain(
        self, features: Floats, pending: Floats | None, own: Floats | float = 0.0
    ) -> tuple[Floats, Floats]:
        """Mean of f, and vectors E with covariance(f, f') = prior covariance - E.T @ E'.

        ``own``: what the candidates share with the observed trials beyond the kernel, if they are among them.
        """
        reduced = self._reduce(self._covariance(self.observed.features, features) + own)
        mean = reduced.T @ self._reduced_values
        if pending is None or not len(pending):
            return mean, reduced
        h = self.hyperparameters
        of_pending = self._reduce(self._covariance(self.observed.features, pending))
        noise = (h.variances[0] * h.own[0] + h.noise + _JITTER * LEVEL) * np.eye(len(pending))
        left = self._covariance(pending, pending) + noise - of_pending.T @ of_pending
        shared = self._covariance(pending, features) - of_pending.T @ reduced
        factor = cholesky(left, lower=True, check_finite=False)
        return mean, np.vstack([reduced, solve_triangular(factor, shared, lower=True, check_finite=False)])

    def _covariance(self, one: Floats, other: Floats) -> Floats:
        """Covariance of f of different candidates."""
        return np.asarray(self.hyperparameters.variances[0] * self._kernel(one, other) + LEVEL)

    def _reduce(self, by_trial: Floats) -> Floats:
        """L^-1 times the covariance with the observed rows, from that with the trials' f."""
        curves = self.observed.curves
        by_row = curves.rows[:, :1] * by_trial[curves.trials]
        return np.asarray(solve_triangular(self._factor, by_row, lower=True, check_finite=False))

    @cached_property
    def _kernel(self) -> Kernel:
        return self.hyperparameters.kernel(self.observed.groups)

    @cached_property
    def _factor(self) -> Floats:
        shape = self._kernel(self.observed.features, self.observed.features)
        total = covariance_of_rows(self.observed, self.hyperparameters, shape)
        return np.asarray(cholesky(total, lower=True, check_finite=False))

    @cached_property
    def _reduced_values(self) -> Floats:
        values = self.observed.curves.values
        return np.asarray(solve_triangular(self._factor, values, lower=True, check_finite=False))
