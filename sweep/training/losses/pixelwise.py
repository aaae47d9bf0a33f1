"""Losses of each pixel's log error e, and of its mean and variance in an image."""

import math

import torch
from torch import Tensor

from sweep.training.losses.comparison import Comparison

_SQRT_EPSILON = 1e-8  # keeps the derivative of the square root finite for a perfect or an unknown image
_ALPHA_LIMIT = 1e-6  # nearer to 0 than this, robust's general form differs from its limit by rounding alone


def silog(compared: Comparison, variance_focus: float) -> Tensor:
    """``sqrt(mean e^2 - lambda (mean e)^2)`` (Eigen et al. 2014; BTS, Lee et al. 2019).

    ``variance_focus`` is lambda: 0 gives the RMSE of the log, 1 full scale invariance. BTS uses 0.85 and the
    weight 10. Computed as variance + (1 - lambda) mean^2, which is the same and cannot turn negative.
    """
    radicand = compared.variance
    if variance_focus < 1:
        radicand = radicand + (1 - variance_focus) * compared.mean_error.square()
    return compared.over_images(torch.sqrt(radicand + _SQRT_EPSILON))


def si_rmse(compared: Comparison) -> Tensor:
    """The challenge's si-RMSE: `silog` with lambda 1."""
    return silog(compared, 1.0)


def l1(compared: Comparison) -> Tensor:
    """Mean absolute error."""
    return compared.over_images(compared.over_pixels(compared.error.abs()))


def l2(compared: Comparison) -> Tensor:
    """Mean squared error."""
    return compared.over_images(compared.over_pixels(compared.error.square()))


def robust(compared: Comparison, alpha: float, c: float) -> Tensor:
    """Mean of the general robust loss of e (Barron 2019, "A General and Adaptive Robust Loss Function").

    ``|alpha - 2| / alpha * (((e / c)^2 / |alpha - 2| + 1)^(alpha / 2) - 1)``, with its limits: alpha 2 gives half
    the square of e / c, 0 the Cauchy loss, minus infinity the Welsch loss. ``alpha`` is at most 2; 1 is the
    Charbonnier loss. ``c`` is where the loss turns from quadratic to its tail.
    """
    return compared.over_images(compared.over_pixels(_general_robust((compared.error / c).square(), alpha)))


def _general_robust(squares: Tensor, alpha: float) -> Tensor:
    """Barron's rho of (e / c)^2; 0 where that is 0, so unknown pixels add nothing."""
    if alpha == 2:
        return squares / 2
    if alpha == -math.inf:
        return -torch.expm1(squares / -2)
    if abs(alpha) < _ALPHA_LIMIT:
        return torch.log1p(squares / 2)
    # b / alpha * ((squares / b + 1)^(alpha / 2) - 1), without the cancellation of its two ones.
    b = abs(alpha - 2)
    return b / alpha * torch.expm1(alpha / 2 * torch.log1p(squares / b))
